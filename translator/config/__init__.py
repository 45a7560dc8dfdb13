"""The configuration of a run: a YAML file, validated key by key."""

from translator.config.keys import differences, replaced
from translator.config.loading import load_config, load_recorded, override, save_config
from translator.config.resolution import resolve, resolve_decoding
from translator.config.resume_rules import continued
from translator.config.schema import Config
from translator.config.statistics import CorpusStatistics, Machine

__all__ = [
    "Config",
    "CorpusStatistics",
    "Machine",
    "continued",
    "differences",
    "load_config",
    "load_recorded",
    "override",
    "replaced",
    "resolve",
    "resolve_decoding",
    "save_config",
]
