"""Models, photos and classes as a command line names them, and how a model is fed with photos."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from tfxai.cli.model_files import Loaded


def model_and_photos(
    arguments: argparse.Namespace,
) -> tuple[Loaded, NDArray[np.float32], NDArray[np.float32]]:
    """The model, and its photos (N, H, W, C) twice: in 0..255 for the eye, and as the model is fed with them.

    Raises ValueError if there is no such photo, model or preprocessing, or the model does not take photos.
    """
    missing = [name for name in arguments.images if not Path(name).exists()]
    if missing:  # before the model is loaded, which takes longer
        raise ValueError(f"There is no picture {missing[0]}.")
    loaded, feeding = model_and_feeding(arguments)
    seen = feeding.pictures(arguments.images)
    return loaded, seen, feeding.scaled(seen)


def model_and_feeding(arguments: argparse.Namespace) -> tuple[Loaded, Feeding]:
    """The model that --model names, and how it is fed with photos.

    Raises ValueError if there is no such model, or it does not take photos.
    """
    from tfxai.cli import model_files

    loaded = model_files.load(arguments.model, arguments.unsafe, arguments.signature)
    if arguments.labels is not None:
        loaded = dataclasses.replace(loaded, labels=model_files.read_labels(arguments.labels))
    crop = loaded.crop if arguments.crop is None else arguments.crop
    height, width, channels = loaded.photo_shape()
    return loaded, Feeding((height, width), channels, crop, arguments.preprocess)


@dataclasses.dataclass(frozen=True)
class Feeding:
    """How photos become the numbers that a model takes.

    size:       (height, width) of the model's input, in pixels.
    channels:   3 (RGB) or 1 (grey).
    crop:       part of a photo's height and width to keep, above 0 and at most 1.
    preprocess: what `tfxai.photos.scale` does to the pixels.
    """

    size: tuple[int, int]
    channels: int
    crop: float
    preprocess: str

    def pictures(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Photo files as (N, H, W, C) in 0..255, cropped and resized. Raises ValueError if one is not a picture."""
        import numpy as np

        from tfxai import photos

        return np.stack(
            [photos.fit(photos.read(name, self.channels), self.size, self.crop) for name in names]
        )

    def folder(self, folder: str) -> NDArray[np.float32]:
        """The same of all pictures in a folder. Raises ValueError if it has none."""
        from tfxai import concepts

        return concepts.images_from(folder, self.size, crop=self.crop, channels=self.channels)

    def sub_folders(self, folder: str) -> dict[str, NDArray[np.float32]]:
        """The same of each sub-folder, by its name. Raises ValueError if there is none, or one has no pictures."""
        from tfxai import concepts

        return concepts.from_folder(folder, self.size, crop=self.crop, channels=self.channels)

    def scaled(self, pictures: ArrayLike) -> NDArray[np.float32]:
        """Pictures in 0..255 as the model was trained to see them. Raises ValueError if `preprocess` is unknown."""
        from tfxai import photos

        return photos.scale(pictures, self.preprocess)


def target_of(arguments: argparse.Namespace, loaded: Loaded) -> int | None:
    """The class that --target asks for; None, the predicted one, unless given.

    Raises ValueError if no class, or more than one, has that name.
    """
    return None if arguments.target is None else loaded.target(arguments.target)


def check_labels(loaded: Loaded, fed: NDArray[np.float32]) -> None:
    """Raises ValueError if class names are known, but not one for each of the model's classes.

    fed: (N, H, W, C), as the model is fed; one of them is enough to count the classes.
    """
    if loaded.labels is not None:
        from tfxai.predictions import probabilities

        loaded.check_labels(probabilities(loaded.model, fed[:1]).shape[1])


def how_fed(fed: NDArray[np.float32], preprocess: str) -> str:
    """A line that lets a person see a wrong preprocessing: the range of the numbers, and where it is from."""
    pixels = ", pixels as they are" if preprocess == "none" else ""
    return f"The model was fed numbers from {fed.min():.4g} to {fed.max():.4g} (--preprocess {preprocess}{pixels})."
