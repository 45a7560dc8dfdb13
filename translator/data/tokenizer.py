"""Sentences to ids and back, by SentencePiece; one vocabulary for both languages or one each."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import sentencepiece

from translator.config.schema import TokenizerConfig
from translator.data.corpus import Pair
from translator.data.sampling import Pieces, sample_bpe, sample_unigram
from translator.environment import num_threads
from translator.errors import DataError, RunError

PAD_ID, UNKNOWN_ID, BEGIN_ID, END_ID = 0, 1, 2, 3

LARGEST_SAMPLE = 2_000_000
"""Sentences that a vocabulary is learnt from; more would take hours and change little."""

Side = Literal["source", "target"]


class Sampling(NamedTuple):
    """Subword sampling (sampling.py): of which kind, how much, and the seed of every draw."""

    kind: Literal["unigram", "bpe"]
    alpha: float
    seed: int
    max_length: int
    """A draw of more pieces is not taken; the best segmentation stands in."""


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

    def __len__(self) -> int:
        return int(self._processor.vocab_size())

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.model).hexdigest()

    @cached_property
    def _pieces(self) -> Pieces:
        return Pieces(self._processor)

    def encode(self, sentences: Sequence[str], sampling: Sampling | None = None) -> list[list[int]]:
        """Sentences → ids; with sampling, a segmentation drawn by the seed, else the best one."""
        if sampling is None:
            return self._processor.encode(list(sentences), out_type=int, num_threads=num_threads())
        random = np.random.Generator(np.random.Philox(sampling.seed))
        sample = {"unigram": sample_unigram, "bpe": sample_bpe}[sampling.kind]
        drawn = [sample(self._pieces, text, sampling.alpha, random) for text in sentences]
        return [
            ids if len(ids) <= sampling.max_length else self._processor.encode(text, out_type=int)
            for ids, text in zip(drawn, sentences, strict=True)
        ]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Ids → sentences."""
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


def train_tokenizer(
    config: TokenizerConfig,
    pairs: Callable[[], Iterable[Pair]],
    seed: int,
    say: Callable[[str], None],
) -> Tokenizer:
    """Learn the vocabularies of a corpus; `pairs` starts reading it anew.

    The vocabulary is made smaller when the corpus does not hold as many pieces, and `say` is told.
    """
    if config.joint:
        both = _train(config, (text for pair in pairs() for text in pair), seed, "corpus", say)
        return Tokenizer(both, both)
    return Tokenizer(
        _train(config, (pair.source for pair in pairs()), seed, "source side", say),
        _train(config, (pair.target for pair in pairs()), seed, "target side", say),
    )


def _train(
    config: TokenizerConfig,
    sentences: Iterator[str],
    seed: int,
    name: str,
    say: Callable[[str], None],
) -> Vocabulary:
    sentencepiece.set_random_generator_seed(seed)
    model = io.BytesIO()
    failures: list[BaseException] = []

    def read() -> Iterator[str]:
        """SentencePiece hides what its iterator raises."""
        try:
            yield from (text for text in sentences if text.strip())
        except BaseException as error:
            failures.append(error)
            raise

    assert isinstance(config.vocabulary_size, int)
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=read(),
            model_writer=model,
            model_type=config.kind,
            vocab_size=config.vocabulary_size,
            hard_vocab_limit=False,
            byte_fallback=config.byte_fallback,
            character_coverage=config.character_coverage,
            normalization_rule_name=config.normalization,
            remove_extra_whitespaces=config.normalization != "identity",
            input_sentence_size=LARGEST_SAMPLE,
            shuffle_input_sentence=True,
            max_sentence_length=2**16,
            num_threads=num_threads(),
            pad_id=PAD_ID,
            unk_id=UNKNOWN_ID,
            bos_id=BEGIN_ID,
            eos_id=END_ID,
            minloglevel=2,
        )
    except RuntimeError as error:
        if failures:
            raise failures[0] from None
        raise DataError(_explain(str(error), config)) from None
    vocabulary = Vocabulary(model.getvalue())
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
