"""A run: the directory of one trained model, and the names of its files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from translator.bundle_archive import unpacked
from translator.errors import ConfigError, RunError
from translator.files import check_name, naming, write_whole

TEXT_KEYS = (
    "data=",
    *(f"data.{key}" for key in ("folder", "dataset", "wheel", "train", "validation", "test")),
)
"""Beginnings of overrides that name text."""

EXPORT_CONFIG = "training.yaml"
"""The configuration in an export. It has another name than in a run, which an export is not."""

START_FILES = frozenset(
    {
        *("checkpoints", "environment.json", "start.safetensors", "state.json", "text.json"),
        *("tokenizer.model", "source.model", "target.model", "teacher.json", "translated"),
    }
)
"""What an interrupted start may leave. config.yaml is written last."""

LATER_FILES = frozenset(
    {
        *("alignment.json", "averaged.safetensors", "best.safetensors", "lexicon.tsv"),
        *("metrics.jsonl", "profile.txt"),
        *("exports", "incidents", "results", "tensorboard", "tuned.json", "validation"),
    }
)
"""What training and the other commands add to a run."""


class RunDirectory:
    """The paths of all files in a run; no other module knows their names.

    config.yaml              the configuration, with all defaults and values of `auto`
    environment.json         packages, processor and threads when the run began
    text.json                checksums of its text when it began
    state.json               whether it ever had a checkpoint; the run that --from named, if any
    source.model             SentencePiece model of the source
    target.model             that of the target; older runs may have one tokenizer.model for both
    checkpoints/             two to four checkpoints to resume from; weights to average
    start.safetensors        the initial weights of a run with --from
    teacher.json             the teacher of `translator distill`, and what it translated
    translated/              its translations: a file of sources and one of targets per corpus
    best.safetensors         the weights that validated best; translate and eval use them
    averaged.safetensors     used instead if present: a better mean that `translator tune` found
    tuned.json               the decoding that `translator tune` chose for these weights
    metrics.jsonl            a line for each report and validation; tensorboard/ shows the same
    lexicon.tsv              which words translate each other; made by `translate --alignments`
    alignment.json           where these weights show that, in which layer and heads
    validation/              translations of the validation sentences, one file per validation
    results/                 translations and scores of `translator eval`
    exports/                 exports for other programs
    profile.txt              where the time of a step goes, with training.profile
    incidents/               reports of diverged steps: losses, gradients, batch

    Getters create nothing: the code that writes a file makes its folder first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_bundle = False
        """Whether this is the unpacked copy of a bundle, in which nothing may be written."""
        self.config = path / "config.yaml"
        self.environment = path / "environment.json"
        self.text = path / "text.json"
        self.vocabularies = [path / "source.model", path / "target.model"]
        """Where a tokenizer is saved: the models of source and target."""
        self._shared_model = path / "tokenizer.model"
        self.state = path / "state.json"
        self.start = path / "start.safetensors"
        self.teacher = path / "teacher.json"
        self.translated = path / "translated"
        self.best = path / "best.safetensors"
        self.averaged = path / "averaged.safetensors"
        self.tuned = path / "tuned.json"
        self.lexicon = path / "lexicon.tsv"
        self.alignment = path / "alignment.json"
        self.metrics = path / "metrics.jsonl"
        self.profile = path / "profile.txt"
        self._checkpoints = path / "checkpoints"

    @classmethod
    def existing(cls, path: Path) -> RunDirectory:
        """The run at `path`, a directory or a bundle. Raises RunError if it is neither."""
        if path.is_file():
            run = cls(unpacked(path))
            run.is_bundle = True
            return run
        run = cls(path)
        if not path.exists():
            raise RunError(f"{path}: there is no such run; `translator train` makes one.")
        if not run.config.is_file():
            what = "not a run: it has no config.yaml"
            if is_export(path):
                what = "an export, for `translate` and `verify`. Name the run that it was made from"
            elif (path / "export.json").is_file():
                what = f"an export that lacks {EXPORT_CONFIG}. Export its run again"
            raise RunError(f"{path}: this is {what}.")
        if is_export(path):
            raise RunError(
                f"{path}: this folder contains config.yaml of a run and {EXPORT_CONFIG} of an "
                "export. Remove the files that do not belong here."
            )
        run._refuse_links()
        return run

    def need_text(self, overrides: Sequence[str]) -> None:
        """Raise ConfigError if this is a bundle and the overrides do not name its text."""
        if self.is_bundle and not any(text.startswith(TEXT_KEYS) for text in overrides):
            raise ConfigError(
                "A bundle contains no text. Name the folder of its text with --set data.folder=… "
                "(or set data.dataset), or name other files if the command accepts them."
            )

    @property
    def exists(self) -> bool:
        return self.config.is_file()

    @property
    def was_begun(self) -> bool:
        """Whether this is a run that can continue, not just a folder with some config.yaml."""
        return self.exists and self.text.is_file()

    @property
    def shipped(self) -> Path:
        """The weights that translate, eval and export use."""
        return self.averaged if self.averaged.exists() else self.best

    def create(self) -> None:
        """Make the directory of a new run, unless it is a run already.

        Raises RunError if the directory contains anything else or cannot be made.
        """
        check_name(self.path, RunError)
        if not self.was_begun:
            self._check_location()
            if self.path.is_dir():
                self._check_contents()
        try:
            self._checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.path}: cannot make a run here: {error.strerror}.") from None
        self._refuse_links()

    def _check_location(self) -> None:
        """Raise RunError if no new run may be made at this path, whatever the folder contains."""
        if self.path.is_file():
            raise RunError(f"{self.path}: this is a file. Name a folder for the run with --run.")
        for outer in self.path.resolve().parents:
            if RunDirectory(outer).was_begun:
                raise RunError(
                    f"{self.path}: this folder is inside the run {outer}. Name a folder outside "
                    "it with --run."
                )
        if is_export(self.path):
            raise RunError(
                f"{self.path}: this is an export. Name a new or empty folder with --run."
            )

    def _check_contents(self) -> None:
        """Raise RunError unless the folder is empty or an interrupted start of a run left it."""
        names = self._contents()
        arrays = {
            str(path.relative_to(self.path)) for path in (*self.checkpoints(), *self.snapshots())
        }
        later = names & (LATER_FILES | arrays)
        foreign = names - START_FILES - later - {self.config.name}
        if not foreign and later & (arrays | {self.best.name, self.metrics.name}):
            missing = self.text.name if self.exists else self.config.name
            raise RunError(
                f"{self.path}: this folder contains {min(later)} of a run but no {missing}. "
                f"Restore {missing}, name another folder with --run, or delete {self.path} to "
                "start over."
            )
        if foreign or later or self.exists or (names and self._checkpoints.name not in names):
            raise RunError(
                f"{self.path}: this folder is not a run and contains other files, such as "
                f"{min(foreign or later or names)}. Name a new or empty folder with --run."
            )

    def _contents(self) -> set[str]:
        """Names of all entries of the folder and of checkpoints/, except hidden ones.

        A file that a crash left unfinished counts under its final name.
        """
        paths = [*self.path.iterdir(), *self._checkpoints.glob("*")]
        names = {str(p.relative_to(self.path)).removesuffix(".unfinished") for p in paths}
        return {name for name in names if not name.startswith(".")} - {"lost+found"}

    def _refuse_links(self) -> None:
        """Raise RunError for symbolic links: a stranger's run could redirect what we write."""
        for entry in self.path.rglob("*"):
            if entry.is_symlink():
                raise RunError(
                    f"{entry}: a run must not contain links. Replace it with the file itself."
                )

    def tokenizer(self) -> list[Path]:
        """The SentencePiece models of source and target; one file for both in some older runs."""
        if self._shared_model.exists() and not self.vocabularies[0].exists():
            return [self._shared_model, self._shared_model]
        return self.vocabularies

    def checkpoint(self, step: int) -> Path:
        return self._checkpoints / f"step-{step:08d}.safetensors"

    def checkpoints(self) -> list[Path]:
        """The checkpoints that exist, oldest first."""
        return _by_step(self._checkpoints, "step")

    def snapshot(self, step: int) -> Path:
        return self._checkpoints / f"weights-{step:08d}.safetensors"

    def snapshots(self) -> list[Path]:
        """Validated weights that are kept for averaging, oldest first."""
        return _by_step(self._checkpoints, "weights")

    def read_state(self) -> dict[str, Any]:
        """The contents of state.json; empty if an older version made the run. Raises RunError."""
        if not self.state.exists():
            return {}
        try:
            return read_json(self.state)
        except RunError:
            raise RunError(
                f"{self.state}: this file is damaged. Delete it and run the same command again."
            ) from None

    def update_state(self, **values: Any) -> None:
        """Set keys of state.json and keep the others. Raises RunError."""
        state = self.read_state()
        if state != state | values:
            write_whole(self.state, json.dumps(state | values, indent=2) + "\n")

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    def event_file(self, seconds: float) -> Path:
        """The file for TensorBoard of a session that begins at this time (since 1970)."""
        return self.tensorboard / f"events.out.tfevents.{seconds:.6f}.translator"

    def translation(self, number: int, part: str) -> Path:
        """A file of the `number`-th translated corpus.

        part: "source" or "target"; until the translation is complete, "input" (what the teacher
        reads) and "output" (what it writes).
        """
        return self.translated / f"translated-{number}.{part}"

    def validation(self, step: int) -> Path:
        """Translations of the validation at a step."""
        return self.path / "validation" / f"step-{step:08d}.txt"

    def validations(self) -> list[Path]:
        return _by_step(self.path / "validation", "step", "txt")

    def incident(self, step: int, number: int) -> Path:
        """The report of the run's `number`-th failure, at this step."""
        return self.path / "incidents" / f"step-{step:08d}-{number}.json"

    def export(self, name: str) -> Path:
        return self.path / "exports" / name

    def exports(self, kind: str) -> list[Path]:
        """Folders of the exports whose names begin with `kind`-."""
        return sorted(p.parent for p in self.path.glob(f"exports/{kind}-*/export.json"))

    def result(self, name: str, suffix: str) -> Path:
        return self.path / "results" / f"{name}.{suffix}"

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Lock the run for one training process. Raises RunError if another holds the lock.

        Yields whether the previous process was killed: its session file still exists, which every
        other exit removes, errors included. Earlier versions wrote their process id into the lock
        file instead, and emptied it at the end.
        """
        path, session = self.path / ".lock", self.path / ".session"
        try:
            lock = FileLock(path).acquire(blocking=False)
        except Timeout:
            raise RunError(f"{self.path}: another process is training this run.") from None
        except OSError as error:
            raise RunError(f"{path}: cannot lock this file: {error.strerror}.") from None
        with lock:
            was_killed = session.exists() or _has_process_id(path)
            with naming(session):
                session.write_text(f"{os.getpid()}\n")
            if _has_process_id(path):
                os.truncate(path, 0)
            try:
                yield was_killed
            finally:
                session.unlink(missing_ok=True)


def _has_process_id(path: Path) -> bool:
    with suppress(OSError, ValueError):
        return path.read_text().strip().isdecimal()
    return False


def is_export(path: Path) -> bool:
    """Whether a folder contains an export for another program."""
    return (path / EXPORT_CONFIG).is_file()


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object in a file of a run. Raises RunError if the file is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(value, dict):
            return value
    except (OSError, ValueError):
        pass
    raise RunError(f"{path}: this file of the run is missing or damaged.")


def step_of(path: Path) -> int:
    """The step in the name of a checkpoint, snapshot or validation."""
    return int(path.stem.rpartition("-")[2])


def _by_step(folder: Path, kind: str, suffix: str = "safetensors") -> list[Path]:
    pattern = re.compile(rf"{kind}-[0-9]{{8,}}\.{suffix}")
    return sorted((p for p in folder.glob("*") if pattern.fullmatch(p.name)), key=step_of)
