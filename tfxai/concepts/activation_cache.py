"""Activations on disk, by what they depend on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.concepts.image_sets import length_of, taken
from tfxai.engines import layer_activations
from tfxai.inputs import flatten
from tfxai.model import LayerChoice, Network


class ActivationCache:
    """Activations on disk, a file for each set of images and layer, named by what they depend on.

    That is the images, the layer, and all weights. What else could change a model (an activation, say) shows in the
    activations of each set's first image, which are computed anew.
    """

    def __init__(
        self,
        folder: str | Path,
        model: Any,
        layers: Sequence[LayerChoice],
        found_at: Sequence[str],
        sets: Mapping[str, Any],
    ) -> None:
        self.folder, self.model, self.layers, self.paths = Path(folder), model, layers, found_at
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
        """The sets whose activations are all there."""
        found: dict[str, list[NDArray]] = {}
        for name in self.sets:
            files = self._files(name)
            if not all(file.exists() for file in files):
                continue
            try:
                loaded = [np.load(file, allow_pickle=False) for file in files]
            except (ValueError, OSError, EOFError):  # cut short when it was written
                continue
            anew = layer_activations(self.model, self.layers, taken(self.sets[name], slice(0, 1)), "TCAV")
            if all(
                old.shape == (length_of(self.sets[name]), *new.shape[1:])
                and np.allclose(old[0], new[0], rtol=1e-3, atol=1e-4 * (np.abs(new).max() + 1e-30))
                for old, new in zip(loaded, anew, strict=True)
            ):
                found[name] = loaded
        return found

    def write(self, computed: Mapping[str, list[NDArray[np.float32]]]) -> None:
        for name, arrays in computed.items():
            for file, array in zip(self._files(name), arrays, strict=True):
                part = file.with_suffix(".part.npy")
                np.save(part, array, allow_pickle=False)
                part.replace(file)

    def _files(self, name: str) -> list[Path]:
        images = hashlib.blake2b(digest_size=16)
        for array in flatten(self.sets[name])[0]:
            array = np.ascontiguousarray(array)
            images.update(f"{array.dtype}{array.shape}".encode())
            images.update(repr(array.tolist()).encode() if array.dtype == object else array.tobytes())
        prints = [
            hashlib.blake2b(self.weights + images.digest() + path.encode(), digest_size=16).hexdigest()
            for path in self.paths
        ]
        return [self.folder / f"{each}.npy" for each in prints]
