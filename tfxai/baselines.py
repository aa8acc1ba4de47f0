"""What "absent" looks like: functions inputs -> inputs for the `baseline` setting of methods and metrics.

Each takes an array (N, ...) and returns one of the same shape; the inputs are not changed. A method's `baseline` may
also be a number or an array that broadcasts to the inputs: one example, or one for each input. (A `background`, and the
`masker` of PartitionSHAP, are data instead: an array with as many axes as the inputs is rows, over which is averaged.)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from skimage.filters import gaussian

from tfxai.support import Count, Seed, checked, number

Baseline: TypeAlias = Any
"""A number, an array that broadcasts to the inputs, or a function inputs -> inputs; a list or dict for several inputs."""

Function: TypeAlias = Callable[[NDArray], NDArray]
"""inputs (N, ...) -> an array of their shape and type."""

Finite = Annotated[float, number()]
Sigma = Annotated[float, number(above=0, most=1e4, noun="a width in pixels")]


@checked
def blur(sigma: Sigma = 10.0, size: Count | None = None) -> Function:
    """Each image, series or volume blurred by a Gaussian of `sigma` pixels; channels are kept apart.

    size: of the kernel, in pixels: an odd number; unless given, 4 sigma to each side.

    Raises ValueError if size is not odd; when it is called, if the inputs are not (N, ..., C) with places between.
    """
    if size is not None and size % 2 == 0:
        raise ValueError(f"blur(size={size}): give an odd number of pixels, such as 11.")
    return Blur(float(sigma), size)


def mean() -> Function:
    """The example's own mean colour (mean over space, for each channel).

    >>> tfxai.baselines.mean()(np.array([[[[0.0], [1.0]]]])).ravel().tolist()
    [0.5, 0.5]
    """
    return Mean()


@checked
def noise(low: Finite = 0.0, high: Finite = 1.0, seed: Seed = 0) -> Function:
    """Uniform noise between `low` and `high`, the same for every example.

    Raises ValueError if `high` is below `low`.
    """
    if high < low:
        raise ValueError(f"noise({low}, {high}): low is above high. Give the lower end first.")
    return Noise(float(low), float(high), seed)


def several(*baselines: Baseline) -> Several:
    """Explain against each of these baselines and average; for path methods.

    Raises ValueError if there are none.
    """
    return Several(baselines)


@dataclasses.dataclass(frozen=True)
class Several:
    """Made by `several`."""

    baselines: tuple[Baseline, ...]

    def __post_init__(self) -> None:
        if not self.baselines:
            raise ValueError("several() has no baselines. Give at least one.")


@dataclasses.dataclass(frozen=True)
class Blur:
    """Made by `blur`."""

    sigma: float
    size: int | None = None

    def __call__(self, inputs: NDArray) -> NDArray:
        if inputs.ndim < 3:
            raise ValueError(
                f"blur needs series, images or volumes (N, ..., C), not an array of shape {inputs.shape}."
            )
        if np.isnan(inputs).any():
            raise ValueError(
                "blur cannot blur what is missing (NaN). Give a number, rows, or baselines.mean()."
            )
        reach = 4.0 if self.size is None else (self.size // 2) / self.sigma
        blurred = [
            gaussian(x, self.sigma, truncate=reach, channel_axis=-1, preserve_range=True) for x in inputs
        ]
        return np.stack(blurred).astype(inputs.dtype)


@dataclasses.dataclass(frozen=True)
class Mean:
    """Made by `mean`."""

    def __call__(self, inputs: NDArray) -> NDArray:
        space = tuple(range(1, max(inputs.ndim - 1, 2)))
        # Of what is there: one missing value must not hide all others.
        mean = np.nanmean if np.isnan(inputs).any() else np.mean
        return np.broadcast_to(mean(inputs, axis=space, keepdims=True), inputs.shape)


@dataclasses.dataclass(frozen=True)
class Noise:
    """Made by `noise`."""

    low: float
    high: float
    seed: int

    def __call__(self, inputs: NDArray) -> NDArray:
        draw = np.random.default_rng(self.seed).uniform(self.low, self.high, inputs.shape[1:])
        return np.broadcast_to(draw.astype(inputs.dtype), inputs.shape)


def filled(baseline: Baseline, inputs: NDArray, missing: bool = False) -> NDArray:
    """The baseline as an array of the inputs' shape (N, ...) and type.

    missing: whether NaN may stand for a value that is missing.

    Raises ValueError if it is a text, does not broadcast, or is not finite.
    """
    if isinstance(baseline, str):
        raise ValueError(
            f"baseline is the text {baseline!r}. Give a number, an array, or a function from tfxai.baselines such as "
            "baselines.blur(9)."
        )
    value: Any = baseline(inputs) if callable(baseline) else baseline
    try:
        array = np.broadcast_to(np.asarray(value, inputs.dtype), inputs.shape)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"baseline has shape {np.shape(value)}, which does not broadcast to the inputs {inputs.shape}. Give a "
            "number, one example, one per input, or a function from tfxai.baselines."
        ) from error
    if (np.isinf(array) if missing else ~np.isfinite(array)).any():
        raise ValueError("baseline holds NaN or infinite numbers. Give finite ones.")
    return array
