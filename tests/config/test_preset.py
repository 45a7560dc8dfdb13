"""`preset: auto`: its rules change smoothly with the corpus, and keys that the user sets win."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from translator.config import Config, CorpusStatistics, Machine, continued, load_config, resolve
from translator.config.keys import replaced, value
from translator.config.preset import KEYS, between, choose
from translator.config.resume_rules import begun_from
from translator.config.statistics import LEAST_LIMIT
from translator.errors import ConfigError, RunError
from translator.runs import RunDirectory

DATA = "data: {source_language: en, target_language: de, train: {tsv: t}, validation: {tsv: v}}\n"
BY_HAND = "model: {num_layers: 1}\ntraining: {max_steps: 1}"
RUN = RunDirectory(Path("run"))
CPU, GPU = Machine(1.0), Machine(1.0, has_gpu=True)
SIZES = [2_000 * 1.03**n for n in range(345)]
"""2,000 to 50 million pairs, 3 % apart."""

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load_text(more: str = "", *overrides: str) -> Config:
        (tmp_path / "c.yaml").write_text(DATA + more)
        return load_config(tmp_path / "c.yaml", overrides)

    return load_text


def resolved(config: Config, num_pairs: float = 30_000, machine: Machine = CPU) -> Config:
    statistics = CorpusStatistics(round(num_pairs), longest=40, length_limit=LEAST_LIMIT)
    return resolve(config, statistics, machine)


def test_between_interpolates_over_the_logarithm() -> None:
    points = {10.0: 1.0, 1000.0: 3.0}
    assert [between(points, size) for size in (1, 10, 100, 1000, 5000)] == [1, 1, 2, 3, 3]


class TestPreset:
    def test_is_auto_for_a_file_without_model(self, load: Load) -> None:
        assert load().preset == load("training: {max_minutes: 5}").preset == "auto"
        assert load("", "model.num_layers=2").preset == "auto"
        assert load(BY_HAND).preset is None
        assert choose(load(BY_HAND), CorpusStatistics(9), CPU) == []

    def test_follows_its_points(self, load: Load) -> None:
        small = resolved(load(), 10_000)
        assert small.model.model_dim == 128 and small.model.num_heads == 4
        ordinary = resolved(load(), 30_000)
        assert ordinary.training.max_epochs == 30 and ordinary.model.dropout_rate == 0.2
        large = resolved(load(), 200_000)
        assert large.model.model_dim == 256 and large.model.num_heads == 4
        assert large.training.max_epochs == 20
        assert large.training.optimizer.learning_rate == pytest.approx(2e-3, rel=0.03)

    def test_fast_has_a_deep_encoder_and_a_shallow_recurrent_decoder(self, load: Load) -> None:
        auto, fast = (resolved(load(f"preset: {name}")) for name in ("auto", "fast"))
        assert (auto.model.num_layers, auto.model.num_decoder_layers) == (4, 4)
        assert (fast.model.num_layers, fast.model.num_decoder_layers) == (6, 1)
        assert (auto.model.decoder, fast.model.decoder) == ("attention", "recurrence")
        same = {"num_layers": 4, "num_decoder_layers": 4, "decoder": "attention"}
        assert fast.model.model_copy(update=same) == auto.model
        assert fast.training == auto.training
        assert resolved(load("preset: fast"), 2e6).model.num_decoder_layers == 2

    def test_of_one_stack_has_the_layers_of_two(self, load: Load) -> None:
        assert resolved(load("", "model.kind=decoder_only")).model.num_layers == 8

    def test_long_sentences_count_for_more_than_short_ones(self, load: Load) -> None:
        long = resolve(load(), CorpusStatistics(50_000, length=132, longest=40), CPU)
        short = resolve(load(), CorpusStatistics(200_000, length=33, longest=40), CPU)
        ordinary = resolved(load(), 100_000)
        assert long.model == short.model == ordinary.model
        assert long.training == short.training == ordinary.training

    def test_max_length_is_half_as_much_again_as_the_longest_sentences(self, load: Load) -> None:
        texts = (CorpusStatistics(9, longest=longest) for longest in (10, 46, 64, 300, 9_000))
        found = [resolve(load(), text, CPU).data.max_length for text in texts]
        assert found == [64, 80, 96, 464, 4096]

    def test_chooses_max_length_once_there_is_a_vocabulary(self, load: Load) -> None:
        before = CorpusStatistics(30_000)
        assert "data.max_length" not in [choice.key for choice in choose(load(), before, CPU)]
        resolved_before = resolve(load(), before, CPU)
        after = before._replace(longest=300)
        assert [(c.key, c.value) for c in choose(resolved_before, after, CPU)] == [
            ("data.max_length", 464)
        ]
        both = resolve(resolved_before, after, CPU)
        chosen = {"data.max_length": 464, "model.attention_block_size": None}
        assert both == replaced(resolved_before, chosen)
        long = resolve(resolved_before, before._replace(longest=2_000), CPU)
        assert long.model.attention_block_size == 128
        assert resolve(load("", "data.max_length=9"), after, CPU).data.max_length == 9

    def test_vocabulary_of_words_is_the_largest(self, load: Load) -> None:
        words = resolved(load("", "tokenizer.kind=word"), 2_000)
        assert words.tokenizer.vocabulary_size == 32_000

    def test_languages_of_different_scripts_share_no_vocabulary(self, load: Load) -> None:
        text = CorpusStatistics(30_000, num_characters=4_000, shared_letters=0.02)
        apart = resolve(load(), text, CPU)
        assert not apart.tokenizer.joint and apart.model.share_embeddings == "target"
        assert apart.tokenizer.character_coverage == 0.9995
        shared = resolve(load("model: {share_embeddings: all}\npreset: auto"), text, CPU)
        assert shared.tokenizer.joint

    def test_widest_models_need_a_gpu(self, load: Load) -> None:
        assert resolved(load(), 5e7, CPU).model.model_dim == 512
        assert resolved(load(), 5e7, GPU).model.model_dim == 1024

    def test_each_choice_names_its_findings(self, load: Load) -> None:
        text = CorpusStatistics(30_000, longest=40)
        choices = choose(load(), text, CPU)
        config = resolve(load(), text, CPU)
        assert [choice.key for choice in choices] == KEYS
        assert all(value(config, choice.key) == choice.value for choice in choices)
        assert all(choice.findings for choice in choices)

    @pytest.mark.parametrize("machine", [CPU, GPU])
    def test_choices_change_smoothly_with_the_corpus_size(
        self, machine: Machine, load: Load
    ) -> None:
        """A corpus 3 % larger changes a value by little more than its rounding."""
        most = {
            "data.max_length": 0,
            "tokenizer.vocabulary_size": 600,
            "tokenizer.character_coverage": 0,
            "model.model_dim": 32,
            "model.num_layers": 1,
            "model.num_heads": 8,
            "model.feed_forward_dim": 160,
            "model.dropout_rate": 0.01,
            "model.embedding_dropout_rate": 0.01,
            "training.tokens_per_step": 512,
            "training.max_epochs": 4,
        }
        configs = [resolved(load(), size, machine) for size in SIZES]
        for one, other in pairwise(configs):
            for key in KEYS:
                old, new = value(one, key), value(other, key)
                if isinstance(old, (bool, str)):
                    assert old == new
                elif key == "training.optimizer.learning_rate":  # goes by the width
                    width = value(other, "model.model_dim") / value(one, "model.model_dim")
                    assert new == pytest.approx(old / width, rel=0.05)
                else:
                    assert abs(new - old) <= most[key] + 1e-9, key

    @pytest.mark.parametrize("size", SIZES[::43])
    def test_choices_are_valid_configurations(self, size: float, load: Load) -> None:
        chosen = resolved(load(), size, GPU)
        assert Config.model_validate(chosen.model_dump()) == chosen


class TestKeysThatTheUserSets:
    @pytest.mark.parametrize(
        ("key", "given"),
        [
            ("model.decoder", "convolution"),
            ("model.model_dim", 512),
            ("model.dropout_rate", 0.1),  # its default, but set
            ("tokenizer.vocabulary_size", 77),
            ("training.max_epochs", 3),
            ("training.optimizer.schedule", "constant"),
            ("data.max_length", 33),
        ],
    )
    def test_are_kept(self, key: str, given: object, load: Load) -> None:
        assert value(resolved(load("", f"{key}={given}")), key) == given

    def test_determine_dependent_keys(self, load: Load) -> None:
        wide = resolved(load("", "model.model_dim=512"))
        assert wide.model.num_heads == 8 and wide.model.feed_forward_dim == 1024
        assert wide.training.optimizer.learning_rate == pytest.approx(1e-3, rel=0.03)
        assert resolved(load("", "model.num_heads=3")).model.model_dim % 3 == 0

    def test_max_steps_replaces_max_epochs(self, load: Load) -> None:
        assert resolved(load("", "training.max_steps=9")).training.max_epochs is None
        assert resolved(load("", "training.max_minutes=9")).training.max_epochs == 30

    def test_fewer_minutes_give_smaller_batches(self, load: Load) -> None:
        def tokens(minutes: object, machine: Machine) -> int:
            config = load("", f"training.max_minutes={minutes}")
            return resolved(config, 1e6, machine).training.tokens_per_step

        assert [tokens(minutes, CPU) for minutes in (5, 10, 60, "null")] == [1536, 1536, 4096, 8192]
        assert 1536 < tokens(20, CPU) < tokens(40, CPU) < 4096 < tokens(65, CPU) < 8192
        assert tokens(5, GPU) == 8192

    def test_short_runs_get_less_dropout(self, load: Load) -> None:
        def rate(minutes: object, machine: Machine = CPU) -> float:
            config = load("", f"training.max_minutes={minutes}")
            return resolved(config, 30_000, machine).model.dropout_rate

        # 30 epochs are 45 minutes, and a quarter of them halves the rate.
        assert [rate(minutes) for minutes in ("null", 45, 11.25)] == [0.2, 0.2, 0.1]
        assert rate(11.25, GPU) == 0.2
        six = resolved(load("", "training.max_epochs=6"), 30_000)
        assert six.model.dropout_rate == 0.09  # 0.2 √(6/30)
        assert rate(5.625, CPU._replace(num_processors=2)) == 0.1

    def test_model_size_follows_the_text_that_can_be_learnt_in_time(self, load: Load) -> None:
        def shape(minutes: object, size: float, machine: Machine = CPU) -> list[int]:
            config = resolved(load("", f"training.max_minutes={minutes}"), size, machine)
            return [config.model.model_dim, config.model.num_layers, config.model.feed_forward_dim]

        assert shape(30, 1e6) == shape("null", 60_000) < shape("null", 1e6)
        assert shape(15, 1e6, CPU._replace(num_processors=2)) == shape(30, 1e6)
        assert shape(30, 5_000) == shape("null", 5_000)
        assert shape(30, 1e6, GPU) == shape("null", 1e6, GPU)


class TestEndOfTraining:
    """Training always has an end. A learning rate that falls to zero reaches zero there."""

    @pytest.mark.parametrize(
        ("overrides", "schedule"),
        [
            (["training.max_epochs=null", "training.patience=3"], "inverse_sqrt"),
            (["training.max_epochs=null", "training.max_minutes=3"], "cooldown"),
            (["training.patience=3"], "cooldown"),
            (["tokenizer.joint=false"], "cooldown"),
        ],
    )
    def test_determines_the_schedule(self, overrides: list[str], schedule: str, load: Load) -> None:
        assert resolved(load("", *overrides)).training.optimizer.schedule == schedule

    def test_cannot_be_removed(self, load: Load) -> None:
        with pytest.raises(ConfigError, match="training needs an end"):
            load("", "training.max_epochs=null")
        begun = resolved(load("", "training.max_steps=4", "training.optimizer.schedule=constant"))
        wanted = load("", "training.optimizer.schedule=constant")
        assert continued(begun, wanted, RUN).training.max_steps == 4
        with pytest.raises(ConfigError, match="run: training needs an end: set max_steps"):
            continued(begun, replaced(wanted, {"training.max_steps": None}), RUN)


class TestResumedRun:
    def test_keeps_its_choices_when_the_rules_change(self, load: Load) -> None:
        begun = resolved(load(), 5_000)
        assert continued(begun, load(), RUN) == begun

    def test_keeps_its_length_limit(self, load: Load) -> None:
        limit = {"decoding.max_length_ratio": 6.0, "decoding.max_length_extra": 40}
        begun = replaced(resolved(load()), limit)
        assert continued(begun, load(), RUN) == begun
        with pytest.raises(ConfigError, match=r"decoding\.max_length_extra was 40 and is now 50"):
            continued(begun, load("", "decoding.max_length_extra=50"), RUN)
        lost = replaced(begun, {"decoding.max_length_ratio": "auto"})
        with pytest.raises(RunError, match=r"max_length_ratio is auto, but a run records a value"):
            continued(lost, load(), RUN)

    def test_configuration_must_name_the_preset(self, load: Load) -> None:
        with pytest.raises(ConfigError, match="run was started with preset: auto; add that to"):
            continued(resolved(load()), load(BY_HAND), RUN)

    def test_refuses_another_value_of_a_chosen_key(self, load: Load) -> None:
        begun = resolved(load())
        wanted: Any = load("", f"model.model_dim={begun.model.model_dim}")
        assert continued(begun, wanted, RUN).model == begun.model
        with pytest.raises(ConfigError, match=r"model\.model_dim was .* and is now 2"):
            continued(begun, load("", "model.model_dim=2", "model.num_heads=1"), RUN)


def test_run_started_from_another_has_its_model(load: Load) -> None:
    other = resolved(load("", "model.positions=learned"), 5_000)
    wanted = begun_from(other, load("", "model.dropout_rate=0.05"), Path("other"))
    assert wanted.model == replaced(other, {"model.dropout_rate": 0.05}).model
    assert resolved(wanted, 10**7).model == wanted.model
    assert resolved(wanted, 10**7).training != resolved(load(), 5_000).training
    begun = resolved(wanted, 10**7)
    assert continued(begun, load("", "model.dropout_rate=0.05"), RUN) == begun
