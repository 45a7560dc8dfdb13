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
    """SIGINT or SIGTERM was received, and everything worth keeping has been saved."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by signal {signal_number}")
        self.signal_number = signal_number
