"""`translator train` continues a run, begins a new one, or refuses; it never replaces a run."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from shutil import copytree, rmtree

import pytest

from translator.config import load_recorded
from translator.errors import ConfigError, RunError
from translator.models.weights import load_arrays, save_arrays
from translator.runs import RunDirectory
from translator.workflows.train import train

from .conftest import CONFIG, Command

pytestmark = pytest.mark.slow

Capture = pytest.CaptureFixture[str]


def contents(folder: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def make_old(run: Path) -> None:
    """Delete what older versions did not write."""
    (run / "state.json").unlink()
    config = run / "config.yaml"
    config.write_text(config.read_text().removeprefix("schema_version: 3\n"))


def refusal(*arguments: object, **keys: object) -> str:
    with pytest.raises((ConfigError, RunError)) as caught:
        train("c.yaml", *arguments, **keys)  # type: ignore[arg-type]
    return str(caught.value)


NO_CHECKPOINTS = (
    "runs/c: its checkpoints are missing, so it cannot continue, and starting over would replace "
    "its weights and metrics. Bring the checkpoints back; or begin another run with --run{}; or "
    "delete runs/c to start over."
)
START = ", with --from runs/c to start with its weights"
NO_CONFIG = (
    "runs/c: this folder contains {} of a run but no config.yaml. Restore config.yaml, name "
    "another folder with --run, or delete runs/c to start over."
)


def remove(*names: str) -> Callable[[Path], None]:
    def act(run: Path) -> None:
        for name in names:
            path = run / name
            rmtree(path) if path.is_dir() else path.unlink()

    return act


def keep_only(*names: str) -> Callable[[Path], None]:
    def act(run: Path) -> None:
        remove(*(path.name for path in run.iterdir() if path.name not in names))(run)

    return act


class TestATrainedRun:
    @pytest.mark.parametrize("is_old", [False, True])
    @pytest.mark.parametrize(
        ("spoil", "sentence"),
        [
            (remove("checkpoints"), NO_CHECKPOINTS.format(START)),
            (remove("checkpoints", "metrics.jsonl"), NO_CHECKPOINTS.format(START)),
            (remove("checkpoints", "best.safetensors"), NO_CHECKPOINTS.format("")),
            (
                remove("config.yaml"),
                NO_CONFIG.format("best.safetensors"),
            ),
            (
                remove("config.yaml", "best.safetensors", "checkpoints"),
                NO_CONFIG.format("metrics.jsonl"),
            ),
            (keep_only("best.safetensors"), NO_CONFIG.format("best.safetensors")),
        ],
    )
    def test_is_never_started_over(
        self, run: Path, is_old: bool, spoil: Callable[[Path], None], sentence: str
    ) -> None:
        if is_old:
            make_old(run)
        spoil(run)
        before = contents(run)
        assert refusal() == sentence
        assert {p: b for p, b in contents(run).items() if p.name != ".lock"} == {
            p: b for p, b in before.items() if p.name != ".lock"
        }

    def test_can_be_the_start_of_another_as_the_message_suggests(self, run: Path) -> None:
        rmtree(run / "checkpoints")
        train("c.yaml", "runs/d", ["training.max_steps=1"], run)
        assert Path("runs/d/best.safetensors").exists()

    def test_starts_over_once_its_folder_is_deleted(self, run: Path) -> None:
        before = contents(run)[run / "metrics.jsonl"]
        rmtree(run)
        train("c.yaml")
        assert len((run / "metrics.jsonl").read_text().splitlines()) == len(before.splitlines())

    def test_that_an_older_version_made_continues(self, run: Path, capsys: Capture) -> None:
        make_old(run)
        train("c.yaml", overrides=["training.max_steps=23"])
        assert "Continuing runs/c after step 20." in capsys.readouterr().err
        assert json.loads((run / "state.json").read_text()) == {"has_checkpoint": True}
        assert (run / "config.yaml").read_text().startswith("schema_version: 3\n")

    def test_keeps_a_better_mean_of_weights_if_the_best_are_lost(self, run: Path) -> None:
        (run / "best.safetensors").rename(run / "averaged.safetensors")
        before = (run / "averaged.safetensors").read_bytes()
        train("c.yaml")
        assert (run / "averaged.safetensors").read_bytes() == before

    def test_keeps_the_values_of_set_when_it_continues(
        self, workplace: Path, capsys: Capture
    ) -> None:
        smoothing = "training.label_smoothing=0.3"
        train("c.yaml", overrides=[smoothing, "training.max_steps=2"])
        train("c.yaml", overrides=["training.max_steps=3"])
        assert load_recorded(Path("runs/c/config.yaml")).training.label_smoothing == 0.3
        assert (
            "runs/c keeps what the configuration leaves unset: training.label_smoothing 0.3.\n"
        ) in capsys.readouterr().err


@pytest.mark.parametrize("is_old", [False, True])
def test_killed_before_its_first_checkpoint_the_same_command_starts_over(
    trained: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch, is_old: bool
) -> None:
    """Killed before the first step and, in new runs, between a validation and its checkpoint."""

    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    run, keys = Path("runs/c"), ["training.save_every=10"]
    functions = ["checkpoint.load_checkpoint", "trainer.save_checkpoint"]
    for function in functions[:1] if is_old else functions:
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(f"translator.training.{function}", kill)
            train("c.yaml", overrides=keys)
    if is_old:
        make_old(run)
    assert is_old or (run / "best.safetensors").exists()
    train("c.yaml", overrides=keys)
    best, _ = load_arrays(run / "best.safetensors")
    expected, _ = load_arrays(trained / "runs/c/best.safetensors")
    assert all(best[name].tobytes() == expected[name].tobytes() for name in expected)


class TestTheConfigurationOfARun:
    def test_continues_that_run(self, run: Path, capsys: Capture) -> None:
        train(run / "config.yaml", overrides=["training.max_steps=22"])
        assert "Continuing runs/c after step 20." in capsys.readouterr().err
        assert not Path("runs/config").exists()
        train(run, overrides=["training.max_steps=23"])
        assert "Continuing runs/c after step 22." in capsys.readouterr().err

    def test_of_an_older_version_does_too(
        self, run: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_old(run)
        monkeypatch.chdir(run)
        train("config.yaml")
        assert "Continuing . after step 20." in capsys.readouterr().err

    def test_begins_another_run_with_run(self, run: Path, capsys: Capture) -> None:
        train(run / "config.yaml", "runs/d", ["training.max_steps=1"])
        assert "Continuing" not in capsys.readouterr().err
        assert load_recorded(Path("runs/d/config.yaml")).training.max_steps == 1

    def test_that_is_not_in_a_run_begins_a_run_of_its_name(self, workplace: Path) -> None:
        Path("c.yaml").rename("config.yaml")
        train("config.yaml", overrides=["training.max_steps=1"])
        assert Path("runs/config/best.safetensors").exists()


class TestFrom:
    def test_is_accepted_again_if_it_is_the_same(self, run: Path, capsys: Capture) -> None:
        limit = ["training.max_steps=1"]
        train("c.yaml", "runs/d", limit, run)
        copytree(run, "runs/copy")
        train(run.with_name("d") / "config.yaml", None, limit, run.absolute())
        train("c.yaml", "runs/d", limit, "runs/copy")
        rmtree(run)
        train("c.yaml", "runs/d", limit, run)
        assert capsys.readouterr().err.count("Continuing runs/d after step 1.") == 3

    def test_of_an_older_version_is_recognized_by_its_weights(
        self, run: Path, capsys: Capture
    ) -> None:
        limit = ["training.max_steps=1"]
        train("c.yaml", "runs/d", limit, run)
        make_old(Path("runs/d"))
        train("c.yaml", "runs/d", limit, run)
        assert "Continuing runs/d after step 1." in capsys.readouterr().err
        best = RunDirectory(run).best
        arrays, facts = load_arrays(best)
        save_arrays(best, {name: 2 * array for name, array in arrays.items()}, **facts)
        make_old(Path("runs/d"))
        assert refusal("runs/d", limit, run) == (
            "runs/d began with the weights of another run, and now --from is runs/c. Leave out "
            "--from to continue it, or start another run with --run."
        )

    def test_is_refused_on_a_run_that_began_differently(self, run: Path) -> None:
        limit = ["training.max_steps=1"]
        ending = "Leave out --from to continue it, or start another run with --run."
        for other in ("there-is-none", "runs/c"):
            assert refusal(run, limit, other) == (
                f"runs/c began without --from, and now --from is {other}. {ending}"
            )
        train("c.yaml", "runs/d", limit, run)
        train("c.yaml", "runs/e", ["training.max_steps=1", "training.seed=2"])
        assert refusal("runs/d", limit, "runs/e") == (
            f"runs/d began with --from {run.absolute()}, and now --from is runs/e. {ending}"
        )
        assert "runs/none: there is no such run" in refusal("runs/d", limit, "runs/none")

    def test_lost_start_weights_are_not_replaced_by_random_ones(self, run: Path) -> None:
        train("c.yaml", "runs/d", ["training.max_steps=1"], run)
        begun = Path("runs/d")
        remove("start.safetensors", "checkpoints", "metrics.jsonl", "best.safetensors")(begun)
        assert refusal("runs/d") == (
            "runs/d/start.safetensors: this file is missing, and the run has no checkpoint yet. "
            "Restore it, or start another run with --run and --from."
        )

    @pytest.mark.parametrize(
        ("section", "difference"),
        [
            ("{kind: bpe, sampling_alpha: 0.1}", "kind is 'unigram' there and 'bpe' here"),
            ("{vocabulary_size: 300}", "vocabulary_size is 340 there and 300 here"),
            ("{joint: false}", "joint is True there and False here"),
            ("{byte_fallback: false}", "byte_fallback is True there and False here"),
            ("{character_coverage: 0.99}", "character_coverage is 1.0 there and 0.99 here"),
        ],
    )
    def test_refuses_a_vocabulary_with_other_settings(
        self, run: Path, section: str, difference: str
    ) -> None:
        text = CONFIG.replace("{vocabulary_size: 340}", section)
        if "joint" in section:
            text = text.replace("model: {", "model: {share_embeddings: target, ")
        Path("c.yaml").write_text(text)
        message = refusal("runs/d", [], run)
        assert message.startswith(
            "--from runs/c keeps the vocabulary and the model of that run, but "
        )
        assert f"tokenizer.{difference}" in message
        assert message.endswith(". Leave these keys out, or start without --from.")

    def test_refuses_a_model_that_computes_something_else(self, run: Path) -> None:
        message = refusal("runs/d", ["model.activation=gelu", "model.num_heads=4"], run)
        assert (
            "model.num_heads is 2 there and 4 here; model.activation is 'relu' there and" in message
        )

    def test_records_the_settings_of_the_other_vocabulary(self, run: Path) -> None:
        Path("c.yaml").write_text(CONFIG.replace("{vocabulary_size: 340}", "{sampling_alpha: 0.2}"))
        train("c.yaml", "runs/d", ["training.max_steps=1"], run)
        there = load_recorded(run / "config.yaml").tokenizer
        here = load_recorded(Path("runs/d/config.yaml")).tokenizer
        assert here == there.model_copy(update={"sampling_alpha": 0.2})

    def test_refuses_a_run_that_was_never_validated(self, run: Path) -> None:
        (run / "best.safetensors").unlink()
        assert refusal("runs/d", [], run) == (
            "runs/c: no weights have been validated yet, so no run can start from it. Continue its "
            "training to the first validation."
        )


def test_an_empty_name_is_refused(workplace: Path, command: Command) -> None:
    for option in ("--run", "--from"):
        done = command("train", "c.yaml", option, "")
        assert done.returncode == 2
        assert done.stderr == (
            "Error: --run and --from need the name of a folder, not an empty one.\n"
        )
    assert not Path("checkpoints").exists() and not Path("runs").exists()


def test_a_run_may_have_any_name(workplace: Path) -> None:
    """One that is not UTF-8, with a line break and a terminal sequence."""
    run = Path(os.fsdecode(b"runs/\xffa\nb\x1b[1m"))
    train("c.yaml", run, ["training.profile=true", "training.max_steps=16"])
    train(run / "config.yaml", None, ["training.max_steps=17"])
    train("c.yaml", "runs/d", ["training.max_steps=1"], run)
    assert (run / "profile.txt").exists()
    assert len(list((run / "tensorboard").glob("events*"))) == 2
