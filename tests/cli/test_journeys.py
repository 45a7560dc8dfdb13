"""What a user does with a run: train, continue, translate, evaluate, tune, begin from another."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pytest
import tensorflow as tf

import translator
from translator.cli.conversation import converse
from translator.config.schema import DecodingConfig
from translator.config.statistics import LengthLimit
from translator.data.batches import Batch
from translator.data.corpus import read_pairs
from translator.decoding.loaded_run import load_run_config
from translator.diagnostics.plateau import Overfitting
from translator.errors import ConfigError, DataError, OutOfMemory, RunError, Stopped
from translator.evaluation.tuning import BEAM_SIZES, Gain
from translator.evaluation.validation import Validator
from translator.models.weights import Arrays, load_arrays, load_facts, save_arrays
from translator.runs import RunDirectory
from translator.training import dry_run
from translator.training.checkpoint import mean_weights
from translator.training.distributed import strategy
from translator.training.results import Update
from translator.training.train_step import TrainStep
from translator.workflows.evaluate import evaluate
from translator.workflows.train import train
from translator.workflows.training_session import TrainingSession
from translator.workflows.translate import translate
from translator.workflows.tune import tune

from .conftest import ROOT, Command, Type

pytestmark = pytest.mark.slow

Capture = pytest.CaptureFixture[str]


class TestTraining:
    def test_run_directory_contains_config_tokenizer_weights_and_metrics(
        self, trained: Path
    ) -> None:
        names = {path.name for path in (trained / "runs/c").iterdir()}
        assert names >= {
            "config.yaml",
            "environment.json",
            "text.json",
            "source.model",
            "target.model",
            "checkpoints",
            "best.safetensors",
            "metrics.jsonl",
            "validation",
            "tensorboard",
        }

    def test_logs_what_it_does_and_the_next_commands(self, run: Path, capsys: Capture) -> None:
        train(Path("c.yaml"))
        output = capsys.readouterr()
        assert output.out == ""
        assert "Continuing runs/c after step 20." in output.err
        assert (
            "60 pairs, " in output.err and " 340 pieces; 10,880 parameters; float32." in output.err
        )
        assert "Finished after 20 steps" in output.err
        assert "translator translate runs/c" in output.err

    def test_warns_of_text_that_is_left_out_and_of_a_vocabulary_too_small(
        self, run: Path, capsys: Capture
    ) -> None:
        train(Path("c.yaml"), Path("runs/short"), ["data.max_length=20", "training.max_steps=1"])
        messages = capsys.readouterr().err
        assert re.search(r"\nWarning: \d\d% of the training pairs are left out, ", messages)
        assert messages.count("nearly into characters") == 2
        train(Path("c.yaml"), Path("runs/from"), ["training.max_steps=1"], start_from=run)
        assert "Start a run without --from, " in capsys.readouterr().err

    def test_warns_of_overfitting_at_a_validation(
        self, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        calls = []

        def find(rows: list[dict[str, Any]], step: int, *_: int) -> Overfitting:
            calls.append((sum(row["kind"] == "validation" for row in rows), step))
            return Overfitting(10, 3, 2.5, 2.0)

        monkeypatch.setattr("translator.workflows.train.find_plateau", find)
        train(Path("c.yaml"))
        assert calls == [(1, 10), (2, 20)]
        assert capsys.readouterr().err.count(f"Warning: {Overfitting(10, 3, 2.5, 2.0)}\n") == 2

    def test_when_finished_changes_nothing(self, run: Path) -> None:
        best, metrics = (run / "best.safetensors").read_bytes(), (run / "metrics.jsonl").read_text()
        train(Path("c.yaml"))
        assert (run / "best.safetensors").read_bytes() == best
        assert (run / "metrics.jsonl").read_text() == metrics

    def test_continues_when_a_limit_is_raised(self, run: Path, capsys: Capture) -> None:
        train(Path("c.yaml"), overrides=["training.max_steps=23"])
        assert "Finished after 23 steps" in capsys.readouterr().err
        assert "max_steps: 23\n" in (run / "config.yaml").read_text()

    def test_continues_when_the_text_has_moved(self, run: Path, workplace: Path) -> None:
        (workplace / "elsewhere").mkdir()
        for path in workplace.glob("*.tsv"):
            path.rename(workplace / "elsewhere" / path.name)
        train(Path("c.yaml"), overrides=["data.folder=elsewhere"])

    def test_refuses_another_configuration_and_shows_the_difference(self, run: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            train(Path("c.yaml"), overrides=["model.model_dim=32", "training.seed=2"])
        assert str(caught.value) == (
            "runs/c was started with another configuration: model.model_dim was 16 and is now 32; "
            "training.seed was 1 and is now 2. Use the original values, or start another run "
            "with --run."
        )

    def test_refuses_other_text(self, run: Path, workplace: Path) -> None:
        path = workplace / "train.tsv"
        path.write_text("Another.\tAnderes.\n" + path.read_text())
        with pytest.raises(RunError, match="text is not the one that this run began with"):
            train(Path("c.yaml"))

    def test_refuses_text_that_was_edited_since_it_was_prepared(
        self, run: Path, workplace: Path
    ) -> None:
        train(Path("c.yaml"))  # keeps its prepared text in the cache
        path = workplace / "validation.tsv"
        path.write_text("Another.\tAnderes.\n" + path.read_text())
        with pytest.raises(RunError, match="text is not the one that this run began with"):
            train(Path("c.yaml"))

    def test_replaces_lost_best_weights_and_keeps_all_metrics(self, run: Path) -> None:
        def recorded() -> list[tuple[str, int]]:
            rows = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
            return [(row["kind"], row["step"]) for row in rows]

        before = recorded()
        (run / "best.safetensors").unlink()
        train(Path("c.yaml"))
        assert (run / "best.safetensors").exists()
        assert recorded() == before

    def test_warns_of_another_machine(self, run: Path, capsys: Capture) -> None:
        path = run / "environment.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"threads": "99"}))
        train(Path("c.yaml"))
        assert "began on another setup (threads 99 → " in capsys.readouterr().err

    def test_is_done_by_one_process_at_a_time(self, run: Path) -> None:
        with RunDirectory(run).locked(), pytest.raises(RunError) as caught:
            train(Path("c.yaml"))
        assert str(caught.value) == "runs/c: another process is training this run."


class TestMemory:
    @pytest.fixture(autouse=True)
    def one_processor(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With more processors, each would have a shard from the beginning."""
        monkeypatch.setattr(strategy, "num_threads", lambda: 1)

    def test_that_is_short_cuts_the_batches_with_a_message(
        self, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        monkeypatch.setattr(dry_run, "available_memory", lambda: 0)
        grown = iter(range(2**20, 2**30, 2**20))
        monkeypatch.setattr(dry_run, "peak_memory", lambda: next(grown))
        monkeypatch.setattr(dry_run, "resident_memory", lambda: 2**20)
        train("c.yaml", overrides=["training.max_steps=3"])
        messages = capsys.readouterr().err
        assert (
            "The largest batch would need 0.0 GiB of memory, and 0.0 GiB are available. From "
            in messages
        )
        found = re.search(r"each batch is computed in ([2-9]|[1-9][0-9]+) shards", messages)
        assert found is not None
        assert f"accumulation_steps: {found[1]}\n" in Path("runs/c/config.yaml").read_text()
        monkeypatch.undo()
        os.chdir(workplace)
        train("c.yaml", overrides=["training.max_steps=4"])
        assert f"accumulation_steps: {found[1]}\n" in Path("runs/c/config.yaml").read_text()

    def test_that_runs_out_continues_from_the_last_checkpoint_with_more_shards(
        self, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        update = TrainStep.update

        def run_out(train_step: TrainStep, shards: list[Batch], step: int, rate: float) -> Update:
            num_pairs = sum(len(shard.labels) for shard in shards)
            if len(shards) < 4 <= num_pairs and step > 5:
                raise OutOfMemory(len(shards), num_pairs)
            return update(train_step, shards, step, rate)

        monkeypatch.setattr(TrainStep, "update", run_out)
        train("c.yaml", overrides=["training.max_steps=10"])
        messages = capsys.readouterr().err
        for num_shards in (2, 4):
            assert (
                f"A device ran out of memory. From now on, each batch is computed in {num_shards} "
                "shards, one after the other."
            ) in messages
        assert messages.count("Continuing runs/c after step 5.") == 2
        assert "Finished after 10 steps" in messages

    def test_too_short_for_a_single_pair_is_an_error(
        self, workplace: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def run_out(train_step: TrainStep, shards: list[Batch], *_: Any) -> Update:
            raise OutOfMemory(len(shards), len(shards))

        monkeypatch.setattr(TrainStep, "update", run_out)
        with pytest.raises(OutOfMemory, match=r"cut into 1 shards\. Raise"):
            train("c.yaml")

    def test_that_runs_out_in_a_validation_is_an_error(
        self, workplace: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def run_out(*_: object) -> None:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

        monkeypatch.setattr(Validator, "__call__", run_out)
        with pytest.raises(
            RunError, match=r"--set decoding\.tokens_per_batch=… with a lower value"
        ):
            train("c.yaml", overrides=["training.validate_every=2"])
        monkeypatch.undo()
        os.chdir(workplace)
        train("c.yaml", overrides=["training.validate_every=2", "decoding.tokens_per_batch=100"])
        assert "tokens_per_batch: 100\n" in Path("runs/c/config.yaml").read_text()

    def test_is_suspected_at_the_next_start_if_the_process_was_killed(
        self, run: Path, capsys: Capture
    ) -> None:
        train("c.yaml")
        assert "was killed" not in capsys.readouterr().err
        (run / ".lock").write_text("4711\n")  # emptied unless the process is killed
        train("c.yaml")
        messages = capsys.readouterr().err
        assert "Warning: The last process that trained runs/c was killed. Linux does" in messages
        assert (
            "add --set training.accumulation_steps=2 to the command: batches are then" in messages
        )
        train("c.yaml")
        assert "was killed" not in capsys.readouterr().err


class TestDivergence:
    EXPLODING = (
        "training.optimizer.learning_rate=1e20",
        "training.optimizer.warmup_steps=0",
    )

    def test_after_three_rollbacks_is_an_error_with_reports(
        self, workplace: Path, capsys: Capture
    ) -> None:
        with pytest.raises(RunError) as caught:
            train(Path("c.yaml"), overrides=self.EXPLODING)
        assert re.fullmatch(
            r"Training diverged: the loss at step 2 is (nan|inf) \(gradient norm nan\), although 3 "
            r"rollbacks halved the learning rate\. "
            r"runs/c/incidents/step-00000002-4\.json has the details\. Start another run with a "
            r"lower training\.optimizer\.learning_rate or more warmup_steps, and check the text of "
            r"the batch\.",
            str(caught.value),
        )
        messages = capsys.readouterr().err
        assert [f"rollback {n} of at most 3" in messages for n in (1, 2, 3, 4)] == [True] * 3 + [
            False
        ]
        incidents = sorted(Path("runs/c/incidents").iterdir())
        assert [path.name for path in incidents] == [f"step-00000002-{n}.json" for n in range(1, 5)]
        rates = [json.loads(path.read_text())["learning_rate"] for path in incidents]
        assert rates == pytest.approx([rates[0] * 0.5**n for n in range(4)])
        report = json.loads(incidents[0].read_text())
        text = Path("train.tsv").read_text()
        assert len(report["batch"]) > 1
        assert all(f"{pair['source']}\t{pair['target']}\n" in text for pair in report["batch"])
        assert "nan" in report["gradient_norms"].values()

    def test_keeps_no_text_if_so_configured(self, workplace: Path) -> None:
        keys = [*self.EXPLODING, "training.keep_text=false"]
        with pytest.raises(RunError, match="step-00000002-4"):
            train(Path("c.yaml"), overrides=keys)
        report = json.loads(Path("runs/c/incidents/step-00000002-1.json").read_text())
        assert "batch" not in report

    @pytest.mark.parametrize("is_tuned", [False, True])
    def test_before_a_checkpoint_restores_the_first_weights(
        self, run: Path, monkeypatch: pytest.MonkeyPatch, is_tuned: bool
    ) -> None:
        update, restore = TrainStep.update, TrainingSession.restore
        first: list[Arrays] = []

        def failing(self: TrainStep, shards: list[Batch], step: int, rate: float) -> Update:
            if rate and not first:
                first.append(self.state())
            result = update(self, shards, step, rate)
            return result._replace(loss=np.nan) if step == 3 and len(first) == 1 else result

        def restored(self: TrainingSession, step: int, arrays: Arrays | None) -> None:
            restore(self, step, arrays)
            first.append(self.train_step.state())

        monkeypatch.setattr(TrainStep, "update", failing)
        monkeypatch.setattr(TrainingSession, "restore", restored)
        train(Path("c.yaml"), Path("runs/d"), start_from=run if is_tuned else None)
        before, again = first
        assert before.keys() == again.keys()
        assert all(before[name].tobytes() == again[name].tobytes() for name in before)


class TestRouge:
    def test_chooses_the_best_weights_and_is_kept(self, workplace: Path, capsys: Capture) -> None:
        train("c.yaml", overrides=["training.best_by=rouge", "evaluation.metrics=[rouge]"])
        assert ", ROUGE-1 " in capsys.readouterr().err
        text = Path("runs/c/metrics.jsonl").read_text()
        rows = [row for row in map(json.loads, text.splitlines()) if row["kind"] == "validation"]
        means = [sum(row[key] for key in ("rouge1", "rouge2", "rougeL")) / 3 for row in rows]
        best = next(row for row in reversed(rows) if row["best"])
        assert means[rows.index(best)] == max(means)
        assert "bleu" in best and "|tok:unicode|" in best["rougeL_signature"]
        scores = evaluate("runs/c", split="validation")
        assert {score.name: score.value for score in scores} == {
            "ROUGE-1": best["rouge1"],
            "ROUGE-2": best["rouge2"],
            "ROUGE-L": best["rougeL"],
        }

    def test_is_refused_before_training_if_the_references_do_not_suit_it(
        self, workplace: Path
    ) -> None:
        english = ["training.best_by=rouge", "data.target_language=en"]
        with pytest.raises(ConfigError, match=r"drops all letters but a to z, which are [0-9.]+%"):
            train("c.yaml", overrides=english)
        assert not Path("runs/c/metrics.jsonl").exists()


class TestProfile:
    def test_is_a_table_and_a_file_for_tensorboard(self, workplace: Path) -> None:
        train("c.yaml", overrides=["training.profile=true", "training.max_steps=16"])
        table = Path("runs/c/profile.txt").read_text().splitlines()
        assert re.fullmatch(
            r"A step took [0-9.]+ milliseconds \(mean of 5 profiled steps\)\.", table[0]
        )
        operations = {line.split()[0]: line.split()[1:] for line in table if "%" in line}
        assert any("MatMul" in name for name in operations)
        assert operations["ResourceApplyAdam"][2] == "32"  # once for each weight
        assert list(Path("runs/c/tensorboard").glob("plugins/profile/*/*.xplane.pb"))


class TestFromAnotherRun:
    def begin(self, monkeypatch: pytest.MonkeyPatch) -> Arrays:
        """The weights of runs/d before its first step, at which it stops."""
        states: list[Arrays] = []

        update = TrainStep.update

        def stop(train_step: TrainStep, shards: list[Batch], step: int, rate: float) -> Update:
            if rate == 0.0:  # the dry run
                return update(train_step, shards, step, rate)
            states.append(train_step.state())
            raise Stopped(signal.SIGTERM)

        monkeypatch.setattr(TrainStep, "update", stop)
        with pytest.raises(Stopped):
            dropout = ["model.dropout_rate=0.2", "model.attention_dropout_rate=0.1"]
            changes = ["training.seed=7", *dropout]
            train(Path("c.yaml"), Path("runs/d"), changes, Path("runs/c"))
        return states[0]

    def assert_begins_with(self, state: Arrays, run: Path) -> None:
        best, _ = load_arrays(run / "best.safetensors")
        for name, weight in best.items():
            np.testing.assert_array_equal(state[f"weights/{name}"], weight)
            np.testing.assert_array_equal(state[f"averages/{name}"], weight)
            assert not state[f"first_moments/{name}"].any()

    def test_takes_weights_and_tokenizer(self, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.assert_begins_with(self.begin(monkeypatch), run)
        for name in ("source.model", "target.model"):
            assert Path("runs/d", name).read_bytes() == (run / name).read_bytes()

    def test_stopped_before_its_first_checkpoint_begins_with_them_again(
        self, run: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.begin(monkeypatch)
        self.assert_begins_with(self.begin(monkeypatch), run)

    def test_refuses_a_model_of_another_shape(self, run: Path) -> None:
        with pytest.raises(ConfigError, match=r"model\.model_dim is 16 there and 32 here\. Leave "):
            train(Path("c.yaml"), Path("runs/d"), ["model.model_dim=32"], Path("runs/c"))

    def test_refuses_a_run_that_does_not_exist(self, workplace: Path) -> None:
        with pytest.raises(RunError, match="there is no such run"):
            train(Path("c.yaml"), Path("runs/d"), start_from=Path("runs/nothing"))


BOTH_WAYS = """\
  train:
  - {source: train.en, target: train.de, tag: <2de>, weight: 3}
  - {source: train.de, target: train.en, tag: <2en>, weight: 1}
  - {tsv: test.tsv, tag: <bt>, weight: 1}
  validation:
  - {tsv: validation.tsv, tag: <2de>}
  - {source: validation.de, target: validation.en, tag: <2en>}
"""


class TestSeveralCorpora:
    @pytest.fixture
    def both_ways(self, workplace: Path) -> Path:
        """c.yaml with two directions and a third corpus, and the run it makes."""
        path = workplace / "c.yaml"
        text = path.read_text().replace("  train: {tsv: train.tsv}\n", BOTH_WAYS)
        text = text.replace("  validation: {tsv: validation.tsv}\n", "")
        text = text.replace("size: 340", "size: 350, sampling_alpha: 0.2")
        path.write_text(text.replace("max_length_extra: 0", "max_length_extra: 5"))
        return Path("runs/c")

    def test_are_reported_trained_translated_and_kept_apart(
        self, both_ways: Path, workplace: Path, capsys: Capture
    ) -> None:
        train(Path("c.yaml"))
        messages = capsys.readouterr().err
        assert "125 pairs, " in messages
        [de, en, bt] = [line for line in messages.splitlines() if "times an epoch" in line]
        assert de.startswith("  <2de> train.en: 60 pairs, ")
        assert en.startswith("  <2en> train.de: 60 pairs, ")
        assert bt.startswith("  <bt> test.tsv: 5 pairs, ")
        # 3/5, 1/5 and 1/5 of 125 pairs, over 60, 60 and 5
        assert [line.split()[-4] for line in (de, en, bt)] == ["1.25", "0.42", "5.00"]
        shares = [float(line.split("%")[0].split()[-1]) for line in (de, en, bt)]
        assert sum(shares) == pytest.approx(100, abs=0.2)
        assert "source     <2de> " in messages and "source     <2en> " in messages

        lines = ["<2de> Where is the station?", "<2en> Ja.", "<2en>", "", "Yes.", "<bt>  No."]
        model = translator.Translator.load(both_ways)
        together = model.translate(lines)
        assert together == [model.translate([line])[0] for line in lines]
        assert together[2] == together[3] == ""
        [[one], [other]] = model.hypotheses([lines[0], lines[0].replace("<2de>", "<2en>")])
        assert one.score != other.score
        assert not any("<" in line for line in together)
        assert evaluate(both_ways, split="validation")

        train(Path("c.yaml"), overrides=["data.test={tsv: validation.tsv, tag: <2de>}"])
        with pytest.raises(ConfigError, match=r": data\.train\[1\]\.weight was 1\.0 and is now 2"):
            train(Path("c.yaml"), overrides=["data.train[1].weight=2"])
        path = workplace / "test.tsv"
        path.write_text("Another.\tAnderes.\n" + path.read_text())
        with pytest.raises(RunError, match="text is not the one that this run began with"):
            train(Path("c.yaml"))

    def test_warn_where_tags_are_missing_or_unknown(
        self,
        both_ways: Path,
        workplace: Path,
        capsys: Capture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        bare = ["data.validation={tsv: validation.tsv}", "training.max_steps=2"]
        train(Path("c.yaml"), overrides=bare)
        missing = "Warning: Lines without a tag in {}, the first is line 1. "
        messages = capsys.readouterr().err
        assert missing.format("the validation text: 5") in messages
        assert "times an epoch" in messages.partition("Warning: Lines")[0]

        evaluate(both_ways, split="validation")
        assert missing.format("validation: 5") in capsys.readouterr().err
        evaluate(both_ways, target=Path("test.de"), hypotheses=Path("test.de"))
        assert "Lines without a tag" not in capsys.readouterr().err

        (workplace / "in.txt").write_text("Yes.\n<2fr> Yes.\n<2de> Yes.\n")
        translate(both_ways, Path("in.txt"), Path("out.txt"))
        bare_line, strange_line, *_ = capsys.readouterr().err.splitlines()
        assert bare_line.startswith(missing.format("the input: 1"))
        assert ": 1, the first is line 2 with <2fr>. " in strange_line

        typed = io.TextIOWrapper(io.BytesIO(b"<2de> Yes.\nYes.\nNo.\n"))
        monkeypatch.setattr(typed, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stdin", typed)
        sys.stdout.reconfigure = lambda **_: None  # type: ignore[union-attr]
        converse(both_ways, None, None, (), None)
        messages = capsys.readouterr().err
        assert messages.count("Warning: Lines") == 1
        assert missing.format("the input: 1").replace("line 1", "line 2") in messages

    def test_need_a_vocabulary_with_their_tags(self, run: Path, both_ways: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            train(Path("c.yaml"), Path("runs/d"), ["tokenizer.vocabulary_size=340"], run)
        assert str(caught.value) == (
            "data.train has the tag <2de>, but the vocabulary of runs/c has no tags. Leave out the "
            "tag, or leave out --from."
        )

    def test_without_a_usable_pair_are_named(self, both_ways: Path) -> None:
        Path("test.tsv").write_text(f"{'Yes, please. ' * 50}\tJa.\n")
        with pytest.raises(DataError, match=r"^data\.train\[2\]: No pair is left to train on\. "):
            train(Path("c.yaml"))


SENTENCES = ["Her grandmother is called Anna.", "", "Where is the station?", "  ", "No."]


class TestTranslating:
    def test_writes_one_line_for_each_line(self, run: Path) -> None:
        Path("in.txt").write_text("\n".join(SENTENCES) + "\n")
        translate(run, Path("in.txt"), Path("out.txt"))
        lines = Path("out.txt").read_text().split("\n")
        assert len(lines) == len(SENTENCES) + 1
        assert lines[1] == lines[3] == lines[5] == ""

    @pytest.mark.parametrize(
        ("raw", "num_lines"),
        [
            (b"", 0),
            (b"\n", 1),
            (b"One.", 1),
            (b"One.\r\nTwo.\r\n", 2),
            ("\ufeffOne.\nTwo \u2028 three \x85 four.\n".encode(), 2),
            (b"One.\rStill one.\x0c\x0b\x1c\n", 1),
        ],
    )
    def test_counts_lines_as_unix_does(self, run: Path, raw: bytes, num_lines: int) -> None:
        Path("in.txt").write_bytes(raw)
        translate(run, Path("in.txt"), Path("out.txt"))
        assert Path("out.txt").read_bytes().count(b"\n") == num_lines
        assert len(Path("out.txt").read_text().splitlines()) == num_lines

    def test_gives_the_n_best_with_scores(self, run: Path) -> None:
        Path("in.txt").write_text("\n".join(SENTENCES[:3]) + "\n")
        translate(run, Path("in.txt"), Path("out.txt"), n_best=3)
        rows = [line.split("\t") for line in Path("out.txt").read_text().splitlines()]
        assert [number for number, *_ in rows] == ["1"] * 3 + ["2"] + ["3"] * 3
        assert len({(number, text) for number, _, text in rows}) == len(rows)
        scores = [float(score) for _, score, _ in rows]
        assert scores[:3] == sorted(scores[:3], reverse=True)
        translate(run, Path("in.txt"), Path("best.txt"))
        assert Path("best.txt").read_text().splitlines() == [rows[0][2], "", rows[4][2]]

    def test_refuses_more_than_the_beam_holds(self, run: Path) -> None:
        Path("in.txt").write_text("One.\n")
        with pytest.raises(ConfigError) as caught:
            translate(run, Path("in.txt"), Path("out.txt"), n_best=4)
        assert str(caught.value) == (
            "A beam of decoding.beam_size 3 gives 1 to 3 translations of a sentence, not 4; "
            "--set decoding.beam_size=… makes it larger."
        )

    def test_warns_of_truncated_lines(self, run: Path, capsys: Capture) -> None:
        Path("in.txt").write_text("No.\n" + "Yes, please. " * 40 + "\n")
        translate(run, Path("in.txt"), Path("out.txt"))
        messages = capsys.readouterr().err
        assert messages.startswith("Warning: Line 2 is too long. Its last ")
        assert messages.count("is too long") == 1
        assert Path("out.txt").read_text().count("\n") == 2

    def test_counts_translations_at_the_length_limit(self, run: Path, capsys: Capture) -> None:
        """This model hardly ever ends a translation, which may be as long as its source."""
        Path("in.txt").write_text("\nThe train is late.\nYes.\n")
        translate(run, Path("in.txt"), Path("out.txt"))
        [messages] = capsys.readouterr().err.splitlines()
        assert re.match(
            r"Warning: Translations that end at the length limit: [12], the fi", messages
        )
        evaluate(run, split="validation")
        assert "Translations that end at the length limit: " in capsys.readouterr().err
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        shares = [row["at_limit"] for row in rows if row["kind"] == "validation"]
        assert shares and all(0 < share <= 1 for share in shares)

    def test_auto_is_the_length_limit_of_the_run(self, run: Path) -> None:
        def limit(*overrides: str) -> LengthLimit:
            return load_run_config(RunDirectory(run), overrides).decoding.length_limit

        assert limit() == limit("decoding.max_length_ratio=auto") == (1.0, 0)
        assert limit("decoding.max_length_extra=auto", "decoding.max_length_ratio=3") == (3.0, 0)

    def test_into_the_file_it_reads_destroys_nothing(self, run: Path) -> None:
        path = Path("in.txt")
        path.write_text("One.\nTwo.\n")
        try:
            translate(run, path, path)
        except ConfigError:
            assert path.read_text() == "One.\nTwo.\n"
        else:
            assert path.read_text().count("\n") == 2

    def test_that_fails_before_it_begins_leaves_the_output_unchanged(self, run: Path) -> None:
        Path("out.txt").write_text("mine\n")
        with pytest.raises(translator.errors.UserError):
            translate(run, Path("gone.txt"), Path("out.txt"))
        assert Path("out.txt").read_text() == "mine\n"

    def test_at_a_terminal_asks_for_sentences(
        self, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        typed = io.TextIOWrapper(io.BytesIO(b"Yes.\n\xe4\n\n"))
        monkeypatch.setattr(typed, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stdin", typed)
        sys.stdout.reconfigure = lambda **_: None  # type: ignore[union-attr]
        Path("out.txt").write_text("mine\n")
        with pytest.raises(ConfigError, match="gives 1 to 3 translations of a sentence, not 4"):
            converse(run, Path("out.txt"), 4, (), None)
        assert Path("out.txt").read_text() == "mine\n"
        assert capsys.readouterr().err == ""  # before it asks for anything
        converse(run, None, None, (), None)
        output = capsys.readouterr()
        assert output.out.count("\n") == 2
        assert "Type a sentence and press Enter" in output.err
        assert "Error: standard input, line 2: not UTF-8 (byte 0xe4)" in output.err

    def test_is_three_lines_of_python(self, run: Path) -> None:
        found = translator.Translator.load(run).translate(SENTENCES)
        Path("in.txt").write_text("\n".join(SENTENCES) + "\n")
        translator.translate(run, Path("in.txt"), Path("out.txt"))
        assert found == Path("out.txt").read_text().split("\n")[:-1]


class TestEvaluating:
    def test_scores_the_test_split_and_keeps_a_full_report(
        self, run: Path, capsys: Capture
    ) -> None:
        found = evaluate(run)
        assert "\ntest: 5 sentences, beam 3, length penalty 1 (gnmt)\n" in capsys.readouterr().err
        assert [score.name for score in found] == ["BLEU", "chrF2", "TER"]
        assert all("version:" in score.signature for score in found)
        report = json.loads((run / "results/test.json").read_text())
        assert [row["value"] for row in report["scores"]] == [score.value for score in found]
        assert report["weights"]["step"] in (10, 20)
        assert report["decoding"]["beam_size"] == 3
        assert (run / "results/test.txt").read_text().count("\n") == 5

    def test_with_baselines_scores_and_keeps_them_too(
        self, run: Path, type_: Type, capsys: Capture
    ) -> None:
        (run / "best.safetensors").unlink()  # no model is needed
        lines = Path("train.tsv").read_text().splitlines()[:5]
        Path("test.tsv").write_text("".join(f"{line}\n" for line in lines))
        Path("test.de").write_text("".join(line.split("\t")[1] + "\n" for line in lines))
        arguments = "--hypotheses", "test.de", "--baseline", "--set", "evaluation.metrics=[chrf]"
        assert type_("eval", str(run), *arguments) == 0
        model, first, nearest = capsys.readouterr().out.splitlines()
        assert model.startswith("chrF2 100.00  nrefs:1|")
        assert first.startswith("first words: chrF2 ")
        assert nearest.startswith("nearest training pair: chrF2 100.00  nrefs:1|")
        report = json.loads((run / "results/test-by-test.json").read_text())
        assert [row["value"] for row in report["scores"]] == [100]
        assert list(report["baselines"]) == ["first words", "nearest training pair"]
        assert report["baselines"]["first words"]["num_words"] in (1, 2, 4, 8, 16, 32)
        assert report["baselines"]["nearest training pair"]["scores"][0]["value"] == 100
        evaluate(run, hypotheses="test.de")
        again = json.loads((run / "results/test-by-test.json").read_text())
        assert again["baselines"] == report["baselines"]

    def test_with_baselines_needs_sources_and_the_training_text(
        self, run: Path, workplace: Path
    ) -> None:
        with pytest.raises(ConfigError, match="--baseline needs the sources"):
            evaluate(run, target="test.de", hypotheses="test.de", baseline=True)
        Path("train.tsv").unlink()
        with pytest.raises(DataError, match=r"train\.tsv"):
            evaluate(run, baseline=True)

    def test_of_files_equals_that_of_the_split(self, run: Path) -> None:
        split = evaluate(run, split="validation")
        assert evaluate(run, source=Path("validation.en"), target=Path("validation.de")) == split

    def test_translates_as_the_validation_did(self, run: Path) -> None:
        """Validation decodes and scores with the same code as eval."""
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        best = [row for row in rows if row.get("best")][-1]
        evaluate(run, split="validation")
        written = (run / f"validation/step-{best['step']:08}.txt").read_text()
        assert (run / "results/validation.txt").read_text() == written

    def test_of_finished_hypotheses_translates_nothing(self, run: Path) -> None:
        (run / "best.safetensors").unlink()
        found = evaluate(run, hypotheses=Path("test.de"))
        assert found[0].value == 100
        assert (run / "results/test-by-test.txt").read_text() == Path("test.de").read_text()

    def test_of_hypotheses_against_a_file(self, run: Path) -> None:
        found = evaluate(run, target=Path("validation.de"), hypotheses=Path("test.de"))
        assert found[0].value < 100

    def test_takes_other_settings(self, run: Path) -> None:
        evaluate(run, overrides=["decoding.beam_size=1", "evaluation.lowercase=true"])
        report = json.loads((run / "results/test.json").read_text())
        assert report["decoding"]["beam_size"] == 1
        assert "case:lc" in report["scores"][0]["signature"]


BY_CHARACTER = ["evaluation.tokenize=char"]
"""Gives a few words enough 4-grams for BLEU."""


def refer_to(run: Path, *overrides: str) -> tuple[list[str], list[str]]:
    """Make a run's translations the references of its validation split; return both sides."""
    pairs = list(read_pairs(load_run_config(RunDirectory(run)).data, "validation"))
    sentences = [pair.source for pair in pairs]
    translations = translator.Translator.load(run, overrides).translate(sentences)
    lines = [
        f"{source}\t{target}\n" for source, target in zip(sentences, translations, strict=True)
    ]
    Path("validation.tsv").write_text("".join(lines), encoding="utf-8")
    return sentences, translations


class TestTuning:
    @pytest.fixture(autouse=True)
    def every_gain_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With five sentences, no gain is significant."""
        monkeypatch.setattr(Gain, "lower_bound", property(lambda gain: gain.value))

    def test_keeps_the_settings_that_translate_the_validation_split_best(
        self, run: Path, capsys: Capture
    ) -> None:
        refer_to(run, "decoding.beam_size=2", "decoding.length_penalty=2")
        found = tune(run, [1, 2], [0.0, 2.0], BY_CHARACTER)
        assert found.chosen.bleu == 100
        assert found.gain.value == 100 - found.configured.bleu
        assert [row.mean_steps for row in found.rows] == [None, None, [20, 10]]
        assert [one.beam_size for row in found.rows[:2] for one in row.settings] == [1, 1, 2, 2]
        messages = capsys.readouterr().err.splitlines()
        assert [line.split()[:3] for line in messages] == [
            ["length", "penalty", "0"],
            *(["beam", "size", size] for size in "12"),
            ["mean", "of", "2"],
        ]
        assert "100.00" in messages[1] + messages[2]

        kept = {
            "beam_size": found.chosen.beam_size,
            "length_penalty": found.chosen.length_penalty,
            "length_penalty_kind": "gnmt",
        }
        assert json.loads((run / "tuned.json").read_text()).items() >= kept.items()
        assert evaluate(run, "validation", overrides=BY_CHARACTER)[0].value == 100
        evaluate(run, overrides=["decoding.length_penalty=1.5"])
        report = json.loads((run / "results/test.json").read_text())
        assert report["decoding"].items() >= (kept | {"length_penalty": 1.5}).items()

    def test_keeps_a_mean_of_weights_that_is_better_than_the_best(self, run: Path) -> None:
        there = RunDirectory(run)
        steps = [20, 10]
        last, _ = load_arrays(there.snapshot(20))
        # The mean of both equals the last, with its embeddings in another order.
        first = {n: (2 * w[::-1] if "embedding" in n else 2 * w) - w for n, w in last.items()}
        save_arrays(there.snapshot(10), first)
        save_arrays(there.averaged, mean_weights([last, first]))
        sentences, translations = refer_to(run)
        there.averaged.unlink()
        assert translator.Translator.load(run).translate(sentences) != translations

        assert tune(run, [3], [1.0], BY_CHARACTER).chosen.bleu == 100
        assert load_facts(there.averaged)["averaged"] == steps
        assert translator.Translator.load(run).translate(sentences) == translations
        assert evaluate(run, "validation", overrides=BY_CHARACTER)[0].value == 100

        train(Path("c.yaml"), Path("runs/from"), ["training.max_steps=1"], start_from=run)
        start, averaged = (
            load_arrays(Path("runs/from/start.safetensors")),
            load_arrays(there.averaged),
        )
        np.testing.assert_equal(start[0], averaged[0])

        there.averaged.rename("aside")
        refer_to(run)
        Path("aside").rename(there.averaged)
        tune(run, [3], [1.0], BY_CHARACTER)
        assert not there.averaged.exists()
        assert evaluate(run, "validation", overrides=BY_CHARACTER)[0].value == 100

    def test_is_refused_if_the_weights_change_meanwhile(
        self, run: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        there = RunDirectory(run)
        beams = translator.Translator.beams

        def meanwhile(*arguments: Any) -> Any:
            save_arrays(there.best, load_arrays(there.best)[0], step=99)
            return beams(*arguments)

        monkeypatch.setattr(translator.Translator, "beams", meanwhile)
        with pytest.raises(RunError, match="has changed meanwhile, because training goes on"):
            tune(run, [1], [1.0])
        assert not there.tuned.exists() and not there.averaged.exists()

    def test_is_dropped_with_the_weights_it_was_for(self, run: Path) -> None:
        tune(run, [2], [1.0])
        (run / "best.safetensors").unlink()
        train(Path("c.yaml"))  # validates, and writes them again
        assert not (run / "tuned.json").exists()

    def test_for_other_weights_is_ignored(self, run: Path) -> None:
        tune(run, [2], [1.0])
        path = run / "tuned.json"
        assert load_run_config(RunDirectory(run)).decoding.beam_size == 2
        path.write_text(path.read_text().replace('"step": ', '"step": 1'))
        assert load_run_config(RunDirectory(run)).decoding.beam_size == 3

    def test_with_one_kind_of_length_penalty_is_ignored_for_another(self, run: Path) -> None:
        def decoding(*overrides: str) -> DecodingConfig:
            return load_run_config(RunDirectory(run), overrides).decoding

        tune(run, [2], [0.5], ["decoding.length_penalty_kind=power"])
        assert (decoding().beam_size, decoding().length_penalty_kind) == (2, "power")
        assert decoding("decoding.length_penalty_kind=power") == decoding()
        other = decoding("decoding.length_penalty_kind=gnmt")
        assert (other.beam_size, other.length_penalty) == (2, 1.0)

    def test_tries_the_configured_values_by_default(self, run: Path) -> None:
        found = tune(run, overrides=["decoding.beam_size=6", "decoding.length_penalty=0.5"])
        assert 0.5 in [one.length_penalty for one in found.rows[0].settings]
        tried = [row.settings[0].beam_size for row in found.rows if row.mean_steps is None]
        assert tried == sorted([*BEAM_SIZES, 6])

    def test_again_finds_the_same(self, run: Path) -> None:
        first, again = (tune(run, [2], [0.5]) for _ in range(2))
        assert (first.configured.beam_size, first.configured.length_penalty) == (3, 1)
        assert again == first

    def test_that_is_damaged_is_an_error(self, run: Path) -> None:
        tune(run, [2], [1.0])
        good = (run / "tuned.json").read_text()
        for damaged in ("{", good.replace('"beam_size": 2', '"beam_size": "many"')):
            (run / "tuned.json").write_text(damaged)
            with pytest.raises(RunError, match=r"tuned.json: this file is damaged. Delete it, or"):
                evaluate(run)
        tune(run, [2], [1.0])
        assert (run / "tuned.json").read_text() == good


def full_device() -> TextIO:
    return open("/dev/full", "w")


def closed_pipe() -> TextIO:
    read, write = os.pipe()
    os.close(read)
    return os.fdopen(write, "w")


class TestAsACommand:
    def test_eval_prints_scores_with_signatures(
        self, run: Path, type_: Type, capsys: Capture
    ) -> None:
        assert type_("eval", str(run)) == 0
        bleu, chrf, ter = capsys.readouterr().out.splitlines()
        assert bleu.startswith("BLEU ") and chrf.startswith("chrF2 ") and ter.startswith("TER ")
        assert all("version:" in line for line in (bleu, chrf, ter))

    def test_tune_prints_a_table_and_what_it_selected(
        self, run: Path, type_: Type, capsys: Capture
    ) -> None:
        assert type_("tune", str(run), "--beam", "2", "--penalty", "0.5") == 0
        header, row, mean, selected, score, kept = capsys.readouterr().out.splitlines()
        assert header.split() == ["length", "penalty", "0.5"]
        assert row.startswith("beam size 2 ") and mean.startswith("mean of 2 ")
        assert selected.startswith("Selected beam 2, length penalty 0.5 (gnmt)")
        assert "over the configured decoding (beam 3, length penalty 1 (gnmt), " in selected
        assert score.startswith("Validation BLEU ") and "version:" in score
        assert kept == f"Kept in {run}/tuned.json for `translate`, `eval` and `export`."

    def test_translate_reads_and_writes_lines_and_nothing_else(
        self, run: Path, command: Command
    ) -> None:
        result = command(
            "translate", str(run), stdin="\n".join(SENTENCES) + "\n", KERAS_BACKEND="jax"
        )
        assert result.returncode == 0
        [warning] = result.stderr.splitlines()  # only this model causes it
        assert warning.startswith("Warning: Translations that end at the length limit: ")
        assert result.stdout.count("\n") == len(SENTENCES)
        assert result.stdout.split("\n")[:-1] == translator.Translator.load(run).translate(
            SENTENCES
        )

    def test_a_full_device_is_one_sentence(self, run: Path, command: Command) -> None:
        result = command("translate", str(run), "-o", "/dev/full", stdin="Yes.\n")
        assert result.returncode == 2
        assert result.stderr == "Error: /dev/full: No space left on device.\n"

    @pytest.mark.parametrize(
        ("open_output", "sentence"),
        [
            (full_device, "Standard output: No space left on device."),
            (closed_pipe, "Standard output was closed by its reader before all was translated."),
        ],
    )
    def test_a_full_or_closed_standard_output_is_one_sentence(
        self, open_output: Callable[[], TextIO], sentence: str, run: Path, workplace: Path
    ) -> None:
        with open_output() as output:
            result = subprocess.run(
                [sys.executable, "-m", "translator", "translate", str(run)],
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                input="Yes.\n",
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
            )
        assert result.stderr == f"Error: {sentence}\n"
        assert result.returncode == 2

    def test_ctrl_c_while_it_waits_prints_no_traceback(self, run: Path, workplace: Path) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "translator", "translate", str(run)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        time.sleep(8)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in stderr


def test_a_run_that_is_renamed_still_translates(run: Path) -> None:
    os.rename("runs", "old")
    assert len(translator.Translator.load("old/c").translate(["Yes."])) == 1


def test_weights_of_another_version_are_refused(run: Path) -> None:
    arrays, facts = load_arrays(run / "best.safetensors")
    save_arrays(run / "best.safetensors", dict(list(arrays.items())[1:]), **facts)
    with pytest.raises(RunError, match=r"does not fit this model: .* is absent there and"):
        translator.Translator.load(run)


def test_standard_input_is_read_as_bytes(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    class Piped(io.TextIOWrapper):
        def isatty(self) -> bool:
            return False

    monkeypatch.setattr(sys, "stdin", Piped(io.BytesIO("Ja \u2028 ja.\nNo.".encode())))
    sys.stdout.reconfigure = lambda **_: None  # type: ignore[union-attr]
    translate(run)
    assert capsys.readouterr().out.count("\n") == 2
