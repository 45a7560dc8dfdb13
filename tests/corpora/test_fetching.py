"""The progress of TensorFlow Datasets is reported."""

import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from translator.config.schema import DataConfig
from translator.corpora import fetching
from translator.corpora.fetching import watched
from translator.corpora.tfds_split import TfdsSplit

MIB = 2**20
PATIENCE = 60
"""Seconds after which a test fails."""


class Watcher:
    """Keeps the reports that it gets, and lets tests wait for a report."""

    def __init__(self) -> None:
        self.reports: list[str] = []
        self._changed = threading.Condition()

    def __call__(self, text: str) -> None:
        with self._changed:
            self.reports.append(text)
            self._changed.notify_all()

    def wait_for(self, pattern: str) -> None:
        with self._changed:
            assert self._changed.wait_for(
                lambda: any(re.search(pattern, text) for text in self.reports), PATIENCE
            ), self.reports


watcher = Watcher()
address = ""


class HeavySet(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc, unused-ignore]
    """Downloads a file of 3 MiB and makes two examples. Each stage waits until it is reported."""

    VERSION = tfds.core.Version("1.0.0")
    code_path = Path(__file__)

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.Translation(languages=("en", "de"))
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, str]]]]:
        assert len(dl_manager.download(f"{address}/file").read_bytes()) == 3 * MIB
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, str]]]:
        print("Generating …", file=sys.stderr)
        yield 1, {"en": "One.", "de": "Eins."}
        yield 2, {"en": "Two.", "de": "Zwei."}


class Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(3 * MIB))
        self.end_headers()
        self.wfile.write(bytes(2 * MIB))
        self.wfile.flush()
        watcher.wait_for("downloaded 1 of 3 MiB")
        self.wfile.write(bytes(MIB))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DataConfig]:
    monkeypatch.setattr(fetching, "REPORT_EVERY", 0.01)
    monkeypatch.setattr(f"{__name__}.watcher", Watcher())
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        monkeypatch.setattr(f"{__name__}.address", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield DataConfig(
            source_language="en",
            target_language="de",
            dataset="heavy_set",
            dataset_folder=str(tmp_path),
            train="train",
            validation="train",
        )
        server.shutdown()
        thread.join()


def test_progress_shows_sizes_and_speed(
    data: DataConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    with watched(watcher):
        pairs = list(TfdsSplit(split="train").read(data, "data.train"))
    assert len(pairs) == 2
    assert capsys.readouterr() == ("", "")
    downloads = [text for text in watcher.reports if "downloaded" in text]
    assert re.fullmatch(r"downloaded 1 of 3 MiB, [\d.,]+ per second, 0:\d\d so far", downloads[0])
    line = re.compile(r"(preparing heavy_set/1\.0\.0|[a-z]+ [\d,]+ .+ per second), 0:\d\d so far")
    assert all(map(line.fullmatch, watcher.reports))
    num_reports = len(watcher.reports)
    with watched(watcher):
        assert list(TfdsSplit(split="train").read(data, "data.train")) == pairs
    assert len(watcher.reports) == num_reports  # it is there already


def test_without_a_watcher_nothing_is_reported(
    data: DataConfig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "wait_for", lambda _: None)
    assert len(list(TfdsSplit(split="train").read(data, "data.train"))) == 2
    assert watcher.reports == [] and capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("bar", "words"),
    [
        (("Dl Size...", " MiB", 12, 1200), "downloaded 12 of 1,200 MiB, 3.0 per second"),
        (("Dl Size...", " MiB", 0, 1200), ""),
        (("Dl Completed...", " url", 1, 3), ""),
        (("Extraction completed...", " file", 1, 0), "unpacked 1 file, 0.2 per second"),
        (
            ("Generating train examples...", " examples", 40_000, None),
            "converted 40,000 examples, 10,000 per second",
        ),
        (("Generating splits...", " splits", 1, 3), ""),
        (("Shuffling /x...", " examples", 400, 800), "sorted 400 of 800 examples, 100 per second"),
    ],
)
def test_progress_bar_in_words(bar: tuple[str, str, int, int | None], words: str) -> None:
    prefix, unit, n, total = bar
    values = {"prefix": prefix, "unit": unit, "n": n, "total": total, "elapsed": 4.0}
    assert fetching._in_words(values) == words
