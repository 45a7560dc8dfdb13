"""How TensorFlow uses the processors of a machine without GPU for several tasks at once."""

from __future__ import annotations

from contextlib import suppress

import tensorflow as tf

from translator.environment import num_threads


def has_gpu() -> bool:
    """Whether TensorFlow can use a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def share_processors(num_tasks: int) -> None:
    """Compute every operation of a task on one processor, if there are tasks enough for all.

    Else all processors share the work of every operation, as TensorFlow has one pool for that. Once
    it has begun, it is too late.
    """
    if has_gpu():
        return
    with suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(
            1 if num_tasks >= num_threads() else num_threads()
        )
        tf.config.threading.set_inter_op_parallelism_threads(num_threads())
