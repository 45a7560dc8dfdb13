"""Files of arrays are complete, verified, and never code; metrics roll back with their run."""

import hashlib
import json
import math
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from translator.config.schema import TrainingConfig
from translator.errors import RunError
from translator.models.weights import (
    FORMAT,
    Arrays,
    arrays_digest,
    check_fit,
    load_arrays,
    load_facts,
    save_arrays,
)
from translator.runs import RunDirectory
from translator.training.checkpoint import (
    check_has_checkpoints,
    load_checkpoint,
    mean_weights,
    save_checkpoint,
)
from translator.training.metrics_writer import MetricsWriter
from translator.training.results import (
    Divergence,
    Failure,
    Score,
    StepResult,
    Update,
    Validation,
)
from translator.training.state import (
    Clock,
    LossWindow,
    Rollbacks,
    Snapshot,
    TrainingState,
    Validations,
)

ARRAYS: Arrays = {
    "a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array(7, np.int64),
    "empty": np.zeros([0, 4], np.float32),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.safetensors"
    save_arrays(path, ARRAYS, step=3, kept=[[1, 0.5]])
    return path


def refusal(path: Path) -> str:
    with pytest.raises(RunError) as caught:
        load_arrays(path)
    return str(caught.value).replace(f"{path}", "FILE")


DAMAGED = (
    "FILE: this file is damaged (its checksum does not match its contents). Copy it again, or "
    "delete it: training writes lost best weights again, and a bundle is unpacked again."
)


class TestAFile:
    def test_is_read_as_it_was_written(self, file: Path) -> None:
        arrays, facts = load_arrays(file)
        assert arrays.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            assert arrays[name].dtype == array.dtype
            np.testing.assert_array_equal(arrays[name], array)
        assert facts == load_facts(file) == {"step": 3, "kept": [[1, 0.5]]}

    def test_equal_arrays_and_facts_give_equal_bytes(self, tmp_path: Path) -> None:
        """The library orders metadata differently in every call."""
        paths = [tmp_path / f"{i}.safetensors" for i in range(20)]
        for path in paths[:10]:
            save_arrays(path, ARRAYS, step=3, kept=[[1, 0.5]])
        for path in paths[10:]:
            save_arrays(path, dict(reversed(ARRAYS.items())), kept=[[1, 0.5]], step=3)
        assert len({path.read_bytes() for path in paths}) == 1

    def test_can_be_read_by_safetensors_and_is_aligned(self, file: Path) -> None:
        raw = file.read_bytes()
        assert int.from_bytes(raw[:8], "little") % 8 == 0
        arrays = safetensors.numpy.load(raw)
        assert arrays.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(arrays[name], array)

    def test_written_by_the_library_in_any_order_can_be_read(self, file: Path) -> None:
        """As older versions wrote them."""
        with safetensors.safe_open(file, framework="numpy") as opened:
            metadata = opened.metadata()
        for _ in range(10):
            file.write_bytes(safetensors.numpy.save(ARRAYS, metadata))
            assert load_facts(file) == load_arrays(file)[1] == {"step": 3, "kept": [[1, 0.5]]}

    def test_that_is_missing_is_named(self, tmp_path: Path) -> None:
        assert refusal(tmp_path / "gone").startswith("FILE: cannot be read: ")

    def test_with_any_byte_changed_is_damaged(self, file: Path) -> None:
        raw = file.read_bytes()
        for i in {*range(0, len(raw), 7), *range(len(raw) - 8, len(raw))}:
            file.write_bytes(raw[:i] + bytes([raw[i] ^ 4]) + raw[i + 1 :])
            with pytest.raises(RunError):
                load_arrays(file)

    @pytest.mark.parametrize("length", [0, 7, 8, 100, -1])
    def test_truncated_is_damaged(self, file: Path, length: int) -> None:
        file.write_bytes(file.read_bytes()[:length])
        assert refusal(file) == DAMAGED

    def test_of_another_format_says_which(self, file: Path) -> None:
        raw = file.read_bytes().replace(FORMAT.encode(), b"translator-9")
        file.write_bytes(raw)
        assert refusal(file) == f"FILE: its format is translator-9; this version reads {FORMAT}."

    def test_of_another_program_says_so(self, file: Path) -> None:
        file.write_bytes(safetensors.numpy.save(ARRAYS))
        assert refusal(file) == f"FILE: its format is unknown; this version reads {FORMAT}."

    def test_that_is_a_folder_is_refused(self, tmp_path: Path) -> None:
        assert refusal(tmp_path).startswith("FILE: ")


class TestTheDigestOfArrays:
    def test_is_the_same_in_any_order_and_with_any_facts(self, tmp_path: Path) -> None:
        save_arrays(tmp_path / "x", ARRAYS, step=3)
        save_arrays(tmp_path / "y", dict(reversed(ARRAYS.items())), step=4)
        digests = {arrays_digest(load_arrays(tmp_path / name)[0]) for name in "xy"}
        assert digests == {
            arrays_digest(ARRAYS),
            "fb25732af974186ec92accfb3ac3fb074735511bd97a63979b6ef0cca131566b",
        }

    @pytest.mark.parametrize(
        "changed",
        [
            {"b": np.array(8, np.int64)},
            {"a/kernel": ARRAYS["a/kernel"].reshape(3, 2)},
            {"b": np.array(7, np.uint64)},
            {"c": np.array(7, np.int64)},
        ],
        ids=["number", "shape", "type", "name"],
    )
    def test_differs_if_the_arrays_differ(self, changed: Arrays) -> None:
        assert arrays_digest(ARRAYS | changed) != arrays_digest(ARRAYS)


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


class TestAHostileFile:
    def test_of_pickle_is_refused_and_runs_nothing(self, tmp_path: Path) -> None:
        mark = tmp_path / "it ran"
        for content in (
            pickle.dumps(Bomb(mark)),
            pickle.dumps({"step": Bomb(mark)}, protocol=0),
        ):
            path = tmp_path / "x.safetensors"
            path.write_bytes(content)
            assert refusal(path) == DAMAGED
            with pytest.raises(RunError):
                load_facts(path)
        np.save(tmp_path / "y.npy", np.array([Bomb(mark)], object), allow_pickle=True)
        refusal(tmp_path / "y.npy")
        assert not mark.exists()

    @pytest.mark.parametrize(
        "header",
        [
            {"a": {"dtype": "F32", "shape": [1000, 1000], "data_offsets": [0, 4]}},
            {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4_000_000_000]}},
            {"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}},
            {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
            {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}},
            {
                "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            },
            {"a": {"dtype": "O", "shape": [1], "data_offsets": [0, 4]}},
        ],
        ids=["shape", "offset", "overflow", "negative", "backwards", "overlap", "object"],
    )
    def test_with_a_false_header_is_damaged(self, tmp_path: Path, header: dict[str, Any]) -> None:
        header["__metadata__"] = {"format": FORMAT, "facts": "{}", "sha256": "0"}
        assert refusal(self.write(tmp_path, header, bytes(4))) == DAMAGED

    @pytest.mark.parametrize("length", [2**63, 2**40, 10**8])
    def test_with_an_impossible_header_size_is_damaged(self, tmp_path: Path, length: int) -> None:
        path = tmp_path / "x.safetensors"
        path.write_bytes(struct.pack("<Q", length) + b"{}")
        assert refusal(path) == DAMAGED

    def test_of_a_type_unknown_to_numpy_is_refused(self, tmp_path: Path) -> None:
        header = {
            "a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
            "__metadata__": {"format": FORMAT, "facts": "{}", "sha256": "0"},
        }
        assert refusal(self.write(tmp_path, header, bytes(4))) == DAMAGED

    @pytest.mark.parametrize(
        "facts",
        ["[", "5", "[]", "null", '{"kept": [["../../y", 1]], "step": "../../x"}', '{"step": 1}'],
    )
    def test_with_invalid_facts_is_not_a_checkpoint(self, tmp_path: Path, facts: str) -> None:
        run = RunDirectory(tmp_path / "run")
        run.create()
        digest = hashlib.sha256(facts.encode()).hexdigest()
        header = {"__metadata__": {"format": FORMAT, "facts": facts, "sha256": digest}}
        self.write(tmp_path, header, b"").replace(run.checkpoint(5))
        with pytest.raises(RunError):
            load_checkpoint(run)

    @staticmethod
    def write(folder: Path, header: dict[str, Any], data: bytes) -> Path:
        raw = json.dumps(header).encode()
        path = folder / "x.safetensors"
        path.write_bytes(struct.pack("<Q", len(raw)) + raw + data)
        return path


class TestWriting:
    @pytest.mark.parametrize("call", ["fsync", "replace"])
    def test_that_fails_leaves_the_old_file_and_no_other(
        self, file: Path, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        def fail(*_: object) -> None:
            raise OSError(28, os.strerror(28))

        monkeypatch.setattr(os if call == "fsync" else Path, call, fail)
        before = file.read_bytes()
        with pytest.raises(RunError, match="cannot be written: No space left on device"):
            save_arrays(file, {"other": np.zeros(9)})
        assert file.read_bytes() == before
        assert list(file.parent.iterdir()) == [file]

    def test_is_synced_before_it_is_renamed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "x"
        calls: list[bool] = []
        monkeypatch.setattr(os, "fsync", lambda _: calls.append(path.exists()))
        save_arrays(path, ARRAYS)
        assert calls == [False, True]  # the file, then the folder that names it

    def test_into_something_else_than_a_folder_is_one_sentence(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(RunError, match=r"/file/x: cannot be written: Not a directory\."):
            save_arrays(tmp_path / "file/x", ARRAYS)


class TestFitting:
    @pytest.mark.parametrize(
        ("shapes", "sentence"),
        [
            ({"a": (2, 3)}, "o: it does not fit this model: b is 4 there and absent here."),
            (
                {"a": (2, 3), "b": (4,), "c": ()},
                "o: it does not fit this model: c is absent there and a number here.",
            ),
            (
                {"a": (3, 2), "b": (4,)},
                "o: it does not fit this model: a is 2×3 there and 3×2 here.",
            ),
        ],
    )
    def test_names_an_array_that_does_not_fit(
        self, shapes: dict[str, tuple[int, ...]], sentence: str
    ) -> None:
        with pytest.raises(RunError) as caught:
            check_fit({"a": zeros(2, 3), "b": zeros(4)}, shapes, "o")
        assert str(caught.value) == sentence

    def test_names_an_array_of_another_type(self) -> None:
        with pytest.raises(RunError, match="o: b is int8, but must be float32"):
            check_fit({"a": zeros(2), "b": zeros(4).astype("int8")}, {"a": (2,), "b": (4,)}, "o")

    def test_accepts_arrays_that_fit(self) -> None:
        check_fit({"a": zeros(2, 3)}, {"a": (2, 3)}, "o")


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def test_the_mean_is_taken_in_double_precision() -> None:
    large = np.array([2.0**24], np.float32)
    parts = [{"w": large}, {"w": np.ones(1, np.float32)}, {"w": np.ones(1, np.float32)}]
    mean = mean_weights(parts)["w"]
    assert mean.dtype == np.float32
    assert mean == np.float32((2.0**24 + 2) / 3)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path / "run")
    run.create()
    return run


class TestACheckpoint:
    STATE = TrainingState(
        step=7,
        target_tokens=10**12,
        clock=Clock(1 / 3, 2.0, 3.0, 4.0, 5, 6.0),
        losses=LossWindow(1.5, 3, 0.25),
        validations=Validations(6, 5, -0.1, 1, 4, (Snapshot(5, 0.25), Snapshot(6, -1 / 3))),
        rollbacks=Rollbacks(2, 6, 5),
    )

    def test_is_read_with_its_state(self, run: RunDirectory) -> None:
        for step in (5, 6):
            save_arrays(run.snapshot(step), ARRAYS)
        save_checkpoint(run, self.STATE, ARRAYS)
        found = load_checkpoint(run)
        assert found is not None
        assert found[0] == self.STATE
        np.testing.assert_array_equal(found[1]["a/kernel"], ARRAYS["a/kernel"])

    def test_keeps_its_state_under_the_keys_of_earlier_versions(self, run: RunDirectory) -> None:
        save_checkpoint(run, self.STATE, ARRAYS)
        assert load_facts(run.checkpoint(7)) == {
            "step": 7,
            "seconds": 1 / 3,
            "target_tokens": 10**12,
            "validated_step": 6,
            "validation_seconds": 2.0,
            "all_validation_seconds": 3.0,
            "best_step": 5,
            "best_score": -0.1,
            "stale_validations": 1,
            "averaged_step": 4,
            "recorded_step": 5,
            "recorded_seconds": 6.0,
            "loss_sum": 1.5,
            "summed_steps": 3,
            "lowest_loss": 0.25,
            "setbacks": 2,
            "lost_seconds": 4.0,
            "due_step": 6,
            "sound_step": 5,
            "kept": [[5, 0.25], [6, -1 / 3]],
        }

    def test_of_a_new_run_is_none(self, run: RunDirectory) -> None:
        assert load_checkpoint(run) is None

    def test_is_the_newest_by_step_and_not_by_name(self, run: RunDirectory) -> None:
        for step in (99_999_999, 100_000_000):
            save_checkpoint(run, TrainingState(step=step), ARRAYS)
        found = load_checkpoint(run)
        assert found is not None and found[0].step == 100_000_000

    def test_that_is_unfinished_is_ignored(self, run: RunDirectory) -> None:
        save_checkpoint(run, TrainingState(step=1), ARRAYS)
        (run.path / "checkpoints/step-00000002.safetensors.unfinished").write_bytes(b"half")
        found = load_checkpoint(run)
        assert found is not None and found[0].step == 1

    def test_that_is_damaged_can_be_deleted_to_resume_from_the_one_before(
        self, run: RunDirectory
    ) -> None:
        for step in (1, 2, 3):
            save_checkpoint(run, TrainingState(step=step), ARRAYS)
        run.checkpoint(3).write_bytes(run.checkpoint(3).read_bytes()[:-1])
        with pytest.raises(RunError, match=r"or delete it: training continues from step 2\.$"):
            load_checkpoint(run)
        run.checkpoint(3).unlink()
        found = load_checkpoint(run)
        assert found is not None and found[0].step == 2

    @pytest.mark.parametrize("has_weights", [False, True])
    def test_the_only_one_should_not_be_deleted_if_it_is_damaged(
        self, run: RunDirectory, has_weights: bool
    ) -> None:
        save_checkpoint(run, TrainingState(step=3), ARRAYS)
        run.checkpoint(3).write_bytes(run.checkpoint(3).read_bytes()[:-1])
        if has_weights:
            save_arrays(run.best, ARRAYS, step=3)
        start = f", with --from {run.path} to start with its weights" if has_weights else ""
        with pytest.raises(RunError) as caught:
            load_checkpoint(run)
        assert str(caught.value) == (
            f"{run.checkpoint(3)}: this file is damaged (its checksum does not match its "
            "contents). Copy it again from a backup. The run has no other checkpoint, so it "
            f"cannot continue without this one; begin another run with --run{start}."
        )

    def test_replaces_all_but_one_before(self, run: RunDirectory) -> None:
        for step in (1, 2, 3, 4):
            save_checkpoint(run, TrainingState(step=step), ARRAYS)
        assert run.checkpoints() == [run.checkpoint(3), run.checkpoint(4)]

    def test_can_be_written_though_an_old_one_is_damaged(self, run: RunDirectory) -> None:
        save_checkpoint(run, TrainingState(step=1), ARRAYS)
        run.checkpoint(1).write_bytes(b"")
        save_checkpoint(run, TrainingState(step=2), ARRAYS)
        found = load_checkpoint(run)
        assert found is not None and found[0].step == 2


class TestMetrics:
    def result(self, step: int, validation: Validation | None = None) -> StepResult:
        steps = range((step - 1) // 50 * 50 + 1, step + 1)
        state = TrainingState(
            step=step,
            losses=LossWindow(sum(steps) / 10, len(steps)),
            validations=Validations(last_step=step if validation else 0),
        )
        return StepResult(state, step / 10, 1.0, 0.1, 5.0, validation, False)

    def validation(self, step: int) -> StepResult:
        scores = {"bleu": Score("BLEU", step, "signature"), "ter": Score("TER", 9.5, "of TER")}
        found = Validation(scores, 0.5, step, 0.1, [f"at {step}", "ä"], {"empty": 0.25})
        return self.result(step, found)

    def rows(self, run: RunDirectory) -> list[tuple[str, int]]:
        lines = run.metrics.read_text().splitlines()
        return [(row["kind"], row["step"]) for row in map(json.loads, lines)]

    def write(self, run: RunDirectory, first: int, last: int, start: int | None = None) -> None:
        begin = first - 1 if start is None else start
        state = TrainingState(step=begin, validations=Validations(last_step=begin))
        with MetricsWriter(run, state, keep_text=True) as metrics:
            for step in range(first, last + 1):
                metrics.add(self.result(step))
                if step % 40 == 0:
                    metrics.add(self.validation(step))

    def test_sum_up_the_steps_since_the_last(self, run: RunDirectory) -> None:
        self.write(run, 51, 150)
        rows = [json.loads(line) for line in run.metrics.read_text().splitlines()]
        losses = [row["loss"] for row in rows if row["kind"] == "train"]
        assert losses == pytest.approx([7.55, 12.55])

    def test_keep_the_translations_of_each_validation(self, run: RunDirectory) -> None:
        self.write(run, 1, 80)
        assert run.validation(80).read_text() == "at 80\nä\n"

    def test_keep_the_symptoms_of_each_validation(self, run: RunDirectory) -> None:
        self.write(run, 40, 40)
        assert json.loads(run.metrics.read_text())["empty"] == 0.25

    def test_keep_the_scores_of_each_validation_with_signatures(self, run: RunDirectory) -> None:
        self.write(run, 40, 40)
        row = json.loads(run.metrics.read_text())
        assert (row["bleu"], row["signature"], row["loss"]) == (40, "signature", 0.5)
        assert (row["ter"], row["ter_signature"]) == (9.5, "of TER")

    def test_keep_no_text_if_so_configured(self, run: RunDirectory) -> None:
        with MetricsWriter(run, TrainingState(), keep_text=False) as metrics:
            metrics.add(self.validation(40))
        assert run.validations() == []
        assert "at 40" not in run.metrics.read_text()

    def test_after_the_checkpoint_are_deleted_by_a_resume(self, run: RunDirectory) -> None:
        self.write(run, 33, 130)
        self.write(run, 81, 110)
        assert self.rows(run) == [
            ("validation", 40),
            ("train", 50),
            ("validation", 80),
            ("train", 100),
        ]
        assert [p.name for p in run.validations()] == ["step-00000040.txt", "step-00000080.txt"]

    def test_after_the_checkpoint_are_deleted_by_a_rollback(
        self, run: RunDirectory, tmp_path: Path
    ) -> None:
        failure = Failure(83, Update(math.nan, 1.0), 0.1, [], {}, Divergence(60))
        state = TrainingState(step=60, validations=Validations(last_step=40))
        with MetricsWriter(run, TrainingState(), keep_text=True) as metrics:
            for step in (*range(1, 83), 0, *range(61, 101)):
                if step == 0:
                    metrics.add(StepResult(state, math.nan, 1.0, 0.1, 5.0, failure=failure))
                    assert self.rows(run)[-1] == ("train", 50)
                    assert run.validations() == [run.validation(40)]
                    continue
                metrics.add(self.result(step))
                if step % 40 == 0:
                    metrics.add(self.validation(step))
        unbroken = RunDirectory(tmp_path / "other")
        unbroken.create()
        self.write(unbroken, 1, 100)
        assert run.metrics.read_text() == unbroken.metrics.read_text()

    def test_are_the_same_in_two_sessions(self, run: RunDirectory, tmp_path: Path) -> None:
        other = RunDirectory(tmp_path / "other")
        other.create()
        self.write(run, 1, 100)
        self.write(other, 1, 73)
        self.write(other, 61, 100)
        assert run.metrics.read_text() == other.metrics.read_text()

    def test_survive_an_incomplete_line_after_a_crash(self, run: RunDirectory) -> None:
        self.write(run, 1, 60)
        with run.metrics.open("a") as file:
            file.write('{"kind": "train", "st')
        self.write(run, 61, 100)
        assert self.rows(run)[-2:] == [("validation", 80), ("train", 100)]


class TestARunWithoutCheckpoints:
    """It starts over if it was killed before the first one, and not if they are lost."""

    CONFIG = TrainingConfig(save_every=5, validate_every=10)

    @pytest.fixture
    def run(self, tmp_path: Path) -> RunDirectory:
        run = RunDirectory(tmp_path / "run")
        run.create()
        return run

    def record(self, run: RunDirectory, *steps: int) -> None:
        rows = (json.dumps({"kind": "train", "step": step}) for step in steps)
        run.metrics.write_text("".join(f"{row}\n" for row in rows))

    def refusal(self, run: RunDirectory) -> str:
        with pytest.raises(RunError) as caught:
            check_has_checkpoints(run, self.CONFIG)
        return str(caught.value).replace(str(run.path), "RUN")

    SENTENCE = (
        "RUN: its checkpoints are missing, so it cannot continue, and starting over would replace "
        "its weights and metrics. Bring the checkpoints back; or begin another run with --run{}; "
        "or delete RUN to start over."
    )
    FROM = ", with --from RUN to start with its weights"

    def test_starts_over_if_none_was_ever_saved(self, run: RunDirectory) -> None:
        run.update_state(has_checkpoint=False)
        check_has_checkpoints(run, self.CONFIG)
        self.record(run, 1, 2, 4, 8)
        save_arrays(run.best, ARRAYS, step=10)  # killed before the checkpoint at step 10
        check_has_checkpoints(run, self.CONFIG)

    def test_does_not_start_over_if_they_are_lost(self, run: RunDirectory) -> None:
        run.update_state(has_checkpoint=False, begun_from="x")
        save_checkpoint(run, TrainingState(step=2), ARRAYS)
        assert run.read_state() == {"has_checkpoint": True, "begun_from": "x"}
        self.record(run, 1, 2)
        check_has_checkpoints(run, self.CONFIG)
        run.checkpoint(2).unlink()
        assert self.refusal(run) == self.SENTENCE.format("")
        save_arrays(run.averaged, ARRAYS, step=2)
        run.metrics.unlink()
        assert self.refusal(run) == self.SENTENCE.format(self.FROM)

    def test_starts_over_if_nothing_else_is_left(self, run: RunDirectory) -> None:
        run.update_state(has_checkpoint=True)
        run.metrics.touch()
        check_has_checkpoints(run, self.CONFIG)

    def test_of_an_older_version_starts_over_up_to_its_first_checkpoint(
        self, run: RunDirectory
    ) -> None:
        """Such a run does not record whether it had one, but its metrics show it."""
        check_has_checkpoints(run, self.CONFIG)
        self.record(run, 1, 2, 4, 5)
        check_has_checkpoints(run, self.CONFIG)
        self.record(run, 1, 2, 4, 6)
        assert self.refusal(run) == self.SENTENCE.format("")
        self.record(run, 1)
        save_arrays(run.best, ARRAYS, step=1)
        assert self.refusal(run) == self.SENTENCE.format(self.FROM)


def test_a_full_disk_is_an_error_that_names_the_metrics(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.create()
    with MetricsWriter(run, TrainingState(), keep_text=False) as metrics:
        run.metrics = Path("/dev/full")
        with pytest.raises(OSError, match="No space left") as caught:
            metrics.add(StepResult(TrainingState(step=1, losses=LossWindow(1.0, 1)), 1.0))
    assert caught.value.filename == "/dev/full"
