"""What a user can cause, said in one sentence.

The command line catches `UserError` once, prints its message and exits with code 2; anything else
is a defect of ours and keeps its traceback.
"""


class UserError(Exception):
    """A sentence that names the file, line or key and the way out."""


class ConfigError(UserError):
    """A configuration that cannot be used."""


class DataError(UserError):
    """Text that cannot be read or does not fit."""


class RunError(UserError):
    """A run directory, checkpoint or export that is missing, damaged or does not fit."""


class Stopped(BaseException):
    """SIGINT, SIGTERM or SIGHUP was received, and everything worth keeping has been saved."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by signal {signal_number}")
        self.signal_number = signal_number


class OutOfMemory(UserError):
    """A device has not enough memory for a batch cut into `num_shards`."""

    def __init__(self, num_shards: int, num_pairs: int) -> None:
        super().__init__(
            f"A device ran out of memory with a batch cut into {num_shards} shards. Raise "
            "training.accumulation_steps, set training.recompute_activations: true, or choose a "
            "smaller model; the same command continues from the last checkpoint."
        )
        self.num_shards, self.num_pairs = num_shards, num_pairs


class DoesNotFit(UserError):
    """A batch takes more main memory than there is, unless it is cut into `num_shards`."""

    def __init__(self, num_shards: int, needed: int, available: int) -> None:
        super().__init__(
            f"The largest batch would take the process to {needed / 2**30:.1f} GiB, and "
            f"{available / 2**30:.1f} GiB are there"
        )
        self.num_shards, self.needed, self.available = num_shards, needed, available
