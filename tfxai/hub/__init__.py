"""Models that come as a folder or a file: TF-Hub modules, SavedModels and frozen graphs, inner tensors included.

    module = tfxai.hub.load("inception_v3/classification")
    module.signatures, module.inputs, module.outputs, module.endpoints, module.variables
    tfxai.GradCAM(layer="InceptionV3/Mixed_7c")(module, images, targets=341)

Whatever it was saved as, the module is laid out as one flat graph on its variables (see `flat_graph`), so that methods
find its layers, its logits and its nonlinearities, and see every later change of a weight.
"""

from __future__ import annotations

from tfxai.hub.layer import ModuleLayer, as_layer
from tfxai.hub.loading import load
from tfxai.hub.module import Endpoint, Module, is_endpoint
from tfxai.hub.saved_model import Declared, signatures_of

__all__ = [
    "Declared",
    "Endpoint",
    "Module",
    "ModuleLayer",
    "as_layer",
    "is_endpoint",
    "load",
    "signatures_of",
]
