"""Warnings about the text of a run, from a few counts."""

from typing import Any

import numpy as np

from translator.config.preset import LONGEST_SIDE
from translator.config.schema import Config
from translator.config.statistics import LEAST_LIMIT
from translator.data.store_writer import StoreFacts
from translator.data.tokenizer import Mismatch
from translator.data.vocabulary_coverage import VocabularyCoverage
from translator.diagnostics.data_warnings import (
    VocabularyFacts,
    limit_warnings,
    nul_place,
    text_warnings,
)

WELL = VocabularyCoverage(1000, 10, 1700)
FACTS = StoreFacts(95, 3, 5, "digest", WELL, WELL)


def warnings(
    training: StoreFacts = FACTS,
    validation: StoreFacts = FACTS,
    borrowed: bool = False,
    exact: bool = True,
    size: int = 1000,
    preset: str | None = None,
    **tokenizer: Any,
) -> list[str]:
    files = {"source": "a", "target": "b"}
    data = {"source_language": "en", "target_language": "de", "train": files, "validation": files}
    config = Config.model_validate(
        {
            "preset": preset,
            "data": data | ({"max_length": LONGEST_SIDE} if preset else {}),
            "training": {"max_steps": 1},
            "tokenizer": {"vocabulary_size": 1000} | tokenizer,
        }
    )
    known = VocabularyFacts({"source": size, "target": size}, borrowed, exact)
    places = {"training": "pair 12 of data.train (a, b)", "validation": "pair 9 of data.validation"}
    return list(text_warnings(config, training, validation, known, places))


def test_no_warning_just_at_the_limits() -> None:
    assert warnings() == []


def test_warning_for_unknown_pieces_names_text_and_side() -> None:
    unknown = WELL._replace(num_unknown=11)
    assert warnings(FACTS._replace(source=unknown), byte_fallback=False) == [
        "1.1% of the pieces in the source side of the training text are unknown pieces: the "
        "vocabulary lacks its characters. Start a run with tokenizer.byte_fallback: true."
    ]
    lacking = (
        "1.1% of the pieces in the target side of the validation text are bytes: the vocabulary "
        "lacks its characters. Start a run with "
    )
    validation = FACTS._replace(target=unknown)
    assert warnings(validation=validation) == [f"{lacking}such text in data.train."]
    assert warnings(validation=validation, character_coverage=0.9995) == [
        f"{lacking}a higher tokenizer.character_coverage, or with such text in data.train."
    ]


def test_warning_for_a_vocabulary_of_nearly_characters() -> None:
    [sentence] = warnings(FACTS._replace(target=WELL._replace(num_characters=1400)))
    assert sentence == (
        "The vocabulary splits the target side of the training text nearly into characters, 1.4 "
        "per piece, which is slow to train and hard to learn from. Start a run with a larger "
        "tokenizer.vocabulary_size."
    )
    assert warnings(validation=FACTS._replace(target=WELL._replace(num_characters=1400))) == []


def test_vocabulary_that_cannot_be_larger_gets_other_advice() -> None:
    letters = FACTS._replace(target=WELL._replace(num_characters=1400))
    [sentence] = warnings(letters, size=281)
    assert sentence.endswith(
        "hard to learn from. The text yields no more pieces. Start a run with tokenizer.kind: "
        "word, or with tokenizer.split_by_unicode_script: false, which allows pieces of letters "
        "and signs, such as I_TURN."
    )
    [sentence] = warnings(letters, size=281, split_by_unicode_script=False)
    assert sentence.endswith("no more pieces. Start a run with tokenizer.kind: word.")
    assert warnings(letters, size=281, kind="char") == []


def test_warning_for_unreachable_text_has_examples() -> None:
    lost = FACTS._replace(
        num_unreachable=3, unreachable=[Mismatch("a▁b", "a b"), Mismatch("x\xa0y", "x y")]
    )
    assert warnings(lost) == [
        "3.2% of the targets of the training text (3 of 95) contain text that this vocabulary "
        "cannot produce, such as 'a▁b' (it writes 'a b'), 'x\\xa0y' (it writes 'x y'). Replace "
        "these characters in the text."
    ]
    way_out = "Start a run with tokenizer.byte_fallback: true."
    assert warnings(validation=lost, byte_fallback=False)[0].endswith(way_out)
    assert warnings(lost, exact=False)[0].endswith("its vocabulary encodes targets exactly.")
    assert warnings(lost, borrowed=True)[0].endswith("which learns a vocabulary of its own text.")


def test_warning_for_unknown_words() -> None:
    unknown = FACTS._replace(source=WELL._replace(num_unknown=11))
    assert warnings(unknown, kind="word") == [
        "1.1% of the pieces in the source side of the training text are unknown pieces: the "
        "vocabulary lacks its words. Start a run with a larger tokenizer.vocabulary_size, with "
        "such text in data.train, or with tokenizer.kind: unigram, which can spell any word."
    ]
    assert "vocabulary_size" not in warnings(unknown, kind="word", size=300)[0]


def test_warning_for_nul_characters_replaces_that_for_unknown_pieces() -> None:
    unknown = WELL._replace(num_unknown=500)
    nul = FACTS._replace(source=unknown, num_nul=7, first_nul=12)
    assert warnings(nul) == [
        "NUL characters in 7 pairs of the training text; the first is in pair 12 of data.train (a, "
        "b). They usually come from a file in UTF-16 or from a damaged one. Convert the file, for "
        r"example with: iconv -f UTF-16LE -t UTF-8; or remove them with: tr -d '\000'"
    ]
    [sentence] = warnings(validation=nul._replace(num_nul=1))
    assert sentence.startswith(
        "NUL characters in 1 pair of the validation text; the first is in pair 9 of data.valid"
    )


def test_place_of_a_nul_character_names_corpus_and_files() -> None:
    data = {
        "source_language": "en",
        "target_language": "de",
        "dataset": "set/name",
        "train": [{"source": ["a", "b"], "target": ["c", "d"]}, {"tsv": list("abcde")}, "train"],
        "validation": [{"tsv": "v"}, {"tsv": "w"}],
    }
    config = Config.model_validate({"data": data, "training": {"max_steps": 1}})
    nul = FACTS._replace(num_nul=7, first_nul=1200)
    places = [
        nul_place(config, "train", [nul if i == j else FACTS for i in range(3)]) for j in range(4)
    ]
    assert places == [
        "pair 1,200 of data.train[0] (a, b, c, d)",
        "pair 1,200 of data.train[1] (a, b, c, d, …)",
        "pair 1,200 of data.train[2]",
        "",
    ]
    assert nul_place(config, "validation", [nul]) == "pair 1,200 of data.validation"


def test_vocabulary_of_another_run_gets_other_advice() -> None:
    foreign = VocabularyCoverage(1000, 500, 700)
    sentences = warnings(FACTS._replace(source=foreign), borrowed=True)
    assert len(sentences) == 2
    way_out = "Start a run without --from, which learns a vocabulary of its own text."
    assert all(sentence.endswith(way_out) for sentence in sentences)


def test_warning_for_many_pairs_that_are_too_long() -> None:
    assert warnings(FACTS._replace(num_long=15)) == [
        "14% of the training pairs are left out, because a side has more than 128 pieces. Start a "
        "run with a higher data.max_length or shorter sentences."
    ]


def test_warning_for_sources_of_which_training_reads_only_the_beginning() -> None:
    assert warnings(FACTS._replace(num_pairs=100, num_truncated=3)) == [
        "Training reads only the first 128 pieces of 3 sources (3.0%), as data.truncate_sources "
        "asks. Translation truncates them, too. A higher data.max_length reads more."
    ]


def test_a_preset_does_not_advise_against_its_own_choice() -> None:
    [sentence] = warnings(FACTS._replace(num_long=15), preset="auto")
    assert sentence.endswith("more than 4096 pieces. Start a run with shorter sentences.")


def test_warning_for_targets_beyond_the_length_limit_names_the_needed_limit() -> None:
    sources, targets = np.full(1000, 9), np.full(1000, 29)
    assert list(limit_warnings("training", LEAST_LIMIT, sources, targets)) == []
    targets[:5] = 99
    assert list(limit_warnings("training", LEAST_LIMIT, sources, targets)) == []
    targets[:6] = 99
    assert list(limit_warnings("training", LEAST_LIMIT, sources, targets)) == [
        "0.6% of the targets of the training text are longer than a translation may be (2 times "
        "the pieces of their source, plus 10), so their translations would be cut. Start a run "
        "with at least decoding.max_length_ratio 2 and max_length_extra 100, or set them for "
        "`translate` and `eval`."
    ]
