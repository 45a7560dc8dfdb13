"""Presets: model, training and vocabulary for a corpus and a machine.

RULES lists one rule per key. Most interpolate between a few points over the logarithm of the number
of pairs, so that 30,000 and 31,000 pairs get nearly the same value. A key that the user sets wins,
and later rules depend on it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from translator.config.keys import is_set, replaced
from translator.config.schema import Config, TokenizerKind
from translator.config.statistics import CorpusStatistics, Machine

LARGEST_CPU_WIDTH = 512
"""Largest model_dim without a GPU; a wider model trains too slowly."""


class Rule(NamedTuple):
    """How a key is chosen, and the source of the rule."""

    key: str
    choose: Callable[[Config, CorpusStatistics, Machine], Any]
    findings: str
    needs_vocabulary: bool = False
    """Whether the rule depends on `statistics.longest`."""


Points = Mapping[float, float]


def between(points: Points, size: float) -> float:
    """The value at a size, interpolated linearly over the logarithm of the size.

    Outside the points, it is the value of the nearest one.
    """
    sizes = sorted(points)
    if size <= sizes[0]:
        return points[sizes[0]]
    for low, high in itertools.pairwise(sizes):
        if size <= high:
            share = math.log(size / low) / math.log(high / low)
            return points[low] + share * (points[high] - points[low])
    return points[sizes[-1]]


WIDTH: Points = {2e3: 96, 3.5e4: 128, 2e5: 256, 1e6: 384, 1e7: 512, 5e7: 1024}
LAYERS: Points = {2e3: 3, 3e4: 4, 1e6: 6}
FAST_ENCODER = 1.5
"""Encoder layers of `preset: fast`, relative to auto. A deep encoder makes up for a shallow
decoder. It costs little time, as it reads all pieces at once, and once for all hypotheses."""
TWO_DECODER_LAYERS = 1e6
"""Number of pairs from which `preset: fast` has two decoder layers instead of one."""
INNER_SHARE: Points = {3e4: 2, 1e6: 4}
DROPOUT: Points = {2e3: 0.35, 3e4: 0.2, 3e6: 0.1}
TOKENS: Points = {2e3: 1024, 3e4: 1536, 1e6: 8192, 1e7: 16_384, 5e7: 32_768}
LEARNABLE_PAIRS_PER_MINUTE = 2000
"""Pairs that one core can learn well per minute (measured on Multi30k and Anki). A model for more
pairs would not be trained in time."""
TRAINED_PAIRS_PER_MINUTE = 20_000
"""Pairs that one core trains on per minute."""
MOST_CORES = 8
"""Number of cores up to which speed is assumed proportional to their number."""
LARGEST_BATCH: Points = {10: 1536, 60: 4096, 600: 32_768}
"""Largest tokens_per_step, by core minutes: in a short time, many small steps teach more."""
LARGEST_VOCABULARY = 32_000
LONGEST_SIDE = 4096
"""Largest data.max_length that is chosen, in pieces."""
EPOCHS: Points = {2e3: 200, 3e4: 30, 2e5: 20, 1e6: 12, 1e7: 5, 5e7: 2}


def core_minutes(config: Config, machine: Machine) -> float:
    """The time budget times the number of cores; infinite with a GPU or without max_minutes."""
    minutes = config.training.max_minutes
    if minutes is None or machine.has_gpu:
        return math.inf
    return minutes * min(MOST_CORES, machine.num_processors)


def learnable(config: Config, statistics: CorpusStatistics, machine: Machine) -> float:
    """The size of the corpus, or of the part of it that can be learnt in the time budget."""
    return min(statistics.size, LEARNABLE_PAIRS_PER_MINUTE * core_minutes(config, machine))


def auto_vocabulary_size(statistics: CorpusStatistics, kind: TokenizerKind = "unigram") -> int:
    """Vocabulary size: 40 √pairs in whole hundreds, between 1,000 and 32,000.

    10,000 pairs get 4,000 pieces; 640,000 or more get 32,000. Small corpora learn better from few
    pieces, each seen often (Sennrich & Zhang 2019; Gowda & May 2020). Every character and byte
    takes a piece, so the size is always larger than their number. With kind word it is 32,000,
    because a word without a piece is lost.
    """
    if kind == "word":
        return LARGEST_VOCABULARY
    found = min(
        LARGEST_VOCABULARY, max(1_000, round(40 * math.sqrt(statistics.num_pairs) / 100) * 100)
    )
    return max(found, 100 * math.ceil((300 + 1.2 * statistics.num_characters) / 100))


def width(config: Config, statistics: CorpusStatistics, machine: Machine) -> int:
    """model_dim: a multiple of 32, for speed, and of num_heads if that is set."""
    unit = math.lcm(32, config.model.num_heads if is_set(config, "model.num_heads") else 1)
    found = between(WIDTH, learnable(config, statistics, machine))
    if not machine.has_gpu:
        found = min(LARGEST_CPU_WIDTH, found)
    return unit * max(1, round(found / unit))


def layers(config: Config, statistics: CorpusStatistics, machine: Machine) -> int:
    """num_layers; twice as many if one stack does the work of encoder and decoder."""
    found = between(LAYERS, learnable(config, statistics, machine))
    if config.model.kind == "decoder_only":
        return 2 * round(found)
    return round(FAST_ENCODER * found) if config.preset == "fast" else round(found)


def decoder_layers(config: Config, statistics: CorpusStatistics, machine: Machine) -> int:
    """num_decoder_layers of `preset: fast`."""
    return 1 if learnable(config, statistics, machine) < TWO_DECODER_LAYERS else 2


def heads(config: Config, statistics: CorpusStatistics, machine: Machine) -> int:
    """num_heads: as many as leave each a width of at least 32, or 64 with more than four heads."""
    least = {1: 1, 2: 64, 4: 128, 8: 512, 16: 1024}
    model_dim = config.model.model_dim
    return max(h for h in least if model_dim % h == 0 and model_dim >= least[h])


def inner_width(config: Config, statistics: CorpusStatistics, machine: Machine) -> int:
    """feed_forward_dim: a multiple of 32, 2 to 4 times model_dim."""
    share = between(INNER_SHARE, learnable(config, statistics, machine))
    return min(65_536, 32 * max(1, round(share * config.model.model_dim / 32)))


def dropout(config: Config, statistics: CorpusStatistics, machine: Machine) -> float:
    """Dropout rate for the corpus size, scaled by √(epochs available / epochs recommended) when the
    time budget or max_epochs ends training early."""
    epochs = TRAINED_PAIRS_PER_MINUTE * core_minutes(config, machine) / statistics.size
    if is_set(config, "training.max_epochs") and config.training.max_epochs is not None:
        epochs = min(epochs, config.training.max_epochs)
    share = min(1.0, epochs / between(EPOCHS, statistics.size))
    return round(between(DROPOUT, statistics.size) * math.sqrt(share), 2)


def tokens(config: Config, statistics: CorpusStatistics, machine: Machine) -> int:
    """tokens_per_step: a multiple of 256, smaller with a short time budget."""
    largest = between(LARGEST_BATCH, core_minutes(config, machine))
    return 256 * round(min(between(TOKENS, statistics.size), largest) / 256)


def highest_rate(config: Config, statistics: CorpusStatistics, machine: Machine) -> float:
    """Learning rate: inversely proportional to model_dim."""
    return float(f"{0.5 / config.model.model_dim:.1e}")


def joint(config: Config, statistics: CorpusStatistics, machine: Machine) -> bool:
    """One vocabulary, unless the languages have different scripts."""
    wants_one = is_set(config, "model.share_embeddings") and config.model.share_embeddings == "all"
    return wants_one or statistics.shared_letters >= 0.5


def epochs(config: Config, statistics: CorpusStatistics, machine: Machine) -> int | None:
    """max_epochs; None if the user limits the steps."""
    if config.training.max_steps is not None:
        return None
    return round(between(EPOCHS, statistics.size))


def schedule(config: Config, statistics: CorpusStatistics, machine: Machine) -> str:
    """cooldown, which falls to zero at the end of the run, if that end is known beforehand."""
    training = config.training
    ends = training.max_steps, training.max_epochs, training.max_minutes
    return "inverse_sqrt" if ends == (None, None, None) else "cooldown"


def max_length(config: Config, statistics: CorpusStatistics, machine: Machine) -> int:
    """1.5 times the length that covers 99.9 % of the pairs, since later text may be longer.

    It is a multiple of 16 between 64 and 4,096 pieces. Longer text takes too much time: that of
    attention grows with the square of the length.
    """
    assert statistics.longest is not None
    return max(64, min(LONGEST_SIDE, 16 * math.ceil(1.5 * statistics.longest / 16)))


ARAABI = "Araabi & Monz 2020"
SENNRICH = "Sennrich & Zhang 2019"
WU = "Wu et al. 2021"
KASAI = "Kasai et al. 2021"
KIM = "Kim et al. 2019"
MEASURED = "our measurements"

RULES = (
    Rule("tokenizer.joint", joint, "languages share pieces if they share a script"),
    Rule(
        "tokenizer.vocabulary_size",
        lambda config, statistics, _: auto_vocabulary_size(statistics, config.tokenizer.kind),
        f"Gowda & May 2020; {SENNRICH}",
    ),
    Rule(
        "tokenizer.character_coverage",
        lambda _, statistics, __: 0.9995 if statistics.num_characters > 1500 else 1.0,
        "Kudo & Richardson 2018",
    ),
    Rule(
        "model.share_embeddings",
        lambda config, _, __: "all" if config.tokenizer.joint else "target",
        "Press & Wolf 2017",
    ),
    Rule("model.model_dim", width, f"{WU}; {ARAABI}"),
    Rule("model.num_layers", layers, f"van Biljon et al. 2020; {WU}"),
    Rule("model.num_heads", heads, ARAABI),
    Rule("model.feed_forward_dim", inner_width, f"{ARAABI}; {WU}"),
    Rule("model.dropout_rate", dropout, f"{ARAABI}; {SENNRICH}; {MEASURED}"),
    Rule("model.embedding_dropout_rate", dropout, SENNRICH),
    Rule("training.tokens_per_step", tokens, f"{SENNRICH}; {MEASURED}"),
    Rule("training.optimizer.learning_rate", highest_rate, MEASURED),
    Rule("training.max_epochs", epochs, "small corpora need more passes"),
    Rule("training.optimizer.schedule", schedule, f"Hägele et al. 2024; {MEASURED}"),
    Rule(
        "data.max_length",
        max_length,
        "99.9 % of the pairs, and room for longer ones",
        needs_vocabulary=True,
    ),
)
"""Ordered so that every rule comes after the keys that it depends on."""

FAST_RULES = (
    Rule("model.decoder", lambda *_: "recurrence", KIM),
    Rule("model.num_decoder_layers", decoder_layers, f"{KASAI}; {KIM}"),
)
"""What `preset: fast` chooses besides."""

KEYS = [rule.key for rule in RULES]


class Choice(NamedTuple):
    """A value that a rule has chosen."""

    key: str
    value: Any
    findings: str


def choose(config: Config, statistics: CorpusStatistics, machine: Machine) -> list[Choice]:
    """The choices for all unset keys; none without a preset.

    Rules that need a vocabulary choose nothing as long as `statistics.longest` is None.
    """
    if config.preset is None:
        return []
    choices = []
    for rule in (*FAST_RULES, *RULES) if config.preset == "fast" else RULES:
        if rule.needs_vocabulary and statistics.longest is None:
            continue
        if not is_set(config, rule.key):
            chosen = rule.choose(config, statistics, machine)
            config = replaced(config, {rule.key: chosen})
            choices.append(Choice(rule.key, chosen, rule.findings))
    return choices
