"""Errors that a user can cause, each with a message of one sentence.

The command line catches `UserError` once, prints its message and exits with code 2. Any other
exception is a defect of this program and keeps its traceback.
"""


class UserError(Exception):
    """An error whose message names the file, line or key, and the way out."""


class ConfigError(UserError):
    """A configuration that cannot be used."""


class DataError(UserError):
    """Text that cannot be read, or that does not fit the run."""


class RunError(UserError):
    """A run, checkpoint or export that is missing or damaged, or that does not fit."""


class Stopped(BaseException):
    """SIGINT, SIGTERM or SIGHUP was received. When `train` raises it, all progress is saved."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by signal {signal_number}")
        self.signal_number = signal_number


class OutOfMemory(UserError):
    """A device does not have enough memory for a batch cut into `num_shards`."""

    def __init__(self, num_shards: int, num_pairs: int) -> None:
        super().__init__(
            f"A device ran out of memory with a batch cut into {num_shards} shards. Raise "
            "training.accumulation_steps, or set training.recompute_activations: true; the same "
            "command then continues from the last checkpoint. Or start another run with a smaller "
            "model."
        )
        self.num_shards, self.num_pairs = num_shards, num_pairs


class DoesNotFit(UserError):
    """A batch needs more main memory than is available, unless it is cut into `num_shards`."""

    def __init__(self, num_shards: int, needed: int, available: int) -> None:
        super().__init__(
            f"The largest batch would need {needed / 2**30:.1f} GiB of memory, and "
            f"{available / 2**30:.1f} GiB are available"
        )
        self.num_shards, self.needed, self.available = num_shards, needed, available
