"""The word in angle brackets that may stand in front of a source sentence, such as <2de>.

It counts at the very beginning of a sentence, and only if the vocabulary has it for a tag.
"""

from __future__ import annotations

import re
from collections.abc import Container

from translator.config.schema import TAG
from translator.data.lines import is_blank

TAG_IN_FRONT = re.compile(f"({TAG}) ?")


def split_tag(sentence: str, tags: Container[str]) -> tuple[str, str]:
    """The one of `tags` that a sentence begins with ("" if none), and the text behind it."""
    found = TAG_IN_FRONT.match(sentence)
    if found and found[1] in tags:
        return found[1], sentence[found.end() :]
    return "", sentence


def is_empty(sentence: str, tags: Container[str]) -> bool:
    """Whether there is nothing to translate in a sentence, behind one of `tags` or without."""
    return is_blank(split_tag(sentence, tags)[1])
