"""Sets of images: of concepts, of classes, at random; checked, and cut into batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.concepts.folders import images_from
from tfxai.inputs import flatten, pack, specs_of
from tfxai.model import Network
from tfxai.support import warn

FEWEST = 10  # images of a concept, a random set, or the class


def concept_sets(concepts: Any, model: Any) -> dict[str, Any]:
    if not isinstance(concepts, Mapping) or not concepts:
        raise ValueError('concepts is a dict of images by name, such as {"striped": images}.')
    if len({str(name) for name in concepts}) < len(concepts):
        raise ValueError(f"Two concepts have the same name: {', '.join(map(str, concepts))}.")
    sets = {str(name): image_set(images, model, f"concept {name!r}") for name, images in concepts.items()}
    for name, images in sets.items():
        if (count := length_of(images)) < FEWEST:
            raise ValueError(
                f"The concept {name!r} has {count} images. Give at least {FEWEST}, better 50 to 200."
            )
    return sets


def image_set(images: Any, model: Any, name: str) -> Any:
    """A set of images as an array, or as the structure that a model of several inputs takes."""
    specs = specs_of(model)
    if isinstance(images, (str, Path)):
        return images_from(images, size_of(model, name))
    if isinstance(images, Mapping):
        return dict(images)
    if len(specs) > 1 and isinstance(images, (list, tuple)) and len(images) == len(specs):
        return [np.asarray(each) for each in images]
    try:
        array = np.asarray(
            images if not isinstance(images, (list, tuple)) else [np.asarray(each) for each in images]
        )
    except ValueError as error:
        raise ValueError(
            f"{name} holds images of different sizes. Give them all the size that the model takes."
        ) from error
    if array.ndim == 0:
        raise ValueError(f"{name} is {images!r}. Give images (n, ...).")
    return array


def is_pool(random: Sequence[Any], inputs: Sequence[Any]) -> bool:
    """Whether these are examples, not sets of them."""
    if all(isinstance(each, str) for each in random):
        return bool(random)
    rank = len(inputs[0].shape) if len(inputs) == 1 else 0
    return bool(random) and all(
        not isinstance(each, (Mapping, str, Path)) and np.ndim(each) == rank - 1 for each in random
    )


def size_of(model: Any, name: str) -> tuple[int, int]:
    """Height and width of the images that a model takes. Raises ValueError if it does not say."""
    specs = specs_of(model)
    shape = tuple(specs[0].shape) if len(specs) == 1 else ()
    if len(shape) != 4 or None in shape[1:3]:
        raise ValueError(
            f"{name} is a folder, and the model does not say how large its images are. Read it with "
            "tfxai.concepts.from_folder(path, size)."
        )
    return shape[1:3]


def check_sets(model: Any, sets: Mapping[str, Any], by_target: Mapping[int, Any]) -> None:
    """Raises ValueError, by the name of the set, if the model does not take one; warns of what is likely a slip."""
    largest: dict[str, float] = {"concepts": 0.0, "random": 0.0, "class": 0.0}
    everything = {**sets, **{f"inputs of class {one}": images for one, images in by_target.items()}}
    shapes = None
    for name, images in everything.items():
        try:
            arrays = Network(model, images).arrays
        except ValueError as error:
            raise ValueError(f"The {name}: {error}") from error
        shapes = shapes or [array.shape[1:] for array in arrays]
        if [array.shape[1:] for array in arrays] != shapes:
            raise ValueError(
                f"The {name} has shape {[array.shape[1:] for array in arrays]}, others have {shapes}. Give all images one size."
            )
        group = next(group for group in ("concept", "random", "inputs") if name.startswith(group))
        group = {"concept": "concepts", "random": "random", "inputs": "class"}[group]
        sizes = [float(np.abs(array).max()) for array in arrays if array.dtype.kind == "f" and array.size]
        largest[group] = max(largest[group], *sizes, 0.0)
    known = [value for value in largest.values() if value]
    if known and max(known) > 20 * min(known):
        told = ", ".join(f"{group} up to {value:.3g}" for group, value in largest.items())
        warn(
            f"Images have numbers of very different size: {told}. All must be in the range that the model takes."
        )
    few = {one: length_of(images) for one, images in by_target.items() if length_of(images) < FEWEST}
    if few:
        one, count = next(iter(few.items()))
        warn(f"Class {one} has {count} images, on which the scores are parts: better {FEWEST} or more.")


def checked_finite(acts: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    if not np.isfinite(acts).all():
        raise ValueError(
            f"The activations of {name} are not finite in a layer. Another layer, or float32, may help."
        )
    return acts


def inputs_by_target(inputs: Any, target: Any) -> dict[int, Any]:
    targets = [target] if np.ndim(target) == 0 else list(target)
    if not targets or any(
        isinstance(one, bool) or not isinstance(one, (int, np.integer)) or one < 0 for one in targets
    ):
        raise ValueError(f"target is {target!r}. Give a class, or a list of classes: 0 or more.")
    if len({*targets}) < len(targets):
        raise ValueError(f"target names a class twice: {target!r}.")
    if not isinstance(inputs, Mapping) or not all(isinstance(key, (int, np.integer)) for key in inputs):
        return dict.fromkeys(map(int, targets), inputs)
    if missing := [one for one in targets if one not in inputs]:
        raise ValueError(
            f"inputs has images for {list(inputs)}, but not for {missing}. Give them for each target."
        )
    return {int(one): inputs[one] for one in targets}


def length_of(images: Any) -> int:
    return len(flatten(images)[0][0])


def taken(images: Any, rows: Any) -> Any:
    return pack(images, [np.asarray(each)[rows] for each in flatten(images)[0]])


def joined(parts: Sequence[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    arrays = zip(*(flatten(part)[0] for part in parts), strict=True)
    return pack(parts[0], [np.concatenate(each) for each in arrays])


def batches_of_sets(sets: Mapping[str, Any], batch_size: int) -> Iterator[list[tuple[str, slice]]]:
    """Whole batches across the borders of sets, of (set, rows); sets of other shapes do not share one."""
    batch: list[tuple[str, slice]] = []
    room, shape = batch_size, None
    for name, images in sets.items():
        of_this = [np.shape(each)[1:] for each in flatten(images)[0]]
        start, count = 0, length_of(images)
        while start < count:
            if batch and (room == 0 or shape != of_this):
                yield batch
                batch, room = [], batch_size
            shape, stop = of_this, min(start + room, count)
            batch.append((name, slice(start, stop)))
            room -= stop - start
            start = stop
    if batch:
        yield batch
