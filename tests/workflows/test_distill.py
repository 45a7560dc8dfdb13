"""`distill` up to the training: what it refuses, what it keeps, and what the student learns from.

The process of the teacher is replaced by a function, so that no test needs a trained model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from translator.bundle_archive import pack
from translator.config import Config, load_config, load_recorded, save_config
from translator.config.schema import TokenizerConfig
from translator.corpora.text_files import TextFiles
from translator.data.corpus import Pair
from translator.data.tokenizer import Tokenizer, train_tokenizer
from translator.errors import UserError
from translator.export.manifest import (
    Comparison,
    Manifest,
    Options,
    Validation,
    digests,
    save_manifest,
)
from translator.models.weights import arrays_digest, load_arrays, save_arrays
from translator.runs import EXPORT_CONFIG, RunDirectory
from translator.workflows import distill as workflow
from translator.workflows import translated_text
from translator.workflows.distill import distill
from translator.workflows.teacher import Counts, TranslatedCorpus, open_teacher
from translator.workflows.teacher_process import TranslationRequest
from translator.workflows.train import train
from translator.workflows.translated_text import keep_usable, student_config, weights_for_share

SENTENCES = ["one two", "three", "four five six"]
CONFIG = """\
data:
  source_language: {source}
  target_language: {target}
  train: {train}
  validation: {{source: a.en, target: a.de}}
model: {{num_layers: 1}}
training: {{max_steps: 5}}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a student s.yaml and a teacher runs/t."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, prefix in (("a.en", ""), ("b.en", "b "), ("a.de", "de "), ("b.de", "de b ")):
        Path(name).write_text("".join(f"{prefix}{line}\n" for line in SENTENCES))
    write_config("s.yaml")
    make_teacher("runs/t")
    return tmp_path


def write_config(
    name: str, train: str = "{source: a.en, target: a.de}", languages: str = "en de"
) -> Path:
    source, target = languages.split()
    Path(name).write_text(CONFIG.format(train=train, source=source, target=target))
    return Path(name)


def make_teacher(
    path: str, train: str = "{source: a.en, target: a.de}", languages: str = "en de"
) -> RunDirectory:
    """A run with all that is read before a teacher translates."""
    run = RunDirectory(Path(path))
    run.path.mkdir(parents=True)
    config = load_config(write_config("t.yaml", train, languages))
    save_config(config, run.config)
    tokenizer(*config.data.tags).save(run.vocabularies)
    save_arrays(run.best, {"x": np.ones(2, np.float32)})
    return run


def make_export(run: RunDirectory) -> Path:
    """An export in a run, with all that is read before it translates."""
    config = load_recorded(run.config)
    folder = run.export("ctranslate2-float32")
    folder.mkdir(parents=True)
    save_config(config, folder / EXPORT_CONFIG)
    tokenizer().save(RunDirectory(folder).vocabularies)
    save_manifest(
        folder,
        Manifest(
            format="ctranslate2",
            quantization="float32",
            version="0",
            weights_sha256=arrays_digest(load_arrays(run.best)[0]),
            max_length=config.data.max_length,
            penalty="length^alpha",
            options=Options(
                beam_size=config.decoding.beam_size,
                length_penalty=config.decoding.length_penalty,
                max_input_length=0,
                max_decoding_length=9,
                min_decoding_length=0,
                disable_unk=True,
                suppress_sequences=[],
            ),
            compute_type="float32",
            golden=Comparison(largest=0, mean=0, same=1, near_ties=[], different=[]),
            validation=Validation(bleu=1, run_bleu=1, signature="", same=1),
            files=digests(folder),
        ),
    )
    return folder


@cache
def tokenizer(*tags: str) -> Tokenizer:
    pairs = [Pair(line, line) for line in SENTENCES]
    vocabulary = TokenizerConfig(kind="char", vocabulary_size=300)
    return train_tokenizer(vocabulary, lambda: pairs, 1, lambda _: None, list(tags))


Translate = Callable[[str], str]


def interrupt() -> str:
    raise KeyboardInterrupt


class Translations:
    """Stands for the process of the teacher, and for the training of the student."""

    def __init__(self) -> None:
        self.translate: Translate = lambda line: f"0\t{line.upper()}"
        self.requests: list[TranslationRequest] = []
        self.student: Config | None = None

    @contextmanager
    def translating(self, request: TranslationRequest) -> Iterator[Iterator[int | None]]:
        self.requests.append(request)

        def reports() -> Iterator[int | None]:
            for task in request.tasks:
                lines = task.source.read_text().splitlines()
                task.output.write_text("".join(f"{self.translate(line)}\n" for line in lines))
                yield len(lines)
                yield None

        yield reports()

    def train(self, config: Config, run: RunDirectory, *_: object) -> Path:
        self.student = config
        save_config(config, run.config)
        run.text.write_text("{}")
        return run.path

    @property
    def corpora(self) -> list[dict[str, Any]]:
        """data.train of the student, without what is not set."""
        assert self.student is not None
        corpora = self.student.data.corpora("train").values()
        return [corpus.model_dump(exclude_none=True) for corpus in corpora]


@pytest.fixture
def translations(monkeypatch: pytest.MonkeyPatch) -> Translations:
    fake = Translations()
    monkeypatch.setattr(workflow, "translating", fake.translating)
    monkeypatch.setattr(workflow, "train_run", fake.train)
    return fake


def refusal(teacher: str = "runs/t", **arguments: Any) -> str:
    with pytest.raises(UserError) as caught:
        distill("s.yaml", teacher, **arguments)
    return str(caught.value)


def text_of(part: str, number: int = 1) -> list[str]:
    return RunDirectory(Path("runs/s")).translation(number, part).read_text().splitlines()


class TestDirection:
    def test_of_the_student_translates_its_training_sources(
        self, translations: Translations
    ) -> None:
        distill("s.yaml", "runs/t")
        assert text_of("source") == SENTENCES
        assert text_of("target") == [line.upper() for line in SENTENCES]
        path = Path("runs/s/translated/translated-1.source").resolve()
        assert translations.corpora == [
            {"source": "a.en", "target": "a.de"},
            {"source": str(path), "target": str(path.with_suffix(".target"))},
        ]

    def test_of_the_student_translates_other_text_instead(self, translations: Translations) -> None:
        distill("s.yaml", "runs/t", text=["b.en"], tag="<mono>")
        assert text_of("source") == [f"b {line}" for line in SENTENCES]
        assert [corpus.get("tag") for corpus in translations.corpora] == [None, "<mono>"]

    def test_that_is_opposite_makes_sources_for_given_targets(
        self, translations: Translations
    ) -> None:
        make_teacher("runs/back", languages="de en")
        distill("s.yaml", "runs/back", text=["b.de"], tag="<bt>")
        assert text_of("target") == [f"de b {line}" for line in SENTENCES]
        assert text_of("source") == [line.upper() for line in text_of("target")]
        assert json.loads(Path("runs/s/teacher.json").read_text())["kind"] == "back-translation"

    def test_that_is_opposite_needs_text(self) -> None:
        make_teacher("runs/back", languages="de en")
        assert refusal("runs/back") == (
            "runs/back translates de → en, against the direction of the student. That makes "
            "sources for targets (back-translation): name text in de with --text, or a teacher "
            "that translates en → de."
        )

    def test_that_is_another_is_refused(self) -> None:
        make_teacher("runs/fr", languages="fr de")
        assert refusal("runs/fr", text=["b.en"]) == (
            "runs/fr translates fr → de, and the student en → de. Name a teacher that translates "
            "en → de, or de → en with --text."
        )


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({"share": 0}, "--share should be at least 0.000001 and at most 1, not 0."),
            ({"share": 1e-31}, "--share should be at least 0.000001 and at most 1, not 1e-31."),
            ({"share": 1.5}, "--share should be at least 0.000001 and at most 1, not 1.5."),
            (
                {"share": float("nan")},
                "--share should be at least 0.000001 and at most 1, not nan.",
            ),
            (
                {"tag": "bt"},
                "--tag should be a word in angle brackets, such as <2de> or <bt>, not 'bt'.",
            ),
            ({"text": ["c.en"]}, "c.en does not exist; check its name and folder"),
            (
                {"teacher": "runs/x"},
                "runs/x: there is no such run; `translator train` makes one.",
            ),
            (
                {"run": "runs/t"},
                "runs/t is the student itself. Name another teacher, or another folder for the "
                "student with --run.",
            ),
            (
                {"run": "runs"},
                "runs/t is inside runs. Name another teacher, or another folder for the student "
                "with --run.",
            ),
        ],
    )
    def test_are_one_sentence_and_leave_nothing(
        self, arguments: dict[str, Any], sentence: str
    ) -> None:
        assert refusal(**arguments) == sentence
        assert not Path("runs/s").exists()

    @pytest.mark.parametrize(
        "arguments", [{"text": ["b\udcff.en"]}, {"teacher": "t\udcff"}, {"run": "s\udcff"}]
    )
    def test_names_that_are_not_utf8(self, arguments: dict[str, Any]) -> None:
        Path("b\udcff.en").write_text("one\n")
        make_teacher("t\udcff")
        assert refusal(**arguments).endswith("this name is not UTF-8. Rename the file or folder.")
        assert not Path("runs/s").exists() and not Path("s\udcff").exists()

    @pytest.mark.parametrize("text", ["b.en", Path("b.en")])
    def test_text_that_is_not_a_list(self, text: Any) -> None:
        with pytest.raises(TypeError, match="text must be a list of files"):
            distill("s.yaml", "runs/t", text=text)

    def test_a_run_that_must_not_contain_text(self) -> None:
        message = refusal(overrides=["training.keep_text=false"])
        assert message.startswith("training.keep_text is false, but the run of a student contains")

    def test_a_teacher_without_weights(self) -> None:
        Path("runs/t/best.safetensors").unlink()
        assert "no weights have been validated yet" in refusal()

    def test_several_workers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        task = {"type": "worker", "index": 0}
        cluster = {"cluster": {"worker": ["a:1", "b:1"]}, "task": task}
        monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
        assert refusal().startswith("`translator distill` is one process, but TF_CONFIG or Slurm")

    def test_weights_without_a_share_for_other_text(self) -> None:
        write_config("s.yaml", "[{source: a.en, target: a.de, weight: 1}]")
        assert "needs a share: set it with --share" in refusal(text=["b.en"])
        assert not Path("runs/s").exists()

    def test_a_run_that_began_without_a_teacher(self) -> None:
        run = RunDirectory(Path("runs/s"))
        run.create()
        save_config(load_config(Path("s.yaml")), run.config)
        run.text.write_text("{}")
        assert refusal() == (
            "runs/s: this run began without a teacher. Name another folder with --run."
        )

    def test_a_student_as_the_configuration(self, translations: Translations) -> None:
        distill("s.yaml", "runs/t")
        for config in ("runs/s", "runs/s/config.yaml"):
            with pytest.raises(UserError, match="`translator train runs/s` continues it without"):
                distill(config, "runs/t")

    def test_translations_of_which_none_is_usable(self, translations: Translations) -> None:
        translations.translate = lambda line: "1\t…" if line == "three" else "0\t"
        assert refusal().endswith(
            "runs/t can be used (a.en: 2 empty, 1 truncated). Train the teacher longer, or give it "
            "text that resembles its training text."
        )
        save_arrays(Path("runs/t/best.safetensors"), {"x": np.zeros(2, np.float32)})
        translations.translate = lambda line: f"0\t{line.upper()}"
        distill("s.yaml", "runs/t", text=["b.en"])
        assert text_of("source") == [f"b {line}" for line in SENTENCES]


class TestTags:
    BOTH = "[{source: a.en, target: a.de, tag: <x>}, {source: b.en, target: b.de}]"

    def test_are_kept_and_given_to_a_teacher_that_knows_them(
        self, translations: Translations
    ) -> None:
        write_config("s.yaml", self.BOTH)
        make_teacher("runs/tagged", self.BOTH)
        distill("s.yaml", "runs/tagged")
        assert [corpus.get("tag") for corpus in translations.corpora] == ["<x>", None] * 2
        assert [task.tag for task in translations.requests[0].tasks] == ["<x>", None]
        assert text_of("source") == SENTENCES

    def test_are_not_given_to_a_teacher_that_does_not_know_them(
        self, translations: Translations, caplog: pytest.LogCaptureFixture
    ) -> None:
        write_config("s.yaml", self.BOTH)
        with caplog.at_level("INFO"):
            distill("s.yaml", "runs/t")
        assert [corpus.get("tag") for corpus in translations.corpora] == ["<x>", None] * 2
        assert [task.tag for task in translations.requests[0].tasks] == [None, None]
        assert "runs/t does not know the tag <x>. It translates a.en without it." in caplog.text

    def test_that_a_teacher_needs_are_missed(self) -> None:
        make_teacher("runs/tagged", "{source: a.en, target: a.de, tag: <x>}")
        learnt = "runs/tagged learnt only from sentences with a tag (<x>), but "
        hint = " Use one of these tags, or another teacher."
        assert refusal("runs/tagged") == f"{learnt}a.en has no tag.{hint}"
        assert refusal("runs/tagged", tag="<y>") == f"{learnt}the tag of a.en is <y>.{hint}"

    def test_are_not_given_to_a_teacher_of_the_opposite_direction(
        self, translations: Translations
    ) -> None:
        tagged = "{source: a.de, target: a.en, tag: <x>}"
        make_teacher("runs/back", f"[{tagged}, {{source: b.de, target: b.en}}]", "de en")
        distill("s.yaml", "runs/back", text=["b.de"], tag="<x>")
        assert [task.tag for task in translations.requests[0].tasks] == [None]
        make_teacher("runs/tagged", tagged, "de en")
        assert refusal("runs/tagged", text=["b.de"], tag="<x>", run="runs/other") == (
            "runs/tagged learnt only from sentences with a tag (<x>), but back-translation gives "
            "it none. Use another teacher."
        )

    def test_that_validation_needs_may_lose_all_their_translations(
        self, translations: Translations
    ) -> None:
        write_config("s.yaml", self.BOTH)
        translations.translate = lambda line: f"0\t{line.upper() if line[:2] == 'b ' else ''}"
        for _ in range(2):
            assert refusal(share=1, overrides=["data.validation.tag=<x>"]) == (
                "No translation of a.en (<x>) can be used, but data.validation needs that tag. Use "
                "a --share below 1."
            )
        distill("s.yaml", "runs/t", share=0.5, overrides=["data.validation.tag=<x>"])
        assert [corpus.get("tag") for corpus in translations.corpora] == ["<x>", None, None]
        assert [len(request.tasks) for request in translations.requests] == [2, 0, 0]

    def test_that_validation_needs_are_missed_before_the_work(self) -> None:
        write_config("s.yaml", self.BOTH)
        overrides = ["data.validation.tag=<x>"]
        assert refusal(text=["b.en"], share=1, overrides=overrides) == (
            "data.validation.tag is <x>, but with --share 1 no training text has that tag. Use a "
            "--share below 1, or --tag <x>."
        )
        assert not Path("runs/s").exists()

    def test_of_a_corpus_are_not_replaced(self) -> None:
        write_config("s.yaml", self.BOTH)
        assert refusal(tag="<y>") == (
            "data.train[0] has a tag, which its translation keeps. Leave out --tag."
        )


class TestShares:
    TWO = "[{{source: a.en, target: a.de{}}}, {{source: b.en, target: b.de{}}}]"

    def test_keep_the_proportions_of_both_groups(self) -> None:
        assert weights_for_share(0.8, [7], [3]) == ([0.2], [0.8])
        assert weights_for_share(0.5, [3, 1], [1, 4]) == ([0.375, 0.125], [0.1, 0.4])

    def weights(self, translations: Translations) -> list[float | None]:
        return [corpus.get("weight") for corpus in translations.corpora]

    def test_are_by_size_unless_set(self, translations: Translations) -> None:
        write_config("s.yaml", self.TWO.format("", ""))
        distill("s.yaml", "runs/t", overrides=["data.temperature=2"])
        assert self.weights(translations) == [None] * 4
        assert translations.student is not None and translations.student.data.temperature == 2

    def test_are_by_weight_if_the_corpora_have_weights(self, translations: Translations) -> None:
        write_config("s.yaml", self.TWO.format(", weight: 3", ", weight: 1"))
        distill("s.yaml", "runs/t")
        assert self.weights(translations) == [3, 1, 3, 1]

    def test_divide_the_weights(self, translations: Translations) -> None:
        write_config("s.yaml", self.TWO.format(", weight: 3", ", weight: 1"))
        distill("s.yaml", "runs/t", share=0.2)
        assert self.weights(translations) == [0.6, 0.2, 0.15, 0.05]

    def test_follow_the_temperature(self, translations: Translations) -> None:
        """12 and 3 pairs at temperature 2 are mixed as 2 to 1."""
        for name in ("a.en", "a.de"):
            Path(name).write_text(4 * Path(name).read_text())
        write_config("s.yaml", self.TWO.format("", ""))
        distill("s.yaml", "runs/t", share=0.75, overrides=["data.temperature=2"])
        assert translations.student is not None and translations.student.data.temperature == 1
        assert self.weights(translations) == pytest.approx([1 / 6, 1 / 12, 1 / 2, 1 / 4])

    def test_of_one_leave_translated_text_only(self, translations: Translations) -> None:
        distill("s.yaml", "runs/t", share=1)
        [corpus] = translations.corpora
        assert Path(corpus["source"]).name == "translated-1.source" and "weight" not in corpus

    def test_of_one_need_no_dataset_if_validation_names_files(
        self, translations: Translations
    ) -> None:
        config = load_config(Path("s.yaml"), ["data.dataset=home_assistant", "data.train=train"])
        teacher = open_teacher(Path("runs/t"), None, config.data, has_text=False)
        corpus = TranslatedCorpus(
            name="train",
            tag=None,
            teacher_tag=None,
            weight=None,
            num_lines=3,
            sha256="",
            counts=Counts(kept=3),
        )
        record, run = teacher.record([3], [corpus], 1.0), RunDirectory(Path("runs/s"))
        assert student_config(config, run, record, share=1).data.dataset is None
        assert student_config(config, run, record, share=0.5).data.dataset == "home_assistant"

    def test_that_leave_a_weight_too_small_are_refused(self, translations: Translations) -> None:
        write_config("s.yaml", self.TWO.format(", weight: 1", ", weight: 1.0e-30"))
        assert refusal(share=0.5).startswith("runs/s: data.train[1].weight ")


class TestTeachers:
    def test_may_be_a_bundle(self, translations: Translations) -> None:
        Path("runs/t/export.json").write_text("{}")
        pack(Path("runs/t"), Path("t.bundle"))
        distill("s.yaml", "t.bundle")
        [request] = translations.requests
        assert request.teacher == Path("t.bundle") and "weights" in request.decided_by

    def test_may_be_an_export(self, translations: Translations) -> None:
        folder = make_export(RunDirectory(Path("runs/t")))
        distill("s.yaml", "runs/t", engine="ctranslate2")
        assert translations.requests[0].engine == "ctranslate2"
        assert list(translations.requests[0].decided_by) == ["export.json"]
        distill("s.yaml", str(folder))
        assert translations.requests[1].decided_by == translations.requests[0].decided_by
        assert "is not the one that translated for this run: " in refusal("runs/t")

    def test_may_be_an_export_of_which_an_earlier_version_recorded_more(
        self, translations: Translations
    ) -> None:
        """The half-done translation of the run has these keys, too."""
        folder = make_export(RunDirectory(Path("runs/t")))
        translations.translate = lambda line: interrupt()
        with pytest.raises(KeyboardInterrupt):
            distill("s.yaml", folder)
        path = Path("runs/s/teacher.json")
        record = json.loads(path.read_text())
        record["decided_by"] = {"weights": "…", "tokenizer": "…"} | record["decided_by"]
        path.write_text(json.dumps(record))
        translations.translate = lambda line: f"0\t{line.upper()}"
        distill("s.yaml", folder)
        assert translations.requests[1].decided_by == record["decided_by"]


class TestWhatIsKept:
    def test_leaves_out_empty_truncated_and_copied_lines(self) -> None:
        run = RunDirectory(Path("runs/s"))
        run.translated.mkdir(parents=True)
        rows = [
            ("good", "0", "gut"),
            ("silent", "0", ""),
            ("silent and cut", "1", "\u200b"),
            ("", "0", ""),
            ("cut", "1", "geschnitten"),
            (" copy", "0", "copy"),
            ("with a tab", "0", "mit\tTab"),
        ]
        run.translation(1, "input").write_text("".join(f"{row[0]}\n" for row in rows))
        run.translation(1, "output").write_text("".join(f"{b}\t{c}\n" for _, b, c in rows))
        counts = keep_usable(run, 1, "distillation")
        assert counts == Counts(kept=2, empty=3, truncated=1, copied=1)
        assert counts.left_out == "3 empty, 1 truncated, 1 copied"
        assert text_of("source") == ["good", "with a tab"]
        assert text_of("target") == ["gut", "mit\tTab"]

    def test_is_logged_for_each_corpus(
        self, translations: Translations, caplog: pytest.LogCaptureFixture
    ) -> None:
        translations.translate = lambda line: "0\tX" if line == "three" else f"0\t{line}"
        with caplog.at_level("INFO"):
            distill("s.yaml", "runs/t")
        assert "a.en: 1 of 3 translations kept. Left out: 2 copied." in caplog.messages

    def test_a_corpus_without_usable_translations_is_not_learnt_from(
        self, translations: Translations
    ) -> None:
        translations.translate = lambda line: "0\tX" if line.startswith("b ") else "0\t"
        write_config("s.yaml", TestShares.TWO.format("", ""))
        distill("s.yaml", "runs/t")
        names = [Path(corpus["source"]).name for corpus in translations.corpora]
        assert names == ["a.en", "b.en", "translated-2.source"]


class TestContinuing:
    def test_translates_what_is_missing(self, translations: Translations) -> None:
        write_config("s.yaml", TestShares.TWO.format("", ""))

        def stop_at_b(line: str) -> str:
            return interrupt() if line.startswith("b ") else f"0\t{line.upper()}"

        translations.translate, whole = stop_at_b, translations.translate
        with pytest.raises(KeyboardInterrupt):
            distill("s.yaml", "runs/t")
        assert translations.student is None
        translations.translate = whole
        distill("s.yaml", "runs/t")
        assert [len(request.tasks) for request in translations.requests] == [2, 1]
        assert text_of("source", 2) == [f"b {line}" for line in SENTENCES]
        assert not list(Path("runs/s/translated").glob("*put*"))

    def test_does_not_translate_again(self, translations: Translations) -> None:
        distill("s.yaml", "runs/t")
        before = translations.corpora
        distill("s.yaml", "runs/t")
        assert translations.requests[1].tasks == []
        assert translations.corpora == before

    def test_lays_out_only_what_is_not_translated(
        self, translations: Translations, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        distill("s.yaml", "runs/t")
        monkeypatch.delattr(translated_text, "opened_whole")
        distill("s.yaml", "runs/t")

    def test_keeps_what_another_process_translated_meanwhile(
        self, translations: Translations, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create = RunDirectory.create

        def create_late(run: RunDirectory) -> None:
            monkeypatch.setattr(RunDirectory, "create", create)
            distill("s.yaml", "runs/t")
            run.config.unlink()
            create(run)

        monkeypatch.setattr(RunDirectory, "create", create_late)
        distill("s.yaml", "runs/t")
        assert [len(request.tasks) for request in translations.requests] == [1, 0]
        assert text_of("source") == SENTENCES

    @pytest.mark.parametrize("is_begun", [False, True])
    def test_refuses_a_teacher_with_other_decoding(
        self, translations: Translations, is_begun: bool
    ) -> None:
        distill("s.yaml", "runs/t")
        if not is_begun:
            Path("runs/s/config.yaml").unlink()
        path = Path("runs/t/config.yaml")
        path.write_text(path.read_text().replace("beam_size: 5", "beam_size: 4"))
        other = "Use the teacher as it was, delete runs/s to start over,"
        if is_begun:
            other = "`translator train runs/s` continues without the teacher;"
        assert refusal() == (
            "runs/s: the teacher runs/t is not the one that translated for this run: "
            f"decoding.beam_size was 5 and is now 4. {other} or start another run with --run."
        )

    def test_refuses_a_teacher_with_other_weights(self, translations: Translations) -> None:
        distill("s.yaml", "runs/t")
        save_arrays(Path("runs/t/best.safetensors"), {"x": np.zeros(2, np.float32)})
        assert "for this run: weights changed. " in refusal()

    def test_takes_the_same_teacher_from_another_folder(self, translations: Translations) -> None:
        distill("s.yaml", "runs/t")
        Path("runs/t").rename("old")
        distill("s.yaml", "old")
        assert refusal() == (
            "runs/t does not exist. `translator train runs/s` continues runs/s without it."
        )

    def test_does_not_need_the_text_once_training_has_begun(
        self, translations: Translations
    ) -> None:
        distill("s.yaml", "runs/t", text=["b.en"])
        Path("b.en").unlink()
        assert refusal(text=["b.en"]) == (
            "b.en does not exist. `translator train runs/s` continues runs/s without it."
        )

    def test_refuses_another_share_once_training_has_begun(
        self, translations: Translations
    ) -> None:
        distill("s.yaml", "runs/t", share=0.5)
        assert refusal() == (
            "runs/s began to train with --share 0.5, not unset. `translator train "
            "runs/s` continues without the teacher; or start another run with --run."
        )
        distill("s.yaml", "runs/t", share=0.5)

    @pytest.mark.parametrize("is_begun", [False, True])
    def test_refuses_other_text(self, translations: Translations, is_begun: bool) -> None:
        distill("s.yaml", "runs/t")
        Path("a.en").write_text("x\ny\nz\n")
        way_out = "`translator train runs/s` continues without the teacher;"
        if not is_begun:
            Path("runs/s/config.yaml").unlink()
            way_out = "Restore them, delete runs/s to start over,"
        assert refusal() == (
            "runs/s: the text or its tags are not what the teacher began to translate. "
            f"{way_out} or start another run with --run."
        )


def test_train_does_not_take_over_before_the_text_is_translated(
    translations: Translations,
) -> None:
    distill("s.yaml", "runs/t")
    Path("runs/s/config.yaml").unlink()
    for config in ("s.yaml", "runs/s"):
        with pytest.raises(UserError, match="Continue with `translator distill`, or name another"):
            train(config)


def test_train_does_not_take_a_student_for_a_run_without_a_teacher(
    translations: Translations,
) -> None:
    distill("s.yaml", "runs/t")
    with pytest.raises(UserError, match="learns from the translations of a teacher"):
        train("s.yaml")


def test_a_student_may_be_renamed(translations: Translations) -> None:
    distill("s.yaml", "runs/t")
    Path("runs/s").rename("elsewhere")
    config = load_recorded(Path("elsewhere/config.yaml"))
    given, translated = config.data.corpora("train").values()
    assert isinstance(given, TextFiles) and given.source == "a.en"
    assert isinstance(translated, TextFiles)
    path = Path("elsewhere/translated/translated-1.source").resolve()
    assert translated.source == str(path)
    assert path.exists()
