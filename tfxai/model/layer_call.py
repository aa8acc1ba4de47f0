"""What is noted of a layer while a model is traced."""

from __future__ import annotations

import dataclasses

from tfxai.support import Layer, Structure


@dataclasses.dataclass(frozen=True, eq=False)
class LayerCall:
    """One call of one layer, seen while the model was traced."""

    path: str
    layer: Layer
    inputs: Structure
    output: Structure
