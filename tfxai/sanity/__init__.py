"""Does an explanation depend on what the model has learnt? The tests of arXiv:1810.03292, done as they were meant.

    report = tfxai.sanity.randomize_model([tfxai.Gradient(), tfxai.GuidedBackprop()], model, images)
    report.verdict()                # {"gradient": True, "guided_backprop": False}
    tfxai.plots.sanity(report)

A map that stays the same while the model's weights are destroyed shows the image, not the model.
"""

from __future__ import annotations

from tfxai.sanity.complexity import efficient
from tfxai.sanity.randomize_labels import randomize_labels
from tfxai.sanity.randomize_model import randomize_model
from tfxai.sanity.reports import EfficientReport, LabelReport, SanityReport
from tfxai.sanity.smoothed import smooth
from tfxai.sanity.targets import Classes, fixed_targets

__all__ = [
    "EfficientReport",
    "LabelReport",
    "SanityReport",
    "efficient",
    "randomize_labels",
    "randomize_model",
    "smooth",
]
