"""One file per method or close family; they never import each other."""

from tfxai.methods import catalogue
from tfxai.methods.catalogue import *  # noqa: F403
from tfxai.methods.registry import (
    Explainer,
    Explainers,
    called,
    configured,
    configured_all,
    described_settings,
    method_class,
    named_methods,
    snake_case,
)

__all__ = catalogue.__all__  # pyright: ignore[reportUnsupportedDunderAll]
