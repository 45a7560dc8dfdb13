"""Named arrays on disk, and in and out of a model.

A file is safetensors: a JSON header and raw numbers, never code. It carries a format version and a
SHA-256 of all it holds, and appears under its name only when it is whole and on the disk. Equal
arrays and facts give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import safetensors.numpy

from translator.errors import RunError
from translator.files import write_whole

if TYPE_CHECKING:
    import keras

FORMAT = "translator-1"

Arrays = dict[str, np.ndarray]


def named_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """The weights of a model by name, such as decoder_0/attention/query/kernel.

    Their order is that in which the model's layers were assigned to it. It orders the sum in the
    global norm of the gradients, so another order would clip otherwise in the last bit.
    """
    variables = model.trainable_variables
    named = {str(variable.path).partition("/")[2]: variable for variable in variables}
    assert len(named) == len(variables), "every layer needs a name of its own"
    return named


class DamagedFile(RunError):
    """A file whose contents are not what was written."""

    def __init__(
        self,
        path: Path,
        way_out: str = "Copy it again, or delete it: training makes lost best weights anew, and a "
        "bundle is unpacked anew.",
    ) -> None:
        super().__init__(
            f"{path}: this file is damaged (its checksum does not match its contents). {way_out}"
        )


def model_weights(model: keras.Model) -> Arrays:
    """The values of `named_variables`."""
    return {name: np.asarray(variable) for name, variable in named_variables(model).items()}


def set_model_weights(model: keras.Model, weights: Mapping[str, np.ndarray], origin: str) -> None:
    """Give a model the weights that `model_weights` took. Raises RunError if they do not fit."""
    variables = named_variables(model)
    check_fit(weights, {name: tuple(v.shape) for name, v in variables.items()}, origin)
    for name, variable in variables.items():
        variable.assign(weights[name])


def check_fit(
    arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], origin: str
) -> None:
    """Raise RunError unless arrays have exactly the names and shapes expected, in float32."""
    for name in sorted(arrays.keys() | shapes.keys()):
        have = tuple(arrays[name].shape) if name in arrays else None
        want = shapes.get(name)
        if have != want:
            raise RunError(
                f"{origin}: it does not fit this model: {name} is "
                f"{_shape(have)} there and {_shape(want)} here."
            )
        if arrays[name].dtype != np.float32:
            raise RunError(f"{origin}: {name} is {arrays[name].dtype} there, and float32 here.")


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], **facts: Any) -> None:
    """Write arrays and JSON-able facts; a crash at any moment leaves the old file or the new one.

    Raises RunError when the disk is full or may not be written.
    """
    header = {
        "format": FORMAT,
        "facts": json.dumps(facts, sort_keys=True),
        "sha256": _checksum(arrays, facts),
    }
    try:
        write_whole(path, _in_order(safetensors.numpy.save(dict(arrays), header)))
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written: {error.strerror}. What was saved before is untouched; "
            "mend this and type the same command again."
        ) from None


def load_arrays(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """What `save_arrays` wrote. Raises RunError if it is missing, damaged or of another format."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise RunError(
                    f"{path}: its format is {header.get('format', 'unknown')}; "
                    f"this version reads {FORMAT}."
                )
            arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}.") from None
    except (safetensors.SafetensorError, TypeError):  # TypeError: numbers that NumPy does not have
        raise DamagedFile(path) from None
    facts = _facts(header, path)
    if header.get("sha256") != _checksum(arrays, facts):
        raise DamagedFile(path)
    return arrays, facts


def arrays_digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of arrays, in hexadecimal: the same weights have the same digest in every file."""
    return _digest(b"", arrays)


def load_facts(path: Path) -> dict[str, Any]:
    """Only the facts that `save_arrays` wrote, unchecked. Raises RunError."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
    except (OSError, safetensors.SafetensorError):
        raise DamagedFile(path) from None
    return _facts(header, path)


def _facts(header: Mapping[str, str], path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(header["facts"])
        if isinstance(facts, dict):
            return facts
    except (KeyError, ValueError, RecursionError):
        pass
    raise DamagedFile(path)


def _checksum(arrays: Mapping[str, np.ndarray], facts: dict[str, Any]) -> str:
    return _digest(json.dumps(facts, sort_keys=True).encode(), arrays)


def _digest(first: bytes, arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of some bytes, then of names, types, shapes and numbers. Old files depend on it."""
    digest = hashlib.sha256(first)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _in_order(file: bytes) -> bytes:
    """A safetensors file with its header sorted; the library writes metadata in a random order."""
    end = 8 + int.from_bytes(file[:8], "little")
    entries = json.loads(file[8:end])
    header = json.dumps(entries, sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # readers map the numbers, which must be aligned
    return b"".join([len(header).to_bytes(8, "little"), header, memoryview(file)[end:]])


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else "×".join(map(str, shape)) or "a number"
