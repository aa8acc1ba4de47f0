"""What is noted of a layer while a model is traced."""

from __future__ import annotations

import dataclasses

from tfxai.support import Layer, Structure


@dataclasses.dataclass(frozen=True, eq=False)
class LayerCall:
    """One call of one layer, seen while the model was traced.

    span: how many operations the graph had before it and after it.
    """

    path: str
    layer: Layer
    inputs: Structure
    output: Structure
    span: tuple[int, int] = (0, 0)
