"""Named arrays on disk, and in and out of a model.

A file is safetensors: a JSON header and raw numbers, never code. It contains a format version and a
SHA-256 of its contents, and is written atomically. Equal arrays and facts give equal bytes.
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

    Their order is the order in which the model's layers were assigned. It decides the order of
    summation in the global norm of the gradients, so changing it changes the last bits of training.
    """
    variables = model.trainable_variables
    named = {str(variable.path).partition("/")[2]: variable for variable in variables}
    assert len(named) == len(variables), "every layer needs a unique name"
    return named


class DamagedFile(RunError):
    """A file whose contents are not what was written."""

    def __init__(
        self,
        path: Path,
        remedy: str = "Copy it again, or delete it: training writes lost best weights again, and a "
        "bundle is unpacked again.",
    ) -> None:
        super().__init__(
            f"{path}: this file is damaged (its checksum does not match its contents). {remedy}"
        )


def model_weights(model: keras.Model) -> Arrays:
    """The values of `named_variables`."""
    return {name: np.asarray(variable) for name, variable in named_variables(model).items()}


def set_model_weights(model: keras.Model, weights: Mapping[str, np.ndarray], origin: str) -> None:
    """Set weights as `model_weights` returns them. Raises RunError if they do not fit."""
    variables = named_variables(model)
    check_fit(weights, {name: tuple(v.shape) for name, v in variables.items()}, origin)
    for name, variable in variables.items():
        variable.assign(weights[name])


def check_fit(
    arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], origin: str
) -> None:
    """Raise RunError unless arrays are float32 and have exactly these names and shapes."""
    for name in sorted(arrays.keys() | shapes.keys()):
        shape = tuple(arrays[name].shape) if name in arrays else None
        expected = shapes.get(name)
        if shape != expected:
            raise RunError(
                f"{origin}: it does not fit this model: {name} is "
                f"{_format(shape)} there and {_format(expected)} here."
            )
        if arrays[name].dtype != np.float32:
            raise RunError(f"{origin}: {name} is {arrays[name].dtype}, but must be float32.")


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], **facts: Any) -> None:
    """Write arrays and JSON-able facts. A crash at any moment leaves the old file or the new one.

    Raises RunError if the disk is full or the file cannot be written.
    """
    header = {
        "format": FORMAT,
        "facts": json.dumps(facts, sort_keys=True),
        "sha256": _checksum(arrays, facts),
    }
    try:
        write_whole(path, _with_sorted_header(safetensors.numpy.save(dict(arrays), header)))
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written: {error.strerror}. What was saved before is untouched; "
            "fix this and run the same command again."
        ) from None


def load_arrays(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and facts in a file of `save_arrays`.

    Raises RunError if it is missing, damaged or in another format.
    """
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
    except (safetensors.SafetensorError, TypeError):  # TypeError: a dtype that NumPy lacks
        raise DamagedFile(path) from None
    facts = _facts(header, path)
    if header.get("sha256") != _checksum(arrays, facts):
        raise DamagedFile(path)
    return arrays, facts


def arrays_digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of arrays, in hexadecimal. It does not depend on the facts stored with them."""
    return _digest(b"", arrays)


def load_facts(path: Path) -> dict[str, Any]:
    """Only the facts in a file of `save_arrays`, without the checksum. Raises RunError."""
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


def _digest(prefix: bytes, arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of a prefix, then of names, types, shapes and numbers. Old files depend on it."""
    digest = hashlib.sha256(prefix)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _with_sorted_header(file: bytes) -> bytes:
    """A safetensors file with its header sorted. The library writes metadata in random order."""
    end = 8 + int.from_bytes(file[:8], "little")
    entries = json.loads(file[8:end])
    header = json.dumps(entries, sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # readers map the numbers, which must be aligned
    return b"".join([len(header).to_bytes(8, "little"), header, memoryview(file)[end:]])


def _format(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else "×".join(map(str, shape)) or "a number"
