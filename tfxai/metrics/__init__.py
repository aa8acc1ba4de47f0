"""Which explanation should I believe? Faithfulness, robustness and localisation of maps, each with its paper.

    result = tfxai.metrics.deletion(model, explanation)
    result.mean, result.interval     # 0.11, (0.08, 0.15)

A metric is a plain function; functools.partial sets its options, and `function.higher_is_better` tells the direction.
"""

from tfxai.metrics.compare import MethodTable, compare_methods
from tfxai.metrics.curves import RoadResult, deletion, insertion, irof, road
from tfxai.metrics.drops import average_drop, average_gain, average_increase
from tfxai.metrics.faithful import (
    completeness,
    faithfulness_correlation,
    infidelity,
    monotonicity,
    mu_fidelity,
)
from tfxai.metrics.maps import (
    ConsistencyResult,
    LocalisationResult,
    complexity,
    consistency,
    localisation,
    pointing_game,
    sparseness,
)
from tfxai.metrics.result import MetricResult
from tfxai.metrics.sensitivity import max_sensitivity

__all__ = [
    "ConsistencyResult",
    "LocalisationResult",
    "MethodTable",
    "MetricResult",
    "RoadResult",
    "average_drop",
    "average_gain",
    "average_increase",
    "compare_methods",
    "completeness",
    "complexity",
    "consistency",
    "deletion",
    "faithfulness_correlation",
    "infidelity",
    "insertion",
    "irof",
    "localisation",
    "max_sensitivity",
    "monotonicity",
    "mu_fidelity",
    "pointing_game",
    "road",
    "sparseness",
]
