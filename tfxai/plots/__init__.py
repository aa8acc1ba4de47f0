"""Pictures of explanations: red speaks for a class, blue against it; maps without sign glow over the input.

Everything here draws what is already computed; scaling and clipping are for the eye only. The figures are
unknown to pyplot: they show themselves in a notebook, and `savefig` works everywhere.
"""

from __future__ import annotations

from tfxai.plots.by_column import bars, column_table
from tfxai.plots.by_interaction import interactions
from tfxai.plots.by_segment import segments
from tfxai.plots.by_word import text
from tfxai.plots.canvas import pixels
from tfxai.plots.colours import HEAT, SIGNED, end_of_scale
from tfxai.plots.concept_scores import tcav
from tfxai.plots.generated import generation
from tfxai.plots.inside import laid_out
from tfxai.plots.maps import compare, show
from tfxai.plots.method_table import leaderboard
from tfxai.plots.metric_curves import curves
from tfxai.plots.of_classes import class_maps
from tfxai.plots.of_columns import beeswarm, importance
from tfxai.plots.of_models import compare_models
from tfxai.plots.over_time import series
from tfxai.plots.reading import has_columns, has_words, maps_and_inputs
from tfxai.plots.rgb import rgb
from tfxai.plots.single_map import flattened, heatmap
from tfxai.plots.titles import Labels, class_name, score_text, title
from tfxai.plots.weight_randomization import sanity

__all__ = [
    "bars",
    "beeswarm",
    "class_maps",
    "compare",
    "compare_models",
    "curves",
    "generation",
    "heatmap",
    "importance",
    "interactions",
    "leaderboard",
    "sanity",
    "segments",
    "series",
    "show",
    "tcav",
    "text",
]
