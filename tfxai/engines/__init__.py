"""Engines that methods share: batches, paths, changed backward rules, hidden parts, maps of layers."""

from __future__ import annotations

from tfxai.engines.attention_maps import mean_of_heads, through_attention
from tfxai.engines.backgrounds import Background
from tfxai.engines.backward import GUIDED, Rule, Rules, derivative, gradients, other_spellings
from tfxai.engines.batches import per_token, run_in_batches, sum_of_values, times
from tfxai.engines.cams import (
    LayerMaps,
    activation_map,
    added,
    enlarged,
    grad_cam,
    layer_maps,
    lined_up,
    spatial_axes,
    weighed_maps,
    weighed_sum,
)
from tfxai.engines.coalitions import Coalitions
from tfxai.engines.directions import layer_activations, layer_paths, slopes
from tfxai.engines.elementwise import RELU_LIKE, mirrored_half
from tfxai.engines.ends import OTHER_BASELINE, Ends, both_ends, starts_and_ends, two_passes
from tfxai.engines.environment import environment
from tfxai.engines.grid_masks import GridMasks, enlarging
from tfxai.engines.hiding import (
    HiddenInput,
    hidden_input,
    hidden_inputs,
    repeated,
    shown,
    side_by_side,
    space_of,
    visible,
)
from tfxai.engines.inpainting import inpainted
from tfxai.engines.inside import Inside, NotOneGraph, along
from tfxai.engines.linear_games import LinearGame
from tfxai.engines.linear_parts import linear_in_graph
from tfxai.engines.method import Method
from tfxai.engines.parts import Parts, averaged_in_graph
from tfxai.engines.paths import Block, Paths, attribution_along
from tfxai.engines.perturb import (
    Example,
    Perturb,
    Perturbation,
    Perturbed,
    PerturbedScores,
    at_inputs,
    attribution_of,
    joined_values,
)
from tfxai.engines.receipts import input_digests
from tfxai.engines.references import request_of
from tfxai.engines.relevance import RelevanceRule, relevance_rules
from tfxai.engines.request import Attribution, Request
from tfxai.engines.rescale import Rescale
from tfxai.engines.rounds import Rounds, Sampled, of_tokens, uncertainty_of
from tfxai.engines.scoring import ScoredBody, Tracer
from tfxai.engines.shares import Played, Shares
from tfxai.engines.statistics import Chunk, Moments, PathPoints, Sum, aligned
from tfxai.engines.twins import remember_twins, with_twin
from tfxai.engines.uncertainty import Known, Uncertainty

__all__ = [
    "Attribution",
    "Background",
    "Block",
    "Chunk",
    "Coalitions",
    "Ends",
    "Example",
    "GUIDED",
    "GridMasks",
    "HiddenInput",
    "Known",
    "LayerMaps",
    "LinearGame",
    "Inside",
    "Method",
    "NotOneGraph",
    "Moments",
    "OTHER_BASELINE",
    "Parts",
    "PathPoints",
    "Paths",
    "Played",
    "Perturb",
    "Perturbation",
    "Perturbed",
    "PerturbedScores",
    "RELU_LIKE",
    "RelevanceRule",
    "Request",
    "Rescale",
    "Rounds",
    "Sampled",
    "Shares",
    "Rule",
    "Rules",
    "ScoredBody",
    "Sum",
    "Tracer",
    "Uncertainty",
    "activation_map",
    "added",
    "aligned",
    "along",
    "attribution_along",
    "at_inputs",
    "attribution_of",
    "averaged_in_graph",
    "both_ends",
    "derivative",
    "enlarged",
    "enlarging",
    "environment",
    "grad_cam",
    "gradients",
    "hidden_input",
    "hidden_inputs",
    "inpainted",
    "input_digests",
    "joined_values",
    "layer_activations",
    "layer_maps",
    "layer_paths",
    "linear_in_graph",
    "lined_up",
    "mean_of_heads",
    "mirrored_half",
    "of_tokens",
    "other_spellings",
    "per_token",
    "relevance_rules",
    "remember_twins",
    "repeated",
    "request_of",
    "run_in_batches",
    "shown",
    "slopes",
    "side_by_side",
    "space_of",
    "spatial_axes",
    "weighed_maps",
    "weighed_sum",
    "starts_and_ends",
    "sum_of_values",
    "through_attention",
    "times",
    "two_passes",
    "visible",
    "with_twin",
    "uncertainty_of",
]
