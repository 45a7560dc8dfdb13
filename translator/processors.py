"""How TensorFlow divides the processors of a machine among parallel tasks."""

from __future__ import annotations

from contextlib import suppress

import tensorflow as tf

from translator.environment import num_threads


def has_gpu() -> bool:
    """Whether TensorFlow can use a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def share_processors(num_tasks: int) -> None:
    """Give each task one processor, if there are at least as many tasks as processors.

    Otherwise, all processors share the work of every operation. Has no effect with a GPU, or after
    TensorFlow has started.
    """
    if has_gpu():
        return
    with suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(
            1 if num_tasks >= num_threads() else num_threads()
        )
        tf.config.threading.set_inter_op_parallelism_threads(num_threads())
