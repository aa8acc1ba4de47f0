"""Activations on disk, by what they depend on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfxai.concepts.set_batches import length_of, taken
from tfxai.engines import layer_activations
from tfxai.inputs import flatten
from tfxai.model import LayerChoice, Network
from tfxai.support import Inputs, Model


class ActivationCache:
    """Activations on disk, a file for each set of images and layer, named by what they depend on.

    That is the images, the layer, and all weights. What else could change a model (an activation, say) shows in the
    activations of each set's first image, which are computed anew.

    paths: of the layers, however they were named. sets: name -> images.

    Raises ValueError if the folder cannot be made.
    """

    def __init__(
        self,
        folder: str | Path,
        model: Model,
        layers: Sequence[LayerChoice],
        paths: Sequence[str],
        sets: Mapping[str, Inputs],
    ) -> None:
        self.folder, self.model, self.layers, self.paths = Path(folder), model, layers, paths
        self.sets = sets
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"cache_dir={str(folder)!r} cannot be made a folder: {error.strerror}."
            ) from error
        network = Network(model, taken(next(iter(sets.values())), slice(0, 1)))
        self.weights = network.weights_digest()

    def read(self) -> dict[str, list[NDArray[np.float32]]]:
        """For each set whose activations are all there, those in each layer, (n, *shape of the layer)."""
        loaded = {name: self._loaded(name) for name in self.sets}
        return {
            name: arrays
            for name, arrays in loaded.items()
            if arrays is not None and self._fresh(name, arrays)
        }

    def write(self, activations: Mapping[str, Sequence[NDArray[np.float32]]]) -> None:
        """Keeps those of some sets; a file is there as a whole, or not at all."""
        for name, arrays in activations.items():
            for file, array in zip(self._files(name), arrays, strict=True):
                part = file.with_suffix(".part.npy")
                np.save(part, array, allow_pickle=False)
                part.replace(file)

    def _loaded(self, name: str) -> list[NDArray[np.float32]] | None:
        try:
            return [np.load(file, allow_pickle=False) for file in self._files(name)]
        except (ValueError, OSError, EOFError):  # not there, or cut short when it was written
            return None

    def _fresh(self, name: str, arrays: Sequence[NDArray[np.float32]]) -> bool:
        """Whether the model as it is gives the first image the same activations."""
        images = self.sets[name]
        computed = layer_activations(self.model, self.layers, taken(images, slice(0, 1)), "TCAV")
        return all(
            kept.shape == (length_of(images), *first.shape[1:])
            and np.allclose(kept[0], first[0], rtol=1e-3, atol=1e-4 * (np.abs(first).max() + 1e-30))
            for kept, first in zip(arrays, computed, strict=True)
        )

    def _files(self, name: str) -> list[Path]:
        """A file for each layer."""
        digest = hashlib.blake2b(digest_size=16)
        for array in map(np.ascontiguousarray, flatten(self.sets[name])[0]):
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(repr(array.tolist()).encode() if array.dtype == object else array.tobytes())
        names = [
            hashlib.blake2b(self.weights + digest.digest() + path.encode(), digest_size=16).hexdigest()
            for path in self.paths
        ]
        return [self.folder / f"{name}.npy" for name in names]
