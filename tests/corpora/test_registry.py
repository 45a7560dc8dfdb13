"""Adding a kind of corpus takes one class and one line of the registry."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from translator.corpora.registry import CORPORA

ROOT = Path(__file__).parents[2]

TOY = '''
from collections.abc import Iterator
from pathlib import Path

from translator.corpora.corpus import (
    Corpus, CorpusContext, Pair, file_facts, first_path, resolve_paths
)
from translator.section import LocalPaths


class UpperCase(Corpus):
    """A file whose translation is its upper case."""

    text: LocalPaths
    """The file."""

    @property
    def location(self) -> str:
        return first_path(self.text)

    def read(self, context: CorpusContext, key: str) -> Iterator[Pair]:
        for path in resolve_paths(context, self.text):
            for line in path.read_text().splitlines():
                yield Pair(line, line.upper())

    def facts(self, context: CorpusContext) -> dict[str, object]:
        return {"text": [file_facts(path) for path in resolve_paths(context, self.text)]}


from translator.corpora import registry
registry.CORPORA["text"] = UpperCase

from translator.config import Config, load_config, save_config
from translator.data.corpus import fingerprint, read_pairs
from translator.errors import ConfigError

config = load_config(Path("c.yaml"))
assert list(read_pairs(config.data, "train")) == [("<up> a", "A"), ("<up> b", "B"), ("c", "C")]
assert fingerprint(config.data, "train")["corpora"][0]["text"][0]["size"] == 4
assert [corpus.name for corpus in config.data.corpora("train").values()] == ["<up> ab", "c"]

save_config(config, Path("saved.yaml"))
assert load_config(Path("saved.yaml")) == config

shared = config.data.without_local_paths()
assert "secret" not in shared.model_dump_json()
assert shared.train[0].text == "ab" and shared.train[1].text == ["c"]

try:
    load_config(Path("c.yaml"), ["data.train={text: ab, txet: ab}"])
except ConfigError as error:
    print(error)
assert "UpperCase" in Config.model_json_schema()["$defs"]
'''

CONFIG = """
data:
  source_language: en
  target_language: en
  train: [{text: HERE/secret/ab, tag: <up>}, {text: [c]}]
  validation: {text: c}
training: {max_steps: 1}
"""


def test_new_kind_is_read_checked_and_made_anonymous(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/ab").write_text("a\nb\n")
    (tmp_path / "c").write_text("c\n")
    (tmp_path / "c.yaml").write_text(CONFIG.replace("HERE", str(tmp_path)))
    done = subprocess.run(
        [sys.executable, "-c", TOY],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == (
        "--set data.train: there is no key data.train.txet; did you mean data.train.text?\n"
    )


@pytest.mark.parametrize("key", CORPORA)
def test_each_kind_is_distinguished_by_a_required_key(key: str) -> None:
    assert CORPORA[key].model_fields[key].is_required()
    others = [kind for other, kind in CORPORA.items() if other != key]
    assert all(key not in kind.model_fields for kind in others)
