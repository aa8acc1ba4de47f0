"""What a map was asked about, drawn over it: boxes, outlines of areas, clicked points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from tfxai.plots.colours import GREEN
from tfxai.plots.protocol import Explained

_LINE = 1.3
_HALO: list[patheffects.AbstractPathEffect] = [
    patheffects.withStroke(linewidth=_LINE + 1.6, foreground="white")
]


def references_of(explanation: Explained, row: int) -> list[dict[str, NDArray]]:
    """For each target of an example what there is to be drawn, by name."""
    given: Mapping[str, NDArray] = getattr(explanation, "references", None) or {}
    drawn = {name: array for name, array in given.items() if name in ("boxes", "masks", "points")}
    if not drawn:
        return []
    if explanation.targets.ndim == 1:
        return [{name: array[row] for name, array in drawn.items()}]
    count = explanation.targets.shape[1]
    return [{name: array[row, k] for name, array in drawn.items()} for k in range(count)]


def draw_marks(ax: Axes, references: Sequence[Mapping[str, NDArray]], size: Sequence[int]) -> None:
    """Draws references over a picture of a size (height, width); all of an example over its input, one over its map."""
    height, width = size[:2]
    for reference in references:
        if "boxes" in reference:
            y0, x0, y1, x1 = (float(each) for each in reference["boxes"])
            # Pixels are drawn around their numbers: the first one begins at -0.5.
            x0, x1 = np.clip([x0, x1], 0, width) - 0.5
            y0, y1 = np.clip([y0, y1], 0, height) - 0.5
            style = {"fill": False, "edgecolor": GREEN, "linewidth": _LINE, "path_effects": _HALO}
            ax.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, **style))
        if "points" in reference:
            y, x = reference["points"]
            style = {
                "markersize": 7,
                "markerfacecolor": "none",
                "markeredgecolor": GREEN,
                "markeredgewidth": _LINE,
            }
            ax.plot([x], [y], "o", path_effects=_HALO, **style)
        elif "masks" in reference:
            _outline(ax, reference["masks"], height, width)
    ax.set_xlim(-0.5, width - 0.5)
    ax.set_ylim(height - 0.5, -0.5)


def _outline(ax: Axes, mask: NDArray, height: int, width: int) -> None:
    """The border of an area, which may be of another size than the picture; a frame of nothing closes it at the edges."""
    rows, columns = mask.shape
    ys = (np.arange(-1, rows + 1) + 0.5) * height / rows - 0.5
    xs = (np.arange(-1, columns + 1) + 0.5) * width / columns - 0.5
    lines = ax.contour(xs, ys, np.pad(mask.astype(float), 1), levels=[0.5], colors=[GREEN], linewidths=_LINE)
    lines.set_path_effects(_HALO)
