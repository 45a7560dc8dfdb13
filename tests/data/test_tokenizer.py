"""Sentences become ids and come back; vocabularies are as large as they can be; draws repeat."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

import pytest
import sentencepiece

from translator.config.schema import TokenizerConfig
from translator.data.corpus import Pair
from translator.data.tokenizer import Sampling, Tokenizer, Vocabulary, train_tokenizer
from translator.errors import DataError, RunError

EVERYDAY = Path(__file__).parents[2] / "data/everyday/train.tsv"


def everyday_pairs(count: int = 60) -> list[Pair]:
    with EVERYDAY.open(encoding="utf-8", newline="\n") as lines:
        return [Pair(*line.rstrip("\n").split("\t")) for line in itertools.islice(lines, count)]


PAIRS = everyday_pairs()
SOURCES = [pair.source for pair in PAIRS]


def learn(
    pairs: Iterable[Pair] = PAIRS,
    said: list[str] | None = None,
    tags: Sequence[str] = (),
    **keys: object,
) -> Tokenizer:
    config = TokenizerConfig.model_validate({"vocabulary_size": 340} | keys)
    pairs = list(pairs)
    say = ([] if said is None else said).append
    return train_tokenizer(config, lambda: pairs, 1, say, tags)


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return learn(kind=request.param)


def test_text_comes_back(tokenizer: Tokenizer) -> None:
    assert tokenizer.source.decode(tokenizer.source.encode(SOURCES)) == SOURCES
    assert tokenizer.source.decode([]) == []


def test_the_special_ids_are_pad_unknown_begin_end(tokenizer: Tokenizer) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.source.model)
    ids = [processor.pad_id(), processor.unk_id(), processor.bos_id(), processor.eos_id()]
    assert ids == [0, 1, 2, 3]


def test_no_text_becomes_a_special_id(tokenizer: Tokenizer) -> None:
    texts = [*SOURCES, "<pad> <unk> <s> </s>", "日本語", "\x00\x01", "<0x0A>", "▁"]
    assert min(itertools.chain(*tokenizer.source.encode(texts))) > 3


@pytest.mark.parametrize("text", ["日本語 🦜", "ñandú", "x\x00y", "<s>", "a </s> b"])
def test_what_the_corpus_never_held_is_spelt_in_bytes(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.source.decode(tokenizer.source.encode([text])) == [text]


@pytest.mark.parametrize("text", ["", " ", "\r", "\u200b", "\u3000"])
def test_what_holds_no_text_holds_no_pieces(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.source.encode([text]) == [[]]


def test_the_same_corpus_gives_the_same_vocabulary(tokenizer: Tokenizer) -> None:
    assert learn().digest == learn().digest
    assert learn().digest != learn(PAIRS[:-5]).digest


def test_the_vocabulary_has_the_size_asked_for(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.source) == 340


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_vocabulary_larger_than_the_corpus_is_made_smaller_and_says_so(kind: str) -> None:
    said: list[str] = []
    size = len(learn(vocabulary_size=100_000, kind=kind, said=said).source)
    assert 340 < size < 5_000
    assert said == [
        f"The corpus holds no more than {size:,} pieces: the vocabulary has so many, instead of "
        "tokenizer.vocabulary_size 100,000."
    ]


def test_one_that_fits_says_nothing() -> None:
    said: list[str] = []
    learn(said=said)
    assert said == []


@pytest.mark.parametrize("byte_fallback", [True, False])
def test_a_vocabulary_too_small_for_the_characters_says_how_many_it_takes(
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


def test_without_bytes_the_unknown_is_unknown() -> None:
    vocabulary = learn(vocabulary_size=100, byte_fallback=False).source
    assert 1 in vocabulary.encode(["日本語"])[0]


def test_identity_keeps_what_normalization_changes() -> None:
    ligature = "ﬁne"
    for rule, expected in (("nmt_nfkc", "fine"), ("identity", ligature)):
        vocabulary = learn(normalization=rule).source
        assert vocabulary.decode(vocabulary.encode([ligature])) == [expected]


class TestVocabularies:
    def test_may_be_one_for_both_sides(self) -> None:
        joint = learn()
        assert joint.joint
        assert joint.source.encode(["Straße"]) == joint.target.encode(["Straße"])

    def test_may_be_one_for_each_side(self) -> None:
        separate = learn(joint=False, vocabulary_size=400)
        assert not separate.joint
        assert separate.source.digest != separate.target.digest
        word = " ".join(pair.target for pair in PAIRS)
        assert len(separate.target.encode([word])[0]) < len(separate.source.encode([word])[0])

    @pytest.mark.parametrize("names", [["one"], ["source", "target"]])
    def test_come_back_from_disk(self, tmp_path: Path, names: list[str]) -> None:
        saved = learn(joint=len(names) == 1)
        paths = [tmp_path / name for name in names]
        saved.save(paths)
        loaded = Tokenizer.load(paths)
        assert loaded.joint == saved.joint
        assert loaded.digest == saved.digest
        assert loaded.target.encode(SOURCES) == saved.target.encode(SOURCES)

    def test_that_are_not_there_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match=r"/gone: cannot read the tokenizer: No such file"):
            Tokenizer.load([tmp_path / "gone"])

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


Draw = Callable[[float, int], Sampling]


@pytest.fixture
def sampling(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> Draw:
    """Sampling of the tokenizer's kind, by α and seed."""
    kind = request.node.callspec.params["tokenizer"]
    return lambda alpha, seed: Sampling(kind, alpha, seed, max_length=99)


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
    def test_is_another_for_another_seed(
        self, tokenizer: Tokenizer, sampling: Draw, seed: int
    ) -> None:
        one = tokenizer.source.encode(SOURCES, sampling(0.2, 7))
        assert tokenizer.source.encode(SOURCES, sampling(0.2, seed)) != one

    def test_repeats_even_with_the_seed_that_means_none(
        self, tokenizer: Tokenizer, sampling: Draw
    ) -> None:
        draws = [tokenizer.source.encode(SOURCES, sampling(0.2, 2**32 - 1)) for _ in range(2)]
        tokenizer.source.encode(SOURCES, sampling(0.2, 1))
        draws.append(tokenizer.source.encode(SOURCES, sampling(0.2, 2**32 - 1)))
        assert draws[0] == draws[1] == draws[2]

    def test_segments_anew_and_keeps_the_text(self, tokenizer: Tokenizer, sampling: Draw) -> None:
        drawn = tokenizer.source.encode(SOURCES, sampling(0.2, 7))
        assert drawn != tokenizer.source.encode(SOURCES)
        assert tokenizer.source.decode(drawn) == SOURCES

    def test_draws_each_sentence_on_its_own(self, tokenizer: Tokenizer, sampling: Draw) -> None:
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
            "print(vocabulary.encode(sys.argv[3:], Sampling(sys.argv[2], 0.2, 7, 99)))"
        )
        command = [sys.executable, "-c", code, str(path), sampling(0.2, 7).kind, *SOURCES[:5]]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert said.stdout == f"{tokenizer.source.encode(SOURCES[:5], sampling(0.2, 7))}\n"

    def test_takes_no_draw_that_is_too_long(self, tokenizer: Tokenizer, sampling: Draw) -> None:
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

    def test_are_a_piece_and_change_nothing_behind_them(self, tagged: Vocabulary) -> None:
        plain = tagged.encode([pair.source for pair in PAIRS])
        assert tagged.encode([f"<2de> {pair.source}" for pair in PAIRS]) == [
            [4, *row] for row in plain
        ]

    @pytest.mark.parametrize("text", STRANGE)
    def test_change_nothing_behind_them_whatever_it_is(self, tagged: Vocabulary, text: str) -> None:
        [plain] = tagged.encode([text])
        assert tagged.encode([f"<bt> {text}"]) == [[5, *plain]]

    def test_come_one_a_sentence(self, tagged: Vocabulary) -> None:
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

    def test_without_text_are_no_pieces(self, tagged: Vocabulary) -> None:
        assert tagged.encode(["<2de>", "<2de> ", ""]) == [[], [], []]

    def test_are_not_printed(self, tagged: Vocabulary) -> None:
        [row] = tagged.encode(["<2de> I am reading."])
        assert tagged.decode([row, [4, *row[1:], 5, 5], [4]]) == ["I am reading."] * 2 + [""]

    def test_leave_the_pieces_of_text_as_they_are(
        self, tagged: Vocabulary, kind: str, rule: str
    ) -> None:
        """Those learnt without tags, two ids further on."""
        plain = learn(kind=kind, normalization=rule, vocabulary_size=340).source
        expected = [[i + 2 for i in row] for row in plain.encode(SOURCES)]
        assert tagged.encode(SOURCES) == expected

    @pytest.mark.parametrize("alpha", [0.2, 0.9])
    def test_stay_whole_when_pieces_are_sampled(
        self, tagged: Vocabulary, kind: Literal["unigram", "bpe"], alpha: float
    ) -> None:
        sampling = Sampling(kind, alpha, 7, max_length=99)
        drawn = tagged.encode([pair.source for pair in TAGGED], sampling)
        assert drawn == [
            [4 + i % 2, *row] for i, row in enumerate(tagged.encode(SOURCES, sampling))
        ]
        assert drawn != tagged.encode([pair.source for pair in TAGGED])

    def test_count_for_the_longest_draw(
        self, tagged: Vocabulary, kind: Literal["unigram", "bpe"]
    ) -> None:
        text = f"<2de> {SOURCES[1]}"
        best = tagged.encode([text])[0]
        for seed in range(20):
            sampling = Sampling(kind, 0.1, seed, max_length=len(best))
            assert len(tagged.encode([text], sampling)[0]) <= len(best)

    def test_come_back_from_disk(self, tagged: Vocabulary) -> None:
        assert Vocabulary(tagged.model).tags == tagged.tags

    def test_are_the_sources_only(self) -> None:
        separate = learn(TAGGED, tags=TAGS, joint=False, vocabulary_size=342)
        assert (len(separate.source.tags), len(separate.target.tags)) == (2, 0)


def test_without_tags_a_vocabulary_is_what_it_was() -> None:
    assert learn().source.tags == {}
    assert learn(tags=[]).digest == learn().digest
