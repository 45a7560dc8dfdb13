"""Tags: words in angle brackets in front of source sentences, such as <2de>.

A tag counts only at the very beginning of a sentence, and only if the vocabulary has it.
"""

from __future__ import annotations

import re
from collections.abc import Container

from translator.corpora.corpus import TAG
from translator.corpora.lines import is_blank

TAG_IN_FRONT = re.compile(f"({TAG}) ?")


def split_tag(sentence: str, tags: Container[str]) -> tuple[str, str]:
    """The tag (one of `tags`) that a sentence begins with, or ""; and the text behind it."""
    found = TAG_IN_FRONT.match(sentence)
    if found and found[1] in tags:
        return found[1], sentence[found.end() :]
    return "", sentence


def is_empty(sentence: str, tags: Container[str]) -> bool:
    """Whether a sentence, apart from its tag, shows nothing: there is nothing to translate."""
    return is_blank(split_tag(sentence, tags)[1])
