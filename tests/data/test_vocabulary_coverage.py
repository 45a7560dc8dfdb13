"""Coverage of a vocabulary, with pieces counted by hand."""

from pathlib import Path

import numpy as np
import pytest

from translator.config.schema import TokenizerConfig
from translator.data import vocabulary_coverage as module
from translator.data.corpus import Pair
from translator.data.mixture import Mixture
from translator.data.store import open_store
from translator.data.tokenizer import Tokenizer, Vocabulary, train_tokenizer
from translator.data.vocabulary_coverage import (
    VocabularyCoverage,
    longest_side,
    vocabulary_coverage,
)

TEXT = [Pair("aa bb aa bb", "aa 中文 aa 中文")] * 20


def learn(**keys: object) -> Tokenizer:
    config = TokenizerConfig.model_validate({"vocabulary_size": 290} | keys)
    return train_tokenizer(config, lambda: TEXT, 1, lambda _: None, ["<x>"])


def of(vocabulary: Vocabulary, *sentences: str) -> VocabularyCoverage:
    ids = [i for row in vocabulary.encode(sentences) for i in row]
    return vocabulary_coverage(np.bincount(ids, minlength=len(vocabulary)), vocabulary)


def test_pieces_and_their_characters_are_counted() -> None:
    vocabulary = learn().source
    pieces = [vocabulary.piece(i) for i in vocabulary.encode(["aa bb"])[0]]
    assert "".join(pieces) == "▁aa▁bb"
    assert of(vocabulary, "aa bb", "aa bb") == (2 * len(pieces), 0, 12)


def test_east_asian_character_counts_as_two() -> None:
    found = of(learn().source, "中文")
    assert found.num_characters == 5
    assert found.characters_per_piece == 5 / found.num_pieces


def test_tags_are_not_counted() -> None:
    vocabulary = learn().source
    assert of(vocabulary, "<x> aa bb") == of(vocabulary, "aa bb")


@pytest.mark.parametrize(("byte_fallback", "num_unknown"), [(True, 2), (False, 1)])
def test_characters_without_a_piece_count_as_unknown(byte_fallback: bool, num_unknown: int) -> None:
    vocabulary = learn(byte_fallback=byte_fallback, vocabulary_size=290 if byte_fallback else 30)
    alone = of(vocabulary.source, "aa")
    found = of(vocabulary.source, "aaß")
    assert found.num_unknown == num_unknown
    assert found.num_characters <= alone.num_characters + 1
    assert found.unknown_share == num_unknown / found.num_pieces


def test_empty_text_has_share_zero() -> None:
    empty = VocabularyCoverage(0, 0, 0)
    assert (empty.unknown_share, empty.characters_per_piece) == (0, 0)


def test_store_records_the_coverage_of_kept_pairs(tmp_path: Path) -> None:
    tokenizer = learn()
    pairs = [Pair("aa bb", "中"), Pair("", "aa"), Pair("bb aaß", "aa aa")]
    stores = [
        open_store(tmp_path / str(i), lambda: pairs, tokenizer, max_length=50, keep_text=False)
        for i in range(2)
    ]
    facts = stores[0].facts
    assert facts.source == of(tokenizer.source, "aa bb", "bb aaß")
    assert facts.target == of(tokenizer.target, "中", "aa aa")
    both = Mixture(stores).facts
    assert both.source == VocabularyCoverage(*(2 * number for number in facts.source))
    assert both.target == VocabularyCoverage(*(2 * number for number in facts.target))


@pytest.mark.parametrize(
    ("num_short", "num_long", "is_long"), [(999, 1, False), (998, 2, True), (0, 1, True)]
)
def test_longest_side_covers_999_of_1000_pairs(
    num_short: int, num_long: int, is_long: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAIRS_AT_ONCE", 100)
    tokenizer = learn(joint=False)
    pairs = [Pair("aa", "aa")] * num_short + [Pair("aa", "aa " * 9)] * num_long
    short, long = (len(tokenizer.target.encode([text])[0]) for text in ("aa", "aa " * 9))
    assert longest_side([*pairs, Pair("", "aa " * 50)], tokenizer) == (long if is_long else short)


def test_longest_side_of_no_pairs_is_zero() -> None:
    assert longest_side([], learn()) == longest_side([Pair("", "a")], learn()) == 0
