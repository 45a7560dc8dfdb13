"""The processors of a machine without GPU, shared out among tasks that are computed at once."""

from __future__ import annotations

import math
from contextlib import suppress

import tensorflow as tf

from translator.environment import num_threads


def share_processors(num_tasks: int) -> None:
    """Give each of so many tasks processors of its own, or one to each of fewer.

    Without it they share the work of every operation. Once TensorFlow has begun, it is too late.
    """
    if tf.config.list_physical_devices("GPU"):
        return
    with suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(math.ceil(num_threads() / num_tasks))
        tf.config.threading.set_inter_op_parallelism_threads(num_threads())
