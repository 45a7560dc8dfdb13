"""What a run is told: a YAML file, checked key by key."""

from translator.config.loading import differences, load_config, override, save_config
from translator.config.resolution import CorpusStatistics, Machine, resolve
from translator.config.schema import Config

__all__ = [
    "Config",
    "CorpusStatistics",
    "Machine",
    "differences",
    "load_config",
    "override",
    "resolve",
    "save_config",
]
