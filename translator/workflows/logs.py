"""Messages of the library, for programs that have not set up logging.

Everything is logged to the logger "translator": events at INFO, and what the user should look at as
a WARNING.
"""

from __future__ import annotations

import logging


class MessageFormatter(logging.Formatter):
    """Formats the message only, with a prefix if it is a warning."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return f"Warning: {text}" if record.levelno >= logging.WARNING else text


def ensure_handler() -> None:
    """Show messages on stderr, unless the program handles log records itself."""
    logger = logging.getLogger("translator")
    if logger.hasHandlers():
        return
    handler = logging.StreamHandler()
    handler.setFormatter(MessageFormatter())
    logger.addHandler(handler)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
