"""What changed in what a model looks at? Two models beside each other, and beside what training again changes by itself.

    result = tfxai.compare_models(old, new, images, tfxai.IntegratedGradients(), twins=retrained)
    result.changed, result.p_value        # True, 0.0004
    tfxai.plots.compare_models(result)

Twins are the old model trained again: the same data and settings, another seed. They tell how far apart maps are where nothing
has changed; without them nobody can tell.
"""

from __future__ import annotations

from tfxai.comparing.compare import compare_models
from tfxai.comparing.questions import RISK
from tfxai.comparing.reference import ModelReference, reference
from tfxai.comparing.result import ModelComparison

__all__ = [
    "ModelComparison",
    "ModelReference",
    "compare_models",
    "reference",
]
