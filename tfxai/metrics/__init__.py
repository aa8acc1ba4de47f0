"""Which explanation should I believe? Faithfulness, robustness and localisation of maps, each with its paper.

    result = tfxai.metrics.deletion(model, explanation)
    result.mean, result.interval     # 0.11, (0.08, 0.15)

A metric is a plain function; functools.partial sets its options, and `function.higher_is_better` tells the direction.
"""

from tfxai.metrics.compare import compare_methods
from tfxai.metrics.completeness import completeness
from tfxai.metrics.complexity import complexity, entropy, sparseness
from tfxai.metrics.consistency import ConsistencyResult, consistency
from tfxai.metrics.curves import deletion, insertion
from tfxai.metrics.drops import average_drop, average_gain, average_increase
from tfxai.metrics.faithfulness import faithfulness_correlation, monotonicity, mu_fidelity
from tfxai.metrics.infidelity import infidelity
from tfxai.metrics.irof import irof
from tfxai.metrics.localisation import LocalisationResult, localisation, masks_of, pointing_game, share_inside
from tfxai.metrics.registry import checked_metrics, measured, reads_model
from tfxai.metrics.result import METRICS, MetricResult, unwrapped
from tfxai.metrics.road import RoadResult, road
from tfxai.metrics.sensitivity import max_sensitivity
from tfxai.metrics.stability import Stability, stability
from tfxai.metrics.table import MethodTable

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
