"""How much an explanation moves when the input hardly does."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfxai.inputs import pack
from tfxai.metrics.result import MetricResult, metric
from tfxai.metrics.rows import checked_heat, result
from tfxai.support import at_least_zero, progress_bar, whole_number


@metric(higher_is_better=False, explains_again=True)
def max_sensitivity(
    method: Any,
    model: Any,
    inputs: Any,
    targets: Any = None,
    *,
    samples: int = 10,
    radius: float = 0.02,
    input: str | int | None = None,
    seed: int = 0,
    batch_size: int = 32,
    progress: bool = False,
    **call: Any,
) -> MetricResult:
    """How far does the map move, at most, when the input moves a little? max ||map(x + d) - map(x)|| / ||map(x)||.

    Lower is better. d is uniform between -radius and radius times the example's own range, everywhere at once. The
    classes are those that are explained for the unmoved input; a map of zeros has no value (NaN). call: score ... as
    for every method.

    samples: inputs that are tried; more can only raise the value.

    Defaults: captum's, where the radius is no part of a range. The paper's code tries 50 within 0.2 (MNIST), quantus
    200 within 0.2.

    Raises ValueError if the input is no array of numbers. Cost: samples + 1 explanations.
    Criticism: a method that always gives the same map is perfect.

    Yeh et al., 2019. arXiv:1901.09392
    """
    samples, radius = whole_number("samples", samples, 1), at_least_zero("radius", radius)
    first = method(model, inputs, targets, batch_size=batch_size, **call)
    key, heat = checked_heat(first, input)
    flat = (
        [np.asarray(x) for x in (first.inputs.values() if isinstance(first.inputs, dict) else first.inputs)]
        if (key is not None)
        else [np.asarray(first.inputs)]
    )
    names: list[Any] = list(first.inputs) if isinstance(first.inputs, dict) else list(range(len(flat)))
    which = 0 if key is None else names.index(key)
    moved = flat[which]
    if moved.dtype.kind != "f":
        raise ValueError("max_sensitivity moves numbers a little; this input holds ids or texts.")
    axes = tuple(range(1, moved.ndim))
    width = radius * (moved.max(axis=axes, keepdims=True) - moved.min(axis=axes, keepdims=True))
    fixed = None if (first.targets < 0).all() else first.targets
    start = np.asarray(first.one(input)[0], np.float64).reshape(len(heat), -1)
    size = np.linalg.norm(start, axis=1)
    worst = np.zeros(len(heat))
    with progress_bar(progress, "max_sensitivity", samples) as advance:
        for sample in range(samples):
            draw = np.random.default_rng([seed, sample]).uniform(-1, 1, (1, *moved.shape[1:]))
            flat[which] = (moved + width * draw).astype(np.float32)
            again = method(model, pack(first.inputs, flat), fixed, batch_size=batch_size, **call)
            values = np.asarray(again.one(input)[0], np.float64).reshape(len(heat), -1)
            worst = np.maximum(worst, np.linalg.norm(values - start, axis=1))
            advance(1)
    worst = np.divide(worst, size, out=np.full(len(worst), np.nan), where=size > 0)
    return result(max_sensitivity, worst.reshape(first.targets.shape))
