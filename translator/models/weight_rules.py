"""How weights begin and whether they decay, by their names in the files of weights.

A name such as decoder_0/attention/query/kernel never changes: it finds the weight in old files and
seeds its first values. Names come from the names of layers. Classes and attributes may be renamed,
layers may not.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

import numpy as np

SEED_PREFIX = "transformer/"
"""Prefix of a name when it seeds. Another prefix would start every run with other weights."""


class Rule(NamedTuple):
    """How a weight begins, and whether it decays."""

    start: Literal["glorot_uniform", "normal", "ones", "zeros"]
    """Uniform (Glorot & Bengio 2010), normal with standard deviation 1/√D, or constant."""
    decays: bool
    """Whether weight decay reduces it."""


Rules = Mapping[str, Rule]
"""By patterns of names; the first that matches counts."""

RULES: Rules = {
    "*/kernel": Rule("glorot_uniform", decays=True),
    "*/taps": Rule("glorot_uniform", decays=True),
    "*/table": Rule("normal", decays=True),
    "*/bias": Rule("zeros", decays=False),
    "*/scale": Rule("ones", decays=False),
    "*/offset": Rule("zeros", decays=False),
}


def rule_for(name: str, rules: Rules = RULES) -> Rule:
    """The rule of a weight. Raises LookupError if there is none."""
    for pattern, rule in rules.items():
        if fnmatchcase(name, pattern):
            return rule
    raise LookupError(f"no rule matches the weight {name}")


def name_seed(name: str) -> int:
    """The part of a weight's seed that comes from its name."""
    return zlib.crc32(f"{SEED_PREFIX}{name}".encode())


def first_values(name: str, shape: tuple[int, ...], seed: int, rules: Rules = RULES) -> np.ndarray:
    """The first values of a weight, float32: a function of name, shape, seed and rule alone."""
    random = np.random.default_rng([seed, name_seed(name)])
    match rule_for(name, rules).start:
        case "glorot_uniform":
            limit = np.sqrt(6 / sum(shape))
            return random.uniform(-limit, limit, shape).astype(np.float32)
        case "normal":
            deviation = shape[1] ** -0.5
            return deviation * random.standard_normal(shape, np.float32)
        case "ones":
            return np.ones(shape, np.float32)
        case "zeros":
            return np.zeros(shape, np.float32)
