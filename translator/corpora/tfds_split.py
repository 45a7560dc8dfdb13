"""Sentence pairs from TensorFlow Datasets: any translation set, by its name.

Our own sets are builders of TensorFlow Datasets too (home_assistant.py). The library fails in many
ways; each becomes one sentence here.
"""

from __future__ import annotations

import difflib
import io
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar, cast

from translator.corpora.corpus import Corpus, CorpusContext, Pair
from translator.corpora.fetching import reported
from translator.corpora.lines import decode_line
from translator.errors import DataError

HOME_ASSISTANT = "home_assistant"
"""The set that home_assistant.py adds to those of the library."""

MAX_RETRIES = 4
"""Downloads that are tried again. With the library's own 10, a user without network would wait for
minutes."""


class TfdsSplit(Corpus):
    """A split of data.dataset. Without tag and weight, it may be written as its bare name."""

    split: str
    """Split expression, such as train or train[:90%]."""

    needs_dataset: ClassVar[bool] = True

    @property
    def location(self) -> str:
        return self.split

    def read(self, context: CorpusContext, key: str) -> Iterator[Pair]:
        """Yield the pairs in their order on disk; download and prepare the set first if needed."""
        builder = _builder(context)
        _check_languages(context, builder)
        _prepare(builder)
        name = f"{builder.info.full_name} {self.split}"
        examples = _examples(context, builder, self.split, key)
        for number, (source, target) in enumerate(examples, start=1):
            yield Pair(decode_line(source, name, number), decode_line(target, name, number))

    def facts(self, context: CorpusContext) -> dict[str, object]:
        builder = _builder(context)
        return {
            "dataset": builder.info.full_name,
            "split": self.split,
            "languages": [context.source_language, context.target_language],
            "folder": str(Path(builder.data_dir).resolve()),
        }


def _builder(context: CorpusContext) -> Any:
    """The set's builder, which knows name, version, languages and folder. Raises DataError."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import downloader

    if context.dataset_folder is None and not _has_default_folder():
        raise DataError(
            "data.dataset: this user has no home directory to keep it in; set data.dataset_folder"
        )
    tfds.disable_progress_bar()
    downloader.MAX_RETRIES = MAX_RETRIES
    name, arguments = _name_and_arguments(context)
    if ":" in name:  # a version, or a namespace that would load code from elsewhere
        raise _no_such_set(name)
    try:
        with _silence():
            return tfds.builder(name, data_dir=context.dataset_folder, **arguments)
    except tfds.core.DatasetNotFoundError as error:
        raise DataError(
            f"data.dataset: TensorFlow Datasets has no set '{name}'{_nearest_set(name)}"
        ) from error
    except ImportError as error:
        raise _missing_package(name, error) from error
    except (ValueError, AssertionError, OSError) as error:
        raise _no_such_set(name) from error
    except Exception as error:  # from any of the parsers of the files on disk
        raise DataError(
            f"data.dataset: the files of '{name}' on disk are damaged ({type(error).__name__}); "
            "delete its folder in data.dataset_folder to prepare it again"
        ) from error


def _has_default_folder() -> bool:
    """Whether TensorFlow Datasets has a default folder; otherwise it would create one named ~."""
    return "TFDS_DATA_DIR" in os.environ or os.path.expanduser("~") != "~"


def _no_such_set(name: str) -> DataError:
    return DataError(
        f"data.dataset: there is no '{name}'; "
        f"write set/configuration, without a version{_configurations(name)}"
    )


def _name_and_arguments(context: CorpusContext) -> tuple[str, dict[str, object]]:
    """Name and arguments of the builder. The name home_assistant alone means the configuration
    for the languages."""
    name = cast(str, context.dataset)
    if _set_name(name) != HOME_ASSISTANT:
        return name, {}
    import translator.corpora.home_assistant  # noqa: F401  (registers the set)

    if name == HOME_ASSISTANT:
        from_english = context.source_language == "en"
        name += f"/en_{context.target_language if from_english else context.source_language}"
    return name, {"wheel": context.wheel} if context.wheel else {}


def _set_name(name: str) -> str:
    return re.split("[/:]", name, maxsplit=1)[0]


def _nearest_set(name: str) -> str:
    import tensorflow_datasets as tfds

    known = [*tfds.list_builders(with_community_datasets=False), HOME_ASSISTANT]
    nearest = difflib.get_close_matches(_set_name(name), known, n=1)
    return f"; did you mean {nearest[0]}?" if nearest else ", nor one with a similar name"


def _configurations(name: str) -> str:
    import tensorflow_datasets as tfds

    try:
        known = tfds.builder_cls(_set_name(name)).builder_configs
    except ValueError:  # DatasetNotFoundError, or the name is malformed
        return ""
    return f"; the configurations are {', '.join(sorted(known))}" if known else ""


def _check_languages(context: CorpusContext, builder: Any) -> None:
    features = builder.info.features
    known = sorted(features.keys()) if hasattr(features, "keys") else []
    for language in (context.source_language, context.target_language):
        if language not in known:
            raise DataError(
                f"data.dataset: {builder.info.full_name} has no '{language}', only "
                f"{', '.join(known) or 'examples without languages'}; "
                "change data.source_language and data.target_language, or the set"
            )


def _prepare(builder: Any) -> None:
    """Download and convert the set, unless it is on disk already. Raises DataError."""
    try:
        with _silence(), reported(builder.info.full_name):
            builder.download_and_prepare()
    except DataError:
        raise
    except ImportError as error:
        raise _missing_package(builder.info.full_name, error) from error
    except Exception as error:  # each set downloads in its own way, and fails in its own way
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise DataError(
            f"data.dataset: {builder.info.full_name} could not be downloaded and prepared "
            f"({reason}); prepare it on a machine with network and copy it to {builder.data_dir}, "
            "or set data.dataset_folder to the folder that holds prepared sets"
        ) from error


def _missing_package(name: str, error: ImportError) -> DataError:
    return DataError(
        f"data.dataset: {name} needs the Python package '{error.name}'; install it, or prepare the "
        "set elsewhere and set data.dataset_folder to the folder that holds it"
    )


def _examples(
    context: CorpusContext, builder: Any, split: str, key: str
) -> Iterator[tuple[bytes, bytes]]:
    """Source and target of each example, in their order on disk. Raises DataError."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    # By default, the library caches small sets in memory and reads their files in turns.
    as_on_disk = tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1)
    languages = itemgetter(context.source_language, context.target_language)
    try:
        if builder.info.file_format in tfds.core.FileFormat.with_random_access():
            yield from map(languages, builder.as_data_source(split=split))
        else:
            dataset = builder.as_dataset(split=split, read_config=as_on_disk)
            for sources, targets in tfds.as_numpy(dataset.map(languages).batch(1024)):
                yield from zip(sources, targets, strict=True)
    except (tf.errors.NotFoundError, tf.errors.DataLossError) as error:
        raise _damaged(builder) from error
    except (ValueError, KeyError, AssertionError, tf.errors.OpError) as error:
        splits = sorted(builder.info.splits)
        if not splits:
            raise _damaged(builder) from error
        raise DataError(
            f"{key}: {builder.info.full_name} has no pairs in '{split}'; its splits are "
            f"{', '.join(splits)}, and slices of them such as {splits[0]}[:90%]"
        ) from error


def _damaged(builder: Any) -> DataError:
    return DataError(
        f"data.dataset: the files of {builder.info.full_name} are damaged; delete the folder "
        f"{builder.data_dir} to prepare it again"
    )


@contextmanager
def _silence() -> Iterator[None]:
    """Hide what libraries print and log; errors report what matters."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(disabled)
