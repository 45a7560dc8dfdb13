"""What a new or resumed run needs before its first step: configuration, tokenizer, text."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from translator.cache import cache_folder
from translator.config import Config
from translator.data.corpus import fingerprint, read_unchanged
from translator.data.mixture import Mixture
from translator.data.store import Store, open_store, store_key
from translator.data.tokenizer import Tokenizer
from translator.errors import DataError
from translator.models.weights import Arrays
from translator.workflows.progress import Progress, counting

log = logging.getLogger(__name__)

SPLIT_NAMES = {"train": "training", "validation": "validation", "test": "test"}
"""Names of the splits in messages."""

BLANK_LEFT_OUT = {"blank_sides": "left out"}
"""Entry of text.json. Runs without it were made when only white space counted as an empty side."""


class Prepared(NamedTuple):
    """What a run needs before its first step."""

    config: Config
    """Complete: every `auto` is a value."""
    tokenizer: Tokenizer
    training: Mixture
    validation: Store
    start_weights: Arrays | None
    """The weights of another run that this one began with, if any."""


def open_text(
    config: Config,
    tokenizer: Tokenizer,
    progress: Progress,
    num_pairs: int | None = None,
    keep_blank: bool = False,
) -> Prepared:
    """Encode the training and validation text, or open it in the cache. Raises DataError.

    num_pairs: of the training text, if known; the progress shows it.
    keep_blank: only white space counts as an empty side, as in older runs.
    """
    corpora = list(config.data.corpora("train"))

    def store(
        split: str,
        index: int | None,
        max_length: int | None,
        keep_text: bool,
        total: int | None = None,
    ) -> Store:
        text = fingerprint(config.data, split, index)
        settings: dict[str, Any] = {
            "max_length": max_length,
            "keep_text": keep_text,
            "keep_blank": keep_blank,
        }
        if config.data.truncate_sources:
            settings["truncate_sources"] = (
                True  # absent otherwise, as in stores of earlier versions
            )
        key = store_key(text, tokenizer, **settings)
        number = f" {index + 1} of {len(corpora)}" if index is not None and len(corpora) > 1 else ""
        task = f"Preparing the {SPLIT_NAMES[split]} text{number}"
        with counting(progress, task, total) as show:
            return open_store(
                cache_folder() / key,
                lambda: read_unchanged(config.data, split, text, index),
                tokenizer,
                **settings,
                show=show,
                report=log.info,
            )

    is_sampled = config.tokenizer.sampling_alpha is not None
    total = num_pairs if len(corpora) == 1 else None
    stores = []
    for index, key in enumerate(corpora):
        try:
            stores.append(store("train", index, config.data.max_length, is_sampled, total))
        except DataError as error:
            raise DataError(f"{key}: {error}" if len(corpora) > 1 else str(error)) from None
    validation = store("validation", None, None, keep_text=True)
    return Prepared(config, tokenizer, Mixture(stores), validation, None)


def text_digests(prepared: Prepared) -> dict[str, str]:
    """Digests of the encoded text, as text.json holds them."""
    return {
        "train": prepared.training.facts.digest,
        "validation": prepared.validation.facts.digest,
    }
