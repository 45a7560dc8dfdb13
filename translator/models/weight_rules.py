"""How each weight begins and whether it decays, by its name in the files of weights.

A name such as decoder_0/attention/query/kernel is for ever: it finds the weight in old files and
seeds its first values. Names come from the names of layers. Classes and attributes may be renamed
freely, layers may not.
"""

from __future__ import annotations

import zlib
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

import numpy as np

SEED_PREFIX = "transformer/"
"""In front of a name where it seeds. Other prefixes would begin every run with other weights."""


class Rule(NamedTuple):
    """For all weights whose names match a pattern."""

    start: Literal["glorot_uniform", "normal", "ones", "zeros"]
    """Uniform after Glorot & Bengio (2010), or normal with deviation 1/√D, or constant."""
    decays: bool
    """Whether weight decay takes from it."""


RULES = {
    "*/kernel": Rule("glorot_uniform", decays=True),
    "*/table": Rule("normal", decays=True),
    "*/bias": Rule("zeros", decays=False),
    "*/scale": Rule("ones", decays=False),
    "*/offset": Rule("zeros", decays=False),
}


def rule_for(name: str) -> Rule:
    """The rule of a weight. Raises LookupError if there is none."""
    for pattern, rule in RULES.items():
        if fnmatchcase(name, pattern):
            return rule
    raise LookupError(f"no rule says how the weight {name} begins")


def name_seed(name: str) -> int:
    """What a name adds to the seed of its first values."""
    return zlib.crc32(f"{SEED_PREFIX}{name}".encode())


def first_values(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """How a weight begins, in float32: a function of its name, its shape and the seed alone."""
    random = np.random.default_rng([seed, name_seed(name)])
    match rule_for(name).start:
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
