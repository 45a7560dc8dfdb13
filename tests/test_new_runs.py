"""A new run takes an empty folder and nothing else; what lies in any other stays as it is."""

from pathlib import Path

import pytest

from translator.errors import RunError
from translator.runs import RunDirectory

LOST = (
    "runs/c: this folder contains {} of a run but no {missing}. Restore {missing}, name another "
    "folder with --run, or delete runs/c to start over."
)
FOREIGN = (
    "runs/c: this folder is not a run and contains other files, such as {}. Name a new or empty "
    "folder with --run."
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def lay_out(*names: str, folder: str = "runs/c") -> Path:
    """Make files, and folders whose names end in a slash."""
    for name in names:
        path = Path(folder, name)
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_text(f"this is {name}")
    return Path(folder)


def contents(folder: Path) -> dict[str, str]:
    return {str(p): p.read_text() if p.is_file() else "" for p in sorted(folder.rglob("*"))}


def refusal(path: Path) -> str:
    before = contents(Path())
    with pytest.raises(RunError) as caught:
        RunDirectory(path).create()
    assert contents(Path()) == before
    return str(caught.value)


class TestANewRun:
    @pytest.mark.parametrize(
        "names",
        [
            (),
            ("./",),
            ("checkpoints/",),
            ("checkpoints/", ".lock"),
            ("checkpoints/", ".lock", "tokenizer.model.unfinished"),
            ("checkpoints/", ".lock", "tokenizer.model", "start.safetensors"),
            ("checkpoints/", ".lock", "teacher.json", "translated/translated-1.input"),
            (
                *("checkpoints/", ".lock", "source.model", "target.model", "environment.json"),
                *("text.json", "state.json", "config.yaml.unfinished"),
            ),
        ],
    )
    def test_takes_an_empty_folder_or_what_its_own_beginning_left(
        self, names: tuple[str, ...]
    ) -> None:
        before = contents(lay_out(*names))
        RunDirectory(Path("runs/c")).create()
        assert contents(Path("runs/c")) == before | {"runs/c/checkpoints": ""}

    @pytest.mark.parametrize(
        ("names", "sentence"),
        [
            (("notes.txt",), FOREIGN.format("notes.txt")),
            (("tokenizer.model",), FOREIGN.format("tokenizer.model")),
            (("environment.json", ".lock"), FOREIGN.format("environment.json")),
            (("exports/model.bin",), FOREIGN.format("exports")),
            (("checkpoints/model.ckpt",), FOREIGN.format("checkpoints/model.ckpt")),
            (("config.yaml", "train.en"), FOREIGN.format("train.en")),
            (("config.yaml",), FOREIGN.format("config.yaml")),
            (
                ("config.yaml", "best.safetensors", "export.json", "golden.json", "README.md"),
                FOREIGN.format("README.md"),
            ),
            (("best.safetensors", "notes.txt"), FOREIGN.format("notes.txt")),
            (
                ("best.safetensors",),
                LOST.format("best.safetensors", missing="config.yaml"),
            ),
            (
                ("checkpoints/", "metrics.jsonl", "tensorboard/", "text.json"),
                LOST.format("metrics.jsonl", missing="config.yaml"),
            ),
            (
                ("checkpoints/step-00000010.safetensors",),
                LOST.format("checkpoints/step-00000010.safetensors", missing="config.yaml"),
            ),
            (
                ("checkpoints/weights-00000010.safetensors", "validation/"),
                LOST.format("checkpoints/weights-00000010.safetensors", missing="config.yaml"),
            ),
            (
                ("config.yaml", "averaged.safetensors", "best.safetensors"),
                LOST.format("averaged.safetensors", missing="text.json"),
            ),
            (
                ("training.yaml", "export.json"),
                "runs/c: this is an export. Name a new or empty folder with --run.",
            ),
        ],
    )
    def test_refuses_a_folder_that_holds_anything(
        self, names: tuple[str, ...], sentence: str
    ) -> None:
        assert refusal(lay_out(*names)) == sentence

    def test_refuses_the_current_folder_if_it_holds_anything(self) -> None:
        RunDirectory(Path()).create()
        Path("checkpoints").rmdir()
        lay_out("notes.txt", folder=".")
        assert refusal(Path()).startswith(
            ".: this folder is not a run and contains other files, such as notes"
        )

    def test_refuses_a_file(self) -> None:
        lay_out("c", folder="runs")
        assert refusal(Path("runs/c")) == (
            "runs/c: this is a file. Name a folder for the run with --run."
        )
        assert refusal(Path("runs/c/d")) == "runs/c/d: cannot make a run here: Not a directory."

    @pytest.mark.parametrize("name", ["runs/c/new", "runs/c/exports/a/b", "runs/x/../c/new"])
    def test_refuses_a_folder_inside_a_run(self, name: str) -> None:
        lay_out("config.yaml", "text.json")
        assert refusal(Path(name)) == (
            f"{name}: this folder is inside the run {Path('runs/c').absolute()}. Name a folder "
            "outside it with --run."
        )

    def test_may_be_beside_a_run(self) -> None:
        lay_out("config.yaml", "text.json")
        RunDirectory(Path("runs/c/../d")).create()

    def test_may_be_a_link_to_a_folder(self) -> None:
        Path("disk").mkdir()
        Path("linked").symlink_to("disk")
        RunDirectory(Path("linked")).create()
        assert Path("disk/checkpoints").is_dir()
        lay_out("notes.txt", folder="disk")
        assert "notes.txt" in refusal(Path("linked"))


def test_a_run_that_was_begun_may_hold_more_files() -> None:
    lay_out("config.yaml", "text.json", "notes.txt", "best.safetensors")
    RunDirectory(Path("runs/c")).create()
