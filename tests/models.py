"""Every kind of model that users bring: the classic ones here, those with something particular in modern_models.py."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras
import modern_models
import numpy as np
import tensorflow as tf
from kinds import Kind, L, Relu, chain, front, images, pooled, run, run_symbolic, settle


def functional_logits() -> Kind:
    def build(first: list, last: list, shape: tuple) -> Any:
        inputs = keras.Input(shape)
        return keras.Model(inputs, run_symbolic(first + last, inputs))

    return chain("functional_logits", build, images(12, 12, 3))


def functional_softmax() -> Kind:
    def build(first: list, last: list, shape: tuple) -> Any:
        inputs = keras.Input(shape)
        return keras.Model(inputs, L.Softmax()(run_symbolic(first + last, inputs)))

    return chain("functional_softmax", build, images(12, 12, 3), deep=True)


def sequential() -> Kind:
    def build(first: list, last: list, shape: tuple) -> Any:
        return keras.Sequential([keras.Input(shape), *first, L.Dropout(0.5), *last, L.Activation("softmax")])

    return chain("sequential", build, images(12, 12, 3), deep=True)


class Subclassed(keras.Model):
    """ReLUs are written inside `call`, layers in lists."""

    def __init__(self, first: list, last: list) -> None:
        super().__init__()
        self.first, self.last = first, last

    def call(self, x: Any, training: bool = False) -> Any:
        for layer in [*self.first, *self.last]:
            x = tf.nn.relu(x) if isinstance(layer, (L.Activation, L.ReLU)) else layer(x)
        return tf.nn.softmax(x)


def subclass(name: str, model_class: type[Subclassed]) -> Kind:
    """The last ReLU is no layer here, so the maps are those of the convolution before it."""

    def build(first: list, last: list, shape: tuple) -> Any:
        model = model_class(first, last)
        model(np.zeros((1, *shape), np.float32))
        return model

    kind = chain(name, build, images(12, 12, 3), deep=model_class is Subclassed)
    first, last = list(kind.model.first), list(kind.model.last)
    return dataclasses.replace(
        kind,
        features=lambda points, relu: run(first[:-1], points[0], relu),
        head=lambda maps, points, relu: run(last, relu(maps), relu),
    )


def subclassed() -> Kind:
    return subclass("subclassed", Subclassed)


def compiled_subclassed() -> Kind:
    """`call` is a tf.function with control flow in it."""

    class Compiled(Subclassed):
        @tf.function
        def call(self, x: Any, training: bool = False) -> Any:
            for layer in self.first:
                x = tf.nn.relu(x) if isinstance(layer, (L.Activation, L.ReLU)) else layer(x)
            for layer in self.last:
                x = tf.nn.relu(x) if isinstance(layer, (L.Activation, L.ReLU)) else layer(x)
            return x

    return subclass("compiled_subclassed", Compiled)


def series() -> Kind:
    return chain(
        "series", lambda f, b, s: keras.Sequential([keras.Input(s), *f, *b]), images(20, 3), rank=1, deep=True
    )


def volume() -> Kind:
    return chain(
        "volume", lambda f, b, s: keras.Sequential([keras.Input(s), *f, *b]), images(8, 9, 10, 2), rank=3
    )


def grey() -> Kind:
    return chain("grey", lambda f, b, s: keras.Sequential([keras.Input(s), *f, *b]), images(12, 14, 1))


def five_channels() -> Kind:
    return chain(
        "five_channels", lambda f, b, s: keras.Sequential([keras.Input(s), *f, *b]), images(12, 12, 5)
    )


def sigmoid_unit() -> Kind:
    def build(first: list, last: list, shape: tuple) -> Any:
        return keras.Sequential([keras.Input(shape), *first, *last, L.Activation("sigmoid")])

    kind = chain("sigmoid_unit", build, images(12, 12, 3), classes=1)
    head = kind.head

    def both(maps: Any, points: Any, relu: Relu) -> Any:
        unit = head(maps, points, relu)
        return tf.concat([-unit, unit], 1)

    def chances(points: Any) -> Any:
        return tf.sigmoid(tf.cast(both(kind.features(points, tf.nn.relu), points, tf.nn.relu), tf.float64))

    return dataclasses.replace(kind, head=both, chances=chances)


HALF = {"mixed_float16": 2.0**-11, "mixed_bfloat16": 2.0**-8}


def half(policy: str) -> Kind:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        kind = chain(
            policy,
            lambda f, b, s: keras.Sequential([keras.Input(s), *f, *b]),
            images(12, 12, 3),
            unit=HALF[policy],
        )
    finally:
        keras.config.set_dtype_policy(before)
    return kind


def callable_tensorflow() -> Kind:
    kind = functional_logits()
    model = kind.model

    def scores(x: Any) -> Any:
        return model(x, training=False)

    return dataclasses.replace(kind, name="callable", model=scores, cam=False)


def dict_of_outputs() -> Kind:
    import tfxai

    def build(first: list, last: list, shape: tuple) -> Any:
        inputs = keras.Input(shape)
        maps = run_symbolic(first, inputs)
        other = L.Dense(3, name="other")(pooled(2)(maps))
        return keras.Model(inputs, {"cls": L.Softmax()(run_symbolic(last, maps)), "other": other})

    return chain(
        "dict_of_outputs",
        build,
        images(12, 12, 3),
        scoring=lambda unit: getattr(tfxai.scores, unit)(output="cls"),
    )


def two_inputs(as_dict: bool) -> Kind:
    keras.utils.set_random_seed(1)
    first, last = front(), [L.Dense(8), L.ReLU(), L.Dense(4)]
    pool, dense = pooled(2), L.Dense(5)
    image, row = keras.Input((12, 12, 3), name="image"), keras.Input((6,), name="row")
    both = L.Concatenate()([pool(run_symbolic(first, image)), L.ReLU()(dense(row))])
    inputs = {"image": image, "row": row} if as_dict else [image, row]
    model = settle(keras.Model(inputs, run_symbolic(last, both)))
    arrays = [images(12, 12, 3), np.random.default_rng(5).normal(size=(2, 6)).astype(np.float32)]

    def head(maps: Any, points: Any, relu: Relu) -> Any:
        return run(last, tf.concat([pool(maps), relu(dense(points[1]))], 1), relu)

    return Kind(
        "two_inputs_dict" if as_dict else "two_inputs_list",
        model,
        dict(zip(("image", "row"), arrays, strict=True)) if as_dict else arrays,
        lambda points, relu: run(first, points[0], relu),
        head,
    )


def nested() -> Kind:
    """Transfer learning: augmentation, scaling, a backbone as one layer, a head."""
    keras.utils.set_random_seed(1)
    whole = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, include_top=False, weights=None)
    # The first three of its 17 blocks have all that the others have, and every trace is six times as quick.
    backbone = keras.Model(whole.inputs, whole.get_layer("block_3_expand_relu").output, name=whole.name)
    scaling, last = L.Rescaling(1 / 127.5, offset=-1), [pooled(2), L.Dropout(0.3), L.Dense(4)]
    augmentation = keras.Sequential([L.RandomFlip(), L.RandomRotation(0.1)], name="augmentation")
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, L.Softmax()(run_symbolic([augmentation, scaling, backbone, *last], inputs)))
    settle(model)
    twins: dict[Any, Any] = {tf.nn.relu: backbone}

    def with_relu(relu: Relu) -> Any:
        """The backbone with its ReLU6 replaced; the given function takes the place of ReLU6's ReLU."""
        if relu not in twins:

            def swapped(layer: Any) -> Any:
                if not isinstance(layer, L.ReLU):
                    return layer.__class__.from_config(layer.get_config())
                return L.Lambda(lambda x: relu(x, 6.0), output_shape=lambda s: s, name=layer.name)

            twins[relu] = keras.models.clone_model(backbone, clone_function=swapped)
            twins[relu].set_weights(backbone.get_weights())
        return twins[relu]

    def features(points: Any, relu: Relu) -> Any:
        return with_relu(relu)(scaling(points[0]), training=False)

    def head(maps: Any, points: Any, relu: Relu) -> Any:
        return run(last, maps, relu)

    x = images(32, 32, 3) * 255
    return Kind("nested", model, x, features, head, layer="mobilenetv2_0.35_32/block_3_expand_relu")


class Tokens(L.Layer):
    """Patches to tokens with a class token and positions in front."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.count, self.width = count, width

    def build(self, shape: Any) -> None:
        self.token = self.add_weight(shape=(1, 1, self.width), initializer="normal", name="token")
        self.places = self.add_weight(
            shape=(1, self.count + 1, self.width), initializer="normal", name="places"
        )

    def call(self, x: Any) -> Any:
        x = tf.reshape(x, (-1, self.count, self.width))
        times: Any = (tf.shape(x)[0], 1, 1)
        return tf.concat([tf.tile(self.token, times), x], 1) + self.places


def vit() -> Kind:
    """A small vision transformer that classifies by its class token: the maps are tokens before the last attention.

    Of the second block only the attention is there: a dense layer after it has nothing to show that the first lacks.
    """
    keras.utils.set_random_seed(2)  # with it no class activation map is zero everywhere
    patch, tokens = L.Conv2D(8, 4, strides=4), Tokens(9, 8)
    one, attention = L.LayerNormalization(), L.MultiHeadAttention(2, 4)
    wide, narrow = L.Dense(12, "gelu"), L.Dense(8)
    two, last_attention = L.LayerNormalization(), L.MultiHeadAttention(2, 4)
    norm, dense = L.LayerNormalization(), L.Dense(4)
    inputs = keras.Input((12, 12, 3))
    x = tokens(patch(inputs))
    y = one(x)
    x = L.Add()([x, attention(y, y)])
    x = L.Add()([x, narrow(wide(x))])
    y = two(x)
    x = L.Add()([x, last_attention(y, y)])
    model = settle(keras.Model(inputs, L.Softmax()(dense(norm(x)[:, 0]))))

    def block(points: Any) -> Any:
        x = tokens(patch(points[0]))
        y = one(x)
        x = x + attention(y, y)
        return x + narrow(wide(x))

    def features(points: Any, relu: Relu) -> Any:
        return two(block(points))

    def head(maps: Any, points: Any, relu: Relu) -> Any:
        return dense(norm(block(points) + last_attention(maps, maps))[:, 0])

    return Kind(
        "vit", model, images(12, 12, 3), features, head, relu=False, guided=False,
        space=lambda maps: tf.reshape(maps[:, 1:], (-1, 3, 3, maps.shape[-1])),
    )  # fmt: skip


def embedding() -> Kind:
    keras.utils.set_random_seed(1)
    embed, conv, dense = L.Embedding(30, 5), L.Conv1D(6, 3, padding="same"), L.Dense(4)
    relu_layer, pool = L.ReLU(), L.GlobalAveragePooling1D()
    model = settle(keras.Sequential([keras.Input((9,)), embed, conv, relu_layer, pool, dense]))
    ids = np.random.default_rng(0).integers(1, 30, (2, 9))
    return Kind(
        "embedding", model, ids,
        lambda points, relu: relu(conv(points[0])),
        lambda maps, points, relu: dense(pool(maps)),
        points=lambda ids: [embed(ids)],
        tokens=True,
    )  # fmt: skip


def legacy() -> Kind:
    """A tf_keras (Keras 2) model."""
    import tf_keras

    tf_keras.utils.set_random_seed(1)
    K = tf_keras.layers
    first = [K.Conv2D(6, 3), K.BatchNormalization(), K.ReLU(), K.Conv2D(6, 3, strides=2), K.ReLU()]
    last = [K.GlobalAveragePooling2D(), K.Dense(4)]
    model = tf_keras.Sequential([K.InputLayer((12, 12, 3)), *first, *last, K.Softmax()])

    def forward(layers: list, x: Any, relu: Relu) -> Any:
        for layer in layers:
            x = relu(x) if isinstance(layer, K.ReLU) else layer(x, training=False)
        return x

    return Kind(
        "tf_keras", model, images(12, 12, 3),
        lambda points, relu: forward(first, points[0], relu),
        lambda maps, points, relu: forward(last, maps, relu),
    )  # fmt: skip


BUILDERS: dict[str, Callable[[], Kind]] = {
    "functional_logits": functional_logits,
    "functional_softmax": functional_softmax,
    "sequential": sequential,
    "nested": nested,
    "subclassed": subclassed,
    "compiled_subclassed": compiled_subclassed,
    "dict_of_outputs": dict_of_outputs,
    "two_inputs_list": functools.partial(two_inputs, False),
    "two_inputs_dict": functools.partial(two_inputs, True),
    "vit": vit,
    "tf_keras": legacy,
    "callable": callable_tensorflow,
    "series": series,
    "volume": volume,
    "grey": grey,
    "five_channels": five_channels,
    "embedding": embedding,
    "sigmoid_unit": sigmoid_unit,
    **modern_models.BUILDERS,
    "mixed_float16": functools.partial(half, "mixed_float16"),
    "mixed_bfloat16": functools.partial(half, "mixed_bfloat16"),
}


# The quick suite meets each test on one of these in turn, the slow one on all: the later ones, and those that differ from
# another kind by one thing that the others do not touch.
IN_TURN = (
    *modern_models.BUILDERS,
    "two_inputs_list",
    "mixed_bfloat16",
    "vit",
)


@functools.lru_cache(maxsize=3)
def kind(name: str) -> Kind:
    """One of the kinds above. Tests of one kind follow each other (conftest.py), and what was traced for it goes with it."""
    return BUILDERS[name]()
