"""`auto` is replaced by a value."""

import pytest

from translator.config import Config, CorpusStatistics, Machine, resolve
from translator.config.preset import auto_vocabulary_size
from translator.config.statistics import LEAST_LIMIT, LengthLimit
from translator.errors import ConfigError


def config(**sections: object) -> Config:
    data = {
        "source_language": "en",
        "target_language": "de",
        "train": {"tsv": "a"},
        "validation": {"tsv": "b"},
    }
    return Config.model_validate({"data": data, "training": {"max_steps": 1}} | sections)


def resolved(config: Config, num_pairs: int = 10_000, speedup: float = 1.0) -> Config:
    statistics = CorpusStatistics(num_pairs, length_limit=LEAST_LIMIT)
    return resolve(config, statistics, Machine(speedup))


@pytest.mark.parametrize(
    ("num_pairs", "size"),
    [
        (1, 1_000),
        (625, 1_000),
        (10_000, 4_000),
        (250_000, 20_000),
        (640_000, 32_000),
        (10**8, 32_000),
    ],
)
def test_vocabulary_grows_with_the_square_root_of_the_corpus(num_pairs: int, size: int) -> None:
    assert auto_vocabulary_size(CorpusStatistics(num_pairs)) == size
    assert resolved(config(), num_pairs).tokenizer.vocabulary_size == size


def test_the_vocabulary_has_room_for_every_character() -> None:
    assert auto_vocabulary_size(CorpusStatistics(2_000, num_characters=3_000)) == 3_900


@pytest.mark.parametrize(("speedup", "precision"), [(1.0, "float32"), (1.5, "bfloat16")])
def test_faster_precision_is_chosen(speedup: float, precision: str) -> None:
    result = resolved(config(decoding={"precision": "auto"}), speedup=speedup)
    assert result.training.precision == precision
    assert result.decoding.precision == precision


@pytest.mark.parametrize(
    ("limits", "schedule"),
    [
        ({"max_steps": 9}, "inverse_sqrt"),
        ({"max_minutes": 9.0}, "cooldown"),
        ({"max_minutes": 9.0, "optimizer": {"schedule": "constant"}}, "constant"),
    ],
)
def test_auto_schedule_is_cooldown_with_max_minutes(
    limits: dict[str, object], schedule: str
) -> None:
    assert resolved(config(training=limits)).training.optimizer.schedule == schedule


def test_decoder_is_as_deep_as_the_encoder_by_default() -> None:
    assert resolved(config(model={"num_layers": 3})).model.num_decoder_layers == 3
    depths = {"num_layers": 3, "num_decoder_layers": 1}
    assert resolved(config(model=depths)).model.num_decoder_layers == 1


def test_length_limit_is_resolved_once_that_of_the_text_is_known() -> None:
    def limit(decoding: dict[str, object], known: LengthLimit | None) -> tuple[object, object]:
        statistics = CorpusStatistics(1, length_limit=known)
        found = resolve(config(decoding=decoding), statistics, Machine(1.0)).decoding
        return found.max_length_ratio, found.max_length_extra

    assert limit({}, None) == ("auto", "auto")
    assert limit({}, LengthLimit(6.0, 40)) == (6.0, 40)
    assert limit({"max_length_ratio": 3}, LengthLimit(6.0, 40)) == (3.0, 40)
    assert limit({"max_length_ratio": 1.0, "max_length_extra": 0}, LengthLimit(6.0, 40)) == (1.0, 0)


def test_min_length_is_compared_with_a_limit_that_is_known() -> None:
    given = config(decoding={"min_length": 64, "max_length_ratio": 0.5})
    assert resolved(given).decoding.max_length_extra == LEAST_LIMIT.extra
    statistics = CorpusStatistics(1, length_limit=LengthLimit(0.5, 0))
    with pytest.raises(ConfigError, match="must not exceed 63, the pieces that"):
        resolve(given, statistics, Machine(1.0))


def test_min_length_waits_for_the_length_that_a_preset_chooses() -> None:
    given = config(preset="auto", decoding={"min_length": 200})
    assert resolve(given, CorpusStatistics(30_000), Machine(1.0)).decoding.min_length == 200
    statistics = CorpusStatistics(30_000, length_limit=LengthLimit(2.0, 10), longest=40)
    with pytest.raises(ConfigError, match=r"\(200\) must not exceed data\.max_length"):
        resolve(given, statistics, Machine(1.0))


def test_values_that_are_set_are_kept() -> None:
    given = config(
        tokenizer={"vocabulary_size": 77},
        training={"max_steps": 1, "precision": "bfloat16"},
        decoding={"precision": "float32"},
    )
    result = resolved(given, speedup=0.5)
    assert result.tokenizer.vocabulary_size == 77
    assert result.training.precision == "bfloat16"
    assert result.decoding.precision == "float32"


def test_resolving_is_pure_and_idempotent() -> None:
    given = config()
    before = given.model_dump()
    once = resolved(given)
    assert given.model_dump() == before
    assert resolved(given) == once
    assert resolved(once, num_pairs=5, speedup=9.0) == once


def test_only_distribution_and_tokenize_stay_auto() -> None:
    def autos(values: dict[str, object], path: str = "") -> list[str]:
        found = []
        for key, value in values.items():
            found += autos(value, f"{path}{key}.") if isinstance(value, dict) else []
            found += [path + key] if value == "auto" else []
        return found

    everything_auto = config(decoding={"precision": "auto"})
    left = ["training.distribution", "evaluation.tokenize"]
    assert autos(resolved(everything_auto).model_dump()) == left
