"""Sentences that follow from a few counts."""

from typing import Any

from translator.cli.doubts import text_doubts
from translator.config.schema import Config
from translator.data.spelling import Spelling
from translator.data.writing import Facts

WELL = Spelling(1000, 10, 1700)
FACTS = Facts(95, 3, 5, "digest", WELL, WELL)


def said(
    training: Facts = FACTS,
    validation: Facts = FACTS,
    borrowed: bool = False,
    **tokenizer: Any,
) -> list[str]:
    files = {"source": "a", "target": "b"}
    data = {"source_language": "en", "target_language": "de", "train": files, "validation": files}
    training_keys = {"max_steps": 1}
    config = Config.model_validate(
        {"data": data, "training": training_keys, "tokenizer": tokenizer}
    )
    return list(text_doubts(config, training, validation, borrowed))


def test_what_is_just_at_the_limits_is_not_mentioned() -> None:
    assert said() == []


def test_unknown_pieces_are_said_of_either_text_and_side() -> None:
    unknown = WELL._replace(num_unknown=11)
    assert said(FACTS._replace(source=unknown), byte_fallback=False) == [
        "1.1% of the pieces in the source side of the training text are unknown pieces: the "
        "vocabulary lacks its characters. Begin a run with tokenizer.byte_fallback: true."
    ]
    assert said(validation=FACTS._replace(target=unknown)) == [
        "1.1% of the pieces in the target side of the validation text are bytes: the vocabulary "
        "lacks its characters. Begin a run with a higher tokenizer.character_coverage, or with "
        "such text in data.train."
    ]


def test_a_vocabulary_that_hardly_holds_words_is_said() -> None:
    [sentence] = said(FACTS._replace(target=WELL._replace(num_characters=1400)))
    assert sentence == (
        "The vocabulary spells the target side of the training text nearly in characters, 1.4 a "
        "piece: that is slow to train and hard to learn from. Begin a run with more "
        "tokenizer.vocabulary_size."
    )
    assert said(validation=FACTS._replace(target=WELL._replace(num_characters=1400))) == []


def test_with_the_vocabulary_of_another_run_the_way_out_is_another() -> None:
    foreign = Spelling(1000, 500, 700)
    sentences = said(FACTS._replace(source=foreign), borrowed=True)
    assert len(sentences) == 2
    way_out = "Begin a run without --from: it learns a vocabulary of its own text."
    assert all(sentence.endswith(way_out) for sentence in sentences)


def test_many_pairs_that_are_too_long_are_said() -> None:
    assert said(FACTS._replace(num_long=15)) == [
        "14% of the training pairs are left out, because a side has more than 128 pieces. Begin a "
        "run with a higher data.max_length, or with shorter sentences."
    ]
