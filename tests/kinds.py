"""A kind of model: the model, inputs for it, and a hand-written twin whose values are the truth.

The twin computes logits from the points at which a model is explained (inputs, or embeddings of tokens) with the same
layers, eagerly and step by step, so that it shares nothing with the code under test but the weights.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import scipy.special
import tensorflow as tf

L = keras.layers
Relu = Callable[[Any], Any]


class Piece(NamedTuple):
    """What maps line up with: an input, by its number, or one frame of it."""

    image: int = 0
    frame: int | None = None


@dataclasses.dataclass(frozen=True)
class Kind:
    """A model, inputs for it, and its twin.

    points:   inputs -> list of tensors at which each input is explained; None: the inputs themselves.
    fixed:    numbers of the inputs that are not explained; their points are what the twin needs of them.
    features: (points, relu) -> the maps that class activation maps should read, one tensor or one for each piece.
    pieces:   what these line up with.
    head:     (maps, points, relu) -> logits (N, C).
    scoring:  "logit" or "probability" -> what to pass as `score`, for models with several outputs or dense ones.
    named:    the score takes the class with the highest one by itself; otherwise targets must be given.
    chances:  logits' place taken by probabilities (N, C), unless those are the softmax of the logits.
    tokens:   inputs are token ids.
    channels: the last axis of an image or series is its channels.
    relu:     all nonlinearities are ReLUs, which the twin can replace.
    layer:    the path of the layer with these maps, to be named too. cam: there are layers.
    space:    maps as the layer has them -> (N, h, w ..., channels), where tokens are a grid.
    guided:   there is a nonlinearity that guided backprop changes.
    unit:     half a unit in the last place of the model's precision, where that is coarser than float32.
    """

    name: str
    model: Any
    inputs: Any
    features: Callable[..., Any]
    head: Callable[..., Any]
    points: Callable[..., list[Any]] | None = None
    fixed: tuple[int, ...] = ()
    scoring: Callable[[str], Any] | None = None
    named: bool = True
    chances: Callable[[list[Any]], Any] | None = None
    pieces: tuple[Piece, ...] = (Piece(),)
    layer: str | None = None
    tokens: bool = False
    channels: bool = True
    relu: bool = True
    guided: bool = True
    unit: float | None = None
    cam: bool = True
    space: Callable[[Any], Any] = lambda maps: maps

    @property
    def exact(self) -> bool:
        return self.unit is None

    @functools.cached_property
    def score(self) -> Any:
        """What to pass as `score`."""
        return None if self.scoring is None else self.scoring("logit")

    @functools.cached_property
    def probability(self) -> Any:
        return "probability" if self.scoring is None else self.scoring("probability")

    @property
    def image(self) -> int:
        """Number of the input that is hidden in parts."""
        return self.pieces[0].image

    @property
    def images(self) -> set[int]:
        """Numbers of the inputs that class activation maps line up with."""
        return {piece.image for piece in self.pieces}

    def is_picture(self, which: int) -> bool:
        """Whether an input is images, which methods for images explain."""
        return np.ndim(self.flat[which]) == (4 if self.channels else 3) and which not in self.fixed

    @property
    def flat(self) -> list[Any]:
        return flat(self.inputs)

    def structured(self, values: list[Any]) -> Any:
        """One value for each input, as the inputs are given."""
        if isinstance(self.inputs, dict):
            return dict(zip(self.inputs, values, strict=True))
        return values if isinstance(self.inputs, (list, tuple)) else values[0]

    def at(self) -> list[Any]:
        return self.points_of(self.flat)

    def points_of(self, arrays: list[Any]) -> list[Any]:
        if self.points is not None:
            return self.points(*arrays)
        return [tf.constant(x, tf.float32) for x in arrays]

    def logits(self, points: list[Any], relu: Relu = tf.nn.relu) -> Any:
        return tf.cast(self.head(self.features(points, relu), points, relu), tf.float32)

    @functools.cached_property
    def outcome(self) -> np.ndarray:
        """Logits (N, C) of the inputs as they are; computed once, since nearly every test compares with them."""
        return self.logits(self.at()).numpy()

    def predicted(self) -> np.ndarray:
        return np.argmax(self.outcome, axis=1)

    @functools.cached_property
    def asked(self) -> dict[str, Any]:
        """Arguments of a call that explains the class with the highest score."""
        return {"score": self.score, "targets": None if self.named else self.predicted()}

    def probabilities(self, points: list[Any]) -> np.ndarray:
        if self.chances is not None:
            return np.asarray(self.chances(points), np.float64)
        return scipy.special.softmax(self.logits(points).numpy().astype(np.float64), axis=1)


def flat(values: Any) -> list[Any]:
    if isinstance(values, dict):
        return list(values.values())
    return list(values) if isinstance(values, (list, tuple)) else [values]


def run(layers: list[Any], x: Any, relu: Relu = tf.nn.relu) -> Any:
    """Layer after layer; every Activation or ReLU by the given function: give it no softmax."""
    for layer in layers:
        x = relu(x) if isinstance(layer, (L.Activation, L.ReLU)) else layer(x, training=False)
    return x


def run_symbolic(layers: list[Any], x: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x


def seeded(seed: int) -> None:
    """Sets all seeds; Keras before 3.12 leaves its generator where it stands, if there is one already."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)


def settle(model: Any) -> Any:
    """Weights with biases and batch-norm statistics as after training, the same in every run."""
    generator = np.random.default_rng(3)
    for variable in model.variables:
        if "seed" in variable.path:
            continue
        value = np.asarray(variable)
        if "moving_variance" in variable.path:
            variable.assign(generator.uniform(0.5, 1.5, value.shape))
        elif value.ndim <= 1:
            variable.assign(value + generator.normal(0, 0.2, value.shape))
        elif value.ndim == 4:
            # Signals keep their size through deep, narrow networks, and stay below the cap of most ReLU6.
            inputs = np.prod(value.shape[:2]) * (1 if "depthwise" in variable.path else value.shape[2])
            variable.assign(generator.normal(0, (1.0 / inputs) ** 0.5, value.shape))
    return model


def images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (2, *shape)).astype(np.float32)


def front(rank: int = 2, filters: int = 6, deep: bool = False) -> list[Any]:
    conv = {1: L.Conv1D, 2: L.Conv2D, 3: L.Conv3D}[rank]
    if not deep:
        return [conv(filters, 3, strides=2), L.BatchNormalization(), L.ReLU()]
    return [
        conv(filters, 3),
        L.BatchNormalization(),
        L.Activation("relu"),
        conv(filters, 3, strides=2),
        L.ReLU(),
    ]


def pooled(rank: int) -> Any:
    return {1: L.GlobalAveragePooling1D, 2: L.GlobalAveragePooling2D, 3: L.GlobalAveragePooling3D}[rank]()


def back(rank: int = 2, classes: int = 4, deep: bool = False) -> list[Any]:
    return (
        [pooled(rank), L.Dense(8), L.ReLU(), L.Dense(classes)] if deep else [pooled(rank), L.Dense(classes)]
    )


def chain(
    name: str,
    build: Callable[..., Any],
    x: np.ndarray,
    rank: int = 2,
    classes: int = 4,
    deep: bool = False,
    **more: Any,
) -> Kind:
    """A kind whose layers are one chain: a short one, where what it is to show needs no more."""
    keras.utils.set_random_seed(1)
    first, last = front(rank, deep=deep), back(rank, classes, deep)
    model = settle(build(first, last, x.shape[1:]))

    def head(maps: Any, points: Any, relu: Relu) -> Any:
        return run(last, maps, relu)

    return Kind(name, model, x, lambda points, relu: run(first, points[0], relu), head, **more)
