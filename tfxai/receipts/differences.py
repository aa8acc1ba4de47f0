"""The first thing that differs between two receipts, or two sets of values, in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.results import Explanation

APART = ("inputs", "receipt")  # fields of an explanation that are compared elsewhere
GPU_ORDER = "a GPU adds in any order (tf.config.experimental.enable_op_determinism() keeps one)"


def of_weights(saved: list[dict[str, Any]] | None, now: list[dict[str, Any]] | None) -> str:
    """Which weight is another one; empty if none is, or one of the two is not known.

    Names count for nothing: a model that is built a second time has others.
    """
    if saved is None or now is None:
        return ""
    for before, after in zip(saved, now, strict=False):
        if (before["shape"], before["dtype"]) != (after["shape"], after["dtype"]):
            return (
                f"weight {before['path']} was {before['dtype']} {tuple(before['shape'])}, the model has {after['path']}, "
                f"{after['dtype']} {tuple(after['shape'])}"
            )
    if len(saved) != len(now):
        return f"the model has {len(now)} weights, it had {len(saved)}"
    other = [
        before["path"]
        for before, after in zip(saved, now, strict=True)
        if before["sha256"] != after["sha256"]
    ]
    if not other:
        return ""
    return f"weight {other[0]} is another one ({len(other)} of {len(saved)} weights differ)"


def of_inputs(saved: Mapping[str, dict[str, Any]], now: Mapping[str, dict[str, Any]]) -> str:
    """Which input is another one; empty if none is."""
    for (name, before), (_, after) in zip(saved.items(), now.items(), strict=False):
        if before != after:
            return (
                f"{name} is another one: {tuple(after['shape'])} {after['dtype']}, {after['sha256'][:16]}, and it was "
                f"{tuple(before['shape'])} {before['dtype']}, {before['sha256'][:16]}"
            )
    return "" if len(saved) == len(now) else f"there are {len(now)} inputs, and there were {len(saved)}"


def of_settings(saved: Any, now: Any, name: str) -> str:
    """Which setting differs, of recipes as JSON; what is not kept is not compared; empty if none does."""
    if isinstance(saved, dict) and isinstance(now, dict):
        if "unkept" in saved:
            return ""
        if saved.get("class") != now.get("class"):
            return f"{name} is {now.get('class')}, it was {saved.get('class')}"
        for key in saved:
            if found := of_settings(saved[key], now.get(key), key if key != "settings" else name):
                return found
        return ""
    if isinstance(saved, dict) and "unkept" in saved:
        return ""
    return "" if saved == now else f"setting {name} is {now!r}, it was {saved!r}"


def of_environments(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What makes bits incomparable: each part that differs, in words."""
    found = [
        f"{name} {now.get(name)} (was {saved.get(name)})"
        for name in dict.fromkeys([*saved, *now])
        if saved.get(name) != now.get(name)
    ]
    unordered = now.get("device") != "CPU" and not now.get("deterministic")
    return [*found, GPU_ORDER] if unordered else found


@dataclasses.dataclass(frozen=True)
class Gap:
    """How far one array is from another.

    share: the largest difference, of the largest value; infinite where they cannot be compared. words: of both.
    """

    share: float
    words: str


def of_values(saved: Explanation, now: Explanation) -> Gap | None:
    """The array that is farthest off; None if all are equal to the bit."""
    if type(saved) is not type(now):
        return Gap(np.inf, f"the explanation is a {type(now).__name__}, it was a {type(saved).__name__}")
    after = dict(_arrays(now))
    gaps = []
    for name, array in _arrays(saved):
        if name not in after:
            return Gap(np.inf, f"there are no {name}, and there were")
        if gap := _gap(name, array, after.pop(name)):
            gaps.append(gap)
    if after:
        return Gap(np.inf, f"there are {next(iter(after))}, and there were none")
    return max(gaps, key=lambda gap: gap.share) if gaps else None


def _arrays(explanation: Explanation) -> Iterator[tuple[str, NDArray]]:
    for field in dataclasses.fields(explanation):
        if field.name not in APART:
            yield from _within(field.name, getattr(explanation, field.name))


def _within(name: str, value: Any) -> Iterator[tuple[str, NDArray]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _within(f"{name}[{key!r}]", item)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _within(f"{name}[{i}]", item)
    elif value is not None:
        yield name, np.asarray(value)


def _gap(name: str, saved: NDArray, now: NDArray) -> Gap | None:
    if (saved.shape, saved.dtype) != (now.shape, now.dtype):
        if saved.dtype.kind in "US" and now.dtype.kind in "US":
            return Gap(np.inf, f"{name} is {now.item()!r}, it was {saved.item()!r}")
        return Gap(np.inf, f"{name} has shape {now.shape} {now.dtype}, it had {saved.shape} {saved.dtype}")
    if saved.dtype == object or saved.dtype.kind in "USO":
        return None if saved.tolist() == now.tolist() else Gap(np.inf, f"{name} is {now}, it was {saved}")
    if saved.tobytes() == now.tobytes():
        return None
    return _of_numbers(name, saved, now)


def _of_numbers(name: str, saved: NDArray, now: NDArray) -> Gap:
    one, other = saved.astype(np.float64), now.astype(np.float64)
    with np.errstate(invalid="ignore"):
        far = np.abs(one - other)
    same = (saved == now) | (np.isnan(one) & np.isnan(other))
    far = np.where(same, 0.0, np.nan_to_num(far, nan=np.inf))
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(far)), far.shape))
    largest = float(np.max(np.abs(one[np.isfinite(one)]), initial=0.0))
    share = 0.0 if far[place] == 0 else float(far[place] / largest) if largest else np.inf
    if saved.dtype.kind not in "fc":  # classes and segments are the same ones, or are not
        share = np.inf
    at = f"[{', '.join(map(str, place))}]" if place else ""
    words = (
        f"{name} differ in {int(np.count_nonzero(~same))} of {saved.size} places, most at {name}{at}: {now[place]:.9g}, it was "
        f"{saved[place]:.9g}"
    )
    return Gap(share, f"{words}, {share:.2g} of the largest" if np.isfinite(share) else words)
