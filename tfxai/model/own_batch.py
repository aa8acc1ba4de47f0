"""Models that do not say that they take one number of rows only: after one has failed, it is tried on others."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from tfxai.model.fixed_batch import FixedBatch
from tfxai.model.network import Network
from tfxai.model.tracing import Body, ModelFailed, TraceRecord, cache_of
from tfxai.support import Tensor

Result = TypeVar("Result")


def run_at_own_batch(network: Callable[[], Network], run: Callable[[Network], Result]) -> Result:
    """What a function of a network gives; if the model fails on some numbers of rows, at the number that it takes.

    Raises what the function raises.
    """
    first = network()
    try:
        return run(first)
    except (ModelFailed, tf.errors.OpError):
        size = _own_batch(first)
        if size is None:
            raise
    cache_of(first.model).batch = size
    return run(network())


def _own_batch(network: Network) -> int | None:
    """The one number of rows that a model runs on: one row, or as many as the user gave; None if that is not the trouble."""
    if network.batch is not None or all(_runs_on(network, size) for size in (2, 3)):
        return None
    return next((size for size in dict.fromkeys((1, len(network))) if _runs_on(network, size)), None)


def _runs_on(network: Network, size: int) -> bool:
    trial = copy.copy(network)
    trial.batch = FixedBatch(size)
    rows = np.minimum(np.arange(size), len(network) - 1)
    given = [array[rows] for array in network.arrays]
    try:
        outputs = trial.traced(_Trial(size), given)(*given)
    except Exception:  # whatever it does not like about this number
        return False
    return all(output.shape[:1] == (size,) for output in outputs)


@dataclasses.dataclass(frozen=True)
class _Trial(Body):
    """All that the model puts out. size: number of rows."""

    size: int

    def __call__(self, network: Any, record: TraceRecord, *inputs: Tensor) -> list[Tensor]:
        return tf.nest.flatten(network.called(network.filled(inputs), {}).outputs)
