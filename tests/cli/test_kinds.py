"""What a user does with a run whose model is not the Transformer.

Every mixer occurs once; tests/models and tests/training have all five kinds of models.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from translator.errors import ConfigError
from translator.models.weights import load_arrays
from translator.runs import RunDirectory
from translator.workflows.evaluate import evaluate
from translator.workflows.export import export_run
from translator.workflows.train import train
from translator.workflows.translate import translate
from translator.workflows.verify import verify

pytestmark = pytest.mark.slow


def n_best(run: str | Path, source: str, engine: str | None = None) -> list[list[str]]:
    """Line number, score and text of each translation."""
    translate(run, source, "output.tsv", n_best=3, engine=engine)
    return [line.split("\t") for line in Path("output.tsv").read_text().split("\n")[:-1]]


@pytest.mark.parametrize(
    "keys",
    [["model.kind=decoder_only"], ["model.encoder=convolution", "model.decoder=recurrence"]],
    ids=["decoder_only", "convolution and recurrence"],
)
def test_train_resume_translate_evaluate_and_export(keys: list[str], workplace: Path) -> None:
    settings = [
        *keys,
        *("model.attention_dropout_rate=0.1", "training.validate_every=4", "training.save_every=2"),
        *("training.optimizer.schedule=inverse_sqrt", "decoding.precision=float32"),
    ]
    whole = RunDirectory(train("c.yaml", "whole", [*settings, "training.max_steps=4"]))
    train("c.yaml", "parts", [*settings, "training.max_steps=2"])
    parts = RunDirectory(train("c.yaml", "parts", [*settings, "training.max_steps=4"]))
    arrays, resumed = (load_arrays(run.checkpoint(4))[0] for run in (whole, parts))
    assert arrays.keys() == resumed.keys()
    for name in arrays:
        np.testing.assert_array_equal(resumed[name], arrays[name], name)

    Path("third.en").write_text(Path("validation.en").read_text().split("\n")[2] + "\n")
    translations = n_best("whole", "validation.en")
    third = [row[1:] for row in n_best("whole", "third.en")]
    assert third == [row[1:] for row in translations if row[0] == "3"]
    assert evaluate("whole")[0].name == "BLEU"

    bundle, _ = export_run("whole", "bundle", output="mine.bundle")
    assert verify(bundle).is_exact
    savedmodel, _ = export_run("whole", "savedmodel")
    assert verify(savedmodel, "savedmodel").is_exact
    theirs = n_best(savedmodel, "validation.en", engine="savedmodel")
    assert [row[::2] for row in theirs] == [row[::2] for row in translations]
    with pytest.raises(ConfigError, match=r"no export for ctranslate2: .*CTranslate2"):
        export_run("whole", "ctranslate2")
