"""Text that is not UTF-8 is refused. The error names what it is and how to convert it."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from translator.corpora.lines import read_lines, read_stream
from translator.errors import DataError

TEXTS = {
    "English": "Hello there, how are you?\nFine, thanks.\n",
    "French": "Où êtes-vous allé ? « Là-bas » …\nÀ bientôt.\n",
    "Russian": "Привет, как дела?\nХорошо.\n",
    "Greek": "Καλημέρα, τι κάνεις;\nΚαλά.\n",
    "Arabic": "مرحبا كيف حالك؟\nأنا بخير.\n",
    "Hindi": "नमस्ते आप कैसे हैं?\nठीक हूँ।\n",
    "Thai": "สวัสดีครับ คุณสบายดีไหม\nสบายดี\n",
    "Chinese": "你好，你今天怎么样？\n我很好，谢谢你。\n",
    "Japanese": "こんにちは、元気ですか。\nはい、元気です。\n",
    "Korean": "안녕하세요, 어떻게 지내세요?\n잘 지내요.\n",
}


class Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False


def refused(raw: bytes, stream: type[io.BytesIO] = io.BytesIO) -> str:
    with pytest.raises(DataError) as caught:
        list(read_stream(stream(raw), "text"))
    return str(caught.value)


class TestUtf16:
    @pytest.mark.parametrize("stream", [io.BytesIO, Pipe])
    @pytest.mark.parametrize("order", ["UTF-16LE", "UTF-16BE"])
    @pytest.mark.parametrize("language", TEXTS)
    def test_without_a_mark_is_recognized_with_its_byte_order(
        self, language: str, order: str, stream: type[io.BytesIO]
    ) -> None:
        assert refused(TEXTS[language].encode(order), stream) == (
            f"text is {order}, not UTF-8; convert it, for example with: iconv -f {order} -t UTF-8"
        )

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
    def test_with_a_mark_is_recognized(self, encoding: str) -> None:
        name = encoding.upper()
        assert refused(TEXTS["English"].encode(encoding)) == (
            f"text is {name}, not UTF-8; convert it, for example with: iconv -f {name} -t UTF-8"
        )
        big = "\ufeff" + TEXTS["English"]
        assert refused(big.encode(f"{encoding}-be")).startswith(f"text is {name}, not UTF-8")

    def test_in_a_gzip_file_is_recognized(self, tmp_path: Path) -> None:
        path = tmp_path / "text.gz"
        path.write_bytes(gzip.compress(TEXTS["Russian"].encode("utf-16-le")))
        with pytest.raises(DataError, match=r"/text\.gz is UTF-16LE, not UTF-8"):
            list(read_lines(path))

    @pytest.mark.parametrize("language", TEXTS)
    def test_utf8_is_not_mistaken_for_it(self, language: str) -> None:
        text = TEXTS[language]
        assert list(read_stream(io.BytesIO(text.encode()), "text")) == text.splitlines()

    @pytest.mark.parametrize("line", ["a\0b", "\0" * 20, "A line of text with one\0 NUL.", "\1\2"])
    def test_utf8_with_control_characters_is_not_mistaken_for_it(self, line: str) -> None:
        assert list(read_stream(io.BytesIO(f"{line}\n".encode()), "text")) == [line]


def zipped(raw: bytes) -> bytes:
    with zipfile.ZipFile(packed := io.BytesIO(), "w") as archive:
        archive.writestr("text", raw)
    return packed.getvalue()


def archived(raw: bytes) -> bytes:
    with tarfile.open(fileobj=(packed := io.BytesIO()), mode="w") as archive:
        entry = tarfile.TarInfo("text")
        entry.size = len(raw)
        archive.addfile(entry, io.BytesIO(raw))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("packed", "kind", "command"),
    [
        (
            gzip.compress(b"text\n"),
            "gzip",
            "gzip -dc (a file whose name ends in .gz is read as it is)",
        ),
        (bz2.compress(b"text\n"), "bzip2", "bzip2 -dc"),
        (lzma.compress(b"text\n"), "xz", "xz -dc"),
        (b"\x28\xb5\x2f\xfd\x04\x00\x29\x00\x00text\n", "zstd", "zstd -dc"),
        (zipped(b"text\n"), "zip", "unzip"),
        (archived(b"text\n"), "tar", "tar -xf"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_packed_text_is_recognized(packed: bytes, kind: str, command: str, tmp_path: Path) -> None:
    sentence = f"is packed with {kind}; unpack it, for example with: {command}"
    assert refused(packed) == f"text {sentence}"
    path = tmp_path / "text.gz"
    path.write_bytes(gzip.compress(packed))
    with pytest.raises(DataError) as caught:
        list(read_lines(path))
    assert str(caught.value) == f"{path} {sentence}"


@pytest.mark.parametrize("raw", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01", bytes(range(256))])
def test_binary_file_is_recognized(raw: bytes) -> None:
    assert "nor any other text: this seems to be a binary file; name a text" in refused(raw)


class TestFlippedBit:
    @pytest.mark.parametrize("language", [name for name in TEXTS if name != "English"])
    def test_in_utf8_is_not_mistaken_for_another_encoding(self, language: str) -> None:
        raw = bytearray(TEXTS[language].encode())
        raw[raw.index(b"\n") + 1] ^= 0x80
        message = refused(bytes(raw))
        assert message.startswith("text, line 2: not UTF-8 (byte 0x") and "LATIN1" not in message
        assert "while the text around it is; this place is damaged: " in message

    def test_error_names_its_position(self) -> None:
        raw = "Où allez-vous ?\n".encode().replace(b"z", b"\xfa")
        assert refused(raw) == (
            "text, line 1: not UTF-8 (byte 0xfa) at character 8, while the text around it is; "
            "this place is damaged: download the text again, or drop such bytes with: "
            "iconv -c -f UTF-8 -t UTF-8"
        )

    def test_in_ascii_may_be_damage_or_another_encoding(self) -> None:
        sentence = (
            "not UTF-8 (byte 0xe9); convert the text from its encoding, Western European text for "
            "example with: iconv -f LATIN1 -t UTF-8; or download it again if only this place is "
            "damaged"
        )
        assert refused(b"caf\xe9 noir\nlait\n") == f"text, line 1: {sentence}"


def test_text_cut_off_within_a_character_is_recognized() -> None:
    assert refused("Où allez-vous ?\nLà".encode()[:-1]) == (
        "text, line 2: not UTF-8 (byte 0xc3): the text is cut off within its last character; "
        "download it again"
    )


@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        ("French", "cp1252"),
        ("Russian", "cp1251"),
        ("Chinese", "gbk"),
        ("Japanese", "shift-jis"),
        ("Korean", "euc-kr"),
    ],
)
def test_single_byte_encoding_should_be_converted(language: str, encoding: str) -> None:
    assert "; convert the text from its encoding" in refused(TEXTS[language].encode(encoding))


class TestLoneCarriageReturns:
    @pytest.mark.parametrize("stream", [io.BytesIO, Pipe])
    @pytest.mark.parametrize("raw", [b"one\rtwo\rthree", b"one\rtwo\rthree\r"])
    def test_are_refused_as_line_ends(self, raw: bytes, stream: type[io.BytesIO]) -> None:
        assert refused(raw, stream) == (
            f"text has no line feed in its {len(raw)} bytes, but 2 carriage returns; lines must "
            r"end with line feeds: convert it, for example with: tr '\r' '\n'"
        )

    def test_are_found_in_the_first_part_of_a_stream(self) -> None:
        stream = io.BytesIO(b"line\r" * 2**20)
        with pytest.raises(DataError, match="no line feed in its first 1,048,576 bytes, but 209,7"):
            list(read_stream(stream, "text"))
        assert stream.tell() <= 2**20

    @pytest.mark.parametrize(
        ("raw", "lines"),
        [
            (b"one\r", ["one\r"]),
            (b"one\rtwo\n", ["one\rtwo"]),
            (b"\n one\rtwo", ["", " one\rtwo"]),
            (b"x" * 2**21 + b"\nsecond", ["x" * 2**21, "second"]),
        ],
        ids=["one line", "a line feed at the end", "a line feed before", "a long line"],
    )
    def test_are_text_if_there_are_line_feeds(self, raw: bytes, lines: list[str]) -> None:
        assert list(read_stream(io.BytesIO(raw), "text")) == lines


def test_pipe_is_not_read_ahead() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream, os.fdopen(writer, "wb") as source:
        source.write("é\n".encode())
        source.flush()
        lines = read_stream(stream, "standard input")
        assert next(lines) == "é"
        source.write(b"\xe9\n")
        source.flush()
        with pytest.raises(DataError, match=r"^standard input, line 2: not UTF-8 \(byte 0xe9\)"):
            next(lines)
