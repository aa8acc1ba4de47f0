"""Images sorted by how much of a concept is in them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.concepts.image_sets import image_set
from tfxai.concepts.set_batches import batches_of_sets, length_of, taken
from tfxai.engines import layer_activations
from tfxai.model import LayerChoice, fitting, number_of_rows
from tfxai.support import BatchSize, Model, Numbers, checked, progress_bar


@checked
@fitting
def sort_by_concept(
    model: Model,
    layer: LayerChoice,
    images: Any,
    cav: Numbers,
    *,
    batch_size: BatchSize = 32,
    progress: bool = False,
) -> NDArray[np.int64]:
    """Which images have most of a concept? Indices (N,), by the cosine of their activations with the concept's vector.

    images: (N, ...), a list of images, or a folder. The first index is that of the image with most of the concept.
    cav:    one vector, of the shape of the layer, or those of all runs (R, ...), whose mean is taken.

    Raises ValueError if there are no images, or the vector has another shape than the layer.
    Cost: a forward pass for each image.
    Kim et al., 2018. arXiv:1711.11279, section 4.1.1
    """
    images = image_set(images, model, "images")
    if length_of(images) == 0:
        raise ValueError("There are 0 images. Give at least one.")
    vectors = np.asarray(cav)
    rows = number_of_rows(batch_size, model, taken(images, slice(0, 1)), "sort_by_concept")
    cosines = []
    with progress_bar(progress, "sort_by_concept", length_of(images)) as advance:
        for [(_, part)] in batches_of_sets({"images": images}, rows):
            (activations,) = layer_activations(model, [layer], taken(images, part), "sort_by_concept")
            flat = activations.reshape(len(activations), -1)
            vector = _vector(vectors, activations.shape[1:], layer)
            cosines.append(flat @ vector / np.maximum(np.linalg.norm(flat, axis=1), 1e-30))
            advance(len(activations))
    return np.argsort(-np.concatenate(cosines), kind="stable")


def _vector(vectors: NDArray, shape: tuple[int, ...], layer: LayerChoice) -> NDArray:
    """One flat vector for a layer of that shape."""
    vector = vectors.mean(axis=0) if vectors.ndim == len(shape) + 1 else vectors
    if vector.shape != shape:
        raise ValueError(
            f"cav has shape {vectors.shape}, layer {layer!r} puts out {shape}. Give a vector of that layer, such as "
            "result.cavs[concept, layer]."
        )
    return vector.reshape(-1)
