"""Every key a configuration may have, with its type, default and meaning.

The descriptions are the ones an editor shows (they go into the JSON Schema). `auto` stands for a
value that `resolve` computes once, from the corpus and the machine, and that the run then keeps.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from translator.config.statistics import LEAST_LIMIT, LengthLimit

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
DropoutRate = Annotated[float, Field(ge=0.0, le=0.95)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
Width = Annotated[int, Field(ge=1, le=65_536)]
Depth = Annotated[int, Field(ge=1, le=256)]
Paths = str | list[str]
Precision = Literal["auto", "float32", "bfloat16"]
TokenizerKind = Literal["unigram", "bpe", "word", "char"]
LengthPenaltyKind = Literal["gnmt", "power"]


CONFLICT = "conflict"
"""Type of an error about keys that do not go together."""


def _conflict(key: str, sentence: str) -> PydanticCustomError:
    """An error about several keys, reported where `key` stands."""
    return PydanticCustomError(CONFLICT, "{sentence}", {"key": key, "sentence": sentence})


def _is_float32(number: float) -> float:
    """A smaller number would be nothing to TensorFlow, a larger one infinite."""
    if number < 1e-30:
        raise PydanticCustomError("tiny", "1e-30 or more")
    return number


Positive = Annotated[float, Field(gt=0.0, le=1e20), AfterValidator(_is_float32)]


class Section(BaseModel):
    """Frozen, and strict: an unknown key is an error, and "3" is not a number."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


TAG = r"<[A-Za-z0-9_.:-]+>"
"""What a tag looks like."""

RESERVED_TAGS = ("<s>", "<pad>", "<unk>")
"""Names that a vocabulary has for pieces of its own; its bytes are <0x00> to <0xFF>."""


def _is_tag(text: str) -> str:
    if re.fullmatch(TAG, text) and text not in RESERVED_TAGS and not text.startswith("<0x"):
        return text
    raise PydanticCustomError("tag", "a word in angle brackets, such as <2de> or <bt>")


CorpusTag = Annotated[
    str, AfterValidator(_is_tag), WithJsonSchema({"type": "string", "pattern": f"^{TAG}$"})
]


class Corpus(Section):
    """What may be said of any corpus, beside where its text is."""

    tag: CorpusTag | None = None
    """Put in front of every source sentence, such as <2de> for a translation into German or <bt>
    for one that was back-translated; who translates writes it there himself: <2de> Good morning"""
    weight: Positive | None = None
    """Only in data.train: share of the pairs that are learnt from, relative to the weights of the
    other corpora. Without weights data.temperature decides."""


class TextFiles(Corpus):
    """Two parallel text files: line i of one translates line i of the other."""

    source: Paths
    """File (or files) in the source language, plain or .gz, one sentence a line."""
    target: Paths
    """File (or files) in the target language, as many and as long as the source's."""


def _are_two_columns(columns: list[int]) -> list[int]:
    if len(columns) == 2 == len(set(columns)):
        return columns
    raise PydanticCustomError("columns", "two different columns, such as [1, 2]")


class TsvFiles(Corpus):
    """Tab-separated text: a line holds the source sentence, a tab, and the target sentence."""

    tsv: Paths
    """File (or files), plain or .gz."""
    columns: (
        Annotated[
            list[Count],
            Field(json_schema_extra={"minItems": 2, "maxItems": 2, "uniqueItems": True}),
            AfterValidator(_are_two_columns),
        ]
        | None
    ) = None
    """Columns of source and target, counted from 1, of lines with more than two: [1, 3]. Without
    it, every line must have exactly two."""


class NamedSplit(Corpus):
    """A split of data.dataset that is to have a tag or a weight; else its name alone is enough."""

    split: str
    """Split expression, such as train[:90%]."""


def _kind_of_corpus(value: Any) -> str:
    if isinstance(value, (str, Corpus)):
        return type(value).__name__
    keys = value if isinstance(value, dict) else {}
    return "TsvFiles" if "tsv" in keys else "NamedSplit" if "split" in keys else "TextFiles"


def _one_or_several(value: Any) -> str:
    return "list" if isinstance(value, list) else "corpus"


OneCorpus = Annotated[
    Annotated[str, Tag("str")]
    | Annotated[TextFiles, Tag("TextFiles")]
    | Annotated[TsvFiles, Tag("TsvFiles")]
    | Annotated[NamedSplit, Tag("NamedSplit")],
    Discriminator(_kind_of_corpus),
]
Split = Annotated[
    Annotated[OneCorpus, Tag("corpus")] | Annotated[list[OneCorpus], Tag("list")],
    Discriminator(_one_or_several),
]


class DataConfig(Section):
    """Where the parallel text is."""

    source_language: str
    """Language code of the source, such as en."""
    target_language: str
    """Language code of the target, such as de; evaluation picks its tokenizer by it."""
    dataset: str | None = None
    """Name of a TensorFlow Datasets translation set, such as ted_hrlr_translate/pt_to_en; a corpus
    may then be a split expression, such as train[:90%]."""
    dataset_folder: str | None = None
    """Where TensorFlow Datasets keeps prepared sets; its own default if not given."""
    wheel: str | None = None
    """A copy of the Home Assistant wheel on disk, for the home_assistant set without network."""
    folder: str = "."
    """Folder that file names below are relative to; itself relative to the configuration file."""
    train: Split
    """The pairs to learn from: a corpus, or a list of corpora that the batches mix."""
    temperature: Annotated[float, Field(ge=1.0, le=1e9)] = 1.0
    """How evenly the corpora of data.train are mixed: one of n pairs has a share in proportion to
    n^(1/temperature). 1: as large as it is; 5: small ones get more (Arivazhagan et al. 2019)."""
    validation: Split
    """The pairs that choose the best checkpoint; a few hundred to a few thousand. Of a list, all
    corpora one after the other."""
    test: Split | None = None
    """The pairs for the final score; never looked at during training."""
    licence: str | None = None
    """Of the training text, and what it allows, as the card of the model is to say; such as CC BY
    4.0, or: for research only."""
    max_length: Width = 128
    """Pieces: training leaves out pairs with a longer side (and counts them); translation reads so
    many of a longer sentence (and says so)."""

    def corpora(self, split: str) -> dict[str, Corpus]:
        """The corpora of train, validation or test, by their keys, such as data.train[0]."""
        value = getattr(self, split)
        if isinstance(value, list):
            found = {f"data.{split}[{i}]": corpus for i, corpus in enumerate(value)}
        else:
            found = {} if value is None else {f"data.{split}": value}
        return {
            key: NamedSplit(split=corpus) if isinstance(corpus, str) else corpus
            for key, corpus in found.items()
        }

    def without_places(self) -> DataConfig:
        """As others may see it: in no folder, and files outside of it by their names alone."""
        values = self.model_dump()
        shown: dict[str, str] = {}

        def name(path: str) -> str:
            is_outside = Path(path).is_absolute() or ".." in Path(path).parts
            found = Path(path).name if is_outside else path
            if shown.setdefault(found, path) != path:
                found = f"{len(shown)}-{found}"
                shown[found] = path
            return found

        for split in ("train", "validation", "test"):
            corpora = values[split] if isinstance(values[split], list) else [values[split]]
            for corpus in corpora:
                for side in {"source", "target", "tsv"} & set(corpus or {}):
                    names = corpus[side]
                    names = [names] if isinstance(names, str) else names
                    found = [name(path) for path in names]
                    corpus[side] = found if isinstance(corpus[side], list) else found[0]
        return DataConfig.model_validate(
            values | {"folder": ".", "dataset_folder": None, "wheel": None}
        )

    @property
    def tags(self) -> list[str]:
        """The tags that training knows, in the order of the alphabet."""
        return sorted({corpus.tag for corpus in self.corpora("train").values() if corpus.tag})

    @property
    def weights(self) -> list[float] | None:
        """Those of the corpora of data.train, if they have any."""
        corpora = self.corpora("train").values()
        return [corpus.weight for corpus in corpora if corpus.weight is not None] or None

    @model_validator(mode="after")
    def _corpora_are_there(self) -> DataConfig:
        corpora: dict[str, Corpus] = {}
        for split in ("train", "validation", "test"):
            if getattr(self, split) == []:
                raise _conflict(
                    f"data.{split}", f"data.{split} is an empty list; name a corpus in it"
                )
            corpora |= self.corpora(split)
        named = [key for key, corpus in corpora.items() if isinstance(corpus, NamedSplit)]
        if self.dataset is None and named:
            raise _conflict(
                named[0],
                f"{named[0]} must name files ({{source: …, target: …}} or {{tsv: …}}), "
                "unless data.dataset names a TensorFlow Datasets set",
            )
        if self.dataset is not None and not named:
            raise _conflict(
                "data.dataset",
                f"data.dataset is {self.dataset}, but data.train, data.validation and data.test "
                "name files; name its splits there, such as 'train', or take data.dataset out",
            )
        return self

    @model_validator(mode="after")
    def _tags_are_learnt(self) -> DataConfig:
        for key, corpus in (self.corpora("validation") | self.corpora("test")).items():
            if corpus.tag and corpus.tag not in self.tags:
                known = f"its tags are {', '.join(self.tags)}" if self.tags else "it has no tags"
                raise _conflict(
                    f"{key}.tag",
                    f"{key}.tag is {corpus.tag}, but data.train never shows it: {known}",
                )
        return self

    @model_validator(mode="after")
    def _weights_are_clear(self) -> DataConfig:
        for key, corpus in (self.corpora("validation") | self.corpora("test")).items():
            if corpus.weight is not None:
                raise _conflict(
                    f"{key}.weight", f"{key}.weight: only the corpora of data.train have weights"
                )
        corpora = self.corpora("train")
        weighted = [key for key, corpus in corpora.items() if corpus.weight is not None]
        bare = [key for key in corpora if key not in weighted]
        if weighted and bare:
            raise _conflict(
                f"{bare[0]}.weight",
                f"{bare[0]}.weight is missing: give every corpus of data.train a weight, or none",
            )
        if weighted and self.temperature != 1:
            raise _conflict(
                "data.temperature",
                f"data.temperature and {weighted[0]}.weight both say how large a share is; "
                "keep one of them",
            )
        return self


class TokenizerConfig(Section):
    """How sentences become pieces (SentencePiece)."""

    kind: TokenizerKind = "unigram"
    """Segmentation model. unigram and bpe cut words into pieces; with word, what stands between two
    blanks is a piece; with char, every character is one."""
    vocabulary_size: Literal["auto"] | Annotated[int, Field(ge=16, le=1_000_000)] = "auto"
    """Pieces, on each side if not joint; made smaller when the corpus does not hold as many."""
    joint: bool = True
    """One vocabulary for both languages, or one each."""
    byte_fallback: bool = True
    """Spell unknown characters in bytes, so that nothing is unknown (takes 256 pieces). Has no
    effect with kind: word."""
    character_coverage: Annotated[float, Field(ge=0.98, le=1.0)] = 1.0
    """Share of the corpus's characters that get a piece; 0.9995 for Chinese or Japanese."""
    split_by_unicode_script: bool = True
    """No piece of unigram or bpe holds characters of two scripts, or letters and punctuation. false
    suits names such as I_TURN_RIGHT, code, and formulas."""
    split_digits: bool = False
    """Each digit is a piece of its own."""
    split_by_whitespace: bool = True
    """No piece of unigram or bpe reaches across a blank."""
    normalization: Literal["nmt_nfkc", "nfkc", "identity"] = "nmt_nfkc"
    """SentencePiece's rule for reading the source; identity keeps every character. The target is
    always read as it is, but for space at its ends."""
    sampling_alpha: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Subword sampling while training: smoothing of unigram sampling (0.1 to 0.5), or the share of
    merges that BPE-dropout leaves out (0.1). Kudo 2018; Provilkov et al. 2020."""

    @property
    def spells_in_bytes(self) -> bool:
        """Whether unknown characters become bytes. SentencePiece cannot put words back together
        from bytes: it would write ▁ in place of the space before them."""
        return self.byte_fallback and self.kind != "word"

    @model_validator(mode="after")
    def _sampling_needs_a_choice(self) -> TokenizerConfig:
        if self.sampling_alpha is not None and self.kind not in ("unigram", "bpe"):
            raise _conflict(
                "tokenizer.sampling_alpha",
                f"tokenizer.sampling_alpha needs kind: unigram or bpe; with kind: {self.kind} "
                "there is one segmentation of a sentence, and nothing to sample",
            )
        return self


class ModelConfig(Section):
    """The Transformer encoder-decoder (Vaswani et al. 2017)."""

    kind: Literal["transformer"] = "transformer"
    """Architecture."""
    num_layers: Depth = 6
    """Layers of the encoder, and of the decoder unless num_decoder_layers says otherwise."""
    num_decoder_layers: Depth | None = None
    """Layers of the decoder, if not as many as the encoder's."""
    model_dim: Width = 512
    """Width of embeddings and layers."""
    num_heads: Count = 8
    """Attention heads; must divide model_dim."""
    feed_forward_dim: Width = 2048
    """Inner width of the feed-forward blocks."""
    activation: Literal["relu", "gelu", "silu"] = "relu"
    """Between the two products of a feed-forward block."""
    normalization: Literal["pre", "post"] = "pre"
    """Layer normalization before each block (trains easily) or after its residual sum."""
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"
    """How positions are told apart; learned ones end at data.max_length."""
    share_embeddings: Literal["all", "target", "none"] = "all"
    """One table for source, target and output; for target and output; or three tables."""
    dropout_rate: DropoutRate = 0.1
    """On each block's output, before the residual sum."""
    attention_dropout_rate: DropoutRate = 0.0
    """On the attention weights."""
    activation_dropout_rate: DropoutRate = 0.0
    """Inside the feed-forward blocks."""
    embedding_dropout_rate: DropoutRate = 0.1
    """On the sum of embedding and position."""


class OptimizerConfig(Section):
    """Adam (Kingma & Ba 2015), with decoupled weight decay (Loshchilov & Hutter 2019)."""

    learning_rate: Positive = 1e-3
    """Highest learning rate, reached at the end of the warm-up."""
    schedule: Literal["auto", "inverse_sqrt", "linear", "cosine", "cooldown", "constant"] = "auto"
    """How it falls after the warm-up: with 1/√step for as long as it takes; or to zero at the
    nearest of max_steps, max_epochs and max_minutes: along a line (Li et al. 2020), along half a
    cosine, or only in the last three tenths of the run, along a line (cooldown, Hägele et al.
    2024). auto: cooldown with max_minutes, else inverse_sqrt."""
    warmup_steps: Annotated[int, Field(ge=0, lt=2**31)] = 1000
    """Steps over which it rises linearly from zero; with linear and cosine no more than a tenth of
    the run, with cooldown three tenths."""
    beta_1: Share = 0.9
    """Decay of the mean of the gradients."""
    beta_2: Share = 0.98
    """Decay of the mean of their squares."""
    epsilon: Positive = 1e-9
    """Added to the denominator."""
    weight_decay: Annotated[float, Field(ge=0.0, le=1e9)] = 0.0
    """Share of a weight (not of biases and norms) taken off a step, times the learning rate."""
    clip_norm: Positive | None = 1.0
    """Longest gradient (global norm) that is not scaled down; null: no clipping."""

    @property
    def falls_to_zero(self) -> bool:
        """Whether the learning rate ends with the run."""
        return self.schedule in ("linear", "cosine", "cooldown")


class AveragingConfig(Section):
    """Which weights are validated and shipped."""

    kind: Literal["none", "last", "best", "ema"] = "ema"
    """none: the current ones. last: the mean of the last `count` validated ones. best: when
    training ends, the mean of the `count` best validated ones, if it is better still. ema: their
    exponential moving average."""
    count: Count = 5
    """For last and best. Otherwise the last so many are kept, too: `translator tune` averages them,
    and each takes the disk space of the model."""
    decay: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.999
    """For ema; early on it is smaller, (1 + step) / (25 + step), so that the average is over a
    twenty-fourth of the run at most."""


class TrainingConfig(Section):
    """How long and how the model learns."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    """Of weights, data order, dropout and subword sampling."""
    max_steps: Count | None = None
    """Stop after so many steps (optimizer updates)."""
    max_epochs: Count | None = None
    """Stop after so many passes over the training text. Of several corpora, a pass has as many
    pairs as they hold together, whatever their shares in it."""
    max_minutes: Positive | None = None
    """Stop after so many minutes of training, earlier sessions of the run included."""
    tokens_per_step: Count = 4096
    """Size of a batch: sentences times their longest side, in pieces (of the best segmentation)."""
    accumulation_steps: Literal["auto"] | Annotated[int, Field(ge=1, le=65_536)] = "auto"
    """Shards into which a batch is cut, to save memory: a device computes its share of them one
    after the other. More devices than shards cut it into as many as they are; where one is asked
    for, a process that trains alone without a GPU computes one on each processor, eight at most.
    auto: one, or as many as the largest batch of a new run needs to fit into memory."""
    recompute_activations: bool = False
    """Compute each layer's activations again for its gradient in place of keeping them: about a
    quarter more time, and much less memory for deep models and long sentences."""
    label_smoothing: Share = 0.1
    """Share of the probability that is spread over the whole vocabulary."""
    r_drop: Annotated[float, Field(ge=0.0, le=1e9)] = 0.0
    """Weight α of R-Drop (Liang et al. 2021): every pair goes through the model twice, with other
    dropout, and the two are to predict the same. For small corpora, where 5 is usual; a step takes
    more than twice as long. 0: off."""
    concatenation_rate: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of the batches whose pairs are joined two by two into longer ones, up to
    data.max_length pieces (Nguyen et al. 2021). For small corpora, where 0.5 is usual; 0: off."""
    precision: Precision = "auto"
    """Of the products; weights, softmax and sums stay float32. auto: the faster one, measured."""
    distribution: Literal["auto", "single", "mirrored", "workers"] = "auto"
    """What learns together: one device, all GPUs of this machine (mirrored), or the processes that
    TF_CONFIG or Slurm names (workers). auto, decided at every start: workers if there are several,
    else mirrored if there is more than one GPU. The devices share a batch: its size stays."""
    optimizer: OptimizerConfig = OptimizerConfig()
    averaging: AveragingConfig = AveragingConfig()
    validate_every: Count = 1000
    """Steps between validations."""
    save_every: Count = 500
    """Steps between checkpoints."""
    patience: Count | None = None
    """Stop after so many validations without a better score."""
    best_by: Annotated[str, Field(examples=["bleu", "chrf", "ter", "loss"])] = "bleu"
    """What makes a validation better: a metric (bleu, chrf or ter), or a lower loss."""
    profile: bool = False
    """Write a profile of the eleventh to fifteenth step of a session into the run: tensorboard/ has
    it all, profile.txt a table."""
    keep_text: bool = True
    """Write translations of validation and test sentences, and the batches at which learning
    failed, into the run. They hold your text; false leaves them out."""


class DecodingConfig(Section):
    """How a translation is searched for."""

    beam_size: Annotated[int, Field(ge=1, le=1000)] = 5
    """Hypotheses kept; 1 is greedy search."""
    length_penalty: Annotated[float, Field(ge=0.0, le=10.0)] = 1.0
    """Exponent α of the length penalty, by which log-probabilities are divided; 0 compares plain
    ones, more favours longer translations."""
    length_penalty_kind: LengthPenaltyKind = "gnmt"
    """gnmt: ((5 + length) / 6)^α (Wu et al. 2016). power: length^α, that of CTranslate2 and most
    other programs, in which 1 gives the mean of the pieces."""
    max_length_ratio: Literal["auto"] | Annotated[float, Field(gt=0.0, le=100.0)] = "auto"
    """A translation ends at the latest after this times the source's pieces, plus…"""
    max_length_extra: Literal["auto"] | Annotated[int, Field(ge=0, le=10_000)] = "auto"
    """…so many pieces. auto: with both, 999 of 1,000 targets of the training text fit even if they
    were a fifth longer; never less than 2 and 10."""
    tokens_per_batch: Count = 16_384
    """Source pieces, padding included, translated at once, each counted for every place in the beam
    (by CTranslate2 at most 1,024), and for more where the length limit is above 2 times and 10;
    results do not depend on it."""
    precision: Precision = "float32"
    """Of the computation; auto: as measured for training."""

    @property
    def length_limit(self) -> LengthLimit:
        """Of translations; where no training text has settled `auto`, the least one."""
        ratio, extra = self.max_length_ratio, self.max_length_extra
        return LengthLimit(
            LEAST_LIMIT.ratio if ratio == "auto" else ratio,
            LEAST_LIMIT.extra if extra == "auto" else extra,
        )


class EvaluationConfig(Section):
    """How translations are scored (sacreBLEU)."""

    tokenize: Literal["auto", "13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "none"] = "auto"
    """BLEU's tokenizer; auto: zh, ja-mecab, ko-mecab for those languages, else 13a. none is for
    text that is tokenized already."""
    lowercase: bool = False
    """Score without regard to case."""
    metrics: Annotated[list[str], Field(min_length=1)] = ["bleu", "chrf", "ter"]
    """Metrics that `translator eval` prints and keeps, in this order."""


def _allow_version(schema: dict[str, Any]) -> None:
    """Let editors accept the key that a recorded configuration begins with (versions.py)."""
    version = {
        "description": "Version of the schema, written into a run. Leave it out of your own files.",
        "minimum": 1,
        "title": "Schema Version",
        "type": "integer",
    }
    schema["properties"] = {"schema_version": version, **schema["properties"]}


class Config(Section):
    """A whole configuration."""

    model_config = ConfigDict(json_schema_extra=_allow_version)

    preset: Literal["auto"] | None = None
    """auto: what is not set in the sections data, tokenizer, model and training follows from the
    text and the machine, by the rules in config/preset.py. A file without model means auto."""
    data: DataConfig
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    decoding: DecodingConfig = DecodingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _training_has_an_end(self) -> Config:
        training = self.training
        limits = training.max_steps, training.max_epochs, training.max_minutes
        is_chosen = self.preset is not None and "max_epochs" not in training.model_fields_set
        is_limited = is_chosen or any(limit is not None for limit in limits)
        if training.optimizer.falls_to_zero and not is_limited:
            raise _conflict(
                "training.optimizer.schedule",
                f"training.optimizer.schedule: {training.optimizer.schedule} needs "
                "training.max_steps, max_epochs or max_minutes",
            )
        if not (is_limited or training.patience):
            raise _conflict(
                "training",
                "training needs an end: set max_steps, max_epochs, max_minutes or patience",
            )
        return self

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Config:
        width, heads = self.model.model_dim, self.model.num_heads
        both_stand = {"model_dim", "num_heads"} <= self.model.model_fields_set
        if width % heads and (both_stand or self.preset is None):
            raise _conflict(
                "model.num_heads",
                f"model.num_heads ({heads}) must divide model.model_dim ({width})",
            )
        if width % 2:
            raise _conflict("model.model_dim", f"model.model_dim ({width}) must be even")
        return self

    @model_validator(mode="after")
    def _r_drop_needs_dropout(self) -> Config:
        rates = {key: rate for key, rate in self.model if key.endswith("dropout_rate")}
        if self.training.r_drop and not any(rates.values()):
            raise _conflict(
                "training.r_drop",
                "training.r_drop compares two passes with different dropout, but every dropout "
                "rate of model is 0; give one, such as model.dropout_rate, or take r_drop out",
            )
        return self

    @model_validator(mode="after")
    def _sharing_needs_one_vocabulary(self) -> Config:
        is_chosen = self.preset is not None and not (
            "joint" in self.tokenizer.model_fields_set
            and "share_embeddings" in self.model.model_fields_set
        )
        if self.model.share_embeddings == "all" and not (self.tokenizer.joint or is_chosen):
            raise _conflict(
                "model.share_embeddings",
                "model.share_embeddings: all needs tokenizer.joint: true "
                "(or share_embeddings: target)",
            )
        return self
