"""A user's model, seen from inside: traced, watched, and left as it was."""

from __future__ import annotations

from tfxai.model.embeddings import is_embedding, is_padding_mask
from tfxai.model.families import build
from tfxai.model.forward_pass import ForwardPass
from tfxai.model.grids import Cells, Grid
from tfxai.model.inner import Inner
from tfxai.model.layer_table import LayerTable, layers, sample_inputs
from tfxai.model.lookups import Embedded
from tfxai.model.maps import MapPiece, activation_maps, grids_of
from tfxai.model.named_layers import At, LayerChoice, first_tensor, named_call
from tfxai.model.network import Needs, Network, Place
from tfxai.model.operations import (
    SEALED,
    again,
    called_graph,
    carries_gradient,
    operations_ahead,
    operations_behind,
)
from tfxai.model.own_batch import run_at_own_batch
from tfxai.model.own_gradients import has_own_gradient, is_wrapper, results_of
from tfxai.model.room import UNKNOWN, fitting, halved, in_room, number_of_rows, rows_at_once
from tfxai.model.snapshot import Snapshot, snapshot
from tfxai.model.traced import thawed
from tfxai.model.tracing import Body, ModelFailed, TracedFunction, TraceRecord
from tfxai.model.watching import Replaced
from tfxai.model.weights import WeightedLayer, chosen_layers, weighted_layers, weights_kept

__all__ = [
    "SEALED",
    "UNKNOWN",
    "At",
    "Body",
    "Cells",
    "Embedded",
    "ForwardPass",
    "Grid",
    "Inner",
    "LayerChoice",
    "LayerTable",
    "MapPiece",
    "ModelFailed",
    "Needs",
    "Network",
    "Place",
    "Replaced",
    "Snapshot",
    "TraceRecord",
    "TracedFunction",
    "WeightedLayer",
    "activation_maps",
    "again",
    "build",
    "called_graph",
    "carries_gradient",
    "chosen_layers",
    "first_tensor",
    "grids_of",
    "fitting",
    "halved",
    "in_room",
    "number_of_rows",
    "has_own_gradient",
    "is_embedding",
    "is_padding_mask",
    "is_wrapper",
    "layers",
    "named_call",
    "operations_ahead",
    "operations_behind",
    "results_of",
    "rows_at_once",
    "run_at_own_batch",
    "sample_inputs",
    "snapshot",
    "thawed",
    "weighted_layers",
    "weights_kept",
]
