"""A bundle has the files that were packed; other files in it are refused."""

import zipfile
from pathlib import Path

import pytest

from translator.bundle_archive import NAMES, pack, unpacked
from translator.errors import RunError

FILES = {"config.yaml": "a: 1\n", "best.safetensors": "weights", "export.json": "{}"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def archive(path: Path, files: dict[str, str], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as written:
        for name, text in files.items():
            written.writestr(name, text)
    return path


def test_unpacking_restores_the_files_and_packing_is_deterministic(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_text(f"this is {name}")
    pack(folder, tmp_path / "one")
    (folder / "config.yaml").touch()
    pack(folder, tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    found = unpacked(tmp_path / "one")
    assert {path.name: path.read_text() for path in found.iterdir()} == {
        name: f"this is {name}" for name in NAMES
    }
    assert unpacked(tmp_path / "one") == found


@pytest.mark.parametrize(
    ("files", "compression", "reason"),
    [
        (FILES | {"../evil": ""}, zipfile.ZIP_STORED, r"it holds '../evil'\.$"),
        (FILES | {"/tmp/evil": ""}, zipfile.ZIP_STORED, "it holds '/tmp/evil'"),
        (FILES | {"checkpoints/": ""}, zipfile.ZIP_STORED, "it holds 'checkpoints/'"),
        (FILES | {"config.yaml": 9999 * "a"}, zipfile.ZIP_DEFLATED, "config.yaml is compressed"),
        ({"config.yaml": "", "export.json": ""}, zipfile.ZIP_STORED, "it lacks a model"),
    ],
)
def test_unexpected_files_are_refused(
    files: dict[str, str], compression: int, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=f"neither a run nor a bundle, or it is damaged: {reason}"):
        unpacked(archive(tmp_path / "b", files, compression))
    assert not (tmp_path / "evil").exists() and not list(tmp_path.glob("cache/*/bundle-*"))


def test_wrong_sizes_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "b", FILES)
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02", 0, data.rindex(b"config.yaml"))
    data[entry + 20 : entry + 28] = 2 * (10**9).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(RunError, match="its size is not that of its files"):
        unpacked(path)


def test_damage_is_detected(tmp_path: Path) -> None:
    path = archive(tmp_path / "b", FILES)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"weights", b"heights"))
    with pytest.raises(
        RunError, match=r"b: this is neither a run nor a bundle, or it is damaged: Bad CRC-32"
    ):
        unpacked(path)
    for broken in (data[:-30], b"hello", b"", data + b"more", b"more" + data):
        path.write_bytes(broken)
        with pytest.raises(RunError, match="neither a run nor a bundle, or it is damaged"):
            unpacked(path)


def test_duplicate_files_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "b", FILES)
    with zipfile.ZipFile(path, "a") as more, pytest.warns(UserWarning, match="Duplicate"):
        more.writestr("config.yaml", "b: 2\n")
    with pytest.raises(RunError, match="it holds a file twice"):
        unpacked(path)


@pytest.mark.parametrize("damage", ["changed", "missing", "more"])
def test_damaged_copy_in_the_cache_is_unpacked_again_with_a_message(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = archive(tmp_path / "b", FILES)
    folder = unpacked(path)
    weights = folder / "best.safetensors"
    match damage:
        case "changed":
            weights.write_text("heights")
        case "missing":
            weights.unlink()
        case "more":
            (folder / "more").write_text("")
    assert unpacked(path) == folder
    assert {file.name: file.read_text() for file in folder.iterdir()} == FILES
    assert caplog.messages == [
        f"{folder}: this part of the cache is damaged or incomplete; making it again."
    ]
