"""Sentences to ids and back, by SentencePiece; one vocabulary for both languages or one each.

A tag such as <2de> is a piece of its own that SentencePiece never finds in text (a control symbol).
It is read at the very beginning of a sentence and nowhere else: `<2de> Good morning` has the id of
the tag and then exactly the pieces of `Good morning`. Decoding leaves tags out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain, takewhile
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import sentencepiece

from translator.config.schema import TokenizerConfig
from translator.data.corpus import Pair
from translator.data.learning import LearningError, learn
from translator.data.sampling import Pieces, sample_bpe, sample_unigram
from translator.data.survey import LARGEST_SAMPLE, MOST_SENTENCES
from translator.data.tags import split_tag
from translator.environment import num_threads
from translator.errors import DataError, RunError

PAD_ID, UNKNOWN_ID, BEGIN_ID, END_ID = 0, 1, 2, 3

Side = Literal["source", "target"]


class Sampling(NamedTuple):
    """Subword sampling (sampling.py): of which kind, how much, and the seed of every draw."""

    kind: Literal["unigram", "bpe"]
    alpha: float
    seed: int
    max_length: int
    """A draw of more pieces is not taken; the best segmentation stands in. If there are tags, one
    place is theirs."""


class Vocabulary:
    """One SentencePiece model: ids without begin or end."""

    def __init__(self, model: bytes, name: str = "the tokenizer") -> None:
        self.model = model
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except Exception:
            raise RunError(
                f"{name}: this is not a SentencePiece model, or it is damaged."
            ) from None
        ids = (
            self._processor.pad_id(),
            self._processor.unk_id(),
            self._processor.bos_id(),
            self._processor.eos_id(),
        )
        if ids != (PAD_ID, UNKNOWN_ID, BEGIN_ID, END_ID):
            raise RunError(
                f"{name}: pad, unknown, begin and end have the ids {ids}, "
                f"not {(PAD_ID, UNKNOWN_ID, BEGIN_ID, END_ID)}; it was made by another program."
            )
        after_end = takewhile(self._processor.is_control, range(END_ID + 1, len(self)))
        self.tags = {self._processor.id_to_piece(i): i for i in after_end}
        """The tags that may stand in front of a sentence, with their ids."""

    def __len__(self) -> int:
        return int(self._processor.vocab_size())

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.model).hexdigest()

    def piece(self, id_: int) -> str:
        """The text of a piece, ▁ standing for a space."""
        return str(self._processor.id_to_piece(id_))

    def id(self, piece: str) -> int:
        """Of the piece with this text."""
        return int(self._processor.piece_to_id(piece))

    def is_control(self, id_: int) -> bool:
        """Whether it never comes from text: padding, begin, end, or a tag."""
        return bool(self._processor.is_control(id_))

    def is_unknown(self, id_: int) -> bool:
        """Whether it stands in for a character without a piece: the unknown one, or a byte."""
        return bool(self._processor.is_unknown(id_) or self._processor.is_byte(id_))

    @cached_property
    def _pieces(self) -> Pieces:
        return Pieces(self._processor)

    def encode(self, sentences: Sequence[str], sampling: Sampling | None = None) -> list[list[int]]:
        """Sentences → ids; with sampling, a segmentation drawn by the seed, else the best one.

        A tag with no text behind it is no piece, as an empty sentence has none.
        """
        if not self.tags:
            return self._segment(sentences, sampling)
        split = [split_tag(sentence, self.tags) for sentence in sentences]
        rows = self._segment([text for _, text in split], sampling)
        return [
            [self.tags[tag], *row] if tag and row else row
            for (tag, _), row in zip(split, rows, strict=True)
        ]

    def _segment(self, sentences: Sequence[str], sampling: Sampling | None) -> list[list[int]]:
        if sampling is None:
            return self._processor.encode(list(sentences), out_type=int, num_threads=num_threads())
        random = np.random.Generator(np.random.Philox(sampling.seed))
        sample = {"unigram": sample_unigram, "bpe": sample_bpe}[sampling.kind]
        drawn = [sample(self._pieces, text, sampling.alpha, random) for text in sentences]
        most = sampling.max_length - bool(self.tags)
        return [
            ids if len(ids) <= most else self._processor.encode(text, out_type=int)
            for ids, text in zip(drawn, sentences, strict=True)
        ]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Ids → sentences."""
        if not ids:
            return []  # SentencePiece would make one of it
        return self._processor.decode([list(row) for row in ids], num_threads=1)


class Tokenizer(NamedTuple):
    """The vocabularies of both sides; the same object twice if they share one."""

    source: Vocabulary
    target: Vocabulary

    @property
    def joint(self) -> bool:
        return self.source is self.target

    @property
    def digest(self) -> str:
        return self.source.digest if self.joint else self.source.digest + self.target.digest

    def save(self, paths: Sequence[Path]) -> None:
        """Write one model a path: (joint,) or (source, target)."""
        for path, vocabulary in zip(paths, self, strict=False):
            path.write_bytes(vocabulary.model)

    @classmethod
    def load(cls, paths: Sequence[Path]) -> Tokenizer:
        """Read what `save` wrote. Raises RunError."""
        try:
            vocabularies = [Vocabulary(path.read_bytes(), str(path)) for path in paths]
        except OSError as error:
            raise RunError(
                f"{error.filename}: cannot read the tokenizer: {error.strerror}."
            ) from None
        return cls(vocabularies[0], vocabularies[-1])


def tokenizer_key(fingerprint: dict[str, Any], config: TokenizerConfig, seed: int) -> str:
    """A name for what `train_tokenizer` makes of a text: a hash of all that decides it."""
    settings = config.model_dump(exclude={"sampling_alpha"})
    version, limits = sentencepiece.__version__, [LARGEST_SAMPLE, MOST_SENTENCES]
    made_by = ["tokenizer", fingerprint, settings, seed, num_threads(), version, limits]
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:32]


def train_tokenizer(
    config: TokenizerConfig,
    pairs: Callable[[], Iterable[Pair]],
    seed: int,
    say: Callable[[str], None],
    tags: Sequence[str] = (),
) -> Tokenizer:
    """Learn the vocabularies of a text; `pairs` starts it anew.

    Several corpora count as one, each line once, whatever their shares in training. Pieces are
    learnt from the text behind the `tags`; each tag takes a piece of the source's vocabulary. The
    vocabulary is made smaller when the corpus does not hold as many pieces, and `say` is told.
    """

    def texts() -> Iterator[tuple[str, str]]:
        return ((split_tag(pair.source, tags)[1], pair.target) for pair in pairs())

    if config.joint:
        both = _train(config, chain.from_iterable(texts()), seed, "corpus", say, tags)
        return Tokenizer(both, both)
    return Tokenizer(
        _train(config, (source for source, _ in texts()), seed, "source side", say, tags),
        _train(config, (target for _, target in texts()), seed, "target side", say, ()),
    )


def _train(
    config: TokenizerConfig,
    sentences: Iterator[str],
    seed: int,
    name: str,
    say: Callable[[str], None],
    tags: Sequence[str],
) -> Vocabulary:
    assert isinstance(config.vocabulary_size, int)
    options = {
        "model_type": config.kind,
        "vocab_size": config.vocabulary_size,
        "hard_vocab_limit": False,
        "byte_fallback": config.byte_fallback,
        "character_coverage": config.character_coverage,
        "normalization_rule_name": config.normalization,
        "remove_extra_whitespaces": config.normalization != "identity",
        "input_sentence_size": MOST_SENTENCES,
        "shuffle_input_sentence": True,
        "max_sentence_length": 2**16,
        "num_threads": num_threads(),
        "pad_id": PAD_ID,
        "unk_id": UNKNOWN_ID,
        "bos_id": BEGIN_ID,
        "eos_id": END_ID,
        "control_symbols": list(tags),
        "minloglevel": 2,
    }
    try:
        model = learn((text for text in sentences if text.strip()), seed, options)
    except LearningError as error:
        raise DataError(_explain(str(error), config)) from None
    vocabulary = Vocabulary(model)
    if len(vocabulary) < config.vocabulary_size:
        say(
            f"The {name} holds no more than {len(vocabulary):,} pieces: the vocabulary has so "
            f"many, instead of tokenizer.vocabulary_size {config.vocabulary_size:,}."
        )
    return vocabulary


def _explain(message: str, config: TokenizerConfig) -> str:
    if "required_chars" in message:
        numbers = message.rpartition("required_chars. ")[2].partition(".")[0]
        needed = numbers.rpartition("vs ")[2]
        return (
            f"tokenizer.vocabulary_size {config.vocabulary_size} is too small: the corpus's "
            f"characters{' and the bytes' if config.byte_fallback else ''} alone take {needed} "
            "pieces. Raise it, or lower tokenizer.character_coverage."
        )
    return f"SentencePiece could not learn a vocabulary: {message.strip().splitlines()[-1]}"
