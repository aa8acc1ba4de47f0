"""Words for what a kind of file cannot hold, and for packages that are missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from tfxai.exporting.calls import Refused


def refusal(what: str, kind: str) -> Refused:
    """What to raise. what: an operation, maybe with its name and more words. kind: of file."""
    return Refused(
        f"{kind} has nothing for {what}, which this explanation is computed with. Save it with format='saved_model', or choose a "
        "method that needs no gradient there."
    )


def needs(module: str, package: str) -> ModuleType:
    """A module of a package that only exporting needs. Raises ImportError if it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"Writing this kind of file needs the package {package} ({error}). Install it: pip install 'tfxai[export]'"
        ) from error
