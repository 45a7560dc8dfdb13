"""Load a SavedModel through TensorFlow's C interface, as programs in C, Go, Java or Rust do.

Its loader is that of TensorFlow Serving.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf


class Output(Structure):
    """TF_Output: a tensor of a graph."""

    _fields_ = (("operation", c_void_p), ("index", c_int))


class Buffer(Structure):
    """TF_Buffer"""

    _fields_ = (("data", c_void_p), ("length", c_size_t), ("free", c_void_p))


PROTOTYPES: dict[str, tuple[Any, ...]] = {
    "TF_NewStatus": (c_void_p,),
    "TF_NewGraph": (c_void_p,),
    "TF_NewSessionOptions": (c_void_p,),
    "TF_GetCode": (c_int, c_void_p),
    "TF_Message": (c_char_p, c_void_p),
    "TF_LoadSessionFromSavedModel": (
        *(c_void_p, c_void_p, c_void_p, c_char_p, POINTER(c_char_p), c_int),
        *(c_void_p, POINTER(Buffer), c_void_p),
    ),
    "TF_GraphOperationByName": (c_void_p, c_void_p, c_char_p),
    "TF_SessionRun": (
        *(None, c_void_p, c_void_p, POINTER(Output), POINTER(c_void_p), c_int),
        *(POINTER(Output), POINTER(c_void_p), c_int, c_void_p, c_int, c_void_p, c_void_p),
    ),
    "TF_AllocateTensor": (c_void_p, c_int, POINTER(c_int64), c_int, c_size_t),
    "TF_TensorData": (c_void_p, c_void_p),
    "TF_TensorByteSize": (c_size_t, c_void_p),
    "TF_TensorType": (c_int, c_void_p),
    "TF_NumDims": (c_int, c_void_p),
    "TF_Dim": (c_int64, c_void_p, c_int),
}
"""Result and arguments of each function."""


class Session:
    """A session with the graph of a SavedModel that has the tag "serve"."""

    def __init__(self, folder: Path) -> None:
        library = ctypes.CDLL(str(Path(tf.sysconfig.get_lib()) / "libtensorflow_cc.so.2"))
        self._call = {name: getattr(library, name) for name in PROTOTYPES}
        for name, (result, *arguments) in PROTOTYPES.items():
            self._call[name].restype, self._call[name].argtypes = result, arguments
        self._status = self._call["TF_NewStatus"]()
        self._graph = self._call["TF_NewGraph"]()
        meta_graph_buffer = Buffer()
        self._session = self._call["TF_LoadSessionFromSavedModel"](
            *(self._call["TF_NewSessionOptions"](), None, str(folder).encode()),
            *((c_char_p * 1)(b"serve"), 1, self._graph, byref(meta_graph_buffer), self._status),
        )
        self._check()
        meta_graph = ctypes.string_at(meta_graph_buffer.data, meta_graph_buffer.length)
        self._signatures = tf.compat.v1.MetaGraphDef.FromString(meta_graph).signature_def

    def run(self, name: str, **arguments: np.ndarray) -> dict[str, np.ndarray]:
        signature = self._signatures[name]
        inputs = [self._output(signature.inputs[each].name) for each in arguments]
        values = [self._tensor(array) for array in arguments.values()]
        outputs = [self._output(each.name) for each in signature.outputs.values()]
        results = (c_void_p * len(outputs))()
        self._call["TF_SessionRun"](
            *(self._session, None),
            *((Output * len(inputs))(*inputs), (c_void_p * len(values))(*values), len(inputs)),
            *((Output * len(outputs))(*outputs), results, len(outputs)),
            *(None, 0, None, self._status),
        )
        self._check()
        return dict(zip(signature.outputs, map(self._array, results), strict=True))

    def _output(self, tensor: str) -> Output:
        name, _, index = tensor.partition(":")
        operation = self._call["TF_GraphOperationByName"](self._graph, name.encode())
        assert operation is not None, f"the graph has no {tensor}"
        return Output(operation, int(index))

    def _tensor(self, array: np.ndarray) -> int:
        kind = tf.as_dtype(array.dtype).as_datatype_enum
        shape = (c_int64 * array.ndim)(*array.shape)
        tensor: int = self._call["TF_AllocateTensor"](kind, shape, array.ndim, array.nbytes)
        ctypes.memmove(self._call["TF_TensorData"](tensor), array.tobytes(), array.nbytes)
        return tensor

    def _array(self, tensor: int) -> np.ndarray:
        num_dims = self._call["TF_NumDims"](tensor)
        shape = [self._call["TF_Dim"](tensor, i) for i in range(num_dims)]
        kind = tf.as_dtype(self._call["TF_TensorType"](tensor)).as_numpy_dtype
        size = self._call["TF_TensorByteSize"](tensor)
        data = ctypes.string_at(self._call["TF_TensorData"](tensor), size)
        return np.frombuffer(data, kind).reshape(shape)

    def _check(self) -> None:
        code = self._call["TF_GetCode"](self._status)
        assert code == 0, self._call["TF_Message"](self._status)
