"""Batches explained where they are: in Ray Data, Spark, Beam, or any other engine that hands out columns.

    explainer = tfxai.batch.Explainer(tfxai.GradCAM(), "model.keras", columns="image")
    explainer({"image": pixels, "path": names})  # the same columns, and "grad_cam.values", "grad_cam.scores" ... beside them

In Ray Data `dataset.map_batches(explainer, batch_size=256)`; docs/engines.md has the lines for Spark and Beam.
"""

from __future__ import annotations

from tfxai.data import Explainer

__all__ = ["Explainer"]
