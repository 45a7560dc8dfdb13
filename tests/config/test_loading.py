"""YAML is parsed by the rules of YAML 1.2, and each mistake in it becomes one sentence."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from translator.config import (
    Config,
    differences,
    load_config,
    load_recorded,
    override,
    save_config,
)
from translator.corpora.text_files import TextFiles
from translator.corpora.tsv_files import TsvFiles
from translator.errors import ConfigError

BASE = """\
data:
  source_language: en
  target_language: no
  train: {tsv: train.tsv}
  validation: {tsv: validation.tsv}
training: {max_steps: 5}
"""

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads BASE with lines added after it, from line 7."""

    def load_with(more: str = "", overrides: tuple[str, ...] = (), base: str = BASE) -> Config:
        path = tmp_path / "c.yaml"
        path.write_text(base + more, encoding="utf-8")
        return load_config(path, overrides)

    return load_with


@pytest.fixture
def refused(load: Load, tmp_path: Path) -> Callable[..., str]:
    """The error of loading BASE with lines added, without the folder's name."""

    def message(more: str = "", overrides: tuple[str, ...] = (), base: str = BASE) -> str:
        with pytest.raises(ConfigError) as caught:
            load(more, overrides, base)
        return str(caught.value).replace(f"{tmp_path}/", "")

    return message


def test_language_code_no_is_not_false(load: Load) -> None:
    assert load().data.target_language == "no"


@pytest.mark.parametrize(
    ("written", "value"), [("5e-3", 0.005), ("1e1", 10.0), (".5", 0.5), ("2", 2.0), ("1_0", None)]
)
def test_numbers_are_those_of_yaml_1_2(load: Load, written: str, value: float | None) -> None:
    more = f"decoding: {{length_penalty: {written}}}"
    if value is None:
        with pytest.raises(ConfigError):
            load(more)
    else:
        assert load(more).decoding.length_penalty == value


@pytest.mark.parametrize("written", ["yes", "on", "No", "'true'"])
def test_only_true_and_false_are_booleans(refused: Callable[..., str], written: str) -> None:
    assert refused(f"tokenizer: {{joint: {written}}}").startswith(
        "c.yaml, line 7: tokenizer.joint should be a valid boolean, not "
    )


def test_a_leading_zero_does_not_make_a_number_octal(load: Load) -> None:
    assert load("model: {num_layers: 010}").model.num_layers == 10


def test_a_byte_order_mark_is_not_part_of_the_first_key(load: Load) -> None:
    assert load(base="\ufeff" + BASE) == load()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (
            "model: {num_layer: 3}",
            "c.yaml, line 7: there is no key model.num_layer; did you mean model.num_layers?",
        ),
        ("modle: {num_layers: 3}", "c.yaml, line 7: there is no key modle; did you mean model?"),
        (
            "beam_size: 3",
            "c.yaml, line 7: there is no key beam_size; did you mean decoding.beam_size?",
        ),
        (
            "evaluation:\n  zzz: 1",
            "c.yaml, line 8: there is no key evaluation.zzz; evaluation may hold tokenize, "
            "lowercase, metrics.",
        ),
        (
            "model: {num_layers: three}",
            "c.yaml, line 7: model.num_layers should be a valid integer, not 'three'.",
        ),
        (
            "model:\n  num_layers: 3.0",
            "c.yaml, line 8: model.num_layers should be a valid integer, not 3.0.",
        ),
        (
            "model: {num_layers: 0}",
            "c.yaml, line 7: model.num_layers should be greater than or equal to 1, not 0.",
        ),
        (
            "tokenizer: {vocabulary_size: tiny}",
            "c.yaml, line 7: tokenizer.vocabulary_size should be 'auto' or a valid integer, not "
            "'tiny'.",
        ),
        (
            "tokenizer: {vocabulary_size: 3}",
            "c.yaml, line 7: tokenizer.vocabulary_size should be 'auto' or greater than or equal "
            "to 16, not 3.",
        ),
        (
            "model: {share_embeddings: some}",
            "c.yaml, line 7: model.share_embeddings should be 'all', 'target' or 'none', not "
            "'some'.",
        ),
        (
            "model: {num_heads: 7}",
            "c.yaml, line 7: model.num_heads (7) must divide model.model_dim (512).",
        ),
        (
            "model: {}\ndecoding: {min_length: 129}",
            "c.yaml, line 8: decoding.min_length (129) must not exceed data.max_length (128), the "
            "longest sentence in training.",
        ),
        (  # 129 pieces with the end, and half as many
            "model: {}\ndecoding: {max_length_ratio: 0.5, max_length_extra: 0, min_length: 64}",
            "c.yaml, line 8: decoding.min_length (64) must not exceed 63, the pieces that "
            "decoding.max_length_ratio and max_length_extra allow for the longest source.",
        ),
        (
            "model: {kind: decoder_only, encoder: recurrence}",
            "c.yaml, line 7: model.encoder (recurrence) needs model.kind: transformer; with "
            "decoder_only, all layers are self-attention.",
        ),
        (
            "model: {kind: decoder_only, decoder: convolution}",
            "c.yaml, line 7: model.decoder (convolution) needs model.kind: transformer; with "
            "decoder_only, all layers are self-attention.",
        ),
        (
            "model: {kind: decoder_only, num_decoder_layers: 6}",
            "c.yaml, line 7: model.num_decoder_layers needs model.kind: transformer; with "
            "decoder_only, there is one stack, of model.num_layers.",
        ),
        (
            "model: {encoder: recurence}",
            "c.yaml, line 7: model.encoder should be 'attention', 'recurrence' or 'convolution', "
            "not 'recurence'.",
        ),
        (
            "model: {decoder: convolution, kernel_size: 1}",
            "c.yaml, line 7: model.kernel_size should be greater than or equal to 3, not 1.",
        ),
        (
            "model: {encoder: convolution, kernel_size: 4}",
            "c.yaml, line 7: model.kernel_size (4) must be odd, so that a position reaches as far "
            "to its left as to its right.",
        ),
        (
            "model: {encoder: recurrence, kernel_size: 7}",
            "c.yaml, line 7: model.kernel_size (7) needs model.encoder or model.decoder: "
            "convolution.",
        ),
        (
            "model: {attention_window: 0}",
            "c.yaml, line 7: model.attention_window should be greater than or equal to 1, not 0.",
        ),
        (
            "model: {encoder: recurrence, decoder: convolution, attention_window: 9}",
            "c.yaml, line 7: model.attention_window needs model.encoder or model.decoder: "
            "attention.",
        ),
        (
            "model: {kind: decoder_only, attention_window: 9}",
            "c.yaml, line 7: model.attention_window needs model.kind: transformer; with "
            "decoder_only, the target looks at the whole source through self-attention.",
        ),
        (
            "preset: fast\nmodel: {kind: decoder_only}",
            "c.yaml, line 7: preset: fast needs model.kind: transformer, because it chooses a "
            "recurrent decoder; with decoder_only, use preset: auto.",
        ),
        (
            "model: {num_layers: 1, num_layers: 2}",
            "c.yaml, line 7: model.num_layers is set for the second time (first on line 7); "
            "remove one of the two.",
        ),
        (
            "training: {max_steps: 6}",
            "c.yaml, line 7: training is set for the second time (first on line 6); remove one "
            "of the two.",
        ),
    ],
)
def test_error_names_line_key_and_solution(
    refused: Callable[..., str], more: str, sentence: str
) -> None:
    assert refused(more) == sentence


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("model: !!python/object/apply:os.system [echo]", "tag"),
        ("model: !mine {num_layers: 2}", "tag"),
        ("model: {num_layers: !!python/name:os.system }", "tag"),
        ("model: {num_layers: !!int '3'}", "tag"),
        ("model: {num_layers: !!int abc}", "tag"),
        ("model: {dropout_rate: !!float abc}", "tag"),
        ("tokenizer: {joint: !!bool maybe}", "tag"),
        ("model: {kind: !!timestamp today}", "tag"),
        ("model: &a {num_layers: 2}\ndecoding: *a", "aliases are not allowed"),
        ("<<: {model: {}}", "there is no key <<"),
        ("model: [", "not valid YAML"),
        ("--- {}", "another document"),
        ("x: \x07", "not valid YAML"),
        ("x: " + "[" * 5000, "nested too deeply"),
        ("model: {num_layers: " + "1" * 5000 + "}", "number"),
    ],
    ids=lambda text: text[:48] if ":" in text else "",
)
def test_yaml_beyond_plain_data_is_refused(
    refused: Callable[..., str], more: str, reason: str
) -> None:
    message = refused(more)
    assert message.startswith("c.yaml") and reason in message
    assert "\n" not in message


NAMES_OF_TYPES = (
    *("str", "int", "float", "bool", "list", "list[str]", "constrained-int", "literal['auto']"),
    *("corpus", "TextFiles", "TsvFiles", "TfdsSplit", "1", "null", "[0]", "a b"),
)


class TestKeyNamedLikeATypeOrNumber:
    @pytest.mark.parametrize("name", NAMES_OF_TYPES)
    @pytest.mark.parametrize(
        "section",
        ["", "data", "data.train", "model", "training.optimizer", "training.averaging", "decoding"],
    )
    def test_is_reported_as_an_unknown_key(
        self, refused: Callable[..., str], section: str, name: str
    ) -> None:
        inner = f"'{name.replace(chr(39), 2 * chr(39))}': [1]"
        if section == "data":
            base = BASE.replace("data:", f"data:\n  {inner}")
        elif section == "data.train":
            base = BASE.replace("tsv: train.tsv", f"tsv: train.tsv, {inner}")
        elif section:
            base = BASE.replace("{max_steps: 5}", "{max_steps: 5, optimizer: {}, averaging: {}}")
            base += "model: {}\ndecoding: {}\n"
            *_, last = section.split(".")
            base = base.replace(f"{last}: {{}}", f"{last}: {{{inner}}}")
        else:
            base = BASE + inner
        key = name if name.isalnum() or name == "constrained-int" else f'"{name}"'
        lines = {"data": 2, "data.train": 4, "model": 7, "decoding": 8, "": 7}
        assert refused(base=base).startswith(
            f"c.yaml, line {lines.get(section, 6)}: there is no key "
            f"{f'{section}.' if section else ''}{key}; "
        )

    @pytest.mark.parametrize("name", ["list", "int", "corpus", "TsvFiles"])
    def test_is_reported_in_an_override(self, refused: Callable[..., str], name: str) -> None:
        for parent in ("", "data.", "data.train.", "training.optimizer."):
            key = f"{parent}{name}"
            message = refused(overrides=(f"{key}=1",))
            assert message.startswith(f"--set {key}: there is no key {key}; ")
        message = refused(overrides=(f"data.train=[{{tsv: a, {name}: 1}}]",))
        assert message.startswith(f"--set data.train: there is no key data.train[0].{name}; ")

    def test_with_a_wrong_value_is_shown_in_the_error(self, refused: Callable[..., str]) -> None:
        assert refused(overrides=("data.train={tsv: {str: x}}",)) == (
            "--set data.train: data.train.tsv should be a valid string or a valid list, not "
            "{'str': 'x'}."
        )


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (
            "training.seed: 3",
            'there is no key "training.seed"; write training: {seed: …}.',
        ),
        ("[1]: 3", "this is not valid YAML: a key must be a word."),
        ("? {a: b}\n: 3", "this is not valid YAML: a key must be a word."),
        (
            "model: {num_layers: '" + 9999 * "x" + "'}",
            f"model.num_layers should be a valid integer, not '{79 * 'x'}….",
        ),
    ],
    ids=["dotted", "list", "mapping", "long value"],
)
def test_unusual_keys_and_long_values_give_one_short_sentence(
    refused: Callable[..., str], more: str, sentence: str
) -> None:
    assert refused(more) == f"c.yaml, line 7: {sentence}"


def test_key_of_another_kind_of_corpus_is_not_suggested(refused: Callable[..., str]) -> None:
    base = BASE.replace("tsv: train.tsv", "tsv: train.tsv, source: a")
    assert refused(base=base) == (
        "c.yaml, line 4: there is no key data.train.source; data.train may hold tag, weight, tsv, "
        "columns."
    )


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ("[1]", "columns should be two different columns, such as [1, 2], not [1]."),
        ("[2, 2]", "columns should be two different columns, such as [1, 2], not [2, 2]."),
        ("[1, 2, 3]", "columns should be two different columns, such as [1, 2], not [1, 2, 3]."),
        ("[0, 1]", "columns[0] should be greater than or equal to 1, not 0."),
        ("2", "columns should be a valid list, not 2."),
    ],
)
def test_tsv_needs_two_columns(refused: Callable[..., str], columns: str, sentence: str) -> None:
    base = BASE.replace("tsv: train.tsv", f"tsv: train.tsv, columns: {columns}")
    assert refused(base=base) == f"c.yaml, line 4: data.train.{sentence}"


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (r"\0", "a NUL character"),
        (r"\x00", "a NUL character"),
        (r"\ud800", "half of a surrogate pair"),
    ],
)
def test_characters_impossible_in_file_names_are_refused(
    refused: Callable[..., str], written: str, problem: str
) -> None:
    reason = f"this is not valid YAML: {problem} is not allowed."
    base = BASE.replace("train.tsv", f'"a{written}b"')
    assert refused(base=base) == f"c.yaml, line 4: {reason}"
    assert refused(f'"{written}": 1') == f"c.yaml, line 7: {reason}"
    for key in ("data.folder", "data.wheel", "data.dataset", "data.train"):
        text = f'{key}="{written}"'
        assert refused(overrides=(text,)) == f"--set {text}, line 1: {reason}"


def test_path_with_a_nul_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^'c\\x00\.yaml': a file name cannot hold a NUL"):
        load_config(Path("c\0.yaml"))


def dotted_keys(section: type[BaseModel], parents: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield f"{parents}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from dotted_keys(field.annotation, f"{parents}{name}.")


@pytest.mark.parametrize("key", [*dotted_keys(Config), "data.train[0].weight"])
def test_numbers_too_large_for_float32_are_refused(refused: Callable[..., str], key: str) -> None:
    for number in ("1e300", "1" + 30 * "0", "1" + 400 * "0", "1e23", ".inf", "-.inf", ".nan"):
        message = refused(overrides=(f"{key}={number}",), base=SEVERAL)
        assert message.startswith(f"--set {key}: {key} should be ") and len(message) < 300


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "decoding.tokens_per_batch=100000000000000000000000",
            "decoding.tokens_per_batch should be less than 2147483648, not "
            "100000000000000000000000.",
        ),
        (
            "training.max_minutes=1e300",
            "training.max_minutes should be 1e20 or less, not 1e+300.",
        ),
        (
            "training.optimizer.epsilon=1e-300",
            "training.optimizer.epsilon should be 1e-30 or more, not 1e-300.",
        ),
    ],
)
def test_error_for_a_number_out_of_bounds_names_the_bound(
    refused: Callable[..., str], text: str, sentence: str
) -> None:
    assert refused(overrides=(text,)) == f"--set {text.partition('=')[0]}: {sentence}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "c.yaml: a configuration starts with sections, such as 'data:'."),
        ("- data", "c.yaml: a configuration starts with sections, such as 'data:'."),
        ("data: {}", "c.yaml, line 1: the key data.source_language is missing."),
        (
            BASE.replace("training: {max_steps: 5}", "model: {}"),
            "c.yaml: training needs an end: set max_steps, max_epochs, max_minutes or patience.",
        ),
        (
            BASE.replace("{tsv: train.tsv}", "{source: a}"),
            "c.yaml, line 4: the key data.train.target is missing.",
        ),
        (
            BASE.replace("{tsv: train.tsv}", "{tsv: 5}"),
            "c.yaml, line 4: data.train.tsv should be a valid string or a valid list, not 5.",
        ),
        (
            BASE.replace("{tsv: train.tsv}", "train"),
            "c.yaml, line 4: data.train must name files ({source: …, target: …} or {tsv: …}), "
            "unless data.dataset names a TensorFlow Datasets set.",
        ),
        (
            BASE.replace("{tsv: validation.tsv}", "null"),
            "c.yaml, line 5: data.validation should be a mapping, such as {key: value}, not null.",
        ),
        (
            BASE + "model: true",
            "c.yaml, line 7: model should be a mapping, such as {key: value}, not true.",
        ),
        (
            BASE.replace("max_steps: 5", "seed: 5") + "model: {}",
            "c.yaml, line 6: training needs an end: set max_steps, max_epochs, max_minutes or "
            "patience.",
        ),
        (
            BASE.replace("max_steps: 5", "max_steps: 5, r_drop: 5.0")
            + "model: {dropout_rate: 0.0, embedding_dropout_rate: 0.0}",
            "c.yaml, line 6: training.r_drop compares two passes with different dropout, but every "
            "dropout rate of model is 0; set one, such as model.dropout_rate, or remove r_drop.",
        ),
    ],
)
def test_missing_keys_and_wrong_types_are_named(
    refused: Callable[..., str], text: str, sentence: str
) -> None:
    assert refused(base=text) == sentence


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"c\.yaml: .*No such file or directory\.$"):
        load_config(tmp_path / "c.yaml")


def test_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load_config(path)


SEVERAL = BASE.replace(
    "  train: {tsv: train.tsv}",
    "  train:\n  - {tsv: a.tsv, tag: <2de>, weight: 2}\n  - {tsv: b.tsv, weight: 0.5}",
)


class TestSeveralCorpora:
    """They are on lines 5 and 6."""

    def test_have_weights_and_tags(self, load: Load) -> None:
        data = load(base=SEVERAL).data
        assert list(data.corpora("train")) == ["data.train[0]", "data.train[1]"]
        assert (data.weights, data.tags) == ([2, 0.5], ["<2de>"])

    def test_work_without_weights_and_tags(self, load: Load) -> None:
        data = load(overrides=("data.train=[{tsv: a}, {source: b, target: c}]",)).data
        assert (data.weights, data.tags, data.temperature) == (None, [], 1)

    def test_single_corpus_needs_no_list(self, load: Load) -> None:
        assert list(load().data.corpora("train")) == ["data.train"]
        assert load().data.corpora("test") == {}

    def test_may_be_splits_with_and_without_a_tag(self, load: Load) -> None:
        base = BASE.replace("data:", "data:\n  dataset: ted")
        data = load(overrides=("data.train=[a, {split: b, tag: <x>}, {tsv: c}]",), base=base).data
        assert [type(c).__name__ for c in data.corpora("train").values()] == [
            "TfdsSplit",
            "TfdsSplit",
            "TsvFiles",
        ]

    def test_survive_saving_and_loading(self, load: Load, tmp_path: Path) -> None:
        config = load(base=SEVERAL)
        save_config(config, tmp_path / "saved.yaml")
        assert load_config(tmp_path / "saved.yaml") == config

    def test_can_be_overridden_by_index(self, load: Load) -> None:
        overrides = "data.train[0].weight=7", "data.train[1]={tsv: z, weight: 1}"
        data = load(overrides=overrides, base=SEVERAL).data
        assert data.weights == [7, 1]
        assert data.corpora("train")["data.train[1]"] == TsvFiles(tsv="z", weight=1)

    def test_differences_name_the_index(self, load: Load) -> None:
        other = load(overrides=("data.train[1].weight=3",), base=SEVERAL)
        assert list(differences(load(base=SEVERAL), other)) == [("data.train[1].weight", 0.5, 3.0)]

    @pytest.mark.parametrize(
        ("old", "new", "sentence"),
        [
            (
                "weight: 0.5",
                "wieght: 1",
                "line 6: there is no key data.train[1].wieght; did you mean data.train[1].weight?",
            ),
            (
                "weight: 0.5",
                "zzz: 1",
                "line 6: there is no key data.train[1].zzz; data.train[1] may hold tag, weight, "
                "source, target, tsv, columns, split.",
            ),
            (
                "weight: 0.5",
                "weight: 0",
                "line 6: data.train[1].weight should be greater than 0, not 0.",
            ),
            (
                ", weight: 0.5",
                "",
                "line 6: data.train[1].weight is missing: give every corpus of data.train a "
                "weight, or none.",
            ),
            (
                "data:",
                "data:\n  temperature: 5",
                "line 2: data.temperature and data.train[0].weight both set the share of a corpus; "
                "remove one of them.",
            ),
            (
                "data:",
                "data:\n  temperature: 0.5",
                "line 2: data.temperature should be greater than or equal to 1, not 0.5.",
            ),
            (
                "<2de>",
                "de",
                "line 5: data.train[0].tag should be a word in angle brackets, such as <2de> or "
                "<bt>, not 'de'.",
            ),
            (
                "tsv: b.tsv",
                "source: b",
                "line 6: the key data.train[1].target is missing.",
            ),
            (
                "{tsv: b.tsv, weight: 0.5}",
                "train",
                "line 6: data.train[1] must name files ({source: …, target: …} or {tsv: …}), "
                "unless data.dataset names a TensorFlow Datasets set.",
            ),
            (
                "data:",
                "data:\n  dataset: ted",
                "line 2: data.dataset is ted, but data.train, data.validation and data.test name "
                "files; name splits of the set there, such as 'train', or remove data.dataset.",
            ),
            (
                "validation.tsv",
                "validation.tsv, weight: 1",
                "line 7: data.validation.weight: only the corpora of data.train have weights.",
            ),
            (
                "validation.tsv",
                "validation.tsv, tag: <2fr>",
                "line 7: data.validation.tag is <2fr>, but data.train does not have that tag: its "
                "tags are <2de>.",
            ),
            (
                "{tsv: validation.tsv}",
                "[]",
                "line 7: data.validation is an empty list; name a corpus in it.",
            ),
        ],
    )
    def test_errors_name_the_index(
        self, refused: Callable[..., str], old: str, new: str, sentence: str
    ) -> None:
        assert SEVERAL.count(old) == 1
        assert refused(base=SEVERAL.replace(old, new)) == f"c.yaml, {sentence}"

    @pytest.mark.parametrize("tag", ["<s>", "</s>", "<unk>", "<pad>", "<0x41>", "<a b>", "<>", "<"])
    def test_reserved_or_malformed_tags_are_refused(
        self, refused: Callable[..., str], tag: str
    ) -> None:
        message = refused(base=SEVERAL.replace("<2de>", f"'{tag}'"))
        assert message.endswith(f"such as <2de> or <bt>, not '{tag}'.")

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("data.train[2].weight=1", "train is not a list with an item [2]."),
            ("data.folder[0]=1", "folder is not a list with an item [0]."),
            ("data.train.weight=1", "train has a value, not keys."),
            ("data.train[0].tsv.x=1", "tsv has a value, not keys."),
            ("[0]=1", "write it as section.key=value."),
        ],
    )
    def test_override_of_a_missing_item_is_refused(
        self, refused: Callable[..., str], text: str, sentence: str
    ) -> None:
        assert refused(overrides=(text,), base=SEVERAL) == f"--set {text}: {sentence}"


class TestOverrides:
    def test_are_parsed_like_the_file(self, load: Load) -> None:
        config = load(
            overrides=(
                "training.optimizer.learning_rate=5e-3",
                "data.source_language=no",
                "tokenizer.joint=false",
                "model.share_embeddings=none",
                "training.patience=null",
                "data.train={source: [a, b], target: c}",
                "model.num_layers=4",
            )
        )
        assert config.training.optimizer.learning_rate == 0.005
        assert config.data.source_language == "no"
        assert config.tokenizer.joint is False
        assert config.model.num_layers == 4
        assert config.data.train == TextFiles(source=["a", "b"], target="c")

    def test_the_last_one_wins(self, load: Load) -> None:
        assert load(overrides=("training.seed=4", "training.seed=5")).training.seed == 5

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            (
                "model.num_layer=4",
                "--set model.num_layer: there is no key model.num_layer; did you mean "
                "model.num_layers?",
            ),
            (
                "model.num_layers=four",
                "--set model.num_layers: model.num_layers should be a valid integer, not 'four'.",
            ),
            ("model.num_layers", "--set model.num_layers: write it as section.key=value."),
            ("=4", "--set =4: write it as section.key=value."),
            ("data.train.tsv.x=4", "--set data.train.tsv.x=4: tsv has a value, not keys."),
            (
                "training.averaging.kind=emma",
                "--set training.averaging.kind: training.averaging.kind should be 'none', 'last', "
                "'best' or 'ema', not 'emma'.",
            ),
        ],
    )
    def test_errors_name_the_override(
        self, refused: Callable[..., str], text: str, sentence: str
    ) -> None:
        assert refused(overrides=(text,)) == sentence

    def test_execute_no_code(self, refused: Callable[..., str]) -> None:
        message = refused(overrides=("model.num_layers=!!python/object/apply:os.getpid []",))
        assert "tag" in message

    def test_of_a_config_return_a_copy(self, load: Load) -> None:
        config = load()
        assert override(config, ["decoding.beam_size=1"]).decoding.beam_size == 1
        assert config.decoding.beam_size == 5
        with pytest.raises(ConfigError, match=r"^--set: .*beam_size"):
            override(config, ["decoding.beam_size=0"])


class TestFolders:
    def test_are_relative_to_the_file(self, load: Load, tmp_path: Path) -> None:
        assert load().data.folder == str(tmp_path)
        base = BASE.replace("data:", "data:\n  folder: texts\n  dataset_folder: sets")
        assert load(base=base).data.folder == str(tmp_path / "texts")
        assert load(base=base).data.dataset_folder == str(tmp_path / "sets")

    def test_in_an_override_are_relative_to_the_working_directory(
        self, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        assert load(overrides=("data.folder=texts",)).data.folder == str(tmp_path / "here/texts")

    def test_in_an_override_of_the_whole_section_are_relative_to_it_too(
        self, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        section = "source_language: en, target_language: de, train: {tsv: a}, validation: {tsv: b}"
        folders = "folder: texts, dataset_folder: sets, wheel: w.whl"
        given = f"data={{{section}, {folders}}}"
        for config in (load(overrides=(given,)), override(load(), [given])):
            data = config.data
            assert (data.folder, data.dataset_folder, data.wheel) == (
                str(tmp_path / "here/texts"),
                str(tmp_path / "here/sets"),
                str(tmp_path / "here/w.whl"),
            )
        assert load(overrides=(f"data={{{section}}}",)).data.folder == str(tmp_path / "here")
        assert load(overrides=("data.train={tsv: x}",)).data.folder == str(tmp_path)

    def test_may_start_with_a_tilde(
        self, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        base = BASE.replace("data:", "data:\n  folder: ~/texts")
        assert load(base=base).data.folder == str(tmp_path / "home/texts")

    def test_stay_absolute_in_a_saved_config(self, load: Load, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir()
        config = load()
        save_config(config, tmp_path / "run/config.yaml")
        assert load_config(tmp_path / "run/config.yaml").data.folder == config.data.folder


@pytest.mark.parametrize("kind", ["word", "char"])
def test_sampling_is_refused_for_words_and_characters(
    kind: str, refused: Callable[..., str]
) -> None:
    assert refused(f"tokenizer: {{kind: {kind}, sampling_alpha: 0.1}}") == (
        "c.yaml, line 7: tokenizer.sampling_alpha needs kind: unigram or bpe; with kind: "
        f"{kind} a sentence has only one segmentation."
    )


def test_saving_and_loading_gives_the_same_config(load: Load, tmp_path: Path) -> None:
    config = load(
        "tokenizer: {sampling_alpha: 0.1}",
        ("training.optimizer.epsilon=1e-9", "data.test={source: ä, target: b}"),
    )
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(tmp_path / "saved.yaml") == config


def test_without_local_paths_names_no_folders(load: Load) -> None:
    data = load(
        overrides=(
            "data.folder=/secret",
            "data.train=[{tsv: [/secret/a, b/c, ../a]}, {source: /s/x.en, target: y.de, tag: <z>}]",
        )
    ).data.without_local_paths()
    assert data.folder == "." and "secret" not in data.model_dump_json()
    assert data.train == [
        TsvFiles(tsv=["a", "b/c", "2-a"]),
        TextFiles(source="x.en", target="y.de", tag="<z>"),
    ]
    assert data.validation == TsvFiles(tsv="validation.tsv") and data.test is None


def test_saved_config_contains_every_default(load: Load, tmp_path: Path) -> None:
    save_config(load(), tmp_path / "saved.yaml")
    text = (tmp_path / "saved.yaml").read_text()
    assert "  beta_2: 0.98\n" in text and "  lowercase: false\n" in text


def test_differences_are_dotted_keys_with_both_values(load: Load) -> None:
    one, other = load(), load(overrides=("training.averaging.count=3", "data.test={tsv: t}"))
    assert list(differences(one, one)) == []
    assert sorted(differences(one, other)) == [
        ("data.test", None, {"tag": None, "weight": None, "tsv": "t", "columns": None}),
        ("training.averaging.count", 5, 3),
    ]


def test_config_is_immutable(load: Load) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().training.seed = 2


def test_text_inside_a_run_is_found_after_the_run_is_renamed(load: Load, tmp_path: Path) -> None:
    files = {"source": str(tmp_path / "run/own/a.en"), "target": "../run/b.de"}
    config = override(load(), [f"data.train={json.dumps([files])}"])
    (tmp_path / "run").mkdir()
    save_config(config, tmp_path / "run/config.yaml")
    assert load_recorded(tmp_path / "run/config.yaml") == config
    (tmp_path / "run").rename(tmp_path / "renamed")
    [corpus] = load_recorded(tmp_path / "renamed/config.yaml").data.corpora("train").values()
    assert corpus.files == [str(tmp_path / "renamed/own/a.en"), "../run/b.de"]
