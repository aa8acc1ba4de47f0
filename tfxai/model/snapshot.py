"""The weights of a model as they were at one moment, without a copy, and the digests by which they are known again."""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Hashable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.model.adapter import Adapter, NamedWeights
from tfxai.model.families import adapter_of
from tfxai.model.tracing import TraceCache, cache_of
from tfxai.results import array_digest
from tfxai.support import Model, Tensor, Variable


class Snapshot:
    """What a model is at one moment: its structure, and each weight with its path.

    A tensor that was read from a variable never changes: while it is held, TensorFlow writes new weights elsewhere. So a
    snapshot costs next to nothing, and digests are made when somebody asks for them. The weights are let go then, or when
    the next call finds other ones, or when the model goes.

    structure: a digest; None where there is nothing to make it of.
    weights:   None where they are not known.
    """

    def __init__(self, structure: str | None, weights: NamedWeights | None) -> None:
        self.structure = structure
        self._paths = None if weights is None else [path for path, _ in weights]
        tensors = [_read(weight) for _, weight in weights or ()]
        self._arrays = [*map(_view, tensors)]
        self._is_comparable = all("GPU" not in getattr(tensor, "device", "") for tensor in tensors)

    @functools.cached_property
    def weights(self) -> list[dict[str, Any]] | None:
        """Path, shape, type and digest of every weight, in order."""
        if self._paths is None:
            return None
        pairs = zip(self._paths, self._arrays, strict=True)
        return [{"path": path, **array_digest(np.asarray(array))} for path, array in pairs]

    def settle(self) -> None:
        """Makes the digests, and lets the weights go."""
        _ = self.weights
        self._arrays = []

    def is_of(self, other: Snapshot) -> bool:
        """Whether both are of the very same weights: of one memory, which nobody writes to while they are held."""
        if not (self._is_comparable and other._is_comparable) or self.structure != other.structure:
            return False
        return self._paths == other._paths and self._places() == other._places()

    def _places(self) -> list[int]:
        """Where the numbers lie in memory."""
        return [array.__array_interface__["data"][0] for array in self._arrays]


def _view(tensor: Any) -> Any:
    """The numbers of a tensor without a copy; of one on a GPU the tensor itself."""
    return tensor if "GPU" in getattr(tensor, "device", "") else np.asarray(tensor)


def snapshot_of(adapter: Adapter, cache: TraceCache, fingerprint: Hashable) -> Snapshot:
    """A model as it is now; the same object as in the call before, while that is in use and nothing has changed.

    fingerprint: of what a trace reads once and for all; structure and paths are found once for each.
    """
    if adapter.is_function or cache.described is None or cache.described[0] != fingerprint:
        cache.described = (fingerprint, adapter.structure_digest(), adapter.named_weights())
    _, structure, weights = cache.described
    now = Snapshot(structure, weights)
    if cache.snapshot is None:
        with contextlib.suppress(TypeError):  # of what cannot be referred to weakly nothing is kept at all
            weakref.finalize(adapter.model, _settle_last, cache).atexit = False
    elif (before := cache.snapshot()) is not None:
        if now.is_of(before):
            return before
        before.settle()
    cache.snapshot = weakref.ref(now)
    return now


def _settle_last(cache: TraceCache) -> None:
    """Once a model is gone, a receipt must not keep its weights alive."""
    last = None if cache.snapshot is None else cache.snapshot()
    if last is not None:
        last.settle()


def snapshot(model: Model) -> Snapshot:
    """Any model as it is now."""
    adapter = adapter_of(model)
    return snapshot_of(adapter, cache_of(adapter.model), object())


def _read(weight: Variable) -> Tensor | NDArray:
    held = weight.value if hasattr(weight, "path") else weight
    if hasattr(held, "handle") and isinstance(held.handle, tf.Tensor):  # a third of the time of read_value
        return tf.raw_ops.ReadVariableOp(resource=held.handle, dtype=held.dtype)
    return held if isinstance(held, np.ndarray) else tf.convert_to_tensor(held)
