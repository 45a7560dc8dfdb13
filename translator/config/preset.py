"""`preset: auto`: model, training and vocabulary as they should be for a text and a machine.

The rules stand in one table. Each is a line through a few points, drawn over the logarithm of the
number of pairs, so that 30,000 and 31,000 pairs get nearly the same. A key that the user sets wins,
and the rules after it go by it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from translator.config.keys import is_set, replaced
from translator.config.schema import Config, TokenizerKind
from translator.config.statistics import CorpusStatistics, Machine

CPU_WIDTH = 512
"""A wider model learns too slowly without a GPU."""


class Rule(NamedTuple):
    """How a key is chosen, and by whose findings."""

    key: str
    choose: Callable[[Config, CorpusStatistics, Machine], Any]
    findings: str
    needs_vocabulary: bool = False
    """Whether it goes by `statistics.longest`."""


Points = Mapping[float, float]


def between(points: Points, size: float) -> float:
    """The value at a size: on a line between the nearest two points, the sizes taken by their
    logarithms; beyond the last point, that point's."""
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
INNER_SHARE: Points = {3e4: 2, 1e6: 4}
DROPOUT: Points = {2e3: 0.35, 3e4: 0.2, 3e6: 0.1}
TOKENS: Points = {2e3: 1024, 3e4: 1536, 1e6: 8192, 1e7: 16_384, 5e7: 32_768}
PAIRS_A_MINUTE = 2000
"""As many as a processor gets to know well in it: a model for more would not be done in time."""
MOST_PROCESSORS = 8
"""That are taken to be so many times as fast."""
PAIRS_READ_A_MINUTE = 20_000
"""As many as it reads."""
HURRY: Points = {10: 1536, 60: 4096, 600: 32_768}
"""Minutes of a processor → the largest batch for them: in a short time many steps teach more than
exact ones."""
LARGEST_VOCABULARY = 32_000
LONGEST_SIDE = 1024
"""Pieces."""
EPOCHS: Points = {2e3: 200, 3e4: 30, 2e5: 20, 1e6: 12, 1e7: 5, 5e7: 2}


def processor_minutes(config: Config, machine: Machine) -> float:
    """What the user gives, of all processors; without end where there is a GPU, or no limit."""
    minutes = config.training.max_minutes
    if minutes is None or machine.has_gpu:
        return math.inf
    return minutes * min(MOST_PROCESSORS, machine.num_processors)


def learnable(config: Config, statistics: CorpusStatistics, machine: Machine) -> float:
    """The size of the text, or as much of it as the user's minutes are enough for."""
    return min(statistics.size, PAIRS_A_MINUTE * processor_minutes(config, machine))


def auto_vocabulary_size(statistics: CorpusStatistics, kind: TokenizerKind = "unigram") -> int:
    """Forty times the root of the number of pairs, between 1,000 and 32,000, in whole hundreds; but
    more than there are characters, as each is a piece, and bytes.

    Small corpora learn better from few pieces, each seen often (Sennrich & Zhang 2019; Gowda & May
    2020). 10,000 pairs get 4,000 pieces, 640,000 and more 32,000. A word that is no piece is lost,
    so if words are pieces, there may be 32,000 in any case.
    """
    if kind == "word":
        return LARGEST_VOCABULARY
    found = min(
        LARGEST_VOCABULARY, max(1_000, round(40 * math.sqrt(statistics.num_pairs) / 100) * 100)
    )
    return max(found, 100 * math.ceil((300 + 1.2 * statistics.num_characters) / 100))


def width(config: Config, statistics: CorpusStatistics, machine: Machine) -> int:
    """In multiples of 32, as processors like it, and of the heads, if the user has set these."""
    unit = math.lcm(32, config.model.num_heads if is_set(config, "model.num_heads") else 1)
    found = between(WIDTH, learnable(config, statistics, machine))
    if not machine.has_gpu:
        found = min(CPU_WIDTH, found)
    return unit * max(1, round(found / unit))


def heads(config: Config, statistics: CorpusStatistics, machine: Machine) -> int:
    """As many as leave each a width of 32 or more, beyond four of 64."""
    least = {1: 1, 2: 64, 4: 128, 8: 512, 16: 1024}
    model_dim = config.model.model_dim
    return max(h for h in least if model_dim % h == 0 and model_dim >= least[h])


def inner_width(config: Config, statistics: CorpusStatistics, machine: Machine) -> int:
    share = between(INNER_SHARE, learnable(config, statistics, machine))
    return min(65_536, 32 * max(1, round(share * config.model.model_dim / 32)))


def dropout(config: Config, statistics: CorpusStatistics, machine: Machine) -> float:
    """Less where training ends before a model can learn its text by heart: by the root of the share
    of its epochs that there is time for, or that the user gives."""
    epochs = PAIRS_READ_A_MINUTE * processor_minutes(config, machine) / statistics.size
    if is_set(config, "training.max_epochs") and config.training.max_epochs is not None:
        epochs = min(epochs, config.training.max_epochs)
    share = min(1.0, epochs / between(EPOCHS, statistics.size))
    return round(between(DROPOUT, statistics.size) * math.sqrt(share), 2)


def tokens(config: Config, statistics: CorpusStatistics, machine: Machine) -> int:
    """In whole 256. Where the user's minutes are few, so are these."""
    hurried = between(HURRY, processor_minutes(config, machine))
    return 256 * round(min(between(TOKENS, statistics.size), hurried) / 256)


def highest_rate(config: Config, statistics: CorpusStatistics, machine: Machine) -> float:
    """The wider, the lower."""
    return float(f"{0.5 / config.model.model_dim:.1e}")


def joint(config: Config, statistics: CorpusStatistics, machine: Machine) -> bool:
    """One vocabulary, unless the languages have different scripts."""
    wants_one = is_set(config, "model.share_embeddings") and config.model.share_embeddings == "all"
    return wants_one or statistics.shared_letters >= 0.5


def epochs(config: Config, statistics: CorpusStatistics, machine: Machine) -> int | None:
    """Unless the user says after how many steps it ends."""
    if config.training.max_steps is not None:
        return None
    return round(between(EPOCHS, statistics.size))


def schedule(config: Config, statistics: CorpusStatistics, machine: Machine) -> str:
    """High for most of the run and to zero at its end, if there is one that can be foreseen."""
    training = config.training
    ends = training.max_steps, training.max_epochs, training.max_minutes
    return "inverse_sqrt" if ends == (None, None, None) else "cooldown"


def max_length(config: Config, statistics: CorpusStatistics, machine: Machine) -> int:
    """Half as many pieces again as 999 of 1,000 pairs have, as what is translated later may be
    longer; in whole 16, between 64 and 1,024. Sides beyond that are hardly sentences, and attention
    takes memory with the square of their length."""
    assert statistics.longest is not None
    return max(64, min(LONGEST_SIDE, 16 * math.ceil(1.5 * statistics.longest / 16)))


ARAABI = "Araabi & Monz 2020"
SENNRICH = "Sennrich & Zhang 2019"
WU = "Wu et al. 2021"
MEASURED = "our measurements, see README"

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
    Rule(
        "model.num_layers",
        lambda *circumstances: round(between(LAYERS, learnable(*circumstances))),
        f"van Biljon et al. 2020; {WU}",
    ),
    Rule("model.num_heads", heads, ARAABI),
    Rule("model.feed_forward_dim", inner_width, f"{ARAABI}; {WU}"),
    Rule("model.dropout_rate", dropout, f"{ARAABI}; {SENNRICH}; {MEASURED}"),
    Rule("model.embedding_dropout_rate", dropout, SENNRICH),
    Rule("training.tokens_per_step", tokens, f"{SENNRICH}; {MEASURED}"),
    Rule("training.optimizer.learning_rate", highest_rate, MEASURED),
    Rule("training.max_epochs", epochs, "the smaller, the more often"),
    Rule("training.optimizer.schedule", schedule, f"Hägele et al. 2024; {MEASURED}"),
    Rule(
        "data.max_length",
        max_length,
        "999 of 1,000 pairs, and room for longer ones",
        needs_vocabulary=True,
    ),
)
"""In an order in which each finds what it goes by."""

KEYS = [rule.key for rule in RULES]


class Choice(NamedTuple):
    """What a rule has chosen."""

    key: str
    value: Any
    findings: str


def choose(config: Config, statistics: CorpusStatistics, machine: Machine) -> list[Choice]:
    """What the rules say of the keys that are open still; nothing without a preset. Rules that need
    a vocabulary wait until `statistics` has been completed by it."""
    if config.preset is None:
        return []
    choices = []
    for rule in RULES:
        if rule.needs_vocabulary and statistics.longest is None:
            continue
        if not is_set(config, rule.key):
            chosen = rule.choose(config, statistics, machine)
            config = replaced(config, {rule.key: chosen})
            choices.append(Choice(rule.key, chosen, rule.findings))
    return choices
