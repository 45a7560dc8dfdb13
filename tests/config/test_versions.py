"""A recorded configuration keeps the meaning that it had when it was written."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from translator.config import (
    Config,
    CorpusStatistics,
    Machine,
    continued,
    load_config,
    load_recorded,
    replaced,
    resolve,
    save_config,
    versions,
)
from translator.config.resume_rules import kept
from translator.config.schema import ModelConfig, TrainingConfig
from translator.config.statistics import LengthLimit
from translator.errors import ConfigError
from translator.runs import RunDirectory

BASE = """\
data:
  source_language: en
  target_language: de
  train:
  - {tsv: a.tsv}
  - {tsv: b.tsv}
  validation: {tsv: validation.tsv}
model: {num_layers: 1}
training: {max_steps: 5}
"""
RUN = RunDirectory(Path("run"))
LIMIT = LengthLimit(3.0, 20)
"""It differs from the default of version 1, 2.0 and 10."""

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads BASE with some lines added, and overrides."""

    def load_text(more: str = "", *overrides: str) -> Config:
        (tmp_path / "c.yaml").write_text(BASE + more)
        return load_config(tmp_path / "c.yaml", overrides)

    return load_text


def resolved(config: Config) -> Config:
    return resolve(config, CorpusStatistics(30_000, length_limit=LIMIT), Machine(1.0))


class TestRecordedConfiguration:
    @pytest.fixture
    def old(self, load: Load, tmp_path: Path) -> Path:
        """As version 1 wrote it, without a key that has another default today."""
        path = tmp_path / "old.yaml"
        save_config(resolved(load()), path)
        values = yaml.safe_load(path.read_text())
        del values["schema_version"], values["decoding"]["max_length_extra"]
        path.write_text(yaml.safe_dump(values))
        return path

    def test_starts_with_its_version(self, load: Load, tmp_path: Path) -> None:
        save_config(load(), tmp_path / "new.yaml")
        assert (tmp_path / "new.yaml").read_text().startswith("schema_version: 3\npreset: ")
        assert load_recorded(tmp_path / "new.yaml") == load_config(tmp_path / "new.yaml")

    def test_without_a_version_is_of_version_1(self, old: Path) -> None:
        assert load_recorded(old).decoding.max_length_extra == 10
        assert load_config(old).decoding.max_length_extra == "auto"

    def test_of_the_current_version_has_current_defaults(self, old: Path) -> None:
        old.write_text("schema_version: 3\n" + old.read_text())
        assert load_recorded(old).decoding.max_length_extra == "auto"

    def test_keeps_the_value_of_a_key_that_was_added_later(self, old: Path) -> None:
        old.write_text(old.read_text().replace("decoding:\n", "decoding:\n  max_length_extra: 3\n"))
        assert load_recorded(old).decoding.max_length_extra == 3

    def test_is_upgraded_in_a_users_copy_too(self, old: Path) -> None:
        old.write_text("schema_version: 1\n" + old.read_text())
        assert load_config(old).decoding.max_length_extra == 10

    def test_overrides_win_over_old_values(self, old: Path) -> None:
        assert load_recorded(old, ["decoding.max_length_extra=2"]).decoding.max_length_extra == 2

    def test_of_a_newer_version_asks_for_an_upgrade(self, old: Path) -> None:
        old.write_text("# kept\nschema_version: 4\n" + old.read_text())
        for read in (load_config, load_recorded):
            with pytest.raises(ConfigError) as caught:
                read(old)
            assert str(caught.value) == (
                f"{old}, line 2: schema_version is 4, and this version of translator reads at "
                "most 3. Upgrade translator to use this configuration."
            )

    @pytest.mark.parametrize("version", ["0", "-1", "x", "1.0", "true", "null", "[2]"])
    def test_with_an_invalid_version_is_refused(self, old: Path, version: str) -> None:
        old.write_text(f"schema_version: {version}\n" + old.read_text())
        with pytest.raises(ConfigError, match="line 1: schema_version should be a whole number"):
            load_recorded(old)

    def test_version_cannot_be_overridden(self, old: Path) -> None:
        with pytest.raises(ConfigError, match="there is no key schema_version"):
            load_recorded(old, ["schema_version=1"])

    def test_old_values_are_of_existing_keys(self) -> None:
        config = Config.model_validate(yaml.safe_load(BASE))
        for later in range(versions.FIRST + 1, versions.CURRENT + 1):
            for key, old in versions.OLD_VALUES[later].items():
                assert replaced(config, {key: old})


class TestResumedRun:
    def test_keeps_its_value_of_each_unset_key(self, load: Load) -> None:
        begun = resolved(
            load(
                "decoding: {beam_size: 2}",
                "training.label_smoothing=0.2",
                "training.optimizer.beta_2=0.9",
                "data.train[0].tag=<x>",
                "data.train[0].weight=2",
                "data.train[1].weight=1",
                "evaluation.lowercase=true",
            )
        )
        assert continued(begun, load(), RUN) == begun
        assert continued(begun, load("", "data.train[0].tag=<x>"), RUN) == begun
        assert kept(load(), begun, from_another=False) == [
            "data.train[0].tag '<x>'",
            "data.train[0].weight 2.0",
            "data.train[1].weight 1.0",
            "training.label_smoothing 0.2",
            "training.optimizer.beta_2 0.9",
            "decoding.beam_size 2",
            "evaluation.lowercase True",
        ]

    def test_refuses_a_key_that_is_set_to_its_default(self, load: Load) -> None:
        begun = resolved(load("", "training.label_smoothing=0.2"))
        with pytest.raises(ConfigError, match=r"label_smoothing was 0\.2 and is now 0\.1"):
            continued(begun, load("", "training.label_smoothing=0.1"), RUN)

    def test_keeps_its_value_when_a_default_has_changed(
        self, load: Load, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun = resolved(load())
        monkeypatch.setattr(TrainingConfig.model_fields["label_smoothing"], "default", 0.3)
        TrainingConfig.model_rebuild(force=True)
        Config.model_rebuild(force=True)
        try:
            wanted = load()
            assert wanted.training.label_smoothing == 0.3
            assert continued(begun, wanted, RUN) == begun
        finally:
            monkeypatch.undo()
            TrainingConfig.model_rebuild(force=True)
            Config.model_rebuild(force=True)

    def test_of_an_old_version_keeps_the_old_behaviour(self, load: Load, tmp_path: Path) -> None:
        path = tmp_path / "config.yaml"
        save_config(resolved(load()), path)
        for line in ("schema_version: 3\n", "  max_length_extra: 20\n"):
            path.write_text(path.read_text().replace(line, ""))
        wanted = continued(load_recorded(path), load(), RUN)
        assert wanted.decoding.length_limit == (3.0, 10)

    @pytest.mark.parametrize(
        ("overrides", "limits"),
        [
            (["training.max_epochs=2"], (5, 2, None)),
            (["training.max_steps=null", "training.patience=3"], (None, 1, 3)),
            (["training.max_epochs=null"], (5, None, None)),
        ],
    )
    def test_keeps_its_limits_unless_they_are_changed_or_removed(
        self, load: Load, overrides: list[str], limits: tuple[int | None, ...]
    ) -> None:
        begun = resolved(load("", "training.max_steps=9", "training.max_epochs=1"))
        training = continued(begun, load("", *overrides), RUN).training
        assert (training.max_steps, training.max_epochs, training.patience) == limits

    def test_keeps_its_model_if_none_is_named(self, load: Load) -> None:
        begun = resolved(load())
        wanted = load()
        without = replaced(wanted, {"preset": "auto"}).model_copy(update={"model": ModelConfig()})
        without.model_fields_set.discard("model")
        assert continued(begun, without, RUN) == begun

    def test_keeps_no_keys_of_a_corpus_that_was_replaced(self, load: Load) -> None:
        begun = resolved(load("", "data.test={tsv: test.tsv, columns: [1, 3]}"))
        wanted = load("", "data.test={tsv: other.tsv}")
        assert continued(begun, wanted, RUN).data.test == wanted.data.test
        same = load("", "data.test={tsv: test.tsv}")
        assert continued(begun, same, RUN).data.test == begun.data.test

    def test_profile_and_distribution_are_those_of_the_session(self, load: Load) -> None:
        begun = resolved(load("", "training.profile=true", "training.distribution=mirrored"))
        training = continued(begun, load(), RUN).training
        assert (training.profile, training.distribution) == (False, "auto")
