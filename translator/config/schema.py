"""Every key of a configuration, with its type, default and meaning.

The docstrings of keys are the reference that users read. They go into the JSON Schema, from which
editors show them. `auto` stands for a value that `resolve` computes once, from corpus and machine;
the run keeps it.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from translator.config.statistics import LEAST_LIMIT, LengthLimit
from translator.corpora.corpus import Corpus, CorpusContext
from translator.corpora.registry import CORPORA, corpus_type
from translator.corpora.tfds_split import TfdsSplit
from translator.section import Count, Positive, Section, conflict

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
DropoutRate = Annotated[float, Field(ge=0.0, le=0.95)]
Width = Annotated[int, Field(ge=1, le=65_536)]
Depth = Annotated[int, Field(ge=1, le=256)]
Precision = Literal["auto", "float32", "bfloat16"]
TokenizerKind = Literal["unigram", "bpe", "word", "char"]
LengthPenaltyKind = Literal["gnmt", "power"]
MixerKind = Literal["attention", "recurrence", "convolution"]


def _one_or_several(value: Any) -> str:
    return "list" if isinstance(value, list) else "corpus"


if TYPE_CHECKING:
    Split: TypeAlias = str | Corpus | list[str | Corpus]
else:
    OneCorpus = corpus_type()
    Split = Annotated[
        Annotated[OneCorpus, Tag("corpus")] | Annotated[list[OneCorpus], Tag("list")],
        Discriminator(_one_or_several),
    ]


class DataConfig(CorpusContext):
    """Where the parallel text is."""

    train: Split
    """Sentence pairs to learn from: a corpus, or a list of corpora that every batch mixes."""
    temperature: Annotated[float, Field(ge=1.0, le=1e9)] = 1.0
    """How evenly the corpora of data.train are mixed: a corpus of n pairs gets a share proportional
    to n^(1/temperature). 1 keeps their sizes; 5 favours small corpora (Arivazhagan et al. 2019)."""
    validation: Split
    """Sentence pairs that choose the best weights; a few hundred to a few thousand. Of a list, all
    corpora are used."""
    test: Split | None = None
    """Sentence pairs for the final score. Training never uses them."""
    licence: str | None = None
    """Licence of the training text and what it permits, for the model card of a bundle; such as CC
    BY 4.0, or: for research only."""
    max_length: Width = 128
    """Longest sentence, in pieces. Training leaves out longer pairs and reports their number;
    translation truncates longer sentences, with a warning. Time of attention grows with its
    square."""
    truncate_sources: bool = False
    """Train on the first max_length pieces of longer sources, instead of leaving their pairs out.
    For summaries, where the beginning of a text is often enough."""

    def corpora(self, split: str) -> dict[str, Corpus]:
        """The corpora of train, validation or test by key, such as data.train[0]."""
        value = getattr(self, split)
        if isinstance(value, list):
            found = {f"data.{split}[{i}]": corpus for i, corpus in enumerate(value)}
        else:
            found = {} if value is None else {f"data.{split}": value}
        return {
            key: TfdsSplit(split=corpus) if isinstance(corpus, str) else corpus
            for key, corpus in found.items()
        }

    def without_local_paths(self) -> DataConfig:
        """A copy to give to others: it names no folder, and files outside of data.folder only by
        their last name. Two files that would get the same name are told apart by a number."""
        shown: dict[str, str] = {}

        def rename(path: str) -> str:
            is_outside = Path(path).is_absolute() or ".." in Path(path).parts
            name = Path(path).name if is_outside else path
            if shown.setdefault(name, path) != path:
                name = f"{len(shown)}-{name}"
                shown[name] = path
            return name

        def renamed(value: Any) -> Any:
            if isinstance(value, list):
                return [renamed(corpus) for corpus in value]
            return value.with_paths(rename) if isinstance(value, Corpus) else value

        fields = DataConfig.model_fields
        unset = {key: fields[key].get_default() for key in self.path_keys()}
        splits = {key: renamed(getattr(self, key)) for key in ("train", "validation", "test")}
        return self.model_copy(update=unset | splits)

    @property
    def tags(self) -> list[str]:
        """The tags of data.train, in alphabetical order."""
        return sorted({corpus.tag for corpus in self.corpora("train").values() if corpus.tag})

    def tags_missing_from(self, tags: Collection[str | None]) -> dict[str, str]:
        """Tags of validation and test text that are not among `tags`, by key of their corpus."""
        corpora = self.corpora("validation") | self.corpora("test")
        return {
            key: corpus.tag
            for key, corpus in corpora.items()
            if corpus.tag and corpus.tag not in tags
        }

    @property
    def weights(self) -> list[float] | None:
        """The weights of the corpora of data.train; None if they have none."""
        corpora = self.corpora("train").values()
        return [corpus.weight for corpus in corpora if corpus.weight is not None] or None

    @model_validator(mode="after")
    def _splits_match_the_dataset(self) -> DataConfig:
        corpora: dict[str, Corpus] = {}
        for split in ("train", "validation", "test"):
            if getattr(self, split) == []:
                raise conflict(
                    f"data.{split}", f"data.{split} is an empty list; name a corpus in it"
                )
            corpora |= self.corpora(split)
        of_dataset = [key for key, corpus in corpora.items() if corpus.needs_dataset]
        if self.dataset is None and of_dataset:
            forms = [kind.form() for kind in CORPORA.values() if not kind.needs_dataset]
            raise conflict(
                of_dataset[0],
                f"{of_dataset[0]} must name files ({' or '.join(forms)}), "
                "unless data.dataset names a TensorFlow Datasets set",
            )
        if self.dataset is not None and not of_dataset:
            raise conflict(
                "data.dataset",
                f"data.dataset is {self.dataset}, but data.train, data.validation and data.test "
                "name files; name splits of the set there, such as 'train', or remove data.dataset",
            )
        return self

    @model_validator(mode="after")
    def _tags_are_in_training(self) -> DataConfig:
        for key, tag in self.tags_missing_from(self.tags).items():
            known = f"its tags are {', '.join(self.tags)}" if self.tags else "it has no tags"
            raise conflict(
                f"{key}.tag", f"{key}.tag is {tag}, but data.train does not have that tag: {known}"
            )
        return self

    @model_validator(mode="after")
    def _shares_are_clear(self) -> DataConfig:
        for key, corpus in (self.corpora("validation") | self.corpora("test")).items():
            if corpus.weight is not None:
                raise conflict(
                    f"{key}.weight", f"{key}.weight: only the corpora of data.train have weights"
                )
        corpora = self.corpora("train")
        weighted = [key for key, corpus in corpora.items() if corpus.weight is not None]
        bare = [key for key in corpora if key not in weighted]
        if weighted and bare:
            raise conflict(
                f"{bare[0]}.weight",
                f"{bare[0]}.weight is missing: give every corpus of data.train a weight, or none",
            )
        if weighted and self.temperature != 1:
            raise conflict(
                "data.temperature",
                f"data.temperature and {weighted[0]}.weight both set the share of a corpus; "
                "remove one of them",
            )
        return self


class TokenizerConfig(Section):
    """How sentences are cut into pieces (SentencePiece)."""

    kind: TokenizerKind = "unigram"
    """Segmentation model. unigram and bpe cut words into pieces. word makes a piece of whatever
    stands between two spaces; char makes a piece of every character."""
    vocabulary_size: Literal["auto"] | Annotated[int, Field(ge=16, le=1_000_000)] = "auto"
    """Number of pieces; per language if not joint. auto: 40 √pairs, between 1,000 and 32,000; at
    least enough for all characters; 32,000 with kind: word. If the corpus does not have that many
    pieces, the vocabulary becomes smaller."""
    joint: bool = True
    """Use one vocabulary for both languages. Set to false for languages with different scripts."""
    byte_fallback: bool = True
    """Spell unknown characters in bytes, so that no text is unknown. Takes 256 pieces of the
    vocabulary. Has no effect with kind: word."""
    character_coverage: Annotated[float, Field(ge=0.98, le=1.0)] = 1.0
    """Share of the corpus's characters that get a piece of their own. Use 0.9995 for languages with
    thousands of characters, such as Chinese or Japanese."""
    split_by_unicode_script: bool = True
    """Never put characters of two scripts, or letters and punctuation, into one piece. Set to false
    for names such as I_TURN_RIGHT, code or formulas. Only for unigram and bpe."""
    split_digits: bool = False
    """Make every digit a piece of its own."""
    split_by_whitespace: bool = True
    """Never let a piece extend over a space. Only for unigram and bpe."""
    normalization: Literal["nmt_nfkc", "nfkc", "identity"] = "nmt_nfkc"
    """SentencePiece's normalization of the source; identity keeps every character. The target is
    never normalized; only space at its ends is removed."""
    sampling_alpha: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Subword sampling: training segments sentences at random, which regularizes small corpora.
    unigram: exponent of the probabilities, usually 0.1 to 0.5 (Kudo 2018). bpe: share of merges
    dropped, usually 0.1 (Provilkov et al. 2020). null: off."""

    @property
    def spells_in_bytes(self) -> bool:
        """Whether unknown characters become bytes.

        Not with kind word: from bytes, SentencePiece would write ▁ instead of the space before.
        """
        return self.byte_fallback and self.kind != "word"

    @model_validator(mode="after")
    def _sampling_needs_alternatives(self) -> TokenizerConfig:
        if self.sampling_alpha is not None and self.kind not in ("unigram", "bpe"):
            raise conflict(
                "tokenizer.sampling_alpha",
                f"tokenizer.sampling_alpha needs kind: unigram or bpe; with kind: {self.kind} "
                "a sentence has only one segmentation",
            )
        return self


class ModelConfig(Section):
    """The model: a Transformer (Vaswani et al. 2017), or a relative of it."""

    kind: Literal["transformer", "decoder_only"] = "transformer"
    """Architecture of the model. transformer: an encoder reads the source, and a decoder looks at
    it through cross-attention. decoder_only: one stack of self-attention reads the source, in both
    directions, and continues it with the target. Large language models are made so."""
    encoder: MixerKind = "attention"
    """What passes information between the positions of the source. attention: self-attention.
    recurrence: the SSRU (Kim et al. 2019), in both directions. convolution: the lightweight
    convolution (Wu et al. 2019)."""
    decoder: MixerKind = "attention"
    """What passes information between the positions of the target. A recurrent decoder translates
    faster. All decoders look at the source through cross-attention."""
    kernel_size: Annotated[int, Field(ge=3, le=255)] = 31
    """Upper limit of the kernels of convolutions, in positions; an odd number. They grow with
    depth: 3, 7, 15, 31, and so on."""
    attention_window: Count | None = None
    """Self-attention sees only positions that are at most this far away, on both sides. Time then
    grows linearly with the length of the text. Default: no limit. Cross-attention always sees the
    whole source."""
    attention_block_size: Literal["auto"] | Annotated[int, Field(ge=16, le=65_536)] | None = "auto"
    """Number of queries that attention computes at a time in texts of more than 8 blocks. The
    result is the same except for rounding; memory grows linearly with the length. auto: 128 if
    data.max_length is above 1,024, else null. null: always all queries at once."""
    num_layers: Depth = 6
    """Number of encoder layers, and of decoder layers unless num_decoder_layers is set. With kind:
    decoder_only, number of layers."""
    num_decoder_layers: Depth | None = None
    """Number of decoder layers. Default: num_layers. A shallow decoder translates faster."""
    model_dim: Width = 512
    """Width of embeddings and layers; an even number."""
    num_heads: Count = 8
    """Number of attention heads; must divide model_dim."""
    feed_forward_dim: Width = 2048
    """Inner width of the feed-forward blocks; usually 2 to 4 times model_dim."""
    activation: Literal["relu", "gelu", "silu"] = "relu"
    """Activation function of the feed-forward blocks."""
    normalization: Literal["pre", "post"] = "pre"
    """Place of layer normalization: before each block (pre, stable to train) or after its residual
    sum (post, as published by Vaswani et al.)."""
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"
    """Position encoding. A model with learned positions cannot read more than data.max_length
    pieces."""
    share_embeddings: Literal["all", "target", "none"] = "all"
    """Which tables share weights. all: one for source, target and output (needs tokenizer.joint);
    target: one for target and output; none: three tables."""
    dropout_rate: DropoutRate = 0.1
    """Dropout on the output of each block, before the residual sum. Raise it for small corpora."""
    attention_dropout_rate: DropoutRate = 0.0
    """Dropout on the weights of attention, and on those of convolutions."""
    activation_dropout_rate: DropoutRate = 0.0
    """Dropout inside the feed-forward blocks."""
    embedding_dropout_rate: DropoutRate = 0.1
    """Dropout on the sum of embedding and position."""

    @model_validator(mode="after")
    def _decoder_only_has_one_stack(self) -> ModelConfig:
        if self.kind == "decoder_only":
            for key in ("encoder", "decoder"):
                if getattr(self, key) != "attention":
                    raise conflict(
                        f"model.{key}",
                        f"model.{key} ({getattr(self, key)}) needs model.kind: transformer; with "
                        "decoder_only, all layers are self-attention",
                    )
            if self.attention_window is not None:
                raise conflict(
                    "model.attention_window",
                    "model.attention_window needs model.kind: transformer; with decoder_only, the "
                    "target looks at the whole source through self-attention",
                )
            if self.num_decoder_layers is not None:
                raise conflict(
                    "model.num_decoder_layers",
                    "model.num_decoder_layers needs model.kind: transformer; with decoder_only, "
                    "there is one stack, of model.num_layers",
                )
        return self

    @model_validator(mode="after")
    def _a_window_limits_attention(self) -> ModelConfig:
        if self.attention_window is not None and "attention" not in (self.encoder, self.decoder):
            raise conflict(
                "model.attention_window",
                "model.attention_window needs model.encoder or model.decoder: attention",
            )
        return self

    @model_validator(mode="after")
    def _kernels_mix_positions(self) -> ModelConfig:
        if self.kernel_size % 2 == 0:
            raise conflict(
                "model.kernel_size",
                f"model.kernel_size ({self.kernel_size}) must be odd, so that a position reaches "
                "as far to its left as to its right",
            )
        is_default = self.kernel_size == type(self).model_fields["kernel_size"].default
        if not is_default and "convolution" not in (self.encoder, self.decoder):
            raise conflict(
                "model.kernel_size",
                f"model.kernel_size ({self.kernel_size}) needs model.encoder or model.decoder: "
                "convolution",
            )
        return self


class OptimizerConfig(Section):
    """Adam (Kingma & Ba 2015) with decoupled weight decay (Loshchilov & Hutter 2019)."""

    learning_rate: Positive = 1e-3
    """Peak learning rate, reached at the end of the warm-up. Lower it if training diverges."""
    schedule: Literal["auto", "inverse_sqrt", "linear", "cosine", "cooldown", "constant"] = "auto"
    """Course of the learning rate after the warm-up. constant: it stays. inverse_sqrt: it falls
    with 1/√step, without end. The others fall to zero at the first of max_steps, max_epochs and
    max_minutes: linear along a line (Li et al. 2020), cosine along half a cosine, cooldown along a
    line in the last 30 % of the run (Hägele et al. 2024). auto: cooldown with max_minutes, else
    inverse_sqrt."""
    warmup_steps: Annotated[int, Field(ge=0, lt=2**31)] = 1000
    """Steps over which the learning rate rises linearly from zero. At most 10 % of the run with
    linear and cosine, 30 % with cooldown."""
    beta_1: Share = 0.9
    """Decay of Adam's average of the gradients."""
    beta_2: Share = 0.98
    """Decay of Adam's average of the squared gradients."""
    epsilon: Positive = 1e-9
    """Number added to Adam's denominator."""
    weight_decay: Annotated[float, Field(ge=0.0, le=1e9)] = 0.0
    """Share by which every step reduces the weights, times the learning rate. Biases and layer
    normalization are exempt. 0: off."""
    clip_norm: Positive | None = 1.0
    """Largest global norm of the gradient; a larger gradient is scaled down to it. null: off."""

    @property
    def falls_to_zero(self) -> bool:
        """Whether the learning rate reaches zero at the end of the run."""
        return self.schedule in ("linear", "cosine", "cooldown")


class AveragingConfig(Section):
    """Which weights are validated and shipped."""

    kind: Literal["none", "last", "best", "ema"] = "ema"
    """none: the current weights. last: the mean of the last `count` validated weights. best: at the
    end of training, the mean of the `count` best validated weights, if it validates better. ema:
    the exponential moving average of the weights."""
    count: Count = 5
    """Number of weights to average with last and best. With none and ema, as many are kept on disk,
    for `translator tune`; each takes the space of the model."""
    decay: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.999
    """Share of the average that each step keeps, for ema. Early steps keep less, (1 + step) /
    (25 + step), so that the average covers at most 1/24 of the run."""


class TrainingConfig(Section):
    """How the model is trained, and for how long."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    """Seed of initial weights, data order, dropout and subword sampling."""
    max_steps: Count | None = None
    """Stop after this many steps (optimizer updates)."""
    max_epochs: Count | None = None
    """Stop after this many passes over the training text. With several corpora, a pass has as many
    pairs as all of them together, whatever their shares."""
    max_minutes: Positive | None = None
    """Stop after this many minutes of training, including those before the run was resumed."""
    tokens_per_step: Count = 4096
    """Size of a batch in pieces: number of pairs times the longest side, padding included. Small
    batches suit small corpora and little time; large ones train faster on a GPU."""
    accumulation_steps: Literal["auto"] | Annotated[int, Field(ge=1, le=65_536)] = "auto"
    """Number of shards into which a batch is cut to save memory; a device computes its shards one
    after the other. There is at least one shard per device. On a CPU, 1 means one shard per core,
    at most 8. auto: 1, or as many as the largest batch needs to fit into memory."""
    recompute_activations: bool = False
    """Gradient checkpointing: recompute activations for the gradient instead of keeping them. Saves
    much memory with deep models and long sentences, and takes about 25 % more time."""
    label_smoothing: Share = 0.1
    """Share of the target probability that is spread evenly over the vocabulary. 0: off."""
    r_drop: Annotated[float, Field(ge=0.0, le=1e9)] = 0.0
    """Weight α of R-Drop (Liang et al. 2021): every pair passes the model twice with different
    dropout, and the loss includes the divergence of the two predictions. For small corpora, usually
    5; a step takes more than twice as long. 0: off."""
    concatenation_rate: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of batches whose pairs are concatenated two by two, up to data.max_length pieces
    (Nguyen et al. 2021). For small corpora, usually 0.5. 0: off."""
    precision: Precision = "auto"
    """Precision of matrix products. Weights, softmax and sums stay float32. auto: the faster one,
    measured once on this machine."""
    distribution: Literal["auto", "single", "mirrored", "workers"] = "auto"
    """Devices that train together. single: one. mirrored: all GPUs of this machine. workers: the
    processes that TF_CONFIG or Slurm lists. auto, decided at every start: workers if several are
    listed, else mirrored if there are several GPUs. The devices share each batch; its size stays
    the same."""
    optimizer: OptimizerConfig = OptimizerConfig()
    averaging: AveragingConfig = AveragingConfig()
    validate_every: Count = 1000
    """Number of steps between validations."""
    save_every: Count = 500
    """Number of steps between checkpoints; a crash costs at most this much work."""
    patience: Count | None = None
    """Stop after this many validations without improvement."""
    best_by: Annotated[str, Field(examples=["bleu", "chrf", "ter", "rouge", "loss"])] = "bleu"
    """What chooses the best weights: a metric of a validation (bleu, chrf, ter or rouge), or its
    loss. rouge: the mean of ROUGE-1, ROUGE-2 and ROUGE-L."""
    profile: bool = False
    """Profile steps 11 to 15 of each session. The run's tensorboard/ gets the full profile,
    profile.txt a table."""
    keep_text: bool = True
    """Keep translations of validation and test sentences in the run, and batches at which training
    failed. Set to false if the run must not contain your text."""


class DecodingConfig(Section):
    """How translations are searched (beam search)."""

    beam_size: Annotated[int, Field(ge=1, le=1000)] = 5
    """Number of hypotheses kept per sentence; 1 is greedy search. More than 5 seldom helps, and
    takes longer in proportion."""
    length_penalty: Annotated[float, Field(ge=0.0, le=10.0)] = 1.0
    """Exponent α of the length penalty, which divides log-probabilities. Higher values favour
    longer translations; 0 compares plain log-probabilities."""
    length_penalty_kind: LengthPenaltyKind = "gnmt"
    """Formula of the length penalty. gnmt: ((5 + length) / 6)^α (Wu et al. 2016). power: length^α,
    as in CTranslate2 and most other programs; with α = 1, the mean over pieces."""
    max_length_ratio: Literal["auto"] | Annotated[float, Field(gt=0.0, le=100.0)] = "auto"
    """Longest translation: this many pieces per source piece, plus max_length_extra. auto: 99.9 %
    of the training targets would fit if they were 20 % longer; at least 2."""
    max_length_extra: Literal["auto"] | Annotated[int, Field(ge=0, le=10_000)] = "auto"
    """Pieces added to the length limit of max_length_ratio. auto: chosen together with it; at least
    10."""
    no_repeat_ngram: Annotated[int, Field(ge=0, le=100)] = 0
    """No sequence of this many pieces occurs twice in a translation, which stops models that repeat
    themselves. Use 3 or more: 1 and 2 forbid ordinary sentences. 0: off."""
    min_length: Annotated[int, Field(ge=0, le=65_536)] = 0
    """Least number of pieces of a translation. A lower length limit wins. 0: off."""
    tokens_per_batch: Count = 16_384
    """Size of a translation batch: source pieces, padding included, times beam size; it counts for
    more where the length limit is above 2 times plus 10. CTranslate2 uses at most 1,024. Results do
    not depend on it; lower it if memory runs out."""
    precision: Precision = "float32"
    """Precision of the computation. auto: the one used in training."""

    @property
    def length_limit(self) -> LengthLimit:
        """The length limit of translations; LEAST_LIMIT where `auto` has not been resolved."""
        ratio, extra = self.max_length_ratio, self.max_length_extra
        return LengthLimit(
            LEAST_LIMIT.ratio if ratio == "auto" else ratio,
            LEAST_LIMIT.extra if extra == "auto" else extra,
        )


class EvaluationConfig(Section):
    """How translations are scored (sacreBLEU, rouge-score)."""

    tokenize: Literal["auto", "13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "none"] = "auto"
    """BLEU's tokenizer. auto: zh, ja-mecab or ko-mecab for Chinese, Japanese or Korean, else 13a.
    Use none for text that is already tokenized."""
    lowercase: bool = False
    """Ignore case when scoring. ROUGE always does."""
    metrics: list[str] = Field(default=["bleu", "chrf", "ter"], min_length=1)
    """Metrics that `translator eval` prints and keeps, in this order: bleu, chrf, ter or rouge. The
    last needs the extra [rouge], and a language with spaces between words; it gives ROUGE-1,
    ROUGE-2 and ROUGE-L, for English with a stemmer, as in papers."""


def _allow_version(schema: dict[str, Any]) -> None:
    """Add the key that recorded configurations begin with (versions.py), for editors."""
    version = {
        "description": "Version of the schema. A run records it; leave it out of your own files.",
        "minimum": 1,
        "title": "Schema Version",
        "type": "integer",
    }
    schema["properties"] = {"schema_version": version, **schema["properties"]}


class Config(Section):
    """A complete configuration."""

    model_config = ConfigDict(json_schema_extra=_allow_version)

    preset: Literal["auto", "fast"] | None = None
    """auto: choose unset keys of data, tokenizer, model and training for the corpus and the
    machine, by the rules in config/preset.py. A file without the section model means auto. fast:
    the same with a deep encoder and a shallow recurrent decoder, which translates in less time;
    meant as the student of a teacher (`translator distill`)."""
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
            raise conflict(
                "training.optimizer.schedule",
                f"training.optimizer.schedule: {training.optimizer.schedule} needs "
                "training.max_steps, max_epochs or max_minutes",
            )
        if not (is_limited or training.patience):
            raise conflict(
                "training",
                "training needs an end: set max_steps, max_epochs, max_minutes or patience",
            )
        return self

    @model_validator(mode="after")
    def _fast_has_a_decoder_of_its_own(self) -> Config:
        if self.preset == "fast" and self.model.kind == "decoder_only":
            raise conflict(
                "preset",
                "preset: fast needs model.kind: transformer, because it chooses a recurrent "
                "decoder; with decoder_only, use preset: auto",
            )
        return self

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Config:
        width, heads = self.model.model_dim, self.model.num_heads
        both_are_set = {"model_dim", "num_heads"} <= self.model.model_fields_set
        if width % heads and (both_are_set or self.preset is None):
            raise conflict(
                "model.num_heads",
                f"model.num_heads ({heads}) must divide model.model_dim ({width})",
            )
        if width % 2:
            raise conflict("model.model_dim", f"model.model_dim ({width}) must be even")
        return self

    @model_validator(mode="after")
    def _r_drop_needs_dropout(self) -> Config:
        rates = {key: rate for key, rate in self.model if key.endswith("dropout_rate")}
        if self.training.r_drop and not any(rates.values()):
            raise conflict(
                "training.r_drop",
                "training.r_drop compares two passes with different dropout, but every dropout "
                "rate of model is 0; set one, such as model.dropout_rate, or remove r_drop",
            )
        return self

    @model_validator(mode="after")
    def _a_translation_can_have_min_length(self) -> Config:
        least, longest = self.decoding.min_length, self.data.max_length
        is_open = "auto" in (self.decoding.max_length_ratio, self.decoding.max_length_extra)
        # A preset chooses data.max_length before the length limit is known.
        is_chosen = is_open or "max_length" not in self.data.model_fields_set
        if not least or (self.preset is not None and is_chosen):
            return self
        if least > longest:
            raise conflict(
                "decoding.min_length",
                f"decoding.min_length ({least}) must not exceed data.max_length ({longest}), the "
                "longest sentence in training",
            )
        limit = self.decoding.length_limit.of(longest) - 1
        if least > limit and not is_open:
            raise conflict(
                "decoding.min_length",
                f"decoding.min_length ({least}) must not exceed {limit}, the pieces that "
                "decoding.max_length_ratio and max_length_extra allow for the longest source",
            )
        return self

    @model_validator(mode="after")
    def _sharing_needs_one_vocabulary(self) -> Config:
        is_chosen = self.preset is not None and not (
            "joint" in self.tokenizer.model_fields_set
            and "share_embeddings" in self.model.model_fields_set
        )
        if self.model.share_embeddings == "all" and not (self.tokenizer.joint or is_chosen):
            raise conflict(
                "model.share_embeddings",
                "model.share_embeddings: all needs tokenizer.joint: true "
                "(or share_embeddings: target)",
            )
        return self
