"""Class activation maps from one forward and one backward pass, told apart by how channels are weighed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfxai.engines import Attribution, Method, Request, activation_map, grad_cam, spatial_axes
from tfxai.model import LayerChoice, Needs
from tfxai.support import Tensor

SQUARED = 20  # times: what differs by one millionth is told apart


@dataclasses.dataclass(frozen=True)
class GradCAM(Method):
    """Which places does the class lean on, as far as a layer can tell them apart?

    One channel, never negative, in units of score; enlarged bilinearly to the input. Coarse by nature. Images,
    series, volumes, token sequences and the token grids of vision transformers. Cost: one forward pass and a backward
    pass to the layer.

    layer: path, name, instance or index of a layer with maps (N, h, w, channels); unless given, the last one before
           the score that is not a pooling layer. `tfxai.layers(model)` lists them.

    Raises ValueError if the layer does not exist or has no maps.
    Selvaraju et al.: Grad-CAM, 2016. arXiv:1610.02391, equations 1 and 2
    """

    layer: LayerChoice = None
    needs = Needs(layers=True)

    def attribute(self, request: Request) -> Attribution:
        return activation_map(request, self.layer, grad_cam)


@dataclasses.dataclass(frozen=True)
class GradCAMPlusPlus(Method):
    """Grad-CAM that also sees the second and third object of a class.

    A channel weighs by its positive gradients, each place by how much it alone could explain the score. Without the
    factor exp(score), which only scales the map. Cost: as GradCAM.

    layer: as for GradCAM.

    Chattopadhyay, Sarkar, Howlader, Balasubramanian: Grad-CAM++, 2017. arXiv:1710.11063, equation 19
    """

    layer: LayerChoice = None
    needs = Needs(layers=True)

    def attribute(self, request: Request) -> Attribution:
        return activation_map(request, self.layer, _plus_plus)


@dataclasses.dataclass(frozen=True)
class LayerCAM(Method):
    """Which places does the class lean on, also in early, finer layers?

    Every place weighs by its own positive gradient. Cost: as GradCAM.

    layer: as for GradCAM; earlier layers give finer maps.

    Jiang, Zhang, Hou, Cheng, Wei: LayerCAM, IEEE TIP 2021, equations 6 and 7. doi:10.1109/TIP.2021.3089943
    """

    layer: LayerChoice = None
    needs = Needs(layers=True)

    def attribute(self, request: Request) -> Attribution:
        return activation_map(request, self.layer, _by_positive_gradients)


@dataclasses.dataclass(frozen=True)
class HiResCAM(Method):
    """Which places raised the score? Gradient x activation, place by place.

    Exact where the layer is followed by one linear layer; Grad-CAM's averaging may blame places that did not count.
    Cost: as GradCAM.

    layer: as for GradCAM.

    Draelos, Carin: Use HiResCAM instead of Grad-CAM, 2020. arXiv:2011.08891, equation 5
    """

    layer: LayerChoice = None
    needs = Needs(layers=True)

    def attribute(self, request: Request) -> Attribution:
        return activation_map(request, self.layer, _by_gradients)


@dataclasses.dataclass(frozen=True)
class EigenCAM(Method):
    """Which places stand out in a layer, whatever the class?

    The maps' first principal component (not centred, as in the paper), signed to agree with the mean activation, or
    if that is 0, as behind a layer normalization, to be positive in the mean. The same map for every class: not an
    explanation of one. Cost: one forward pass.

    layer: as for GradCAM.

    Muhammad, Yeasin: Eigen-CAM, 2020. arXiv:2008.00299, equation 4
    """

    layer: LayerChoice = None
    needs = Needs(layers=True)

    def attribute(self, request: Request) -> Attribution:
        apart = request.inside is not None and request.inside.apart
        return activation_map(
            request, self.layer, _by_squaring if apart else _by_eigenvector, gradients=False
        )


def _by_positive_gradients(activations: Tensor, gradients: Tensor) -> Tensor:
    return tf.reduce_sum(activations * tf.nn.relu(gradients), -1)


def _by_gradients(activations: Tensor, gradients: Tensor) -> Tensor:
    return tf.reduce_sum(activations * gradients, -1)


def _plus_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    axes = spatial_axes(activations)
    # The *sum* over all places of the map, not the mean.
    total = tf.reduce_sum(activations, axes, keepdims=True)
    alpha = tf.math.divide_no_nan(gradients**2, 2 * gradients**2 + total * gradients**3)
    weights = tf.reduce_sum(alpha * tf.nn.relu(gradients), axes)
    return tf.einsum("b...c,bc->b...", activations, weights)


def _by_eigenvector(activations: Tensor, gradients: None) -> Tensor:
    return _first_component(activations, lambda gram: tf.linalg.eigh(gram)[1][..., -1])


def _by_squaring(activations: Tensor, gradients: None) -> Tensor:
    """The same where there are no decompositions: a matrix that is squared again and again is the first vector times itself."""

    def vector(gram: Tensor) -> Tensor:
        for _ in range(SQUARED):
            gram = tf.math.divide_no_nan(gram, tf.reduce_max(tf.abs(gram), [1, 2], keepdims=True))
            gram = tf.matmul(gram, gram)
        sizes = tf.linalg.diag_part(gram)
        column = tf.linalg.matvec(gram, tf.one_hot(tf.argmax(sizes, -1), tf.shape(sizes)[-1]))
        return tf.math.divide_no_nan(column, tf.norm(column, axis=-1, keepdims=True))

    return _first_component(activations, vector)


def _first_component(activations: Tensor, vector: Callable[[Tensor], Tensor]) -> Tensor:
    """vector: of Gram matrices (B, places, places), the eigenvector of the largest eigenvalue (B, places)."""
    shape = tf.shape(activations)
    # NaN would make the decomposition fail for the whole batch: it is put aside, and comes back in its own maps.
    finite = tf.reduce_all(tf.math.is_finite(activations), list(range(1, activations.shape.rank)))
    given = tf.reshape(activations, (shape[0], tf.reduce_prod(shape[1:-1]), shape[-1]))
    places = tf.where(finite[:, None, None], given, 0.0)
    largest = tf.reduce_max(tf.abs(places), [1, 2], keepdims=True)
    places = tf.math.divide_no_nan(places, largest)  # squares of very large or small numbers are out of range
    # A v1 = s1 u1, from the smaller of the two Gram matrices in most layers.
    gram = tf.matmul(places, places, transpose_b=True)
    first = vector(gram)
    size = tf.reduce_sum(first * tf.linalg.matvec(gram, first), -1, keepdims=True)  # the eigenvalue
    component = first * tf.sqrt(tf.nn.relu(size))
    agreement = tf.reduce_sum(component * tf.reduce_mean(places, -1), -1, keepdims=True)
    # The mean over the channels is nothing but rounding behind a layer normalization.
    least = 1e-5 * tf.reduce_sum(tf.abs(component) * tf.reduce_mean(tf.abs(places), -1), -1, keepdims=True)
    agreement = tf.where(tf.abs(agreement) > least, agreement, tf.reduce_sum(component, -1, keepdims=True))
    signed = component * tf.where(agreement < 0, -1.0, 1.0) * largest[:, 0]
    return tf.reshape(tf.where(finite[:, None], signed, np.nan), shape[:-1])
