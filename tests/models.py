"""Every kind of model that users bring, each with a hand-written twin whose values are the truth.

The twin computes logits from the points at which a model is explained (inputs, or embeddings of tokens) with the same
layers, eagerly and step by step, so that it shares nothing with the code under test but the weights.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

L = keras.layers
Relu = Callable[[Any], Any]


@dataclasses.dataclass(frozen=True)
class Kind:
    """A model, inputs for it, and its twin.

    points:   inputs -> list of tensors at which each input is explained; None where it is not.
    features: (points, relu) -> the maps that class activation maps should read, or None.
    head:     (maps, points, relu) -> logits (N, C).
    score:    what to pass as `score`, for models with several outputs.
    image:    number of the input that the maps line up with.
    tokens:   inputs are token ids.
    relu:     all nonlinearities are ReLUs, which the twin can replace.
    exact:    False for half precision.
    """

    name: str
    model: Any
    inputs: Any
    features: Callable[..., Any]
    head: Callable[..., Any]
    points: Callable[[Any], list[Any]] | None = None
    score: Any = None
    image: int = 0
    layer: str | None = None
    tokens: bool = False
    relu: bool = True
    guided: bool = True
    exact: bool = True
    cam: bool = True
    space: Callable[[Any], Any] = lambda maps: maps

    @property
    def flat(self) -> list[Any]:
        if isinstance(self.inputs, dict):
            return list(self.inputs.values())
        return list(self.inputs) if isinstance(self.inputs, (list, tuple)) else [self.inputs]

    def at(self) -> list[Any]:
        if self.points is not None:
            return self.points(self.inputs)
        return [tf.constant(x, tf.float32) for x in self.flat]

    def logits(self, points: list[Any], relu: Relu = tf.nn.relu) -> Any:
        return tf.cast(self.head(self.features(points, relu), points, relu), tf.float32)


def run(layers: list[Any], x: Any, relu: Relu = tf.nn.relu) -> Any:
    """Layer after layer; ReLU layers by the given function."""
    for layer in layers:
        x = (
            relu(x)
            if isinstance(layer, (L.Activation, L.ReLU))
            else layer(x, training=False)
            if callable(layer)
            else x
        )
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


def functional_logits() -> Kind:
    def build(first: list, last: list, shape: tuple) -> Any:
        inputs = keras.Input(shape)
        return keras.Model(inputs, run_symbolic(first + last, inputs))

    return chain("functional_logits", build, images(12, 12, 3))


def run_symbolic(layers: list[Any], x: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x


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

    return dataclasses.replace(kind, head=both)


def half(policy: str) -> Kind:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        kind = chain(
            policy, lambda f, b, s: keras.Sequential([keras.Input(s), *f, *b]), images(12, 12, 3), exact=False
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

    return chain("dict_of_outputs", build, images(12, 12, 3), score=tfxai.scores.logit(output="cls"))


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


def fixed_batch() -> Kind:
    """An export for one example at a time: the number of rows is written into the model, and a recurrent layer has a state.

    Two rows in one batch would be mixed by what reads its size.
    """

    class OneByOne(L.Layer):
        """(1, T, D) as (T, D) and back."""

        def call(self, x: Any) -> Any:
            return tf.reshape(tf.reshape(x, (x.shape[1], x.shape[2])), (1, x.shape[1], x.shape[2]))

    keras.utils.set_random_seed(1)
    conv, relu_layer, rows, pool = L.Conv1D(6, 3), L.ReLU(), OneByOne(), L.GlobalAveragePooling1D()
    states, dense = L.SimpleRNN(3, stateful=True, activation=None, unroll=True), L.Dense(4)
    inputs = keras.Input(batch_shape=(1, 12, 3))
    mean = pool(rows(relu_layer(conv(inputs))))
    # One step of the recurrent layer, which is linear: every rule must take it for what it is.
    both = L.Concatenate()([mean, states(L.Reshape((1, 6))(mean))])
    model = settle(keras.Model(inputs, dense(both)))
    kernel, recurrent, bias = states.get_weights()[:3]
    before = states.states[0].numpy()

    def head(maps: Any, points: Any, relu: Relu) -> Any:
        mean = pool(maps)
        return dense(tf.concat([mean, mean @ kernel + before @ recurrent + bias], 1))

    return Kind(
        "fixed_batch", model, images(12, 3), lambda points, relu: relu(conv(points[0])), head
    )  # fmt: skip


class StoredPositions(L.Layer):
    """Adds positions as vision transformers of keras-hub do: their numbers are made once, when the layer is built."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table, self.segments = L.Embedding(20, width), L.Embedding(3, width)

    def build(self, shape: Any) -> None:
        self.position_ids = keras.ops.expand_dims(keras.ops.arange(shape[1]), 0)
        self.kinds = self.add_weight(
            shape=(1, shape[1]), dtype="int32", initializer="ones", trainable=False, name="kinds"
        )
        self.table.build((1, shape[1]))
        self.segments.build((1, shape[1]))

    def call(self, x: Any) -> Any:
        return x + self.table(self.position_ids) + self.segments(self.kinds)


def stored_positions() -> Kind:
    """Positions that are looked up are no input that could be explained."""
    keras.utils.set_random_seed(1)
    conv, places, wide = L.Conv1D(6, 3), StoredPositions(6), L.Dense(8)
    active, pool, dense = L.ReLU(), L.GlobalAveragePooling1D(), L.Dense(4)
    model = settle(keras.Sequential([keras.Input((12, 3)), conv, places, wide, active, pool, dense]))
    return Kind(
        "stored_positions", model, images(12, 3),
        lambda points, relu: relu(wide(places(conv(points[0])))),
        lambda maps, points, relu: dense(pool(maps)),
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
        points=lambda inputs: [embed(inputs)],
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


def two_tables() -> Kind:
    """The same ids in two tables, as recommenders and text CNNs have them; explained at both, side by side."""
    keras.utils.set_random_seed(3)
    one, other, conv, dense = (
        L.Embedding(30, 5),
        L.Embedding(30, 5),
        L.Conv1D(6, 3, padding="same"),
        L.Dense(4),
    )
    pool = L.GlobalAveragePooling1D()
    ids = keras.Input((9,), dtype="int32")
    model = settle(keras.Model(ids, dense(pool(L.ReLU()(conv(one(ids) + other(ids)))))))

    def features(points: Any, relu: Relu) -> Any:
        first, second = tf.split(points[0], 2, -1)
        return relu(conv(first + second))

    return Kind(
        "two_tables", model, np.random.default_rng(0).integers(1, 30, (2, 9)), features,
        lambda maps, points, relu: dense(pool(maps)),
        points=lambda inputs: [tf.concat([one(inputs), other(inputs)], -1)],
        tokens=True,
    )  # fmt: skip


class Tied(L.Embedding):
    """A table that is also the matrix of the logits, as language models have it."""

    def call(self, inputs: Any, reverse: bool = False) -> Any:
        if reverse:
            return tf.matmul(inputs, tf.convert_to_tensor(self.embeddings), transpose_b=True)
        return super().call(inputs)

    def compute_output_spec(self, inputs: Any, reverse: bool = False) -> Any:
        last = (*inputs.shape[:-1], self.input_dim) if reverse else (*inputs.shape, self.output_dim)
        return keras.KerasTensor(last, "float32")


def tied_table() -> Kind:
    keras.utils.set_random_seed(5)
    table, conv, pool = Tied(12, 6), L.Conv1D(6, 3, padding="same"), L.GlobalAveragePooling1D()
    ids = keras.Input((9,), dtype="int32")
    model = settle(keras.Model(ids, table(pool(L.ReLU()(conv(table(ids)))), reverse=True)))
    return Kind(
        "tied_table", model, np.random.default_rng(0).integers(1, 12, (2, 9)),
        lambda points, relu: relu(conv(points[0])),
        lambda maps, points, relu: table(pool(maps), reverse=True),
        points=lambda inputs: [table(inputs)],
        tokens=True,
    )  # fmt: skip


class RootMeanSquare(L.Layer):
    """As modern language models normalise; Keras has such a layer since 3.9."""

    def call(self, x: Any) -> Any:
        return x * tf.math.rsqrt(tf.reduce_mean(tf.square(x), -1, keepdims=True) + 1e-6)


def gated() -> Kind:
    """A block of a modern language model on a series: root mean square, a silu gate, a gelu by tanh."""
    keras.utils.set_random_seed(2)
    wide, gate, up, last = L.Dense(6), L.Dense(8), L.Dense(8), L.Dense(4)
    norm, pool = RootMeanSquare(), L.GlobalAveragePooling1D()
    inputs = keras.Input((7, 3))
    x = norm(wide(inputs))
    x = L.Multiply()([L.Activation("silu")(gate(x)), up(x)])
    curved = L.Lambda(lambda t: tf.nn.gelu(t, approximate=True), output_shape=lambda shape: shape)
    model = settle(keras.Model(inputs, last(pool(curved(x)))))

    def features(points: Any, relu: Relu) -> Any:
        x = norm(wide(points[0]))
        return tf.nn.gelu(tf.nn.silu(gate(x)) * up(x), approximate=True)

    def head(maps: Any, points: Any, relu: Relu) -> Any:
        return last(pool(maps))

    return Kind("gated", model, images(7, 3), features, head, relu=False, guided=False)


def whole_numbers() -> Kind:
    """Pixels of 8 bits, with the preprocessing inside of the model."""

    def build(first: list, last: list, shape: tuple) -> Any:
        scaling = L.Rescaling(1 / 255)
        return keras.Sequential([keras.Input(shape, dtype="uint8"), scaling, *first, *last])

    x = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 3)).astype(np.uint8)
    kind = chain("whole_numbers", build, x)
    features = kind.features
    return dataclasses.replace(kind, features=lambda points, relu: features([points[0] / 255.0], relu))


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
    "fixed_batch": fixed_batch,
    "stored_positions": stored_positions,
    "two_tables": two_tables,
    "tied_table": tied_table,
    "gated": gated,
    "whole_numbers": whole_numbers,
    "mixed_float16": functools.partial(half, "mixed_float16"),
    "mixed_bfloat16": functools.partial(half, "mixed_bfloat16"),
}


# Kinds that came later: the quick suite meets each test on one of them in turn, the slow one on all.
IN_TURN = ("fixed_batch", "stored_positions", "two_tables", "tied_table", "gated", "whole_numbers")


@functools.lru_cache(maxsize=3)
def kind(name: str) -> Kind:
    """One of the kinds above. Tests of one kind follow each other (conftest.py), and what was traced for it goes with it."""
    return BUILDERS[name]()
