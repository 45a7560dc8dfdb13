"""scripts/compare_with.py finds a difference of a single bit."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from translator.models.weights import Arrays, save_arrays

COMPARE = runpy.run_path(str(Path(__file__).parents[1] / "scripts/compare_with.py"))
ARRAYS: Arrays = {"a/kernel": np.ones([2, 3], np.float32), "b": np.zeros([4], np.float32)}


def arrays_differ(folder: Path, own: Arrays) -> str:
    for name, arrays in (("other", ARRAYS), ("own", own)):
        (folder / name).mkdir()
        save_arrays(folder / name / "best.safetensors", arrays, step=1)
    found: str = COMPARE["arrays_differ"](
        *(folder / name / "best.safetensors" for name in ("other", "own"))
    )
    return found


def test_order_of_arrays_and_metadata_do_not_count(tmp_path: Path) -> None:
    own = tmp_path / "own/best.safetensors"
    assert arrays_differ(tmp_path, dict(reversed(ARRAYS.items()))) == ""
    own.write_bytes(safetensors.numpy.save(ARRAYS, {"facts": "others"}))
    assert COMPARE["arrays_differ"](tmp_path / "other/best.safetensors", own) == ""


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"b": np.array([0, 0, np.nextafter(np.float32(0), np.float32(1)), 0], np.float32)},
            "1 of 2 arrays; first b by up to 1.4e-45",
        ),
        ({"b": -ARRAYS["b"]}, "1 of 2 arrays; first b by up to 0"),
        (
            {"b": np.zeros([2, 2], np.float32)},
            "1 of 2 arrays; first b is float32 (4,), now float32 (2, 2)",
        ),
        ({"c": ARRAYS["b"]}, "1 of 2 arrays; first c is only here"),
    ],
    ids=["one bit", "the sign of zero", "shape", "name"],
)
def test_different_arrays_are_named(tmp_path: Path, changed: Arrays, message: str) -> None:
    assert arrays_differ(tmp_path, ARRAYS | changed) == message


def test_different_lines_are_counted_and_the_first_is_shown(tmp_path: Path) -> None:
    other, own = tmp_path / "other.txt", tmp_path / "own.txt"
    other.write_text("1\t-0.5\tA\n2\t-0.25\tB\n")
    own.write_text("1\t-0.5\tA\n2\t-0.250001\tB\n")
    assert COMPARE["lines_differ"](other, other) == ""
    assert COMPARE["lines_differ"](other, own) == (
        "1 of 2 lines; line 2: 2\t-0.25\tB | 2\t-0.250001\tB"
    )
    own.write_text("1\t-0.5\tA\n")
    assert COMPARE["lines_differ"](other, own) == "2 lines, now 1"
