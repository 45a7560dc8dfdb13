"""translator: train a translator on parallel text, use it, and know how good it is.

    from translator import open_run
    open_run("runs/quickstart").engine().translate(["Turn on the lights."])

`train`, `translate`, `tune` and `evaluate` do what the commands of the same names do. Importing
this package imports neither TensorFlow nor Keras; using it sets Keras to the TensorFlow backend.
"""

import os
import platform
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from translator.cli.evaluate import evaluate
    from translator.cli.train import train
    from translator.cli.translate import translate
    from translator.cli.tune import tune
    from translator.decoding.translator import Translator
    from translator.workflows.opening import open_run

__version__ = "0.1.0"
__all__ = ["Translator", "evaluate", "open_run", "train", "translate", "tune"]

if "keras" in sys.modules and sys.modules["keras"].backend.backend() != "tensorflow":
    raise ImportError(
        "translator needs Keras on TensorFlow, but Keras has been imported with the backend "
        f"{sys.modules['keras'].backend.backend()}; import translator first."
    )
os.environ["KERAS_BACKEND"] = "tensorflow"
if os.path.expanduser("~") == "~":
    # This user has no home directory. Keras would make a folder of that name where it is.
    os.environ.setdefault("KERAS_HOME", os.devnull)
if platform.machine() == "x86_64":
    # TensorFlow takes these kernels by itself only where a processor has instructions for neural
    # networks; they are faster elsewhere, too. Whoever sets the variable is obeyed.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def __getattr__(name: str) -> Any:
    rooms = {
        "Translator": "decoding.translator",
        "evaluate": "cli.evaluate",
        "open_run": "workflows.opening",
        "train": "cli.train",
        "translate": "cli.translate",
        "tune": "cli.tune",
    }
    if name in rooms:
        return getattr(import_module(f"translator.{rooms[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
