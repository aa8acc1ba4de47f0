"""The weights of a model as they were at one moment, without a copy, and the digests by which they are known again."""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Hashable
from typing import Any

import numpy as np

from tfxai.model.adapter import Adapter, NamedWeights
from tfxai.model.addresses import addresses
from tfxai.model.families import adapter_of
from tfxai.model.reading import WeightReader
from tfxai.model.tracing import TraceCache, cache_of
from tfxai.results import array_digest
from tfxai.support import Model


class Snapshot:
    """What a model is at one moment: its structure, and each weight with its path.

    A tensor that was read from a variable never changes: while it is held, TensorFlow writes new weights elsewhere. So a
    snapshot costs next to nothing, and digests are made when somebody asks for them. The weights are let go then, or when
    the next call finds other ones, or when the model goes.

    structure: a digest; None where there is nothing to make it of.
    weights:   None where they are not known.
    """

    def __init__(self, structure: str | None, read: WeightReader | None) -> None:
        self.structure = structure
        self._paths = None if read is None else read.paths
        self._held = [] if read is None else read()

    @functools.cached_property
    def weights(self) -> list[dict[str, Any]] | None:
        """Path, shape, type and digest of every weight, in order."""
        if self._paths is None:
            return None
        pairs = zip(self._paths, self._held, strict=True)
        return [{"path": path, **array_digest(np.asarray(weight))} for path, weight in pairs]

    def settle(self) -> None:
        """Makes the digests, and lets the weights go."""
        _ = self.weights, self._addresses
        self._held, self._addresses = [], []

    def is_of(self, other: Snapshot) -> bool:
        """Whether both are of the very same weights, to the bit."""
        if (self.structure, self._paths) != (other.structure, other._paths):
            return False
        if self._addresses == other._addresses and None not in self._addresses:
            return True  # one memory, which nobody writes to while it is held
        return len(self._held) == len(other._held) and all(
            here == there is not None or _are_equal(one, two)
            for one, two, here, there in zip(
                self._held, other._held, self._addresses, other._addresses, strict=True
            )
        )

    @functools.cached_property
    def _addresses(self) -> list[int | None]:
        return addresses(self._held)


def _are_equal(one: Any, other: Any) -> bool:
    """Of a table of which training has changed single rows, which each read copies."""
    return np.asarray(one).tobytes() == np.asarray(other).tobytes()


def snapshot_of(adapter: Adapter, cache: TraceCache, fingerprint: Hashable) -> Snapshot:
    """A model as it is now; the same object as in the call before, while that is in use and nothing has changed.

    fingerprint: of what a trace reads once and for all; structure and paths are found once for each.
    """
    if adapter.is_function or cache.described is None or cache.described[0] != fingerprint:
        cache.described = (fingerprint, adapter.structure_digest(), _reader(adapter.named_weights(), cache))
    _, structure, read = cache.described
    now = Snapshot(structure, read)
    if cache.snapshot is None:
        with contextlib.suppress(TypeError):  # of what cannot be referred to weakly nothing is kept at all
            weakref.finalize(adapter.model, _settle_last, cache).atexit = False
    elif (before := cache.snapshot()) is not None:
        if now.is_of(before):
            return before
        before.settle()
    cache.snapshot = weakref.ref(now)
    return now


def _reader(named: NamedWeights | None, cache: TraceCache) -> WeightReader | None:
    """What reads these weights: the last one again, if it does."""
    last = None if cache.described is None else cache.described[2]
    if named is None or (last is not None and last.reads(named)):
        return None if named is None else last
    return WeightReader(named)


def _settle_last(cache: TraceCache) -> None:
    """Once a model is gone, a receipt must not keep its weights alive."""
    last = None if cache.snapshot is None else cache.snapshot()
    if last is not None:
        last.settle()


def snapshot(model: Model) -> Snapshot:
    """Any model as it is now."""
    adapter = adapter_of(model)
    return snapshot_of(adapter, cache_of(adapter.model), object())
