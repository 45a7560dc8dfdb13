"""A run: the directory that holds all about one trained model, and the names of its files."""

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
"""Keys that say where text is."""

EXPORT_CONFIG = "training.yaml"
"""The configuration in a folder for another program, which is no run."""

SETTLED = frozenset(
    {
        *("checkpoints", "environment.json", "start.safetensors", "state.json", "text.json"),
        *("tokenizer.model", "source.model", "target.model"),
    }
)
"""What may be there of a run whose beginning was cut short: config.yaml comes last."""

LEARNT = frozenset(
    {
        *("averaged.safetensors", "best.safetensors", "metrics.jsonl", "profile.txt"),
        *("exports", "incidents", "results", "tensorboard", "tuned.json", "validation"),
    }
)
"""What training and the use of a model add to a run."""


class RunDirectory:
    """The one place that knows the names of files inside a run.

    config.yaml              the configuration, every default and `auto` written out
    environment.json         packages, processor and threads that the run began with
    text.json                checksums of the text that it began with
    state.json               whether it ever had a checkpoint, and the run it began from, if any
    source.model             SentencePiece, as it reads the source
    target.model             the same for the target; older runs may have tokenizer.model for both
    checkpoints/             all that a resume needs, of two to four steps; weights to average
    start.safetensors        the weights that a run with --from began with
    best.safetensors         the weights that validated best, which translate and eval use
    averaged.safetensors     in their place: a mean that `translator tune` found better still
    tuned.json               the decoding that it found best for these weights
    metrics.jsonl            a line for each report and validation; tensorboard/ shows the same
    validation/              translations of the validation sentences, step by step
    results/                 translations and scores of `translator eval`
    exports/                 the model for other programs
    profile.txt              where the time of a step went, if training.profile asked for it
    incidents/               the steps at which learning failed, if any: losses, gradients, batch
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_bundle = False
        """Whether it was opened from one file, which keeps nothing that is written."""
        self.config = path / "config.yaml"
        self.environment = path / "environment.json"
        self.text = path / "text.json"
        self.vocabularies = [path / "source.model", path / "target.model"]
        """Where a tokenizer is saved."""
        self._shared_model = path / "tokenizer.model"
        self.state = path / "state.json"
        self.start = path / "start.safetensors"
        self.best = path / "best.safetensors"
        self.averaged = path / "averaged.safetensors"
        self.tuned = path / "tuned.json"
        self.metrics = path / "metrics.jsonl"
        self.profile = path / "profile.txt"
        self._checkpoints = path / "checkpoints"

    @classmethod
    def existing(cls, path: Path) -> RunDirectory:
        """The run at `path`, a directory or a bundle. Raises RunError if there is none."""
        if path.is_file():
            run = cls(unpacked(path))
            run.is_bundle = True
            return run
        run = cls(path)
        if not path.exists():
            raise RunError(f"{path}: there is no such run; `translator train` makes one.")
        if not run.config.is_file():
            what = "not a run: it holds no config.yaml"
            if is_export(path):
                what = "an export, for `translate` and `verify`; name the run that it was made of"
            elif (path / "export.json").is_file():
                what = f"an export that lacks {EXPORT_CONFIG}; export its run again"
            raise RunError(f"{path}: this is {what}.")
        if is_export(path):
            raise RunError(
                f"{path}: it holds config.yaml of a run and {EXPORT_CONFIG} of an export; take "
                "away what does not belong there."
            )
        run._refuse_links()
        return run

    def need_text(self, overrides: Sequence[str]) -> None:
        """Raise ConfigError unless it is known where the text is; a bundle must be told."""
        if self.is_bundle and not any(text.startswith(TEXT_KEYS) for text in overrides):
            raise ConfigError(
                "A bundle holds no text; say where its files are by --set data.folder=… (or name "
                "its data.dataset), or give others where the command takes them."
            )

    @property
    def exists(self) -> bool:
        return self.config.is_file()

    @property
    def was_begun(self) -> bool:
        """Whether this is a run that may go on, and no folder with a config.yaml of its own."""
        return self.exists and self.text.is_file()

    @property
    def shipped(self) -> Path:
        """The weights that translate, eval and export use."""
        return self.averaged if self.averaged.exists() else self.best

    def create(self) -> None:
        """Make the directory of a new run, or find a run in it. Raises RunError if anything else
        is in the way, or it may not be made."""
        check_name(self.path, RunError)
        if not self.was_begun:
            self._refuse_what_is_no_run()
        try:
            self._checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.path}: cannot make a run here: {error.strerror}.") from None
        self._refuse_links()

    def _refuse_what_is_no_run(self) -> None:
        """A new run takes an empty folder, or what is left of its own beginning."""
        if self.path.is_file():
            raise RunError(f"{self.path}: this is a file; name a folder for the run with --run.")
        for outer in self.path.resolve().parents:
            if RunDirectory(outer).was_begun:
                raise RunError(
                    f"{self.path}: this folder is inside the run {outer}; name one outside with "
                    "--run."
                )
        if is_export(self.path):
            raise RunError(
                f"{self.path}: this is an export; name a new or empty folder with --run."
            )
        if not self.path.is_dir():
            return
        found = self._contents()
        arrays = {
            str(path.relative_to(self.path)) for path in (*self.checkpoints(), *self.snapshots())
        }
        learnt = found & (LEARNT | arrays)
        own = found - SETTLED - learnt - {self.config.name}
        if not own and learnt & (arrays | {self.best.name, self.metrics.name}):
            missing = self.text.name if self.exists else self.config.name
            raise RunError(
                f"{self.path}: it holds {min(learnt)} of a run but no {missing}. Bring {missing} "
                f"back; or begin another run with --run; or delete {self.path} to start over."
            )
        if own or learnt or self.exists or (found and self._checkpoints.name not in found):
            raise RunError(
                f"{self.path}: this folder holds files of its own, such as "
                f"{min(own or learnt or found)}, and is not a run. Name a new or empty folder with "
                "--run."
            )

    def _contents(self) -> set[str]:
        """The names of what lies in the folder and its checkpoints, but for hidden files; a file
        that a crash left unfinished has the name that it would have got."""
        paths = [*self.path.iterdir(), *self._checkpoints.glob("*")]
        names = {str(p.relative_to(self.path)).removesuffix(".unfinished") for p in paths}
        return {name for name in names if not name.startswith(".")} - {"lost+found"}

    def _refuse_links(self) -> None:
        """A run from elsewhere must not lead our writing out of its directory."""
        for entry in self.path.rglob("*"):
            if entry.is_symlink():
                raise RunError(f"{entry}: a run holds no links; put the file itself there.")

    def tokenizer(self) -> list[Path]:
        """The SentencePiece models of source and target: in older runs they may be one file."""
        if self._shared_model.exists() and not self.vocabularies[0].exists():
            return [self._shared_model, self._shared_model]
        return self.vocabularies

    def checkpoint(self, step: int) -> Path:
        return self._checkpoints / f"step-{step:08d}.safetensors"

    def checkpoints(self) -> list[Path]:
        """Those there are, oldest first."""
        return _by_step(self._checkpoints, "step")

    def snapshot(self, step: int) -> Path:
        return self._checkpoints / f"weights-{step:08d}.safetensors"

    def snapshots(self) -> list[Path]:
        """Weights that were validated and are kept to be averaged, oldest first."""
        return _by_step(self._checkpoints, "weights")

    def read_state(self) -> dict[str, Any]:
        """What state.json holds: nothing, if an older version made the run. Raises RunError."""
        if not self.state.exists():
            return {}
        try:
            return read_json(self.state)
        except RunError:
            raise RunError(
                f"{self.state}: this file is damaged; delete it, and give the same command again."
            ) from None

    def update_state(self, **values: Any) -> None:
        state = self.read_state()
        if state != state | values:
            write_whole(self.state, json.dumps(state | values, indent=2) + "\n")

    @property
    def tensorboard(self) -> Path:
        return self._folder("tensorboard")

    def event_file(self, seconds: float) -> Path:
        """Where a session that begins at this time (since 1970) writes for TensorBoard."""
        return self.tensorboard / f"events.out.tfevents.{seconds:.6f}.translator"

    def validation(self, step: int) -> Path:
        return self._folder("validation") / f"step-{step:08d}.txt"

    def validations(self) -> list[Path]:
        return _by_step(self.path / "validation", "step", "txt")

    def incident(self, step: int, number: int) -> Path:
        """Of the failure at a step; the number tells several at one step apart."""
        return self._folder("incidents") / f"step-{step:08d}-{number}.json"

    def export(self, name: str) -> Path:
        return self._folder("exports") / name

    def exports(self, kind: str) -> list[Path]:
        """The exports for an engine."""
        return sorted(p.parent for p in self.path.glob(f"exports/{kind}-*/export.json"))

    def result(self, name: str, suffix: str) -> Path:
        return self.path / "results" / f"{name}.{suffix}"

    def _folder(self, name: str) -> Path:
        folder = self.path / name
        folder.mkdir(exist_ok=True)
        return folder

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the run for one training process. Raises RunError if another has it.

        Gives whether the process that had it before was killed: every other way out, also by an
        error, removes the marker of its session. Earlier versions wrote their process number into
        the lock file instead, and emptied it.
        """
        path, session = self.path / ".lock", self.path / ".session"
        try:
            held = FileLock(path).acquire(blocking=False)
        except Timeout:
            raise RunError(f"{self.path}: another process is training this run.") from None
        except OSError as error:
            raise RunError(f"{path}: cannot lock this file: {error.strerror}.") from None
        with held:
            was_killed = session.exists() or _holds_number(path)
            with naming(session):
                session.write_text(f"{os.getpid()}\n")
            if _holds_number(path):
                os.truncate(path, 0)
            try:
                yield was_killed
            finally:
                session.unlink(missing_ok=True)


def _holds_number(path: Path) -> bool:
    with suppress(OSError, ValueError):
        return path.read_text().strip().isdecimal()
    return False


def is_export(path: Path) -> bool:
    """Whether a folder holds what an export for other programs does."""
    return (path / EXPORT_CONFIG).is_file()


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a run. Raises RunError if it is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(value, dict):
            return value
    except (OSError, ValueError):
        pass
    raise RunError(f"{path}: this file of the run is missing or damaged.")


def step_of(path: Path) -> int:
    """The step in the name of a checkpoint or snapshot."""
    return int(path.stem.rpartition("-")[2])


def _by_step(folder: Path, kind: str, suffix: str = "safetensors") -> list[Path]:
    pattern = re.compile(rf"{kind}-[0-9]{{8,}}\.{suffix}")
    return sorted((p for p in folder.glob("*") if pattern.fullmatch(p.name)), key=step_of)
