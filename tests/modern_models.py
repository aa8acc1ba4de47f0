"""Kinds of models with something particular: modern layers, users' own code, files."""

from __future__ import annotations

import dataclasses
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from kinds import Kind, L, Piece, Relu, chain, front, images, pooled, run, run_symbolic, settle


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
        points=lambda ids: [tf.concat([one(ids), other(ids)], -1)],
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
        points=lambda ids: [table(ids)],
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


def maxima() -> Kind:
    """ReLUs written as maxima with zero, as functions of their own have them."""
    keras.utils.set_random_seed(1)
    one, two, pool, dense = (
        L.Conv2D(6, 3, padding="same"),
        L.Conv2D(5, 3, padding="same"),
        pooled(2),
        L.Dense(4),
    )
    first, second = (
        L.Lambda(function, output_shape=lambda shape: shape, name=name)
        for name, function in {
            "first": lambda x: tf.maximum(x, 0.0),
            "second": lambda x: keras.ops.maximum(0.0, x),
        }.items()
    )
    model = settle(keras.Sequential([keras.Input((12, 12, 3)), one, first, two, second, pool, dense]))
    return Kind(
        "maxima", model, images(12, 12, 3),
        lambda points, relu: relu(two(relu(one(points[0])))),
        lambda maps, points, relu: dense(pool(maps)),
    )  # fmt: skip


def masked_tokens() -> Kind:
    """A text model whose second input tells which tokens count, and which is not explained."""
    keras.utils.set_random_seed(1)
    embed, conv, dense = L.Embedding(30, 5), L.Conv1D(6, 3, padding="same"), L.Dense(4)
    active = L.ReLU()
    ids, mask = keras.Input((9,), dtype="int32", name="ids"), keras.Input((9,), dtype="int32", name="mask")

    def there(mask: Any) -> Any:
        return keras.ops.expand_dims(keras.ops.cast(mask, "float32"), -1)

    def mean(maps: Any, mask: Any) -> Any:
        return keras.ops.sum(maps, axis=1) / keras.ops.sum(there(mask), axis=1)

    masked = active(conv(embed(ids))) * there(mask)
    model = settle(keras.Model({"ids": ids, "mask": mask}, dense(mean(masked, mask))))
    arrays = {
        "ids": np.random.default_rng(0).integers(1, 30, (2, 9)),
        "mask": np.array([[1] * 6 + [0] * 3, [1] * 8 + [0]], np.int32),
    }
    return Kind(
        "masked_tokens", model, arrays,
        lambda points, relu: relu(conv(points[0])) * there(points[1]),
        lambda maps, points, relu: dense(mean(maps, points[1])),
        points=lambda ids, mask: [embed(ids), tf.constant(mask)],
        fixed=(1,),
        tokens=True,
    )  # fmt: skip


def eight_bits() -> Kind:
    """Weights and activations of 8 bits: their gradient is one of its own, and what is rounded moves in steps."""
    keras.utils.set_random_seed(1)
    conv, wide, active, pool, dense = (
        L.Conv1D(6, 3),
        L.Dense(8),
        L.ReLU(),
        L.GlobalAveragePooling1D(),
        L.Dense(4),
    )
    model = settle(keras.Sequential([keras.Input((12, 3)), conv, wide, active, pool, dense]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.quantize("int8")
    return Kind(
        "eight_bits", model, images(12, 3),
        lambda points, relu: relu(wide(conv(points[0]))),
        lambda maps, points, relu: dense(pool(maps)),
        unit=2.0**-8,
    )  # fmt: skip


def no_channels() -> Kind:
    """Grey images as rows of numbers: the axis of channels is made inside of the model."""

    def build(first: list, last: list, shape: tuple) -> Any:
        return keras.Sequential([keras.Input(shape), L.Reshape((*shape, 1)), *first, *last])

    kind = chain("no_channels", build, images(12, 14), deep=True)
    features = kind.features
    return dataclasses.replace(
        kind, features=lambda points, relu: features([points[0][..., None]], relu), channels=False
    )


def twins() -> Kind:
    """Two images through the same layers, compared."""
    keras.utils.set_random_seed(1)
    first, last = front(), [L.Dense(8), L.ReLU(), L.Dense(4)]
    pool, one, two = pooled(2), keras.Input((12, 12, 3)), keras.Input((12, 12, 3))
    branch = keras.Sequential([keras.Input((12, 12, 3)), *first, pool])
    both = L.Concatenate()([branch(one), branch(two)])
    model = settle(keras.Model([one, two], run_symbolic(last, both)))
    return Kind(
        "twins", model, [images(12, 12, 3), images(12, 12, 3, seed=4)],
        lambda points, relu: [run(first, point, relu) for point in points],
        lambda maps, points, relu: run(last, tf.concat([pool(each) for each in maps], 1), relu),
        pieces=(Piece(0), Piece(1)),
    )  # fmt: skip


def video() -> Kind:
    """Frames that a net for images looks at one after the other."""
    keras.utils.set_random_seed(1)
    first, last = front(), [L.Dense(8), L.ReLU(), L.Dense(4)]
    pool = pooled(2)
    frame = keras.Sequential([keras.Input((9, 9, 2)), *first, pool])
    layers = [L.TimeDistributed(frame), L.Flatten(), *last]
    model = settle(keras.Sequential([keras.Input((5, 9, 9, 2)), *layers]))
    return Kind(
        "video", model, images(5, 9, 9, 2),
        lambda points, relu: [run(first, points[0][:, t], relu) for t in range(5)],
        lambda maps, points, relu: run(last, tf.concat([pool(each) for each in maps], 1), relu),
        pieces=tuple(Piece(0, t) for t in range(5)),
    )  # fmt: skip


def segmenter() -> Kind:
    """A class for each place, resized to the image: the score is the mean of the logits in a region."""
    import tfxai

    keras.utils.set_random_seed(1)
    first, logits, resize = front(), L.Conv2D(4, 1), L.UpSampling2D(2, interpolation="bilinear")
    inputs = keras.Input((13, 13, 3))
    maps = run_symbolic(first, inputs)
    model = settle(keras.Model(inputs, L.Softmax()(resize(logits(maps)))))
    region = np.zeros((12, 12))
    region[2:9, 3:11] = 1

    def head(maps: Any, points: Any, relu: Relu) -> Any:
        return tf.einsum("nhwc,hw->nc", resize(logits(maps)), tf.constant(region / region.sum(), tf.float32))

    def chances(points: Any) -> Any:
        each = tf.nn.softmax(resize(logits(run(first, points[0]))))
        return tf.einsum("nhwc,hw->nc", each, tf.constant(region / region.sum(), tf.float32))

    return Kind(
        "segmenter", model, images(13, 13, 3), lambda points, relu: run(first, points[0], relu), head,
        scoring=lambda unit: tfxai.scores.region(region, unit=unit),
        chances=chances,
        named=False,
    )  # fmt: skip


def detector() -> Kind:
    """Boxes of two levels in one list: what one box of the fine level says, read where that level is made."""
    keras.utils.set_random_seed(1)
    fine, coarse, finest = front(), front(), L.Conv2D(2 * 4, 1)
    coarsest = L.Conv2D(2 * 4, 1)
    inputs = keras.Input((13, 13, 3))
    one = run_symbolic(fine, inputs)
    two = run_symbolic(coarse, one)
    boxes = [L.Reshape((-1, 4))(finest(one)), L.Reshape((-1, 4))(coarsest(two))]
    model = settle(keras.Model(inputs, L.Concatenate(axis=1)(boxes)))
    place = 2 * (4 * 6 + 3)  # two anchors for each of 6 x 6 places: the first one of row 4, column 3

    def logit(outputs: Any, targets: Any) -> Any:
        return tf.gather(outputs[:, place], targets, axis=1, batch_dims=1)

    def probability(outputs: Any, targets: Any) -> Any:
        return tf.gather(tf.nn.softmax(outputs[:, place]), targets, axis=1, batch_dims=1)

    def head(maps: Any, points: Any, relu: Relu) -> Any:
        return finest(maps)[:, 4, 3, :4]

    return Kind(
        "detector", model, images(13, 13, 3), lambda points, relu: run(fine, points[0], relu), head,
        scoring={"logit": logit, "probability": probability}.get,
        named=False,
    )  # fmt: skip


class WithoutPadding(keras.Model):
    """Texts of several lengths, as ragged tensors inside: padding is cut off and put back."""

    def __init__(self, layers: list[Any]) -> None:
        super().__init__()
        self.parts = layers

    def call(self, ids: Any) -> Any:
        embed, conv, relu, dense = self.parts
        words = tf.RaggedTensor.from_tensor(ids, padding=0)
        maps = relu(conv(embed(words.to_tensor(shape=(None, 9)))))
        return dense(tf.reduce_mean(maps, 1))


def ragged() -> Kind:
    keras.utils.set_random_seed(1)
    layers: list[Any] = [L.Embedding(30, 5), L.Conv1D(6, 3, padding="same"), L.ReLU(), L.Dense(4)]
    ids = np.random.default_rng(0).integers(1, 30, (2, 9)).astype(np.int32)
    ids[0, 6:] = 0
    model = WithoutPadding(layers)
    model(ids)
    settle(model)
    embed, conv, _, dense = layers
    return Kind(
        "ragged", model, ids,
        lambda points, relu: relu(conv(points[0])),
        lambda maps, points, relu: dense(tf.reduce_mean(maps, 1)),
        points=lambda ids: [embed(ids)],
        tokens=True,
    )  # fmt: skip


def time_major() -> Kind:
    """An exported recurrent net that is read both ways: inside, time comes before the examples."""
    import tfxai

    keras.utils.set_random_seed(1)
    conv, active = L.Conv1D(6, 3, padding="same"), L.ReLU()
    forwards, backwards = (
        L.SimpleRNN(3, activation="linear", return_sequences=True, go_backwards=way) for way in (False, True)
    )
    both, pool, dense = (
        L.Bidirectional(forwards, backward_layer=backwards),
        L.GlobalAveragePooling1D(),
        L.Dense(4),
    )
    model = settle(keras.Sequential([keras.Input((12, 3)), conv, active, both, pool, dense]))
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        module = tfxai.hub.load(folder)
    return Kind(
        "time_major", module, images(12, 3),
        lambda points, relu: both(relu(conv(points[0]))),
        lambda maps, points, relu: dense(pool(maps)),
    )  # fmt: skip


def bert() -> Kind:
    """An encoder of words and positions, of which some are padding, that answers by its first token."""
    keras.utils.set_random_seed(1)
    words, places, first = L.Embedding(30, 6), Places(9), L.LayerNormalization()
    mixing, second = L.MultiHeadAttention(2, 3), L.LayerNormalization()
    wide, narrow, last = L.Dense(8, "gelu"), L.Dense(6), L.LayerNormalization()
    pooled, dense, half = L.Dense(6, "tanh"), L.Dense(4), L.Rescaling(0.5)
    inputs = {name: keras.Input((9,), dtype="int32", name=name) for name in ("token_ids", "padding_mask")}

    def encoded(x: Any, mask: Any) -> Any:
        x = first(places(x))
        x = second(x + mixing(x, x, attention_mask=keras.ops.expand_dims(keras.ops.cast(mask, "bool"), 1)))
        return last(x + narrow(wide(x)))

    maps = encoded(words(inputs["token_ids"]), inputs["padding_mask"])
    model = settle(keras.Model(inputs, half(dense(pooled(maps[:, 0])))))
    arrays = {
        "token_ids": np.random.default_rng(0).integers(1, 30, (2, 9)),
        "padding_mask": np.array([[1] * 6 + [0] * 3, [1] * 8 + [0]], np.int32),
    }
    return Kind(
        "bert", model, arrays,
        lambda points, relu: encoded(points[0], points[1]),
        lambda maps, points, relu: half(dense(pooled(maps[:, 0]))),
        points=lambda ids, mask: [words(ids), tf.constant(mask)],
        fixed=(1,), tokens=True, relu=False, guided=False,
    )  # fmt: skip


@keras.saving.register_keras_serializable("tests")
class Places(L.Layer):
    """A vector for each place, added up."""

    def __init__(self, length: int, **more: Any) -> None:
        super().__init__(**more)
        self.length = length

    def build(self, shape: Any) -> None:
        self.table = self.add_weight(
            shape=(self.length, shape[-1]), initializer="random_normal", name="places"
        )

    def call(self, x: Any) -> Any:
        return x + self.table

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "length": self.length}


def gpt() -> Kind:
    """A decoder with causal attention that says the next word with the table that it reads words by."""
    keras.utils.set_random_seed(4)
    words, places = Tied(12, 6), Places(7)
    first, mixing = L.LayerNormalization(), L.MultiHeadAttention(2, 3)
    second, wide, narrow, last = (
        L.LayerNormalization(),
        L.Dense(8, "gelu"),
        L.Dense(6),
        L.LayerNormalization(),
    )
    ids = keras.Input((7,), dtype="int32")

    def decoded(x: Any) -> Any:
        x = places(x)
        y = first(x)
        x = x + mixing(y, y, use_causal_mask=True)
        return last(x + narrow(wide(second(x))))

    model = settle(keras.Model(ids, words(decoded(words(ids))[:, -1], reverse=True)))
    return Kind(
        "gpt", model, np.random.default_rng(2).integers(1, 12, (2, 7)),
        lambda points, relu: decoded(points[0]),
        lambda maps, points, relu: words(maps[:, -1], reverse=True),
        points=lambda ids: [words(ids)],
        tokens=True, relu=False, guided=False,
    )  # fmt: skip


BUILDERS: dict[str, Callable[[], Kind]] = {
    "fixed_batch": fixed_batch,
    "stored_positions": stored_positions,
    "two_tables": two_tables,
    "tied_table": tied_table,
    "gated": gated,
    "whole_numbers": whole_numbers,
    "maxima": maxima,
    "masked_tokens": masked_tokens,
    "eight_bits": eight_bits,
    "no_channels": no_channels,
    "twins": twins,
    "video": video,
    "segmenter": segmenter,
    "detector": detector,
    "ragged": ragged,
    "time_major": time_major,
    "bert": bert,
    "gpt": gpt,
}
