"""Prepare a run that was begun before: read what it has recorded, and refuse other text."""

from __future__ import annotations

import logging
from pathlib import Path

from translator import environment
from translator.config import Config, continued, load_recorded, save_config
from translator.config.resume_rules import kept
from translator.data.tokenizer import Tokenizer
from translator.errors import RunError
from translator.runs import RunDirectory, read_json
from translator.training.checkpoint import check_has_checkpoints
from translator.workflows.prepared import BLANK_LEFT_OUT, Prepared, open_text, text_digests
from translator.workflows.progress import LOG_LINES, Progress
from translator.workflows.start_from import check_origin, kept_weights

log = logging.getLogger(__name__)


def prepare_resumed_run(
    config: Config,
    run: RunDirectory,
    start_from: Path | None = None,
    progress: Progress = LOG_LINES,
) -> Prepared:
    """Read what a run has recorded, and write the new limits of `config` into it.

    start_from: if given, the run must have begun from this one. Raises UserError.
    """
    check_has_checkpoints(run, load_recorded(run.config).training)
    if start_from is not None:
        check_origin(run, start_from)
    prepared = read_prepared(config, run, progress)
    if values := kept(config, prepared.config, run.start.exists()):
        log.info(f"{run.path} keeps what the configuration leaves unset: {', '.join(values)}.")
    if changes := environment.changes(read_json(run.environment)):
        log.warning(
            f"{run.path} began on another setup ({'; '.join(changes)}). Its weights may differ in "
            "the last bits from those of an uninterrupted run."
        )
    run.update_state(has_checkpoint=bool(run.checkpoints()))
    save_config(prepared.config, run.config)
    return prepared


def read_prepared(config: Config, run: RunDirectory, progress: Progress = LOG_LINES) -> Prepared:
    """Read what a run has recorded, with the new limits of `config`, and write nothing.

    Raises UserError, among others if the text has changed.
    """
    config = continued(load_recorded(run.config), config, run)
    tokenizer = Tokenizer.load(run.tokenizer())
    recorded = read_json(run.text)
    keep_blank = not BLANK_LEFT_OUT.items() <= recorded.items()
    prepared = open_text(config, tokenizer, progress, keep_blank=keep_blank)
    prepared = prepared._replace(start_weights=kept_weights(run))
    if not text_digests(prepared).items() <= recorded.items():
        raise RunError(
            f"{run.path}: the training or validation text is not the one that this run began with. "
            "Restore it, or start another run with --run."
        )
    return prepared
