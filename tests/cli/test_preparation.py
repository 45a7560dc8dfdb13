"""Preparation of text: its progress, its cache, and how it continues after an interruption."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from translator.config import Config, load_config
from translator.corpora import fetching
from translator.data import corpus_statistics
from translator.data.corpus import read_pairs
from translator.data.corpus_statistics import sample_corpus
from translator.data.length_limit import share_beyond
from translator.data.store import open_store
from translator.diagnostics.data_warnings import data_warnings
from translator.errors import DataError, RunError
from translator.runs import RunDirectory
from translator.workflows import new_run, resumed_run
from translator.workflows import progress as module
from translator.workflows.prepared import Prepared
from translator.workflows.progress import LOG_LINES, counting

from .conftest import ROOT, Command

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])  # type: ignore[attr-defined]
    return now


class TestProgress:
    def test_logs_a_line_every_ten_seconds(self, clock: list[float], capsys: Capture) -> None:
        with counting(LOG_LINES, "Preparing", total=1000) as show:
            for seconds in range(25):
                clock[0] = 100.0 + seconds
                show(10 * seconds)
        assert capsys.readouterr().err.splitlines() == [
            "Preparing: 100 of 1,000 pairs, 10 a second, 1:30 left",
            "Preparing: 200 of 1,000 pairs, 10 a second, 1:20 left",
        ]

    def test_without_a_total_logs_the_count(self, clock: list[float], capsys: Capture) -> None:
        with counting(LOG_LINES, "Reading") as show:
            show(5000)
            clock[0] += 10
            show(15_000)
        assert capsys.readouterr().err == "Reading: 15,000 pairs, 1,000 a second\n"

    def test_of_a_quick_task_logs_nothing(self, clock: list[float], capsys: Capture) -> None:
        with counting(LOG_LINES, "Reading", total=10) as show:
            for done in range(10):
                show(done)
        assert capsys.readouterr().err == ""

    def test_shows_how_long_a_data_set_is_being_fetched(
        self, clock: list[float], capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fetching, "REPORT_EVERY", 0.01)
        messages = ""
        with counting(LOG_LINES, "Reading") as show, fetching.reported("a_set"):
            clock[0] += 75
            while not messages:
                time.sleep(0.01)
                messages = capsys.readouterr().err
        assert messages == "Reading: preparing a_set, 1:15 so far\n"
        clock[0] += 75
        show(5)
        assert capsys.readouterr().err == "Reading: 5 pairs\n"


def warnings(prepared: Prepared) -> list[str]:
    config, tokenizer, training, validation, _ = prepared
    return list(data_warnings(config, tokenizer, training, validation, is_borrowed=False))


def prepare(run: str = "runs/c") -> Prepared:
    directory = RunDirectory(Path(run))
    directory.create()
    return new_run.prepare_new_run(load_config(Path("c.yaml"), []), directory, None)


class TestTheVocabulary:
    def test_of_a_small_text_is_learnt_from_all_of_it(
        self, workplace: Path, capsys: Capture
    ) -> None:
        prepare()
        assert capsys.readouterr().err == "Reading the text …\n"

    def test_of_a_large_text_is_learnt_from_a_sample_with_a_message(
        self, workplace: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(corpus_statistics, "MOST_SENTENCES", 60)
        prepared = prepare()
        assert capsys.readouterr().err == (
            "Reading the text …\n"
            "SentencePiece learns from 60 of 120 sentences, evenly spread over the text.\n"
        )
        assert prepared.training.facts.num_pairs == 60

    def test_is_learnt_without_lines_that_are_too_long(
        self, workplace: Path, capsys: Capture
    ) -> None:
        short = prepare().tokenizer
        with (workplace / "train.tsv").open("a") as file:
            file.write(f"One.\t{'Eins. ' * 20_000}\n{'Two. ' * 20_000}\tZwei.\n")
        capsys.readouterr()
        prepared = prepare("runs/other")
        assert capsys.readouterr().err == (
            "Reading the text …\n"
            "The vocabulary is learnt without 2 pairs that have a line of more than 65,536 bytes.\n"
        )
        assert prepared.tokenizer.digest == short.digest
        facts = prepared.training.facts
        assert (facts.num_pairs, facts.num_long) == (60, 2)

    def test_cannot_be_learnt_if_all_lines_are_too_long(self, workplace: Path) -> None:
        (workplace / "train.tsv").write_text(f"One.\t{'Eins. ' * 20_000}\n")
        with pytest.raises(DataError) as caught:
            prepare()
        assert str(caught.value) == (
            "data.train: every pair has a line of more than 65,536 bytes, so no vocabulary can be "
            "learnt. Put one sentence on a line"
        )

    def test_is_not_learnt_again_from_the_same_text(
        self, workplace: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = prepare().tokenizer
        monkeypatch.delattr(new_run, "train_tokenizer")
        assert prepare("runs/other").tokenizer.digest == first.digest
        assert all(path.exists() for path in RunDirectory(Path("runs/other")).tokenizer())

    @pytest.mark.parametrize("name", ["source.model", "target.model", "digest"])
    @pytest.mark.parametrize("damage", ["emptied", "cut off", "missing"])
    def test_that_is_damaged_in_the_cache_is_learnt_again_with_a_message(
        self, workplace: Path, capsys: Capture, name: str, damage: str
    ) -> None:
        first = prepare().tokenizer
        [model] = (workplace / "cache/translator").glob("*/source.model")
        path, content = model.with_name(name), model.with_name(name).read_bytes()
        if damage == "missing":
            path.unlink()
        else:
            path.write_bytes(content[:-20] if damage == "cut off" else b"")
        capsys.readouterr()
        assert prepare("runs/other").tokenizer.digest == first.digest
        assert capsys.readouterr().err == (
            "Reading the text …\n"
            f"{path.parent}: this part of the cache is damaged or incomplete; making it again.\n"
        )
        assert path.read_bytes() == content

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("vocabulary_size: 340", "vocabulary_size: 341"),
            ("vocabulary_size: 340", "vocabulary_size: 340, kind: bpe"),
            ("max_steps: 20", "max_steps: 20\n  seed: 2"),
        ],
    )
    def test_is_learnt_again_with_other_settings(
        self, workplace: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str
    ) -> None:
        prepare()
        config = workplace / "c.yaml"
        config.write_text(config.read_text().replace(old, new))
        monkeypatch.delattr(new_run, "train_tokenizer")
        with pytest.raises(NameError):
            prepare("runs/other")

    def test_is_learnt_again_from_other_text(
        self, workplace: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        prepare()
        with (workplace / "train.tsv").open("a") as file:
            file.write("one\tmore\n")
        monkeypatch.delattr(new_run, "train_tokenizer")
        with pytest.raises(NameError):
            prepare("runs/other")


def older_run(config: Config) -> RunDirectory:
    """A run of an older version, in which only white space counted as an empty side."""
    run = RunDirectory(Path("runs/c"))
    prepared = prepare()
    tokenizer, data = prepared.tokenizer, config.data
    digests = {}
    for split, limit in (("train", data.max_length), ("validation", None)):
        store = open_store(
            Path(f"older {split}"),
            lambda split=split: read_pairs(data, split),  # type: ignore[misc]
            tokenizer,
            max_length=limit,
            keep_text=False,
            keep_blank=True,
        )
        digests[split] = store.facts.digest
    run.text.write_text(json.dumps(digests))
    return run


class TestSidesOfInvisibleCharacters:
    @pytest.fixture(autouse=True)
    def text(self, workplace: Path) -> None:
        with (workplace / "train.tsv").open("a") as file:
            file.write("One.\t\u200b\n\u200b\tTwo.\n")

    def test_are_left_out(self) -> None:
        facts = prepare().training.facts
        assert (facts.num_pairs, facts.num_empty) == (60, 2)

    def test_stay_in_a_run_that_began_with_them(self) -> None:
        config = load_config(Path("c.yaml"))
        facts = resumed_run.read_prepared(config, older_run(config)).training.facts
        assert (facts.num_pairs, facts.num_empty) == (62, 0)

    def test_in_changed_text_are_refused(self, workplace: Path) -> None:
        config = load_config(Path("c.yaml"))
        run = older_run(config)
        with (workplace / "train.tsv").open("a") as file:
            file.write("Three.\tDrei.\n")
        with pytest.raises(RunError, match="text is not the one that this run began with"):
            resumed_run.read_prepared(config, run)

    def test_are_left_out_when_a_newer_run_continues(self) -> None:
        prepare()
        prepared = resumed_run.read_prepared(
            load_config(Path("c.yaml")), RunDirectory(Path("runs/c"))
        )
        assert prepared.training.facts.num_pairs == 60


ACTIONS = {"walk": "WALK", "run": "RUN", "jump": "JUMP", "look": "LOOK"}


def commands() -> list[str]:
    """Lines of commands and actions, as in SCAN (Lake & Baroni 2018)."""
    parts = []
    for verb, direction, times in itertools.product(
        ACTIONS, ("left", "right"), ("", " twice", " thrice")
    ):
        turns = [direction.upper(), ACTIONS[verb]]
        count = {"": 1, " twice": 2, " thrice": 3}[times]
        parts.append((f"{verb} {direction}{times}", turns * count))
        parts.append((f"{verb} around {direction}{times}", turns * 4 * count))
    return [
        f"{one} {word} {other}\t{' '.join(actions + more if word == 'and' else more + actions)}"
        for (one, actions), (other, more) in itertools.product(parts, parts[::3])
        for word in ("and", "after")
    ]


class TestTheLengthLimit:
    @pytest.fixture
    def scan(self, workplace: Path) -> Path:
        """c.yaml with targets several times as long as their sources, and no length limit."""
        lines = commands()
        random.Random(1).shuffle(lines)
        (workplace / "train.tsv").write_text("".join(f"{line}\n" for line in lines[:600]))
        (workplace / "validation.tsv").write_text("".join(f"{line}\n" for line in lines[600:700]))
        config = workplace / "c.yaml"
        text = config.read_text().replace(", max_length_ratio: 1.0, max_length_extra: 0", "")
        config.write_text(text.replace("max_length: 80", "max_length: 300"))
        return config

    def test_follows_from_a_text_with_long_targets(self, scan: Path, capsys: Capture) -> None:
        prepared = prepare()
        limit = prepared.config.decoding.length_limit
        assert limit.ratio > 2
        assert capsys.readouterr().err.endswith(
            f"Translations may have {limit}, so that the targets of this text fit.\n"
        )
        for text in (prepared.training, prepared.validation):
            assert share_beyond(limit, text.source.lengths, text.target.lengths) == 0
        assert warnings(prepared) == []
        kept = load_config(Path("runs/c/config.yaml")).decoding
        assert (kept.max_length_ratio, kept.max_length_extra) == limit
        again = resumed_run.prepare_resumed_run(load_config(scan), RunDirectory(Path("runs/c")))
        assert again.config == prepared.config

    def test_that_is_too_low_causes_a_warning_before_the_first_step(self, scan: Path) -> None:
        config = load_config(scan, ["decoding.max_length_ratio=2", "decoding.max_length_extra=10"])
        directory = RunDirectory(Path("runs/c"))
        directory.create()
        prepared = new_run.prepare_new_run(config, directory, None)
        assert prepared.config.decoding.length_limit == (2, 10)
        warned = [text for text in warnings(prepared) if "longer than a translation may be" in text]
        assert [text.split("targets of ")[1].split(" text")[0] for text in warned] == [
            *("the training", "the validation")
        ]
        assert all(float(text.split("%")[0]) > 30 for text in warned)

    def test_of_ordinary_text_is_the_lowest_and_not_logged(
        self, workplace: Path, capsys: Capture
    ) -> None:
        config = workplace / "c.yaml"
        text = config.read_text().replace(", max_length_ratio: 1.0, max_length_extra: 0", "")
        config.write_text(text)
        assert prepare().config.decoding.length_limit == (2.0, 10)
        assert capsys.readouterr().err == "Reading the text …\n"


def test_text_that_changes_while_it_is_read_is_refused(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changes(pairs: object, show: object) -> object:
        with (workplace / "validation.tsv").open("a") as file:
            file.write("one\tmore\n")
        return sample_corpus(pairs, show)  # type: ignore[arg-type]

    monkeypatch.setattr(new_run, "sample_corpus", changes)
    with pytest.raises(DataError, match=r"^data\.validation: the text has changed while"):
        prepare()


KILLED = """
import os, signal, sys
from translator.cli.app import main
from translator.data import store_writer

store_writer.CHUNK, store_writer.JOURNAL_EVERY = 10, -1.0
left, save = int(sys.argv.pop(1)), store_writer.SideWriter.save

def killed(side):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return save(side)

store_writer.SideWriter.save = killed
main()
"""


@pytest.mark.slow
def test_killed_while_preparing_the_same_command_continues(
    trained: Path, workplace: Path, command: Command
) -> None:
    """Each of six chunks is saved on both sides. The result equals that of a run never killed."""
    for count in (4, 5):
        done = command(str(count), "train", "c.yaml", code=KILLED)
        assert done.returncode == -signal.SIGKILL, done.stderr
    [journal] = Path("cache/translator").glob("*.unfinished/journal.json")
    assert json.loads(journal.read_text())["num_read"] == 30
    done = command("train", "c.yaml", "--set", "training.max_steps=1")
    assert done.returncode == 0, done.stderr
    assert Path("runs/c/text.json").read_text() == (trained / "runs/c/text.json").read_text()
    assert list(Path("cache/translator").glob("*unfinished*")) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_sentencepiece_at_once(workplace: Path, number: int) -> None:
    words = random.Random(1)
    for name, count in (("train", 200_000), ("validation", 10)):
        lines = (f"{words.random()} {words.random()}\t{words.random()}\n" for _ in range(count))
        (workplace / f"{name}.tsv").write_text("".join(lines))
    with subprocess.Popen(
        [sys.executable, "-m", "translator", "train", "c.yaml"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        learning: list[str] = []
        while not learning:
            time.sleep(0.05)
            commands = {c: Path(f"/proc/{c}/cmdline") for c in children.read_text().split()}
            learning = [c for c, path in commands.items() if "serve" in path.read_text()]
        time.sleep(2)
        os.kill(process.pid, number)
        sent = time.monotonic()
        _, stderr = process.communicate()
    assert time.monotonic() - sent < 5
    assert process.returncode == 128 + number
    assert stderr.endswith("Stopped. The same command continues runs/c.\n")
    assert "Traceback" not in stderr
    assert not Path(f"/proc/{learning[0]}").exists()


def test_preparation_interrupted_at_any_file_starts_over(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a power cut: the files written before exist, and config.yaml is the last one."""
    prepare("runs/whole")
    whole = sorted(path.name for path in Path("runs/whole").iterdir())
    cut_short, left, replace = 0, 0, Path.replace

    def cut(path: Path, target: Path) -> Path:
        nonlocal left
        if "runs" in path.parts:
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", cut)
    while not Path("runs/c/config.yaml").exists():
        left = cut_short
        with suppress(KeyboardInterrupt):
            prepare()
        cut_short += 1
    assert cut_short > 4
    assert sorted(path.name for path in Path("runs/c").iterdir()) == whole
