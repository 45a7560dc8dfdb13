"""Sentence pairs out of TensorFlow Datasets: any translation set, by its name.

Our own sets are builders too (home_assistant.py), so that this is the one door to named data. What
goes wrong in the library, which fails in many ways, becomes one sentence here.
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
from typing import Any, cast

from translator.config.schema import DataConfig
from translator.data.fetching import reported
from translator.data.lines import decode_line
from translator.errors import DataError


def read_tfds(data: DataConfig, split: str, key: str) -> Iterator[tuple[str, str]]:
    """Source and target of a split of data.dataset, in the order they have on disk.

    The set is fetched and prepared first if need be. `key` is what errors call the split.
    """
    builder = _builder(data)
    _check_languages(data, builder)
    _prepare(data, builder)
    name = f"{builder.info.full_name} {split}"
    for number, (source, target) in enumerate(_examples(data, builder, split, key), start=1):
        yield decode_line(source, name, number), decode_line(target, name, number)


def tfds_facts(data: DataConfig, split: str) -> dict[str, object]:
    """What changes when the text of a split may have changed, found without reading it."""
    builder = _builder(data)
    return {
        "dataset": builder.info.full_name,
        "split": split,
        "languages": [data.source_language, data.target_language],
        "folder": str(Path(builder.data_dir).resolve()),
    }


def _builder(data: DataConfig) -> Any:
    """The set's builder: what knows its name, version, languages and folder."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import downloader

    if data.dataset_folder is None and not _has_usual_folder():
        raise DataError(
            "data.dataset: this user has no home directory to keep it in; set data.dataset_folder"
        )
    tfds.disable_progress_bar()
    downloader.MAX_RETRIES = 4  # its own ten keep a user without network waiting for minutes
    name, arguments = _name_and_arguments(data)
    if ":" in name:  # a version, or another namespace that would load code from elsewhere
        raise _no_such_set(name)
    try:
        with _silence():
            return tfds.builder(name, data_dir=data.dataset_folder, **arguments)
    except tfds.core.DatasetNotFoundError as error:
        raise DataError(
            f"data.dataset: TensorFlow Datasets has no set '{name}'{_nearest_set(name)}"
        ) from error
    except ImportError as error:
        raise _missing_package(name, error) from error
    except (ValueError, AssertionError, OSError) as error:
        raise _no_such_set(name) from error
    except Exception as error:  # from whatever parses what it finds on disk
        raise DataError(
            f"data.dataset: what is on disk of '{name}' is damaged ({type(error).__name__}); "
            "delete its folder in data.dataset_folder to have it prepared again"
        ) from error


def _has_usual_folder() -> bool:
    """Whether TensorFlow Datasets knows where to keep sets; else it makes a folder called ~."""
    return "TFDS_DATA_DIR" in os.environ or os.path.expanduser("~") != "~"


def _no_such_set(name: str) -> DataError:
    return DataError(
        f"data.dataset: there is no '{name}'; "
        f"write set/configuration, without a version{_configurations(name)}"
    )


def _name_and_arguments(data: DataConfig) -> tuple[str, dict[str, object]]:
    """The name as TensorFlow Datasets wants it; for our own set, which need not name the pair of
    languages, also where its wheel is."""
    name = cast(str, data.dataset)
    if _set_name(name) != "home_assistant":
        return name, {}
    import translator.data.home_assistant  # noqa: F401  (registers the set)

    if name == "home_assistant":
        from_english = data.source_language == "en"
        name += f"/en_{data.target_language if from_english else data.source_language}"
    return name, {"wheel": data.wheel} if data.wheel else {}


def _set_name(name: str) -> str:
    return re.split("[/:]", name, maxsplit=1)[0]


def _nearest_set(name: str) -> str:
    import tensorflow_datasets as tfds

    known = [*tfds.list_builders(with_community_datasets=False), "home_assistant"]
    nearest = difflib.get_close_matches(_set_name(name), known, n=1)
    return f"; did you mean {nearest[0]}?" if nearest else ", nor one with a similar name"


def _configurations(name: str) -> str:
    import tensorflow_datasets as tfds

    try:
        known = tfds.builder_cls(_set_name(name)).builder_configs
    except ValueError:  # DatasetNotFoundError, or not a name at all
        return ""
    return f"; the configurations are {', '.join(sorted(known))}" if known else ""


def _check_languages(data: DataConfig, builder: Any) -> None:
    features = builder.info.features
    known = sorted(features.keys()) if hasattr(features, "keys") else []
    for language in (data.source_language, data.target_language):
        if language not in known:
            raise DataError(
                f"data.dataset: {builder.info.full_name} has no '{language}', only "
                f"{', '.join(known) or 'examples without languages'}; "
                "change data.source_language and data.target_language, or the set"
            )


def _prepare(data: DataConfig, builder: Any) -> None:
    """Fetches and converts the set, unless that has been done before."""
    try:
        with _silence(), reported(builder.info.full_name):
            builder.download_and_prepare()
    except DataError:
        raise
    except ImportError as error:
        raise _missing_package(builder.info.full_name, error) from error
    except Exception as error:  # every set fetches in its own way, and fails in its own way
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise DataError(
            f"data.dataset: {builder.info.full_name} could not be fetched and prepared ({reason}); "
            f"prepare it on a machine with network and copy it to {builder.data_dir}, or name the "
            "folder that holds prepared sets in data.dataset_folder"
        ) from error


def _missing_package(name: str, error: ImportError) -> DataError:
    return DataError(
        f"data.dataset: {name} needs the Python package '{error.name}'; install it, or prepare the "
        "set elsewhere and name the folder that holds it in data.dataset_folder"
    )


def _examples(
    data: DataConfig, builder: Any, split: str, key: str
) -> Iterator[tuple[bytes, bytes]]:
    """Source and target of each example, in the order they have on disk."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    # By default small sets would be cached in memory, and their files read alternately.
    as_on_disk = tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1)
    languages = itemgetter(data.source_language, data.target_language)
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
            f"{key}: {builder.info.full_name} has nothing under '{split}'; its splits are "
            f"{', '.join(splits)}, and slices of them such as {splits[0]}[:90%]"
        ) from error


def _damaged(builder: Any) -> DataError:
    return DataError(
        f"data.dataset: the files of {builder.info.full_name} are damaged; delete the folder "
        f"{builder.data_dir} to have it prepared again"
    )


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps what libraries print and log off the terminal: what matters of it, an error says."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(disabled)
