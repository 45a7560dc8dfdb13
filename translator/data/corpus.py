"""Where sentence pairs come from: parallel text files, tab-separated files, TensorFlow Datasets.

Everything streams; no corpus is ever held in memory. What is special is the care about lines,
since one line too many on one side shifts every pair after it: a line ends at a line feed and
nowhere else (not at U+2028, U+0085 or a lone carriage return), and an empty line is a sentence like
any other. Whoever reads text, from files or standard input, reads it through `read_lines` or
`read_stream`.
"""

from __future__ import annotations

import difflib
import gzip
import io
import logging
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from itertools import zip_longest
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from translator.config.schema import DataConfig, Paths, TextFiles, TsvFiles
from translator.errors import DataError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Pair(NamedTuple):
    """A sentence and its translation."""

    source: str
    target: str


def read_pairs(data: DataConfig, split_name: str) -> Iterator[Pair]:
    """The pairs of `train`, `validation` or `test`: all of them, in order, empty lines included.

    Raises DataError, possibly only after the last pair: that two files are not equally long, or
    that a side has nothing but empty lines, shows at the end.
    """
    key = f"data.{split_name}"
    match getattr(data, split_name):
        case TextFiles(source=source, target=target):
            pairs = _read_text(_paths(data, source), _paths(data, target), key)
        case TsvFiles(tsv=tsv):
            pairs = _read_tsv(_paths(data, tsv), key)
        case str(split):
            pairs = _read_dataset(data, split, key)
        case _:
            raise DataError(f"{key} is not set; say there which text to read")
    yield from _with_text_on_both_sides(pairs, key)


def fingerprint(data: DataConfig, split_name: str) -> dict[str, object]:
    """What changes when the text of a split may have changed; fit for JSON, and found unread."""
    match getattr(data, split_name):
        case TextFiles(source=source, target=target):
            return {
                "source": [_file_facts(path) for path in _paths(data, source)],
                "target": [_file_facts(path) for path in _paths(data, target)],
            }
        case TsvFiles(tsv=tsv):
            return {"tsv": [_file_facts(path) for path in _paths(data, tsv)]}
        case str(split):
            builder = _builder(data)
            return {
                "dataset": builder.info.full_name,
                "split": split,
                "languages": [data.source_language, data.target_language],
                "folder": str(Path(builder.data_dir).resolve()),
            }
        case _:
            raise DataError(f"data.{split_name} is not set; say there which text to read")


# Lines


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file, decompressed if its name ends in .gz."""
    with _file_errors(path):
        is_gzip = path.suffix.lower() == ".gz"
        with cast(BinaryIO, gzip.open(path)) if is_gzip else path.open("rb") as stream:
            yield from read_stream(stream, str(path))


def read_stream(stream: Iterable[bytes], name: str) -> Iterator[str]:
    """The lines of a binary stream, which errors call `name`.

    Without their line feeds (or CRLF), and without the byte order mark some files start with.
    """
    for number, line in enumerate(stream, start=1):  # binary streams split at b"\n" only
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if line.endswith(b"\n"):
            line = line[:-1].removesuffix(b"\r")
        yield _decode(line, name, number)


def _decode(raw: bytes, name: str, number: int) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}, line {number}: not UTF-8 (byte {raw[error.start]:#04x}); convert the text, "
            "for example with: iconv -f LATIN1 -t UTF-8"
        ) from error


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    """Says in one sentence why a file cannot be read."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} is damaged or not a gzip file; fetch it again, or take .gz off its name"
        ) from error
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; check its name and folder") from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder; name the files in it") from error
    except PermissionError as error:
        raise DataError(f"{path} may not be read; change its permissions") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _paths(data: DataConfig, names: Paths) -> list[Path]:
    return [Path(data.folder, name) for name in ([names] if isinstance(names, str) else names)]


def _file_facts(path: Path) -> dict[str, object]:
    with _file_errors(path):
        if path.is_dir():
            raise IsADirectoryError
        facts = path.stat()
    return {"path": str(path.resolve()), "size": facts.st_size, "mtime_ns": facts.st_mtime_ns}


# Pairs out of files


def _read_text(sources: list[Path], targets: list[Path], key: str) -> Iterator[Pair]:
    if len(sources) != len(targets):
        raise DataError(
            f"{key} names {len(sources)} source and {len(targets)} target files; "
            "each source file needs the target file that translates it"
        )
    for source, target in zip(sources, targets, strict=True):
        yield from _read_file_pair(source, target)


def _read_file_pair(source: Path, target: Path) -> Iterator[Pair]:
    num_sources = num_targets = 0
    for source_line, target_line in zip_longest(read_lines(source), read_lines(target)):
        num_sources += source_line is not None
        num_targets += target_line is not None
        if num_sources == num_targets:  # once they differ, only counting is left to do
            yield Pair(source_line, target_line)
    for path, num_lines in ((source, num_sources), (target, num_targets)):
        if num_lines == 0:
            raise _no_lines(path)
    if num_sources != num_targets:
        raise DataError(
            f"{source} has {num_sources} lines and {target} has {num_targets}; "
            "line i of one must translate line i of the other"
        )


def _read_tsv(paths: list[Path], key: str) -> Iterator[Pair]:
    for path in paths:
        number = 0
        for number, line in enumerate(read_lines(path), start=1):
            columns = line.split("\t")
            if len(columns) != 2:
                raise DataError(
                    f"{path}, line {number}: {_columns_found(len(columns))}; "
                    f"{key} needs exactly two, the source, a tab, and the target"
                )
            yield Pair(*columns)
        if number == 0:
            raise _no_lines(path)


def _columns_found(count: int) -> str:
    return "no tab, so one column" if count == 1 else f"more than two columns ({count})"


def _no_lines(path: Path) -> DataError:
    return DataError(f"{path} has no lines; name a file with text")


def _with_text_on_both_sides(pairs: Iterable[Pair], key: str) -> Iterator[Pair]:
    num_pairs, has_source, has_target = 0, False, False
    for pair in pairs:
        num_pairs += 1
        has_source = has_source or bool(pair.source.strip())
        has_target = has_target or bool(pair.target.strip())
        yield pair
    if num_pairs == 0:
        raise DataError(f"{key} has no pairs; name text there that is not empty")
    for side, has_text in (("source", has_source), ("target", has_target)):
        if not has_text:
            raise DataError(
                f"{key} has one empty side: all {num_pairs} lines of its {side} are empty; "
                "check which files or columns it names"
            )


# Pairs out of TensorFlow Datasets


def _read_dataset(data: DataConfig, split: str, key: str) -> Iterator[Pair]:
    builder = _builder(data)
    _check_languages(data, builder)
    _prepare(data, builder)
    name = f"{builder.info.full_name} {split}"
    for number, (source, target) in enumerate(_examples(data, builder, split, key), start=1):
        yield Pair(_decode(source, name, number), _decode(target, name, number))


def _builder(data: DataConfig) -> Any:
    """The set's builder: what knows its name, version, languages and folder."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import downloader

    tfds.disable_progress_bar()
    downloader.MAX_RETRIES = 4  # its own ten keep a user without network waiting for minutes
    name, arguments = _name_and_arguments(data)
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
        raise DataError(
            f"data.dataset: there is no '{name}'; "
            f"write set/configuration, without a version{_configurations(name)}"
        ) from error
    except Exception as error:  # from whatever parses what it finds on disk
        raise DataError(
            f"data.dataset: what is on disk of '{name}' is damaged ({type(error).__name__}); "
            "delete its folder in data.dataset_folder to have it prepared again"
        ) from error


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
    if not Path(builder.data_dir).exists():
        logging.getLogger(__name__).info("preparing %s in %s", data.dataset, builder.data_dir)
    try:
        with _silence():
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
