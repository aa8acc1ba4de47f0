"""Images sorted by how much of a concept is in them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.concepts.image_sets import batches_of_sets, image_set, length_of, taken
from tfxai.engines import layer_activations
from tfxai.model import LayerChoice
from tfxai.support import progress_bar


def sort_by_concept(
    model: Any, layer: LayerChoice, images: Any, cav: NDArray, *, batch_size: int = 32, progress: bool = False
) -> NDArray[np.int64]:
    """Indices (N,) of images, those with most of the concept first: by the cosine of their activations with its vector.

    cav: one vector, of the shape of the layer, or those of all runs, whose mean is taken.

    Raises ValueError if the vector is of another shape than the layer. Cost: a forward pass for each image.
    Kim et al., 2018. arXiv:1711.11279, section 4.1.1
    """
    images = image_set(images, model, "images")
    if length_of(images) == 0 or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise ValueError(
            f"{length_of(images)} images, batch_size={batch_size!r}. Give at least one image, and 1 or more."
        )
    vector = np.asarray(cav)
    if vector.dtype.kind not in "fiu":
        raise ValueError(f"cav has type {vector.dtype}. Give a vector, such as result.cavs[concept, layer].")
    found = []
    with progress_bar(progress, "sort_by_concept", length_of(images)) as advance:
        for [(_, rows)] in batches_of_sets({"images": images}, batch_size):
            (acts,) = layer_activations(model, [layer], taken(images, rows), "sort_by_concept")
            vector = vector.mean(axis=0) if vector.ndim == acts.ndim else vector
            if vector.shape != acts.shape[1:]:
                raise ValueError(
                    f"cav has shape {np.shape(cav)}, layer {layer!r} puts out {acts.shape[1:]}. Give a "
                    "vector of that layer, such as result.cavs[concept, layer]."
                )
            flat = acts.reshape(len(acts), -1)
            found.append(flat @ vector.reshape(-1) / np.maximum(np.linalg.norm(flat, axis=1), 1e-30))
            advance(len(acts))
    return np.argsort(-np.concatenate(found), kind="stable")
