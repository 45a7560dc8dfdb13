"""translator: train translation models on parallel text, use them, and know how good they are.

    from translator import open_run
    open_run("runs/quickstart").engine().translate(["Turn on the lights."])

The functions here do what the commands do: train, distill, translate, attend, evaluate, tune,
export_run, verify.
Importing this package imports neither TensorFlow nor Keras, and sets the backend of Keras to
TensorFlow.
"""

import os
import platform
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from translator.decoding.translator import Translator
    from translator.errors import UserError
    from translator.workflows.attend import attend
    from translator.workflows.distill import distill
    from translator.workflows.evaluate import evaluate
    from translator.workflows.export import export_run
    from translator.workflows.open_run import open_run
    from translator.workflows.train import train
    from translator.workflows.translate import translate
    from translator.workflows.tune import tune
    from translator.workflows.verify import verify

__version__ = "0.1.0"
__all__ = [
    "Translator",
    "UserError",
    "attend",
    "distill",
    "evaluate",
    "export_run",
    "open_run",
    "train",
    "translate",
    "tune",
    "verify",
]

if "keras" in sys.modules and sys.modules["keras"].backend.backend() != "tensorflow":
    raise ImportError(
        "translator needs Keras on TensorFlow, but Keras was imported with the backend "
        f"{sys.modules['keras'].backend.backend()}. Import translator first."
    )
os.environ["KERAS_BACKEND"] = "tensorflow"
if os.path.expanduser("~") == "~":
    # Without a home directory, Keras would make a folder called "~" in the current one.
    os.environ.setdefault("KERAS_HOME", os.devnull)
if platform.machine() == "x86_64":
    # By default, TensorFlow uses these kernels only on processors with instructions for neural
    # networks. They are faster on others, too.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def __getattr__(name: str) -> Any:
    rooms = {
        "Translator": "decoding.translator",
        "UserError": "errors",
        "attend": "workflows.attend",
        "distill": "workflows.distill",
        "evaluate": "workflows.evaluate",
        "export_run": "workflows.export",
        "open_run": "workflows.open_run",
        "train": "workflows.train",
        "translate": "workflows.translate",
        "tune": "workflows.tune",
        "verify": "workflows.verify",
    }
    if name in rooms:
        return getattr(import_module(f"translator.{rooms[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
