"""Which human concepts does a class lean on, in which layer, and is it more than chance?

    result = tfxai.TCAV(["block5c_add"])(model, zebras, 340, {"striped": striped, "dotted": dotted}, random)
    print(result)
    tfxai.plots.tcav(result)

A concept is a handful of example images. In a layer's activations a linear classifier finds the direction from other
images towards it, and the derivative of the class along that direction tells whether more of the concept would speak
for the class (TCAV).
"""

from __future__ import annotations

from tfxai.concepts.folders import from_folder, images_from
from tfxai.concepts.patterns import patterns
from tfxai.concepts.result import TCAVResult
from tfxai.concepts.sorting import sort_by_concept
from tfxai.concepts.tcav import TCAV

__all__ = [
    "TCAV",
    "TCAVResult",
    "from_folder",
    "images_from",
    "patterns",
    "sort_by_concept",
]
