"""A user's model, seen from inside: traced, watched, and left as it was."""

from __future__ import annotations

from tfxai.model.families import build
from tfxai.model.forward_pass import Embedded, ForwardPass
from tfxai.model.layer_table import LayerTable, layers, sample_inputs
from tfxai.model.maps import LayerChoice, activation_maps, check_layers, first_tensor, layer_key, named_call
from tfxai.model.network import Network, thawed
from tfxai.model.operations import operations_ahead, operations_behind
from tfxai.model.tracing import Compiled
from tfxai.model.weights import WeightedLayer, chosen_layers, weighted_layers, weights_kept

__all__ = [
    "Compiled",
    "Embedded",
    "ForwardPass",
    "LayerChoice",
    "LayerTable",
    "Network",
    "WeightedLayer",
    "activation_maps",
    "build",
    "check_layers",
    "chosen_layers",
    "first_tensor",
    "layer_key",
    "layers",
    "named_call",
    "operations_ahead",
    "operations_behind",
    "sample_inputs",
    "thawed",
    "weighted_layers",
    "weights_kept",
]
