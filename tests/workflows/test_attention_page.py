"""The page of `attend` as a file: it holds the weights, runs no text, and needs nothing else."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from translator.errors import ConfigError, DataError
from translator.workflows.attend import Attended, AttendedSentence, Layer, Line, head_entropy
from translator.workflows.attention_page import (
    MAX_PIECES,
    MAX_SENTENCES,
    attention_page,
    check_page,
    read_sentences,
    write_page,
)

EVIL = "</script><script>alert(1)</script><!-- {{style}} & ' \" \u2028"


def line(*pieces: str) -> Line:
    return Line("".join(pieces).replace("▁", " ").strip(), [*pieces, "</s>"], [len(pieces)], 9)


def page_of(num_layers: int, num_heads: int, size: int, text: str = "▁x") -> str:
    random = np.random.default_rng(1)
    layers = []
    for part in ("encoder", "decoder", "cross"):
        for i in range(num_layers):
            weights = random.dirichlet(np.ones(size), (num_heads, size)).astype(np.float32)
            layers.append(Layer(part, i, weights, head_entropy(weights), size))
    side = line(*[text] * (size - 1))
    mixers: Any = dict.fromkeys(("encoder", "decoder", "cross"), "attention")
    sentences = [AttendedSentence(side, side, layers)]
    return attention_page(Attended("runs/x", ("en", "de"), mixers, False, False, sentences))


def data_of(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def test_the_page_holds_the_weights_in_steps_of_a_byte() -> None:
    random = np.random.default_rng(1)
    weights = random.dirichlet(np.ones(3), (2, 3)).astype(np.float32)
    layer = data_of(page_of(1, 2, 3))["sentences"][0]["layers"][0]
    assert (layer["part"], layer["layer"], layer["shape"]) == ("encoder", 0, [2, 3, 3])
    read = np.frombuffer(base64.b64decode(layer["weights"]), np.uint8).reshape(2, 3, 3) / 255
    np.testing.assert_allclose(read, weights, atol=0.5 / 255 + 1e-6)
    np.testing.assert_allclose(layer["entropy"], head_entropy(weights), atol=1e-3)


def test_text_is_data_and_never_part_of_the_page() -> None:
    page = page_of(1, 1, 2, EVIL)
    assert page.count("<script") == page.count("</script>") == 2
    assert "<!--" not in page.replace("<!doctype", "")
    assert data_of(page)["sentences"][0]["source"]["pieces"] == [EVIL, "</s>"]


def test_the_page_needs_no_other_file() -> None:
    page = page_of(1, 1, 2)
    assert not re.search(r"\b(?:src|href)=(?!\"data:,\")|@import|url\(|{{", page)
    assert set(re.findall(r"https?://[^\"']*", page)) <= {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in page


def test_a_large_model_fits_into_a_megabyte() -> None:
    assert len(page_of(6, 8, MAX_PIECES).encode()) < 1_000_000


def test_a_page_is_written_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mixers: Any = {"cross": "attention"}
    attended = Attended("runs/x", ("en", "de"), mixers, False, False, [])
    with caplog.at_level("INFO", "translator"):
        write_page(tmp_path / "p.html", attended)
    assert [path.name for path in tmp_path.iterdir()] == ["p.html"]
    assert f"Written to {tmp_path / 'p.html'}" in caplog.text


def test_a_page_is_refused_where_it_cannot_be(tmp_path: Path) -> None:
    text = tmp_path / "in.en"
    text.write_text("x\n")
    check_page(tmp_path / "p.html", text)
    for path, problem in (
        (tmp_path, "this is a folder"),
        (tmp_path / "none/p.html", "there is no folder"),
        (text, "would overwrite the input"),
        (tmp_path / "a\0b", "NUL"),
    ):
        with pytest.raises(ConfigError, match=problem):
            check_page(path, text)


def test_sentences_come_from_the_command_line_or_a_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert read_sentences("A dog.", None) == ["A dog."]
    path = tmp_path / "in.en"
    path.write_text("one\ntwo\n")
    assert read_sentences(None, path) == ["one", "two"]
    assert not caplog.text
    path.write_text("x\n" * (MAX_SENTENCES + 1))
    assert read_sentences(None, path) == ["x"] * MAX_SENTENCES
    assert f"more than {MAX_SENTENCES} sentences" in caplog.text
    for both in ((None, None), ("A dog.", path)):
        with pytest.raises(ConfigError, match="either a sentence, or a file"):
            read_sentences(*both)
    with pytest.raises(DataError, match="does not exist"):
        read_sentences(None, tmp_path / "none")
