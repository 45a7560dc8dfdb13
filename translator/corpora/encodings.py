"""Recognize what bytes are that are not UTF-8 text. Each sentence explains how to convert them."""

from __future__ import annotations

import re
import unicodedata

EVIDENCE = 4096
"""Bytes at the start of a stream that are examined."""

LONGEST_FIRST_LINE = 2**20
"""Longest first line, in bytes, that may contain carriage returns."""

_PACKED = (
    (re.compile(rb"\x1f\x8b"), "gzip", "gzip -dc (a file whose name ends in .gz is read as it is)"),
    (re.compile(rb"BZh[1-9]1AY&SY"), "bzip2", "bzip2 -dc"),
    (re.compile(rb"\xfd7zXZ\0"), "xz", "xz -dc"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "zstd", "zstd -dc"),
    (re.compile(rb"\x04\x22\x4d\x18"), "lz4", "lz4 -dc"),
    (re.compile(rb"PK\x03\x04"), "zip", "unzip"),
    (re.compile(rb"7z\xbc\xaf\x27\x1c"), "7-Zip", "7z x"),
    (re.compile(rb".{257}ustar", re.DOTALL), "tar", "tar -xf"),
)
"""Magic numbers of compressed files and archives, with commands that unpack them."""

_BYTE_ORDER_MARKS = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)

_CONTROLS = re.compile(rb"[\0-\x08\x0e-\x19\x1c-\x1f]")
"""Control characters that are rare in text."""

_UNLIKELY = ("Cc", "Cn", "Co", "Cs")
"""Unicode categories that are rare in text."""


def wrong_start(start: bytes) -> str | None:
    """Why a stream with this start is not UTF-8 text; None if it may be."""
    for pattern, kind, command in _PACKED:
        if pattern.match(start):
            return f"is packed with {kind}; unpack it, for example with: {command}"
    for mark, encoding in _BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return _other_encoding(encoding)
    order = _byte_order(start[:EVIDENCE])
    return _other_encoding(order) if order else None


def without_line_feeds(first_line: bytes) -> str | None:
    """Why the first line of a stream seems to be many lines; None if it does not.

    Of a very long line, only the first bytes are given.
    """
    num_returns = first_line.rstrip(b"\r").count(b"\r")
    if num_returns == 0 or first_line.endswith(b"\n"):
        return None
    return (
        f"has no line feed in its {'first ' if len(first_line) == LONGEST_FIRST_LINE else ''}"
        f"{len(first_line):,} bytes, but {num_returns:,} carriage returns; lines must end with "
        r"line feeds: convert it, for example with: tr '\r' '\n'"
    )


def not_utf8(error: UnicodeDecodeError, follows: bytes, after_utf8: bool) -> str:
    """Why a line cannot be decoded.

    `follows`: the end of the line and some bytes after it, if they are known.
    `after_utf8`: earlier lines had characters beyond ASCII, all of them valid UTF-8.
    """
    line = bytes(error.object)
    sample = line + follows
    found = f"not UTF-8 (byte {line[error.start]:#04x})"
    if len(_CONTROLS.findall(sample)) > 0.02 * len(sample):
        return f"{found}, nor any other text: this seems to be a binary file; name a text file"
    decoded = sample.decode(errors="replace")
    num_wrong = decoded.count("\ufffd")
    num_right = sum(not character.isascii() for character in decoded) - num_wrong
    if after_utf8 or num_right >= num_wrong:
        if error.end == len(sample) and error.reason == "unexpected end of data":
            return f"{found}: the text is cut off within its last character; download it again"
        place = len(line[: error.start].decode()) + 1
        return (
            f"{found} at character {place}, while the text around it is; this place is damaged: "
            "download the text again, or drop such bytes with: iconv -c -f UTF-8 -t UTF-8"
        )
    return (
        f"{found}; convert the text from its encoding, Western European text for example with: "
        "iconv -f LATIN1 -t UTF-8; or download it again if only this place is damaged"
    )


def _other_encoding(encoding: str) -> str:
    return f"is {encoding}, not UTF-8; convert it, for example with: iconv -f {encoding} -t UTF-8"


def _byte_order(start: bytes) -> str | None:
    """UTF-16LE or UTF-16BE if a stream with this start is one of them without a mark, else None.

    Bytes that are also valid UTF-8 count as UTF-16 only if every second byte is small, as in most
    alphabets. In other scripts, control characters reveal it.
    """
    if len(start) < 8 or len(_CONTROLS.findall(start)) < 0.01 * len(start):
        return None
    found = []
    for order, high in (("UTF-16LE", start[1::2]), ("UTF-16BE", start[::2])):
        text = start[: len(start) // 2 * 2].decode(order, "replace")
        unlikely = sum(_is_unlikely(character) for character in text)
        is_small = sum(byte < 0x10 for byte in high) >= 0.9 * len(high)
        if unlikely <= 0.05 * len(text) and (is_small or not _is_utf8(start)):
            found.append((unlikely, len(set(high)), order))
    return min(found)[2] if found else None


def _is_unlikely(character: str) -> bool:
    is_space = character in "\t\n\r"
    return not is_space and (character == "\ufffd" or unicodedata.category(character) in _UNLIKELY)


def _is_utf8(start: bytes) -> bool:
    try:
        start.decode()
    except UnicodeDecodeError as error:
        return error.end == len(start)  # the start may end within a character
    return True
