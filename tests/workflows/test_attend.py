"""`attend` with an untrained model: what it returns, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from untrained_run import make_run, tokenizer

from translator.errors import ConfigError, DataError, RunError
from translator.models.transformer import Transformer
from translator.runs import EXPORT_CONFIG, RunDirectory
from translator.workflows.attend import attend, head_entropy

DOG = "the dog runs"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("attend") / "r").path


def test_every_piece_looks_at_pieces_with_weights_that_add_up_to_one(run: Path) -> None:
    attended = attend(run, [DOG, "a cat"])
    assert (attended.run, attended.languages) == (str(run), ("en", "de"))
    assert attended.mixers == dict.fromkeys(("encoder", "decoder", "cross"), "attention")
    assert not attended.is_forced
    for one in attended.sentences:
        num_source, num_target = len(one.source.pieces), len(one.target.pieces)
        shapes = {
            "encoder": (2, num_source, num_source),
            "decoder": (2, num_target, num_target),
            "cross": (2, num_target, num_source),
        }
        places = {(layer.part, layer.layer) for layer in one.layers}
        assert places == {(part, i) for part in shapes for i in (0, 1)}
        for layer in one.layers:
            assert layer.weights.shape == shapes[layer.part]
            np.testing.assert_allclose(layer.weights.sum(axis=2), 1, rtol=1e-5)
            if layer.part == "decoder":
                assert not np.triu(layer.weights, 1).any()


def test_the_source_is_shown_piece_by_piece_with_its_end(run: Path) -> None:
    [one] = attend(run, [DOG]).sentences
    assert one.source.text == DOG
    assert "".join(one.source.pieces) == "▁the▁dog▁runs</s>"
    assert one.source.controls == [len(one.source.pieces) - 1]
    assert one.source.num_pieces == len(one.source.pieces)


def test_the_translation_is_that_of_the_run(run: Path) -> None:
    from translator import open_run

    wanted = open_run(run).engine().translate([DOG])
    assert [one.target.text for one in attend(run, [DOG]).sentences] == wanted


def test_a_given_target_is_forced(run: Path) -> None:
    attended = attend(run, [DOG], target="a cat <b>")
    [one] = attended.sentences
    assert attended.is_forced
    assert one.target.text == "a cat <b>"
    ids = tokenizer().target.encode(["a cat <b>"])[0]
    assert one.target.pieces == [*(tokenizer().target.piece(id_) for id_ in ids), "</s>"]


def test_a_limit_of_pieces_keeps_the_weights_of_the_whole_sentence(run: Path) -> None:
    [whole] = attend(run, [DOG], target=DOG).sentences
    [part] = attend(run, [DOG], target=DOG, max_pieces=3).sentences
    assert (part.source.pieces, part.target.pieces) == (
        whole.source.pieces[:3],
        whole.target.pieces[:3],
    )
    assert part.source.num_pieces == whole.source.num_pieces > 3
    for one, other in zip(whole.layers, part.layers, strict=True):
        np.testing.assert_allclose(other.weights, one.weights[:, :3, :3], atol=1e-6)


def test_a_source_beyond_max_length_is_read_as_far_as_it_goes(
    run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    [one] = attend(run, ["a " * 60]).sentences
    assert (len(one.source.pieces), one.source.num_pieces) == (41, 61)
    assert "Its last 20 pieces (beyond data.max_length) were not read" in caplog.text


def test_parts_without_attention_have_no_weights_but_a_name(tmp_path: Path) -> None:
    path = make_run(tmp_path / "r", "model.encoder=convolution", "model.decoder=recurrence").path
    attended = attend(path, [DOG])
    assert attended.mixers["encoder"] == "convolution"
    assert attended.mixers["decoder"] == "recurrence"
    assert {layer.part for layer in attended.sentences[0].layers} == {"cross"}


def test_cross_and_decoder_of_a_decoder_only_model_add_up_to_one(tmp_path: Path) -> None:
    attended = attend(make_run(tmp_path / "r", "model.kind=decoder_only").path, [DOG])
    assert attended.is_decoder_only
    sums = {
        (layer.part, layer.layer): layer.weights.sum(axis=2)
        for layer in attended.sentences[0].layers
    }
    for i in (0, 1):
        np.testing.assert_allclose(sums["cross", i] + sums["decoder", i], 1, rtol=1e-5)


def test_entropy_is_in_bits() -> None:
    alike, one_key = [0.25] * 4, [0, 1, 0, 0]
    np.testing.assert_allclose(
        head_entropy(np.array([[alike, alike], [one_key, one_key], [alike, one_key]])), [2, 0, 1]
    )


def test_entropy_is_that_of_shares_if_the_query_also_looks_elsewhere() -> None:
    np.testing.assert_allclose(head_entropy(np.array([[[0.1, 0.1], [0, 0]]])), [0.5])


@pytest.mark.parametrize("text", ["", "  ", "\u200b"])
def test_an_empty_sentence_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="The sentence is empty"):
        attend("nowhere", [text])
    with pytest.raises(DataError, match="Sentence 2 is empty"):
        attend("nowhere", [DOG, text])
    with pytest.raises(DataError, match="The target is empty"):
        attend("nowhere", [DOG], target=text)


def test_a_target_of_several_sentences_is_refused() -> None:
    with pytest.raises(ConfigError, match="--target is the translation of one sentence"):
        attend("nowhere", [DOG, DOG], target=DOG)


def test_text_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(DataError, match="not UTF-8"):
        attend("nowhere", ["a \udcff"])


def test_a_string_is_not_a_list_of_sentences() -> None:
    with pytest.raises(TypeError, match="in brackets"):
        attend("nowhere", DOG)


def test_an_export_is_refused(tmp_path: Path) -> None:
    (tmp_path / EXPORT_CONFIG).touch()
    with pytest.raises(RunError, match="this is an export"):
        attend(tmp_path, [DOG])


def test_a_missing_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        attend(RunDirectory(tmp_path / "none").path, [DOG])


def test_a_model_without_attention_is_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Transformer, "attention_maps", lambda *_: [])
    with pytest.raises(RunError, match="no attention to look at"):
        attend(run, [DOG])
