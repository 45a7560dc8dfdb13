"""Encoding and decoding restores text; vocabularies have their size; sampling is reproducible."""

import hashlib
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest
import sentencepiece

from translator.config.schema import TokenizerConfig
from translator.data import sentencepiece_process
from translator.data.corpus import Pair
from translator.data.subword_sampling import SubwordSampling
from translator.data.tokenizer import Tokenizer, Vocabulary, train_tokenizer
from translator.environment import num_threads
from translator.errors import DataError, RunError
from translator.runs import RunDirectory

EVERYDAY = Path(__file__).parents[2] / "data/everyday/train.tsv"


def everyday_pairs(count: int = 60) -> list[Pair]:
    with EVERYDAY.open(encoding="utf-8", newline="\n") as lines:
        return [Pair(*line.rstrip("\n").split("\t")) for line in itertools.islice(lines, count)]


PAIRS = everyday_pairs()
SOURCES = [pair.source for pair in PAIRS]


def learn(
    pairs: Iterable[Pair] = PAIRS,
    messages: list[str] | None = None,
    tags: Sequence[str] = (),
    **keys: object,
) -> Tokenizer:
    config = TokenizerConfig.model_validate({"vocabulary_size": 340} | keys)
    pairs = list(pairs)
    report = ([] if messages is None else messages).append
    return train_tokenizer(config, lambda: pairs, 1, report, tags)


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return learn(kind=request.param)


def test_decoding_restores_the_text(tokenizer: Tokenizer) -> None:
    assert tokenizer.source.decode(tokenizer.source.encode(SOURCES)) == SOURCES
    assert tokenizer.source.decode([]) == []


WORLD = list("世".encode())


@pytest.mark.parametrize(
    ("numbers", "text", "num_stray"),
    [
        (WORLD, "世", 0),
        (WORLD[:1], "", 1),
        (WORLD[:2], "", 2),
        ([0xB8, *WORLD, 0x96], "世", 2),
        ([*WORLD[:2], 0x41], "A", 2),
        ([0xED, 0xA0, 0x80], "", 3),  # half of a pair of UTF-16
        ([0xC0, 0x80], "", 2),  # NUL in two bytes
        ([0xEF, 0xBF, 0xBD], "\N{REPLACEMENT CHARACTER}", 0),
        ([0xEF, 0xBF, 0xBD, 0xFF], "\N{REPLACEMENT CHARACTER}", 1),
    ],
)
def test_stray_bytes_are_left_out_and_counted(
    tokenizer: Tokenizer, numbers: list[int], text: str, num_stray: int
) -> None:
    vocabulary = tokenizer.target
    some = [vocabulary.id(f"<0x{number:02X}>") for number in numbers]
    word = vocabulary.encode(["Tom"])[0]
    rows = [some, word, [*word, *some, *word]]
    assert vocabulary.spell(rows) == [(text, num_stray), ("Tom", 0), (f"Tom{text} Tom", num_stray)]
    assert vocabulary.decode(rows) == [text, "Tom", f"Tom{text} Tom"]


def test_replacement_character_in_the_text_is_kept() -> None:
    text = "What is \N{REPLACEMENT CHARACTER}?"
    pairs = [*PAIRS, Pair(text, text)] * 3
    vocabulary = learn(pairs, normalization="identity").target
    row = vocabulary.encode([text])[0]
    assert not any(vocabulary.is_unknown(i) for i in row)
    assert vocabulary.spell([row, [*row, vocabulary.id("<0xE4>")]]) == [(text, 0), (text, 1)]


def test_the_special_ids_are_pad_unknown_begin_end(tokenizer: Tokenizer) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.source.model)
    ids = [processor.pad_id(), processor.unk_id(), processor.bos_id(), processor.eos_id()]
    assert ids == [0, 1, 2, 3]


def test_no_text_becomes_a_special_id(tokenizer: Tokenizer) -> None:
    texts = [*SOURCES, "<pad> <unk> <s> </s>", "日本語", "\x00\x01", "<0x0A>", "▁"]
    assert min(itertools.chain(*tokenizer.source.encode(texts))) > 3


@pytest.mark.parametrize("text", ["日本語 🦜", "ñandú", "x\x00y", "<s>", "a </s> b"])
def test_unknown_characters_are_spelt_in_bytes(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.source.decode(tokenizer.source.encode([text])) == [text]


@pytest.mark.parametrize("text", ["", " ", "\r", "\u200b", "\u3000"])
def test_blank_text_has_no_pieces(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.source.encode([text]) == [[]]


def test_the_same_corpus_gives_the_same_vocabulary(tokenizer: Tokenizer) -> None:
    assert learn().digest == learn().digest
    assert learn().digest != learn(PAIRS[:-5]).digest


def test_vocabulary_has_the_configured_size(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.source) == 340


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_vocabulary_larger_than_the_corpus_becomes_smaller_with_a_message(kind: str) -> None:
    messages: list[str] = []
    size = len(learn(vocabulary_size=100_000, kind=kind, messages=messages).source)
    assert 340 < size < 5_000
    assert messages == [
        f"The corpus has only {size:,} pieces, so the vocabulary is smaller than "
        "tokenizer.vocabulary_size 100,000."
    ]


def test_vocabulary_that_fits_gives_no_message() -> None:
    messages: list[str] = []
    learn(messages=messages)
    assert messages == []


@pytest.mark.parametrize("byte_fallback", [True, False])
def test_error_for_a_vocabulary_too_small_for_the_characters_names_the_needed_size(
    byte_fallback: bool,
) -> None:
    with pytest.raises(DataError) as caught:
        learn(vocabulary_size=30, byte_fallback=byte_fallback)
    characters = len(set("".join(itertools.chain(*PAIRS)))) + 4
    needed = characters + 256 * byte_fallback
    assert str(caught.value) == (
        "tokenizer.vocabulary_size 30 is too small: the corpus's characters"
        f"{' and the bytes' if byte_fallback else ''} alone take {needed} pieces. Raise it, or "
        "lower tokenizer.character_coverage."
    )


@pytest.mark.parametrize(("kind", "size", "least"), [("char", 40, 261), ("word", 16, 22)])
def test_word_and_char_vocabularies_need_more_than_the_special_pieces(
    kind: str, size: int, least: int
) -> None:
    tags = [] if kind == "char" else [f"<t{i}>" for i in range(17)]
    with pytest.raises(DataError) as caught:
        learn(kind=kind, vocabulary_size=size, tags=tags)
    assert str(caught.value) == (
        f"tokenizer.vocabulary_size {size} is too small: it must be at least {least}, and more "
        f"to contain any {kind}."
    )


def test_without_byte_fallback_unknown_characters_are_unknown() -> None:
    vocabulary = learn(vocabulary_size=100, byte_fallback=False).source
    assert 1 in vocabulary.encode(["日本語"])[0]


def test_identity_keeps_what_normalization_changes() -> None:
    ligature = "ﬁne"
    for rule, expected in (("nmt_nfkc", "fine"), ("identity", ligature)):
        vocabulary = learn(normalization=rule).source
        assert vocabulary.decode(vocabulary.encode([ligature])) == [expected]


class TestVocabularies:
    def test_joint_vocabulary_is_the_same_for_both_sides(self) -> None:
        joint = learn()
        assert joint.joint
        assert joint.source.encode(["Straße"]) == joint.target.encode(["Straße"])

    def test_separate_vocabularies_differ(self) -> None:
        separate = learn(joint=False, vocabulary_size=400)
        assert not separate.joint
        assert separate.source.digest != separate.target.digest
        word = " ".join(pair.target for pair in PAIRS)
        assert len(separate.target.encode([word])[0]) < len(separate.source.encode([word])[0])

    @pytest.mark.parametrize("joint", [True, False])
    def test_survive_saving_and_loading(self, tmp_path: Path, joint: bool) -> None:
        saved = learn(joint=joint)
        run = RunDirectory(tmp_path)
        saved.save(run.vocabularies)
        assert {path.name for path in tmp_path.iterdir()} == {"source.model", "target.model"}
        loaded = Tokenizer.load(run.tokenizer())
        assert loaded.joint == saved.joint == joint
        assert loaded.digest == saved.digest
        assert loaded.target.encode(SOURCES) == saved.target.encode(SOURCES)

    def test_missing_files_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match=r"/gone: cannot read the tokenizer: No such file"):
            Tokenizer.load([tmp_path / "gone", tmp_path / "too"])

    @pytest.mark.parametrize("content", [b"garbage", b"\x80\x04.", bytes(1000)])
    def test_that_are_damaged_are_refused(self, content: bytes) -> None:
        with pytest.raises(RunError, match=r"^it: this is not a SentencePiece model, or it is dam"):
            Vocabulary(content, "it")

    def test_of_another_program_are_refused(self, tmp_path: Path) -> None:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(SOURCES),
            model_prefix=str(tmp_path / "other"),
            vocab_size=60,
            minloglevel=2,
        )
        with pytest.raises(RunError, match=r"have the ids \(-1, 0, 1, 2\), not \(0, 1, 2, 3\)"):
            Vocabulary((tmp_path / "other.model").read_bytes())


HOSTILE = [
    "two  blanks,   three",
    "a tab\there",
    "10\u00a0%, 3\u202f000 €, x\u3000y",
    "，？！（全角）ＡＢＣ１２３",
    "Gru\u0308ße and Grüße",
    "é e\u0301 ê e\u0302",
    "क्\u200dष می\u200cخواهم",
    "x² ½ ™ ℃ ﬁne №",
    "กำ ทำ",
    "👩\u200d👩\u200d👧 🏴\U000e0067\U000e0062\U000e007f",
    "co\u00adoperate, zero\u200bwidth, \u200emark\u200f",
    "line\u2028and\u2029paragraph\u0085next\x0cpage",
    "<s> </s> <pad> <unk> <0x41> ⁇ � ▅",
    "<2de> Hallo",
]
"""Texts that Unicode's and SentencePiece's normalization would change."""

Reading = Callable[..., Tokenizer]


@pytest.fixture(scope="module")
def reading() -> Reading:
    """Makes vocabularies of the everyday pairs and the hostile texts."""
    pairs = [*PAIRS, *(Pair(text, text) for text in HOSTILE)]
    return cache(lambda **keys: learn(pairs, tags=["<2de>"], **{"vocabulary_size": 620} | keys))


class TestTargets:
    """Every target can be produced exactly, except for space at its ends."""

    @pytest.mark.parametrize("text", HOSTILE)
    @pytest.mark.parametrize("rule", ["nmt_nfkc", "identity"])
    @pytest.mark.parametrize("joint", [True, False])
    @pytest.mark.parametrize("kind", ["unigram", "bpe", "char"])
    def test_are_restored_exactly(
        self, kind: str, joint: bool, rule: str, text: str, reading: Reading
    ) -> None:
        target = reading(kind=kind, joint=joint, normalization=rule).target
        ids = target.encode([text, f" \t{text}\u3000\n"])
        assert target.decode(ids) == [text, text]
        assert target.mismatches([text, text], ids) == {}

    def test_never_begin_with_a_space(self, reading: Reading) -> None:
        target = reading(kind="char").target
        blank = target.id("▁")
        assert target.decode([[blank, blank, *target.encode(["no"])[0], blank]]) == ["no "]
        assert target.decode([[blank, blank], []]) == ["", ""]

    @pytest.mark.parametrize("kind", ["unigram", "bpe", "char", "word"])
    @pytest.mark.parametrize("joint", [True, False])
    def test_are_restored_exactly_without_bytes_if_their_characters_are_known(
        self, kind: str, joint: bool, reading: Reading
    ) -> None:
        target = reading(kind=kind, joint=joint, byte_fallback=False).target
        texts = [text for text in HOSTILE if not re.search("\t|▅|<2de>", text)]
        assert target.decode(target.encode(texts)) == texts

    @pytest.mark.parametrize("kind", ["unigram", "bpe"])
    def test_are_restored_exactly_with_subword_sampling(
        self, kind: Literal["unigram", "bpe"], reading: Reading
    ) -> None:
        target = reading(kind=kind).target
        drawn = target.encode([f" {text} " for text in HOSTILE], SubwordSampling(kind, 0.3, 7, 999))
        assert drawn != target.encode(HOSTILE)
        assert target.decode(drawn) == HOSTILE

    @pytest.mark.parametrize("kind", ["unigram", "bpe"])
    @pytest.mark.parametrize("joint", [True, False])
    def test_do_not_affect_the_normalization_of_sources(
        self, kind: str, joint: bool, reading: Reading
    ) -> None:
        source = reading(kind=kind, joint=joint).source
        for text, plain in [
            ("ＡＢＣ  １２", "ABC 12"),
            ("x² ½", "x2 1⁄2"),
            (" ﬁne\u00a0\t", "fine"),
        ]:
            assert source.encode([text]) == source.encode([plain])

    @pytest.mark.parametrize("rule", ["nmt_nfkc", "nfkc", "identity"])
    def test_have_the_pieces_of_the_source_if_they_share_a_vocabulary(
        self, rule: str, reading: Reading
    ) -> None:
        tokenizer = reading(normalization=rule)
        assert tokenizer.joint
        assert tokenizer.source.pieces == tokenizer.target.pieces

    def test_have_no_tags(self, reading: Reading) -> None:
        tokenizer = reading()
        assert tokenizer.source.tags == {"<2de>": 4}
        assert tokenizer.target.tags == {}
        assert tokenizer.target.is_control(4)
        assert 4 not in tokenizer.target.encode(["<2de> Hallo"])[0]

    @pytest.mark.parametrize("text", ["", " ", "\u200b", "\ufeff \u200d", "\x00", "\u2028"])
    def test_invisible_targets_have_no_pieces(self, text: str, reading: Reading) -> None:
        assert reading().target.encode([text]) == [[]]

    def test_mismatches_are_found(self, reading: Reading) -> None:
        target = reading().target
        texts = ["a▁b", "fine", " two\rlines", "\u200b", "日本"]
        mismatches = target.mismatches(texts, target.encode(texts))
        assert mismatches == {0: ("a▁b", "a b"), 2: ("two\rlines", "two lines")}
        assert target.mismatches([], []) == {}

    def test_mismatches_without_byte_fallback_are_found(self, reading: Reading) -> None:
        target = reading(byte_fallback=False).target
        mismatches = target.mismatches(["I am 日本 today"], target.encode(["I am 日本 today"]))
        assert mismatches == {0: ("I am 日本 today", "I am  ⁇  today")}
        assert (mismatches[0].excerpt(3), mismatches[0].character) == (("am 日本 ", "am  ⁇ "), "日")

    @pytest.mark.parametrize("kind", ["unigram", "bpe"])
    @pytest.mark.parametrize("joint", [True, False])
    def test_plain_text_gives_the_vocabulary_that_sentencepiece_learns(
        self, kind: str, joint: bool
    ) -> None:
        """Pieces, scores and ids equal those of SentencePiece with its own normalization."""
        vocabularies = learn(kind=kind, joint=joint)
        texts = [list(side) for side in zip(*PAIRS, strict=True)]
        if joint:
            texts = [list(itertools.chain(*PAIRS))] * 2
        for vocabulary, sentences in zip(vocabularies, texts, strict=True):
            assert scores(vocabulary.model) == scores(normalizing(sentences, kind))

    def test_model_can_be_read_by_sentencepiece_alone(
        self, reading: Reading, tmp_path: Path
    ) -> None:
        tokenizer = reading()
        tokenizer.save(RunDirectory(tmp_path).vocabularies)
        for name, vocabulary in zip(("source", "target"), tokenizer, strict=True):
            alone = sentencepiece.SentencePieceProcessor(str(tmp_path / f"{name}.model"))
            texts = HOSTILE[:-1]
            assert alone.encode(texts) == vocabulary.encode(texts)


def normalizing(sentences: list[str], kind: str) -> bytes:
    """A model as older versions learnt it: with SentencePiece's normalization on both sides."""
    options = {
        "model_type": kind,
        "vocab_size": 340,
        "hard_vocab_limit": False,
        "byte_fallback": True,
        "character_coverage": 1.0,
        "shuffle_input_sentence": True,
        "num_threads": num_threads(),
        "pad_id": 0,
        "unk_id": 1,
        "bos_id": 2,
        "eos_id": 3,
        "minloglevel": 2,
    }
    return sentencepiece_process.train_model(sentences, 1, options)


def scores(model: bytes) -> list[tuple[str, float]]:
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    ids = range(processor.vocab_size())
    return [(processor.id_to_piece(i), processor.get_score(i)) for i in ids]


class TestOlderRuns:
    """They have one tokenizer.model, or two models that both normalize."""

    def test_read_both_sides_by_one_model(self, tmp_path: Path) -> None:
        model = normalizing([text for pair in PAIRS for text in pair], "unigram")
        (tmp_path / "tokenizer.model").write_bytes(model)
        loaded = Tokenizer.load(RunDirectory(tmp_path).tokenizer())
        assert loaded.source is loaded.target and loaded.joint
        assert loaded.digest == hashlib.sha256(model).hexdigest()
        assert loaded.target.encode([" x²  y "]) == loaded.source.encode(["x2 y"])
        assert loaded.target.decode(loaded.target.encode(["x²"])) == ["x2"]

    def test_read_either_side_by_its_model(self, tmp_path: Path) -> None:
        sides = [list(side) for side in zip(*PAIRS, strict=True)]
        models = [normalizing(side, "unigram") for side in sides]
        for path, model in zip(RunDirectory(tmp_path).vocabularies, models, strict=True):
            path.write_bytes(model)
        loaded = Tokenizer.load(RunDirectory(tmp_path).tokenizer())
        assert not loaded.joint
        assert loaded.digest == "".join(hashlib.sha256(model).hexdigest() for model in models)
        assert loaded.target.decode(loaded.target.encode(["x²"])) == ["x2"]

    def test_their_model_can_be_used_by_a_new_run(self, tmp_path: Path) -> None:
        model = normalizing([text for pair in PAIRS for text in pair], "unigram")
        (tmp_path / "tokenizer.model").write_bytes(model)
        (tmp_path / "new").mkdir()
        old, new = RunDirectory(tmp_path), RunDirectory(tmp_path / "new")
        borrowed = Tokenizer.load(old.tokenizer())
        borrowed.save(new.vocabularies)
        assert Tokenizer.load(new.tokenizer()).digest == borrowed.digest

    def test_their_model_file_is_ignored_by_a_new_run_in_the_same_folder(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "tokenizer.model").write_bytes(b"of an older attempt")
        run, saved = RunDirectory(tmp_path), learn()
        saved.save(run.vocabularies)
        assert Tokenizer.load(run.tokenizer()).digest == saved.digest


COMMANDS = [
    Pair(f"walk and turn {side}{'  twice' * (i % 3)}", f"I_WALK I_TURN_{side.upper()} X{i % 7}")
    for i, side in enumerate(["left", "right", "around", "back"] * 20)
]


class TestPieces:
    def of(self, text: str, **keys: Any) -> list[str]:
        settings: dict[str, Any] = {"vocabulary_size": 400, "joint": False}
        target = learn(COMMANDS, **settings | keys).target
        return [target.piece(i) for i in target.encode([text])[0]]

    def test_words(self) -> None:
        text = "I_TURN_RIGHT I_WALK X3"
        assert self.of(text, kind="word") == ["▁I_TURN_RIGHT", "▁I_WALK", "▁X3"]
        assert self.of(text, kind="word", vocabulary_size=16) == ["▁I_TURN_RIGHT", "▁I_WALK", "▁X3"]

    @pytest.mark.parametrize("byte_fallback", [True, False])
    def test_unknown_words_are_lost(self, byte_fallback: bool) -> None:
        """SentencePiece would spell the space before them as ▁."""
        target = learn(COMMANDS, kind="word", byte_fallback=byte_fallback).target
        [ids] = target.encode(["I_WALK I_RUN"])
        assert 1 in ids
        assert target.mismatches(["I_WALK I_RUN"], [ids]) == {0: ("I_WALK I_RUN", "I_WALK ⁇")}

    @pytest.mark.parametrize("size", [290, 100_000])
    def test_characters(self, size: int) -> None:
        text = "I_WALK X3"
        assert self.of(text, kind="char", vocabulary_size=size) == ["▁", *"I_WALK", "▁", *"X3"]

    @pytest.mark.parametrize("kind", ["unigram", "bpe"])
    def test_do_not_mix_scripts_unless_configured(self, kind: str) -> None:
        text = "I_TURN_RIGHT I_WALK"
        assert "_" in self.of(text, kind=kind)
        crossing = self.of(text, kind=kind, split_by_unicode_script=False)
        assert any("_" in piece.strip("▁_") for piece in crossing)
        assert len(crossing) < len(self.of(text, kind=kind))

    def test_are_single_digits_if_digits_are_split(self) -> None:
        pairs = [Pair("a", f"year 2026 and {i}") for i in range(60)]
        for split in (False, True):
            target = learn(pairs, split_digits=split, joint=False, vocabulary_size=320).target
            learnt = "\n".join(target.pieces[4 + 256 :])
            assert bool(re.search("[0-9]{2}", learnt)) != split

    @pytest.mark.parametrize("kind", ["unigram", "bpe"])
    def test_may_cross_spaces_if_configured(self, kind: Literal["unigram", "bpe"]) -> None:
        pairs = [Pair("a", f"of the {word}") for word in ("house", "street", "town") * 20]
        target = learn(
            pairs, kind=kind, split_by_whitespace=False, joint=False, vocabulary_size=320
        ).target
        assert "▁of▁the▁" in "".join(target.piece(i) for i in target.encode(["of the town"])[0])
        assert any("▁" in piece[1:] for piece in target.pieces)
        texts = [pair.target for pair in pairs[:3]]
        drawn = [target.encode(texts, SubwordSampling(kind, 0.1, seed, 99)) for seed in range(20)]
        assert all(target.decode(rows) == texts for rows in drawn)
        used = {target.piece(i) for rows in drawn for row in rows for i in row}
        assert any("▁" in piece[1:] for piece in used)


Draw = Callable[[float, int], SubwordSampling]


@pytest.fixture
def sampling(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> Draw:
    """(α, seed) → sampling for the kind of the tokenizer."""
    kind = request.node.callspec.params["tokenizer"]
    return lambda alpha, seed: SubwordSampling(kind, alpha, seed, max_length=99)


class TestSampling:
    def test_is_the_same_for_the_same_seed(self, tokenizer: Tokenizer, sampling: Draw) -> None:
        one, other = (tokenizer.source.encode(SOURCES, sampling(0.2, 7)) for _ in range(2))
        assert one == other

    def test_does_not_depend_on_what_was_drawn_before(
        self, tokenizer: Tokenizer, sampling: Draw
    ) -> None:
        one = tokenizer.source.encode(SOURCES, sampling(0.2, 7))
        tokenizer.source.encode(SOURCES[:3], sampling(0.2, 8))
        assert tokenizer.source.encode(SOURCES, sampling(0.2, 7)) == one

    @pytest.mark.parametrize("seed", [8, 2**32 + 8, 2**63])
    def test_depends_on_the_seed(self, tokenizer: Tokenizer, sampling: Draw, seed: int) -> None:
        one = tokenizer.source.encode(SOURCES, sampling(0.2, 7))
        assert tokenizer.source.encode(SOURCES, sampling(0.2, seed)) != one

    def test_is_reproducible_even_with_seed_2_to_the_32_minus_1(
        self, tokenizer: Tokenizer, sampling: Draw
    ) -> None:
        draws = [tokenizer.source.encode(SOURCES, sampling(0.2, 2**32 - 1)) for _ in range(2)]
        tokenizer.source.encode(SOURCES, sampling(0.2, 1))
        draws.append(tokenizer.source.encode(SOURCES, sampling(0.2, 2**32 - 1)))
        assert draws[0] == draws[1] == draws[2]

    def test_changes_the_segmentation_and_keeps_the_text(
        self, tokenizer: Tokenizer, sampling: Draw
    ) -> None:
        drawn = tokenizer.source.encode(SOURCES, sampling(0.2, 7))
        assert drawn != tokenizer.source.encode(SOURCES)
        assert tokenizer.source.decode(drawn) == SOURCES

    def test_draws_each_sentence_independently(self, tokenizer: Tokenizer, sampling: Draw) -> None:
        drawn = tokenizer.source.encode([SOURCES[1]] * 20, sampling(0.2, 7))
        assert len({tuple(row) for row in drawn}) > 1

    def test_is_the_same_in_another_process(
        self, tokenizer: Tokenizer, sampling: Draw, tmp_path: Path
    ) -> None:
        path = tmp_path / "model"
        path.write_bytes(tokenizer.source.model)
        code = (
            "import sys; from pathlib import Path; from translator.data.tokenizer import *\n"
            "vocabulary = Vocabulary(Path(sys.argv[1]).read_bytes())\n"
            "print(vocabulary.encode(sys.argv[3:], SubwordSampling(sys.argv[2], 0.2, 7, 99)))"
        )
        command = [sys.executable, "-c", code, str(path), sampling(0.2, 7).kind, *SOURCES[:5]]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == f"{tokenizer.source.encode(SOURCES[:5], sampling(0.2, 7))}\n"

    def test_draws_that_are_too_long_are_replaced_by_the_best_segmentation(
        self, tokenizer: Tokenizer, sampling: Draw
    ) -> None:
        drawn = tokenizer.source.encode(SOURCES, sampling(0.2, 7)._replace(max_length=0))
        assert drawn == tokenizer.source.encode(SOURCES)


TAGS = ["<2de>", "<bt>"]
TAGGED = [pair._replace(source=f"{TAGS[i % 2]} {pair.source}") for i, pair in enumerate(PAIRS)]
STRANGE = ["ﬁne  café\u3000!", " two  spaces ", "日本語", "say <2de> now", "<2dex> no"]


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=["nmt_nfkc", "nfkc", "identity"])
def rule(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tagged(kind: str, rule: str) -> Vocabulary:
    learnt = learn(TAGGED, tags=TAGS, kind=kind, normalization=rule, vocabulary_size=342)
    return learnt.source


class TestTags:
    def test_have_the_first_ids_after_the_end(self, tagged: Vocabulary) -> None:
        assert tagged.tags == {"<2de>": 4, "<bt>": 5}

    def test_are_one_piece_and_do_not_change_the_pieces_after_them(
        self, tagged: Vocabulary
    ) -> None:
        plain = tagged.encode([pair.source for pair in PAIRS])
        assert tagged.encode([f"<2de> {pair.source}" for pair in PAIRS]) == [
            [4, *row] for row in plain
        ]

    @pytest.mark.parametrize("text", STRANGE)
    def test_do_not_change_the_pieces_of_unusual_text_after_them(
        self, tagged: Vocabulary, text: str
    ) -> None:
        [plain] = tagged.encode([text])
        assert tagged.encode([f"<bt> {text}"]) == [[5, *plain]]

    def test_only_the_first_of_a_sentence_counts(self, tagged: Vocabulary) -> None:
        [row] = tagged.encode(["<bt> <2de> again"])
        assert row[0] == 5 and not {4, 5} & set(row[1:])

    def test_need_no_space(self, tagged: Vocabulary) -> None:
        [with_space, without] = tagged.encode(["<bt> Good", "<bt>Good"])
        assert with_space == without

    def test_are_text_anywhere_else(self, tagged: Vocabulary) -> None:
        texts = ["say <2de> now", "<2dex> no", " <2de> no", "<2fr> no", "2de no"]
        for row, text in zip(tagged.encode(texts), texts, strict=True):
            assert not {4, 5} & set(row)
            assert tagged.decode([row])[0].strip() == text.strip()

    def test_without_text_give_no_pieces(self, tagged: Vocabulary) -> None:
        assert tagged.encode(["<2de>", "<2de> ", ""]) == [[], [], []]

    def test_are_not_decoded(self, tagged: Vocabulary) -> None:
        [row] = tagged.encode(["<2de> I am reading."])
        assert tagged.decode([row, [4, *row[1:], 5, 5], [4]]) == ["I am reading."] * 2 + [""]

    def test_do_not_change_the_learnt_pieces(
        self, tagged: Vocabulary, kind: str, rule: str
    ) -> None:
        """They are those learnt without tags, with ids higher by two."""
        plain = learn(kind=kind, normalization=rule, vocabulary_size=340).source
        expected = [[i + 2 for i in row] for row in plain.encode(SOURCES)]
        assert tagged.encode(SOURCES) == expected

    @pytest.mark.parametrize("alpha", [0.2, 0.9])
    def test_are_kept_by_subword_sampling(
        self, tagged: Vocabulary, kind: Literal["unigram", "bpe"], alpha: float
    ) -> None:
        sampling = SubwordSampling(kind, alpha, 7, max_length=99)
        drawn = tagged.encode([pair.source for pair in TAGGED], sampling)
        assert drawn == [
            [4 + i % 2, *row] for i, row in enumerate(tagged.encode(SOURCES, sampling))
        ]
        assert drawn != tagged.encode([pair.source for pair in TAGGED])

    def test_count_in_the_length_of_a_draw(
        self, tagged: Vocabulary, kind: Literal["unigram", "bpe"]
    ) -> None:
        text = f"<2de> {SOURCES[1]}"
        best = tagged.encode([text])[0]
        for seed in range(20):
            sampling = SubwordSampling(kind, 0.1, seed, max_length=len(best))
            assert len(tagged.encode([text], sampling)[0]) <= len(best)

    def test_survive_saving_and_loading(self, tagged: Vocabulary) -> None:
        assert Vocabulary(tagged.model).tags == tagged.tags

    def test_are_only_in_the_source_vocabulary(self) -> None:
        separate = learn(TAGGED, tags=TAGS, joint=False, vocabulary_size=342)
        assert (len(separate.source.tags), len(separate.target.tags)) == (2, 0)


def test_vocabulary_without_tags_is_unchanged() -> None:
    assert learn().source.tags == {}
    assert learn(tags=[]).digest == learn().digest
