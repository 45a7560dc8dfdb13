"""Words of text in any language.

Some scripts have no spaces between words. There, every character counts as a word.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain
from unicodedata import category, normalize

UNSPACED_LANGUAGES = frozenset(
    {"zh", "zho", "chi", "cmn", "yue", "wuu", "lzh", "ja", "jpn", "th", "tha", "lo", "lao"}
    | {"km", "khm", "my", "mya", "bur", "bo", "bod", "tib", "dz", "dzo"}
)
"""Codes of languages that are written without spaces between words."""

UNSPACED = (
    "\u0e00-\u0fff"  # Thai, Lao, Tibetan
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Burmese
    "\u1780-\u17ff"  # Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Japanese
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese
)
"""Characters of scripts without spaces, for a class of a regular expression."""

_IS_UNSPACED = re.compile(f"[{UNSPACED}]")
_WRITTEN_WORD = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")


def is_unspaced(character: str) -> bool:
    """Whether a character belongs to a script without spaces between words."""
    return _IS_UNSPACED.match(character) is not None


class _Separators(dict[int, str]):
    """For `str.translate`: keeps letters, marks and digits, and puts spaces between words."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kind = category(character)
        if kind == "Cf":  # invisible, and perhaps within a word
            separated = ""
        elif kind[0] not in "LMN":
            separated = " "
        else:
            separated = f" {character} " if is_unspaced(character) else character
        self[code] = separated
        return separated


_SEPARATORS = _Separators()


def base_language(language: str) -> str:
    """zh of zh-Hans, pt of pt_BR."""
    return language.lower().replace("_", "-").partition("-")[0]


def words(text: str) -> list[str]:
    """The lower-cased words of a text: letters and digits with their marks, without punctuation."""
    return normalize("NFC", text.lower()).translate(_SEPARATORS).split()


def num_written_words(text: str) -> int:
    """Number of words between spaces, with their punctuation."""
    return sum(1 for _ in _WRITTEN_WORD.finditer(text))


def first_words(text: str, count: int) -> str:
    """The beginning of a text, up to the end of its word number `count`, as it is written."""
    end = 0
    for number, word in enumerate(_WRITTEN_WORD.finditer(text), start=1):
        if number > count:
            break
        end = word.end()
    return text[:end]


def share_of_letters(texts: Iterable[str], is_counted: Callable[[str], bool]) -> float:
    """The share of the letters of some lower-cased texts that are counted; 0 without letters."""
    counts = Counter(chain.from_iterable(text.lower() for text in texts))
    letters = {x: count for x, count in counts.items() if category(x)[0] == "L"}
    counted = sum(count for letter, count in letters.items() if is_counted(letter))
    return counted / max(1, sum(letters.values()))
