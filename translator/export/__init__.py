"""Exports of trained models for other programs, each checked against its run."""

from __future__ import annotations

from translator.errors import ConfigError


def need_ctranslate2() -> None:
    """Raise ConfigError unless the package is installed."""
    try:
        import ctranslate2  # noqa: F401
    except ImportError:
        raise ConfigError(
            "CTranslate2 is not installed; install the extra [ctranslate2] (pip install "
            "'.[ctranslate2]' in the checkout)."
        ) from None
