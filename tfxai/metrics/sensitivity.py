"""Max-sensitivity: how far a map moves, at most, when the input moves a little."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from tfxai.axes import with_axes
from tfxai.inputs import pack
from tfxai.metrics.result import MetricResult, metric, metric_result
from tfxai.metrics.rows import checked_heat
from tfxai.results import Explanation
from tfxai.scores import Targets
from tfxai.support import BatchSize, Count, Explainer, InputKey, Inputs, Model, Seed, number, progress_bar


@metric(higher_is_better=False, explains_again=True)
def max_sensitivity(
    method: Explainer,
    model: Model,
    inputs: Inputs,
    targets: Targets = None,
    *,
    samples: Count = 10,
    radius: Annotated[float, number(least=0)] = 0.02,
    input: InputKey = None,
    seed: Seed = 0,
    batch_size: BatchSize = 32,
    progress: bool = False,
    **call: Any,
) -> MetricResult:
    """How far does the map move, at most, when the input moves a little? max ||map(x + d) - map(x)|| / ||map(x)||.

    Lower is better. d is uniform between -radius and radius times the example's own range, everywhere at once. The
    classes are those that are explained for the unmoved input; a map of zeros has no value (NaN). call: score ... as
    for every method.

    samples: inputs that are tried; more can only raise the value.

    Defaults: captum's, where the radius is not a part of the range. The paper's code tries 50 within 0.2 (MNIST), quantus
    200 within 0.2.

    Raises ValueError if the input is not an array of numbers. Cost: samples + 1 explanations.
    Criticism: a method that always gives the same map is perfect.

    Yeh et al., 2019. arXiv:1901.09392
    """
    first = method(model, inputs, targets, batch_size=batch_size, **call)
    key, heat = checked_heat(first, input)
    arrays, position = _arrays(first.inputs, key)
    still = arrays[position]
    if still.dtype.kind != "f":
        raise ValueError("max_sensitivity moves numbers a little; this input holds ids or texts.")
    axes = tuple(range(1, still.ndim))
    width = radius * (still.max(axis=axes, keepdims=True) - still.min(axis=axes, keepdims=True))
    classes = None if (first.targets < 0).all() else first.targets
    values = _flat_values(first, input, len(heat))
    worst = np.zeros(len(heat))
    with progress_bar(progress, "max_sensitivity", samples) as advance:
        for sample in range(samples):
            step = np.random.default_rng([seed, sample]).uniform(-1, 1, (1, *still.shape[1:]))
            arrays[position] = (still + width * step).astype(np.float32)
            inputs = with_axes(pack(first.inputs, arrays), first.axes)
            again = method(model, inputs, classes, batch_size=batch_size, **call)
            moved = np.linalg.norm(_flat_values(again, input, len(heat)) - values, axis=1)
            worst = np.maximum(worst, moved)
            advance(1)
    size = np.linalg.norm(values, axis=1)
    relative = np.divide(worst, size, out=np.full(len(worst), np.nan), where=size > 0)
    return metric_result(max_sensitivity, relative.reshape(first.targets.shape))


def _arrays(inputs: Inputs, key: str | int | None) -> tuple[list[NDArray], int]:
    """The arrays of all inputs, and the position of the explained one."""
    if key is None:
        return [np.asarray(inputs)], 0
    keys: list[Any] = list(inputs) if isinstance(inputs, dict) else list(range(len(inputs)))
    return [np.asarray(inputs[name]) for name in keys], keys.index(key)


def _flat_values(explanation: Explanation, input: str | int | None, rows: int) -> NDArray[np.float64]:
    """(rows, numbers of one map)."""
    return np.asarray(explanation.one(input)[0], np.float64).reshape(rows, -1)
