"""Sentences to ids and back with SentencePiece; one vocabulary for both languages, or one each.

A tag such as <2de> is a piece of its own, which SentencePiece never finds in text (a control
symbol). It is recognized only at the very beginning of a sentence: `<2de> Good morning` has the id
of the tag, followed by exactly the pieces of `Good morning`. Decoding leaves tags out.

The two sides are read differently. A source is normalized, so that full-width digits or double
spaces do not confuse the model. A target is not, because the model could never produce what
normalization changes; only space at its ends is removed. So there are always two SentencePiece
models. Where both sides share a vocabulary, they have the same pieces and ids, and different
normalizers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain, groupby, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sentencepiece

from translator.config.schema import TokenizerConfig
from translator.corpora.lines import is_blank, one_line
from translator.data.corpus import Pair
from translator.data.corpus_statistics import LARGEST_SAMPLE, LONGEST_SENTENCE, MOST_SENTENCES
from translator.data.sentencepiece_process import SentencePieceError, train_model
from translator.data.subword_sampling import Pieces, SubwordSampling, sample_bpe, sample_unigram
from translator.data.tags import is_empty, split_tag
from translator.environment import num_threads
from translator.errors import DataError, RunError
from translator.files import write_whole

PAD_ID, UNKNOWN_ID, BEGIN_ID, END_ID = 0, 1, 2, 3

FOR_TARGETS = b"\x1a\x08\n\x06target"
"""Appended to a SentencePiece model, this marks it as one for targets.

It is a ModelProto that names its normalizer "target"; protobuf merges concatenated messages.
"""

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""SentencePiece decodes bytes that are not UTF-8 to it."""


class Vocabulary:
    """A SentencePiece model. Ids are without begin and end.

    Raises RunError if `model` is not one that this program has made; errors call it `name`.
    """

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
                f"not {(PAD_ID, UNKNOWN_ID, BEGIN_ID, END_ID)}; another program made it."
            )
        self.is_exact = model.endswith(FOR_TARGETS)
        """Whether it reads text as it is, without space at its ends and without tags. True for
        targets, except in older runs; False for sources."""
        after_end = takewhile(self._processor.is_control, range(END_ID + 1, len(self)))
        tags = {self._processor.id_to_piece(i): i for i in after_end}
        self.tags: dict[str, int] = {} if self.is_exact else tags
        """The tags that a sentence may begin with, and their ids."""

    def __len__(self) -> int:
        return int(self._processor.vocab_size())

    @property
    def digest(self) -> str:
        """SHA-256 of the model."""
        return hashlib.sha256(self.model).hexdigest()

    @property
    def pieces(self) -> list[str]:
        """The text of every piece, in order of ids."""
        return [self.piece(i) for i in range(len(self))]

    def piece(self, id_: int) -> str:
        """The text of a piece, with ▁ for a space."""
        return str(self._processor.id_to_piece(id_))

    def id(self, piece: str) -> int:
        """The id of the piece with this text."""
        return int(self._processor.piece_to_id(piece))

    def is_control(self, id_: int) -> bool:
        """Whether a piece never comes from text: padding, begin, end, or a tag."""
        return bool(self._processor.is_control(id_))

    def is_unknown(self, id_: int) -> bool:
        """Whether a piece stands for a character without one: the unknown piece, or a byte."""
        return bool(self._processor.is_unknown(id_) or self._processor.is_byte(id_))

    @cached_property
    def _pieces(self) -> Pieces:
        return Pieces(self._processor)

    def encode_visible(self, sentences: Sequence[str]) -> list[list[int]]:
        """`encode`, except that a sentence that shows nothing (`is_empty`) has no ids."""
        return self.encode(["" if is_empty(text, self.tags) else text for text in sentences])

    def encode(
        self, sentences: Sequence[str], sampling: SubwordSampling | None = None
    ) -> list[list[int]]:
        """The ids of sentences: the best segmentation, or with `sampling` a random one.

        An empty sentence has no ids, even if it has a tag.
        """
        if self.is_exact:
            sentences = [_trimmed(sentence) for sentence in sentences]
        if not self.tags:
            return self._segment(sentences, sampling)
        split = [split_tag(sentence, self.tags) for sentence in sentences]
        rows = self._segment([text for _, text in split], sampling)
        return [
            [self.tags[tag], *row] if tag and row else row
            for (tag, _), row in zip(split, rows, strict=True)
        ]

    def _segment(
        self, sentences: Sequence[str], sampling: SubwordSampling | None
    ) -> list[list[int]]:
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
        """The sentences of ids, without bytes that spell no character."""
        return [text for text, _ in self.spell(ids)]

    def spell(self, ids: Sequence[Sequence[int]]) -> list[tuple[str, int]]:
        """`decode`, with the number of bytes in each row that spell no character."""
        if not ids:
            return []  # SentencePiece would return one sentence
        rows = [list(row) for row in ids]
        spelt = [(text, 0) for text in self._processor.decode(rows, num_threads=1)]
        for i, (text, _) in enumerate(spelt):
            if REPLACEMENT in text:  # stray bytes, or a piece with that character
                kept = self._without_stray_bytes(rows[i])
                spelt[i] = self._processor.decode(kept), len(rows[i]) - len(kept)
        if self.is_exact:  # no training target begins with a space
            spelt = [(text.lstrip(" "), num_stray) for text, num_stray in spelt]
        return spelt

    def _without_stray_bytes(self, row: Sequence[int]) -> list[int]:
        """The row without those bytes that are not UTF-8 together with their neighbours."""
        kept: list[int] = []
        for is_byte, some in groupby(row, self._processor.is_byte):
            if is_byte:
                raw = bytes(int(self.piece(i)[3:5], 16) for i in some)  # of <0x41>: 65
                some = (self.id(f"<0x{byte:02X}>") for byte in raw.decode(errors="ignore").encode())
            kept.extend(some)
        return kept

    def encode_with_spans(self, sentence: str) -> list[tuple[int, Span]]:
        """The ids of a sentence, each with the place that it spells.

        A sentence that shows nothing (`is_empty`) has none.
        """
        if is_empty(sentence, self.tags):
            return []
        tag, text = split_tag(sentence, self.tags)
        if self.is_exact:
            text = text.lstrip()
        start = len(sentence.encode()) - len(text.encode())
        found = self._processor.encode(
            _trimmed(text) if self.is_exact else text, return_type="proto"
        )
        pieces = [(one.id, Span(start + one.begin, start + one.end)) for one in found.pieces]
        return [(self.tags[tag], Span(0, len(tag.encode()))), *pieces] if tag and pieces else pieces

    def decode_with_spans(self, ids: Sequence[int]) -> tuple[str, list[Span]]:
        """The text of ids, and the place that each of them spells.

        Bytes that spell no character become REPLACEMENT.
        """
        found = self._processor.decode(list(ids), return_type="proto")
        return found.text, [Span(one.begin, one.end) for one in found.pieces]

    def mismatches(self, sentences: Sequence[str], ids: Sequence[list[int]]) -> dict[int, Mismatch]:
        """The sentences, by index, that decoding their ids does not restore.

        Space at the ends does not matter, and a sentence without ids is not counted.
        """
        if not ids:
            return {}
        decoded = self._processor.decode(ids, num_threads=num_threads())
        both = (
            Mismatch(wanted.strip(), one_line(text).strip())
            for wanted, text in zip(sentences, decoded, strict=True)
        )
        return {
            i: mismatch
            for i, mismatch in enumerate(both)
            if ids[i] and mismatch.wanted != mismatch.made
        }


class Span(NamedTuple):
    """A place in a text, in bytes of UTF-8. A byte piece may have an empty one."""

    begin: int
    end: int


class Mismatch(NamedTuple):
    """A sentence, and what decoding its ids gives instead."""

    wanted: str
    made: str

    def excerpt(self, context: int = 12) -> Mismatch:
        """Both texts around the first difference."""
        start, end = max(0, self._position - context), self._position + context
        return Mismatch(self.wanted[start:end], self.made[start:end])

    @property
    def character(self) -> str:
        """The first character that differs; "" if the sentence is a prefix of the other text."""
        return self.wanted[self._position : self._position + 1]

    @property
    def _position(self) -> int:
        pairs = enumerate(zip(self.wanted, self.made, strict=False))
        shorter = min(map(len, self))
        return next((i for i, (one, other) in pairs if one != other), shorter)


class Tokenizer(NamedTuple):
    """The vocabularies of both sides. Older runs may have the same object twice."""

    source: Vocabulary
    target: Vocabulary

    @property
    def joint(self) -> bool:
        """Whether both sides have the same pieces with the same ids."""
        return self.source is self.target or self.source.pieces == self.target.pieces

    @property
    def digest(self) -> str:
        """SHA-256 of the model, or of both models if they differ."""
        is_one = self.source.model == self.target.model
        return self.source.digest if is_one else self.source.digest + self.target.digest

    def save(self, paths: Sequence[Path]) -> None:
        """Write the models of source and target to two paths."""
        for path, vocabulary in zip(paths, self, strict=True):
            write_whole(path, vocabulary.model)

    @classmethod
    def load(cls, paths: Sequence[Path]) -> Tokenizer:
        """Read the models of source and target, which may be the same file. Raises RunError."""
        try:
            one, other = (path.read_bytes() for path in paths)
        except OSError as error:
            raise RunError(
                f"{error.filename}: cannot read the tokenizer: {error.strerror}."
            ) from None
        source = Vocabulary(one, str(paths[0]))
        return cls(source, source if one == other else Vocabulary(other, str(paths[1])))


def tokenizer_key(fingerprint: dict[str, Any], config: TokenizerConfig, seed: int) -> str:
    """A name for the result of `train_tokenizer`: a hash of everything that determines it."""
    settings = config.model_dump(exclude={"sampling_alpha"})
    version, limits = sentencepiece.__version__, [LARGEST_SAMPLE, MOST_SENTENCES]
    made_by = ["exact tokenizer", fingerprint, settings, seed, num_threads(), version, limits]
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:32]


def train_tokenizer(
    config: TokenizerConfig,
    pairs: Callable[[], Iterable[Pair]],
    seed: int,
    report: Callable[[str], None],
    tags: Sequence[str] = (),
) -> Tokenizer:
    """Learn the vocabularies of a text. `pairs` returns its pairs from the start.

    Several corpora count as one text, each line once, whatever their shares in training. Pieces are
    learnt from the text behind the `tags`; each tag takes a piece of the source's vocabulary. If
    the text does not have enough pieces, the vocabulary becomes smaller, and `report` gets a
    message. Raises DataError if no vocabulary can be learnt.
    """
    normalize = _normalizer(config, marks_spaces=False).normalize

    def texts() -> Iterator[tuple[str, str]]:
        """Yield source and target as the vocabularies will read them."""
        for pair in pairs():
            yield normalize(split_tag(pair.source, tags)[1]), _trimmed(pair.target)

    if config.joint:
        of_source = of_target = _train(
            config, chain.from_iterable(texts()), seed, "corpus", report, tags
        )
    else:
        of_source = _train(config, (one for one, _ in texts()), seed, "source side", report, tags)
        of_target = _train(config, (other for _, other in texts()), seed, "target side", report, ())
    rule = _normalizer(config, marks_spaces=True).serialized_model_proto()
    return Tokenizer(Vocabulary(of_source + rule), Vocabulary(of_target + FOR_TARGETS))


def _normalizer(
    config: TokenizerConfig, marks_spaces: bool
) -> sentencepiece.SentencePieceNormalizer:
    """The normalizer of sources; with `marks_spaces`, it writes ▁ for spaces and in front.

    Its `serialized_model_proto` contains only the normalizer. Appended to a SentencePiece model, it
    replaces the model's own.
    """
    return sentencepiece.SentencePieceNormalizer(
        rule_name=config.normalization,
        remove_extra_whitespaces=config.normalization != "identity",
        add_dummy_prefix=marks_spaces,
        escape_whitespaces=marks_spaces,
    )


def _trimmed(target: str) -> str:
    """A target without space at its ends; "" if it shows nothing."""
    return "" if is_blank(target) else target.strip()


def _train(
    config: TokenizerConfig,
    sentences: Iterator[str],
    seed: int,
    name: str,
    report: Callable[[str], None],
    tags: Sequence[str],
) -> bytes:
    """Train a SentencePiece model on sentences that are already normalized."""
    assert isinstance(config.vocabulary_size, int)
    options = {
        "model_type": config.kind,
        "vocab_size": config.vocabulary_size,
        "hard_vocab_limit": False,
        "byte_fallback": config.spells_in_bytes,
        "character_coverage": config.character_coverage,
        "split_by_unicode_script": config.split_by_unicode_script,
        "split_digits": config.split_digits,
        "split_by_whitespace": config.split_by_whitespace,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "input_sentence_size": MOST_SENTENCES,
        "shuffle_input_sentence": True,
        "max_sentence_length": LONGEST_SENTENCE,
        "num_threads": num_threads(),
        "pad_id": PAD_ID,
        "unk_id": UNKNOWN_ID,
        "bos_id": BEGIN_ID,
        "eos_id": END_ID,
        "control_symbols": list(tags),
        "minloglevel": 2,
    }
    try:
        model = train_model((text for text in sentences if not is_blank(text)), seed, options)
    except SentencePieceError as error:
        raise DataError(_explain(str(error), config, len(tags))) from None
    size = len(Vocabulary(model))
    if size < config.vocabulary_size:
        report(
            f"The {name} has only {size:,} pieces, so the vocabulary is smaller than "
            f"tokenizer.vocabulary_size {config.vocabulary_size:,}."
        )
    return model


def _explain(message: str, config: TokenizerConfig, num_tags: int) -> str:
    """What an error of SentencePiece means for the user."""
    if "(vocab_size) >= (0)" in message:  # with kind word or char
        least = END_ID + 2 + num_tags + 256 * config.spells_in_bytes
        return (
            f"tokenizer.vocabulary_size {config.vocabulary_size} is too small: it must be at least "
            f"{least}, and more to contain any {config.kind}."
        )
    if "required_chars" in message:
        numbers = message.rpartition("required_chars. ")[2].partition(".")[0]
        needed = numbers.rpartition("vs ")[2]
        return (
            f"tokenizer.vocabulary_size {config.vocabulary_size} is too small: the corpus's "
            f"characters{' and the bytes' if config.byte_fallback else ''} alone take {needed} "
            "pieces. Raise it, or lower tokenizer.character_coverage."
        )
    return f"SentencePiece could not learn a vocabulary: {message.strip().splitlines()[-1]}"
