"""tfxai: what did a TensorFlow model look at, and can the answer be trusted?"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tfxai.version import __version__

if TYPE_CHECKING:
    from tfxai import (
        baselines,
        batch,
        comparing,
        concepts,
        data,
        generation,
        hub,
        methods,
        metrics,
        photos,
        plots,
        predictions,
        receipts,
        sanity,
        scores,
        testing,
        zoo,
    )
    from tfxai.axes import Axes
    from tfxai.comparing import compare_models
    from tfxai.concepts import TCAV, TCAVResult
    from tfxai.data import explain_dataset, open_results
    from tfxai.exporting import export
    from tfxai.generation import explain_generation
    from tfxai.methods import *  # noqa: F403
    from tfxai.metrics import compare_methods, stability
    from tfxai.model import layers
    from tfxai.receipts import Receipt, Verification, verify
    from tfxai.reporting import report
    from tfxai.results import Explanation, GenerationExplanation
    from tfxai.scores import boxes, top
    from tfxai.text import Text
    from tfxai.training import ConceptCallback, ExplainCallback

_MODULES = (
    "baselines",
    "batch",
    "comparing",
    "concepts",
    "data",
    "generation",
    "hub",
    "methods",
    "metrics",
    "photos",
    "plots",
    "predictions",
    "receipts",
    "sanity",
    "scores",
    "testing",
    "zoo",
)
_HOMES = {
    "ConceptCallback": "training",
    "ExplainCallback": "training",
    "Explanation": "results",
    "GenerationExplanation": "results",
    "explain_dataset": "data",
    "explain_generation": "generation",
    "export": "exporting",
    "open_results": "data",
    "layers": "model",
    "stability": "metrics",
    "compare_methods": "metrics",
    "compare_models": "comparing",
    "TCAV": "concepts",
    "TCAVResult": "concepts",
    "Axes": "axes",
    "Text": "text",
    "boxes": "scores",
    "top": "scores",
    "Receipt": "results",
    "Verification": "receipts",
    "verify": "receipts",
    "report": "reporting",
}


def __getattr__(name: str) -> Any:
    """Imports TensorFlow at the first use of a name: so the command line answers at once, and starts it quietly."""
    if name in _MODULES:
        return importlib.import_module(f"tfxai.{name}")
    if name.startswith("_") and name != "__all__":
        raise AttributeError(f"module 'tfxai' has no attribute {name!r}")
    methods = importlib.import_module("tfxai.methods")
    if name == "__all__":
        return sorted(["__version__", *_MODULES, *_HOMES, *methods.__all__])
    home = importlib.import_module(f"tfxai.{_HOMES[name]}") if name in _HOMES else methods
    if name not in _HOMES and name not in methods.__all__:
        raise AttributeError(
            f"module 'tfxai' has no attribute {name!r}. dir(tfxai) lists the names that it has."
        )
    value = globals()[name] = getattr(home, name)
    return value


def __dir__() -> list[str]:
    return __getattr__("__all__")
