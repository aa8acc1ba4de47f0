"""Inputs that a method leaves out: the user is told which, why, and what explains them."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import NDArray

from tfxai.inputs import flatten
from tfxai.model import Needs, Network
from tfxai.support import warn


def warn_of_left_out(
    network: Network,
    values: Sequence[NDArray | None],
    method: str,
    needs: Needs,
    *,
    chosen: bool,
    only_images: bool,
) -> None:
    """Warns once if inputs get no values beside others that do, unless the method is known for it.

    chosen:      the user named the input that is explained.
    only_images: the method explains only images, and says so.
    """
    left = [i for i, value in enumerate(values) if value is None]
    explained = [i for i, value in enumerate(values) if value is not None]
    if needs.layers:  # maps of a layer lie on one input; of another of its kind a user would expect one, too
        left = [i for i in left if any(_alike(network, i, other) for other in explained)]
    elif only_images or needs.images_only:
        left = [i for i in left if network.arrays[i].ndim == 4]
    if not left or not explained or chosen:
        return
    if needs.layers:
        why = f"its layer lines up with {_named(network, explained)}. Name a layer that reads the other, as layer=NAME."
    elif needs.gradients:
        why = (
            "there is no gradient along "
            + ", ".join(sorted({_without_gradient(network, i) for i in left}))
            + ". Give numbers as float32 if the model takes them so, or use a method that hides parts (KernelSHAP, LIME, "
            "Occlusion)."
        )
    else:
        key = list(network.structure)[left[0]] if isinstance(network.structure, dict) else left[0]
        why = f"parts of {_named(network, explained)} are hidden, and the rest stays. Give input={key!r} to explain it instead."
    gets = "gets" if len(left) == 1 else "get"
    warn(f"{method}: {_named(network, left)} {gets} no values (None): {why}")


def _named(network: Network, which: Sequence[int]) -> str:
    names = flatten(network.structure)[1]
    quote = repr if isinstance(network.structure, dict) else str
    return ", ".join(quote(names[i]) for i in which)


def _alike(network: Network, one: int, other: int) -> bool:
    """Whether two inputs are of a kind: both images, both series."""
    first, second = network.arrays[one], network.arrays[other]
    return first.ndim == second.ndim > 2 and (first.dtype == object) == (second.dtype == object)


def _without_gradient(network: Network, which: int) -> str:
    array = network.arrays[which]
    if array.dtype == object:
        return "words"
    return (
        f"whole numbers ({array.dtype})"
        if array.dtype.kind in "iu"
        else "numbers that the score does not depend on"
    )
