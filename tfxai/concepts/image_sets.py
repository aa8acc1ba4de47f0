"""Sets of images that a user gives, of concepts and of classes: read in any form, and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.concepts.folders import images_from
from tfxai.concepts.set_batches import length_of
from tfxai.inputs import specs_of
from tfxai.model import Network
from tfxai.support import Inputs, Model, warn

FEWEST = 10  # images of a concept, a random set, or the class
APART = 20  # times as large as others are the numbers of images in another range


@dataclasses.dataclass(frozen=True)
class ImageSets:
    """All images of one call, each set in the structure that the model takes.

    concepts: by name. random: two sets for each run. classes: by target; one set may stand for several.
    """

    concepts: Mapping[str, Inputs]
    random: Sequence[Inputs]
    classes: Mapping[int, Inputs]

    @property
    def named_concepts(self) -> dict[str, Inputs]:
        """Concepts by what messages call them."""
        return {f"concept {name!r}": images for name, images in self.concepts.items()}

    @property
    def named_random(self) -> dict[str, Inputs]:
        """Random sets by what messages call them."""
        return {f"random set {number}": images for number, images in enumerate(self.random)}

    @property
    def named_classes(self) -> dict[str, Inputs]:
        """Images of classes by what messages call them."""
        return {f"inputs of class {target}": images for target, images in self.classes.items()}


def concept_sets(concepts: Mapping[str, Any], model: Model) -> dict[str, Inputs]:
    """Every concept's images by its name.

    Raises ValueError if there are none, two have the same name, or one has fewer than 10 images.
    """
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


def class_sets(inputs: Any, target: int | Sequence[int], model: Model) -> dict[int, Inputs]:
    """The images of every target.

    Raises ValueError if a target is not a class, is named twice, or has no images.
    """
    given: Any = [target] if np.ndim(target) == 0 else target
    if len(given) == 0 or not all(map(_is_class, given)):
        raise ValueError(f"target is {target!r}. Give a class, or a list of classes: 0 or more.")
    targets = [int(number) for number in given]
    if len({*targets}) < len(targets):
        raise ValueError(f"target names a class twice: {target!r}.")
    if not isinstance(inputs, Mapping) or not all(isinstance(key, (int, np.integer)) for key in inputs):
        return dict.fromkeys(targets, image_set(inputs, model, "inputs"))
    if missing := [number for number in targets if number not in inputs]:
        raise ValueError(
            f"inputs has images for {list(inputs)}, but not for {missing}. Give them for each target."
        )
    return {number: image_set(inputs[number], model, "inputs") for number in targets}


def _is_class(target: object) -> bool:
    return isinstance(target, (int, np.integer)) and not isinstance(target, bool) and bool(target >= 0)


def image_set(images: Any, model: Model, name: str) -> Inputs:
    """A set of images as an array, or as the structure that a model of several inputs takes.

    images: an array (n, ...), a list of images, a folder of pictures, or the dict or list of several inputs.

    Raises ValueError if images differ in size, are not there, or are a folder and the model does not say how large.
    """
    if isinstance(images, (str, Path)):
        return images_from(images, size_of(model, name))
    if isinstance(images, Mapping):
        return dict(images)
    if isinstance(images, (list, tuple)):
        arrays = [np.asarray(image) for image in images]
        if 1 < len(specs_of(model)) == len(arrays):
            return arrays
        images = arrays
    try:
        array = np.asarray(images)
    except ValueError as error:
        raise ValueError(
            f"{name} holds images of different sizes. Give them all the size that the model takes."
        ) from error
    if array.ndim == 0:
        raise ValueError(f"{name} is {images!r}. Give images (n, ...).")
    return array


def size_of(model: Model, name: str) -> tuple[int, int]:
    """Height and width of the images that a model takes. Raises ValueError if it does not say."""
    specs = specs_of(model)
    shape = tuple(specs[0].shape) if len(specs) == 1 else ()
    if len(shape) != 4 or None in shape[1:3]:
        raise ValueError(
            f"{name} is a folder, and the model does not say how large its images are. Read it with "
            "tfxai.concepts.from_folder(path, size)."
        )
    return shape[1:3]


def check_sets(sets: ImageSets, model: Model) -> None:
    """Raises ValueError, by the name of the set, if the model does not take one, or shapes differ.

    Warns if groups of sets have numbers of very different size, and if a class has few images.
    """
    groups = {"concepts": sets.named_concepts, "random": sets.named_random, "class": sets.named_classes}
    shapes: list[tuple[int, ...]] = []
    largest: dict[str, float] = {}
    for group, named in groups.items():
        arrays_of = {name: _arrays(images, name, model) for name, images in named.items()}
        for name, arrays in arrays_of.items():
            of_set = [array.shape[1:] for array in arrays]
            shapes = shapes or of_set
            if of_set != shapes:
                raise ValueError(
                    f"The {name} has shape {of_set}, others have {shapes}. Give all images one size."
                )
        largest[group] = max(map(_largest, arrays_of.values()))
    _warn_of_ranges(largest)
    few = {target: length_of(images) for target, images in sets.classes.items() if length_of(images) < FEWEST}
    if few:
        target, count = next(iter(few.items()))
        warn(
            f"Class {target} has {count} images, and scores are shares of these: better give {FEWEST} or more."
        )


def _arrays(images: Inputs, name: str, model: Model) -> list[NDArray]:
    """A set as the model takes it."""
    try:
        return Network(model, images).arrays
    except ValueError as error:
        raise ValueError(f"The {name}: {error}") from error


def _largest(arrays: Sequence[NDArray]) -> float:
    """The largest magnitude of a set's numbers; 0 where it has none."""
    return max(
        (float(np.abs(array).max()) for array in arrays if array.dtype.kind == "f" and array.size),
        default=0.0,
    )


def _warn_of_ranges(largest: Mapping[str, float]) -> None:
    known = [value for value in largest.values() if value]
    if known and max(known) > APART * min(known):
        ranges = ", ".join(f"{group} up to {value:.3g}" for group, value in largest.items())
        warn(
            f"Images have numbers of very different size: {ranges}. All must be in the range that the model takes."
        )
