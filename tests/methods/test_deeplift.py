"""DeepLIFT: completeness through every kind of operation, and the paper's own example."""

import gc

import keras
import numpy as np
import pytest
import tensorflow as tf
from covering import every

import tfxai
from tfxai.engines import twins

L = keras.layers


def complete(model: keras.Model, x: np.ndarray, **more: object) -> None:
    """delta is rounding, compared with what the score changed by."""
    result = tfxai.DeepLIFT(baseline=0.3)(model, x, targets=tfxai.top(2), **more)
    base = tfxai.Gradient()(model, np.full_like(x, 0.3), targets=result.targets, **more).scores
    change = np.abs(result.scores - base)
    assert change.min() > 1e-4
    np.testing.assert_allclose(
        result.values.sum(axis=tuple(range(2, result.values.ndim))), result.scores - base, atol=2e-4
    )
    np.testing.assert_allclose(result.delta, 0, atol=2e-4)


ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu", "elu", "selu", "silu", "gelu", "tanh", "sigmoid"),
    *("softplus", "softsign", "exponential", "hard_sigmoid"),
)


@every(2, activation=ACTIVATIONS)
def test_complete_with_every_activation(activation: str) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((7,)), L.Dense(9, activation), L.Dense(8, activation), L.Dense(3, "softmax")]
    )
    complete(model, np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32))


@pytest.mark.parametrize("pool", [L.MaxPooling2D(2), L.MaxPooling2D(3, strides=1), L.GlobalMaxPooling2D(keepdims=True)],
                         ids=["pool", "overlapping", "global"])  # fmt: skip
def test_complete_with_max_pooling(pool: L.Layer) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((8, 8, 2)), L.Conv2D(6, 3, activation="relu"), pool, L.Flatten(), L.Dense(3)]
    )
    complete(model, np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype(np.float32))


def test_complete_with_norms_gates_attention_and_softmax() -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5, 6))
    y = L.LayerNormalization()(inputs)
    x = L.Add()([inputs, L.MultiHeadAttention(2, 3)(y, y)])
    gate = L.Dense(6, "sigmoid")(x)
    x = L.Multiply()([x, gate])
    model = keras.Model(inputs, L.Dense(3, "softmax")(L.Flatten()(x)))
    x = np.random.default_rng(0).normal(size=(3, 5, 6)).astype(np.float32)
    complete(model, x)
    complete(model, x, score="probability")


def test_the_example_of_the_paper() -> None:
    """y = 1 - relu(1 - (i1 + i2)), section 3.5.1: at (1, 1) from (0, 0) each input gets a half; its gradient is zero."""

    def model(x: tf.Tensor) -> tf.Tensor:
        return 1 - tf.nn.relu(1 - tf.reduce_sum(x, axis=1))

    ones = np.ones((1, 2), np.float32)
    np.testing.assert_allclose(tfxai.DeepLIFT()(model, ones).values, [[0.5, 0.5]], atol=1e-6)
    np.testing.assert_allclose(tfxai.Gradient()(model, ones).values, [[0, 0]])


def test_an_operation_without_a_rule_is_named() -> None:
    def model(x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.nn.relu(tf.maximum(x, x[:, ::-1])), axis=1)

    with pytest.warns(UserWarning, match="no rule for Maximum"):
        tfxai.DeepLIFT()(model, np.ones((1, 3), np.float32))


@every(3, 2, scale=("0.01", "5", "100"))
def test_complete_through_a_softmax_of_any_size(scale: str) -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5, 6))
    y = L.MultiHeadAttention(2, 3)(inputs, inputs)
    model = keras.Model(inputs, L.Dense(1)(L.Flatten()(y)))
    x = np.random.default_rng(0).normal(0, float(scale), (4, 5, 6)).astype(np.float32)
    result = tfxai.DeepLIFT()(model, x, 0)
    change = np.asarray(model(x) - model(0 * x))[:, 0]
    np.testing.assert_allclose(result.values.sum((1, 2)), change, atol=2e-5 * max(np.abs(change).max(), 1))


def test_the_softmax_rule_shares_out_what_two_classes_share() -> None:
    """Of two classes the softmax is a sigmoid of the difference, so that both logits count the same, in opposite ways."""
    x, base = np.array([[3.0, -1.0]], np.float32), np.array([[0.5, 0.2]], np.float32)
    values = tfxai.DeepLIFT(baseline=base)(tf.nn.softmax, x, 0, score="output").values[0]
    slope = (1 / (1 + np.exp(-4.0)) - 1 / (1 + np.exp(-0.3))) / (4.0 - 0.3)
    np.testing.assert_allclose(values, [slope * 2.5, slope * 1.2], rtol=1e-5)


def test_the_logarithm_of_a_softmax_shares_out_the_same() -> None:
    x, base = np.array([[3.0, -1.0]], np.float32), np.array([[0.5, 0.2]], np.float32)
    values = tfxai.DeepLIFT(baseline=base)(tf.nn.log_softmax, x, 0, score="output").values[0]
    slope = (np.log1p(np.exp(-0.3)) - np.log1p(np.exp(-4.0))) / (4.0 - 0.3)
    np.testing.assert_allclose(values, [slope * 2.5, slope * 1.2], rtol=1e-5)


@every(3, 2, scale=("0.01", "5", "100"))
def test_complete_through_a_log_softmax_of_any_size(scale: str) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), L.Dense(50, "relu"), L.Dense(9, "log_softmax")])
    x = np.random.default_rng(0).normal(0, float(scale), (4, 6)).astype(np.float32)
    result = tfxai.DeepLIFT(baseline=0.3)(model, x, 2, score="output")
    change = np.asarray(model(x) - model(0 * x + 0.3))[:, 2]
    np.testing.assert_allclose(result.values.sum(1), change, rtol=1e-4, atol=1e-5)


@every(3, 2, shift=("0", "20", "-300"))
def test_a_sure_class_keeps_its_small_change_whatever_all_logits_share(shift: str) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(0, 0.5, (1, 1000)).astype(np.float32)
    base = x + generator.normal(0, 0.3, x.shape).astype(np.float32)
    x[0, 3], base[0, 3] = 19, 19.4
    base += np.float32(shift)
    values = tfxai.DeepLIFT(baseline=base)(tf.nn.log_softmax, x, 3, score="output").values

    def log_share(z: np.ndarray) -> float:
        return -np.log1p(np.exp(np.delete(z[0].astype(np.float64), 3) - float(z[0, 3])).sum())

    np.testing.assert_allclose(values.sum(dtype=np.float64), log_share(x) - log_share(base), rtol=2e-3)


def test_masks_of_no_class_in_common_leave_numbers() -> None:
    def chances(z: tf.Tensor) -> tf.Tensor:
        lowest = -np.inf
        parts = [tf.where(z[:, :1] > 0, z, lowest)[:, :2], tf.where(z[:, :1] < 0, z, lowest)[:, 2:]]
        return tf.nn.softmax(tf.concat(parts, 1))

    x = np.array([[1.0, 2, 3, 4]], np.float32)
    with pytest.warns(UserWarning, match="do not add up"):
        found = tfxai.DeepLIFT(baseline=-x)(chances, x, 0, score="output")
    assert np.isfinite(found.values).all()


@pytest.mark.parametrize(
    ("function", "x", "base"),
    [
        (tf.sqrt, 1e-5, 9e-5),
        (tf.sqrt, 1e-12, 4e-12),
        (tf.sigmoid, 1e-6, 0.0),
        (tf.tanh, 9.0, 5.0),
        (tf.math.rsqrt, 1e-5, 1.1e-5),
        (tf.math.log, 1.0, 1.0 + 2e-6),
        (tf.exp, 1e-7, 0.0),
        (tf.square, 1e-6, -2e-6),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_small_differences_keep_their_slope(function: object, x: float, base: float) -> None:
    """The slope is that of the line between the two, in double precision, however small both are."""
    given = np.array([[x]], np.float32)
    values = tfxai.DeepLIFT(baseline=base)(lambda t: function(t)[:, 0], given, score="output").values
    one, other = (np.float64(np.float32(v)) for v in (x, base))
    rise = function(tf.constant(one, tf.float64)).numpy() - function(tf.constant(other, tf.float64)).numpy()
    np.testing.assert_allclose(values, [[rise]], rtol=2e-3)


def test_complete_through_a_quotient_of_two_branches() -> None:
    """Vectors of length 1, as of contrastive models, and a ratio with broadcasting."""
    keras.utils.set_random_seed(0)
    one, two, three = L.Dense(4, "tanh"), L.Dense(3), L.Dense(1, "softplus")
    inputs = keras.Input((5,))
    unit = L.Lambda(lambda t: t / tf.norm(t, axis=-1, keepdims=True))(one(inputs))
    ratio = L.Lambda(lambda pair: pair[0] / pair[1])([two(inputs), three(inputs)])
    model = keras.Model(inputs, L.Dense(2)(L.Concatenate()([unit, ratio])))
    complete(model, np.random.default_rng(0).normal(1, 1, size=(3, 5)).astype(np.float32))


def test_a_mask_of_minus_infinity_takes_nothing_away() -> None:
    """As causal attention is often written: what is masked in both passes has no difference."""
    keras.utils.set_random_seed(0)
    query, key, value = L.Dense(4), L.Dense(4), L.Dense(4)
    causal = np.tril(np.ones((5, 5), bool))
    inputs = keras.Input((5, 3))
    scores = L.Dot((2, 2))([query(inputs), key(inputs)])
    weights = L.Softmax()(L.Lambda(lambda s: tf.where(causal, s, -np.inf))(scores))
    model = keras.Model(inputs, L.Dense(2)(L.Flatten()(L.Dot((2, 1))([weights, value(inputs)]))))
    x = np.random.default_rng(0).normal(size=(3, 5, 3)).astype(np.float32)
    complete(model, x)


def test_what_lies_before_a_spectrum_and_behind_it_is_seen() -> None:
    """ReLUs on both sides of complex numbers; a magnitude has no rule, and is named."""
    keras.utils.set_random_seed(0)
    first, last = L.Dense(16, "relu"), L.Dense(3)
    relu = L.Dense(8, "relu", bias_initializer="normal")

    def model(x: tf.Tensor) -> tf.Tensor:
        spectrum = tf.signal.rfft(first(x))
        return last(relu(tf.concat([tf.math.real(spectrum), tf.math.imag(spectrum)], 1)))

    def with_magnitude(x: tf.Tensor) -> tf.Tensor:
        return last(relu(tf.abs(tf.signal.rfft(first(x)))))

    x = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    model(x)
    complete(model, x)
    relu = L.Dense(8, "relu", bias_initializer="normal")
    with_magnitude(x)
    with pytest.warns(UserWarning, match="no rule for ComplexAbs"):
        tfxai.DeepLIFT()(with_magnitude, x, 0)


def test_a_kernel_that_is_made_of_the_input_is_a_factor() -> None:
    """Cross-correlation of two crops by one net, as trackers have it."""
    keras.utils.set_random_seed(0)
    conv = L.Conv2D(2, 3, activation="relu")

    def similarity(inputs: list[tf.Tensor]) -> tf.Tensor:
        image, part = (conv(x) for x in inputs)
        kernel = tf.reshape(part[0], (3, 3, 2, 1))
        return tf.reduce_sum(tf.nn.conv2d(image, kernel, 1, "VALID"), (1, 2))

    x = [np.random.default_rng(i).normal(size=(1, n, n, 2)).astype(np.float32) for i, n in enumerate((8, 5))]
    similarity(x)
    result = tfxai.DeepLIFT(baseline=0.2)(similarity, x, score="output", batch_size=1)
    sums = sum(v.sum() for v in result.values)
    assert abs(sums) > 1e-2
    np.testing.assert_allclose(result.delta, 0, atol=1e-4 * abs(sums))
    relevance = tfxai.LRP(epsilon=1e-9)(
        lambda inputs: similarity([x - 0.0 for x in inputs]), x, score="output", batch_size=1
    )
    np.testing.assert_allclose(sum(v.sum() for v in relevance.values), relevance.scores, rtol=0.2)


def test_a_norm_that_trains_is_named() -> None:
    model = keras.Sequential(
        [
            keras.Input((4, 4, 2)),
            L.Lambda(
                lambda x: (
                    tf.raw_ops.FusedBatchNormV3(
                        x=x, scale=[1.0, 2.0], offset=[0.0, 0.0], mean=[], variance=[], is_training=True
                    ).y
                )
            ),
            L.Flatten(),
            L.Dense(2, "relu"),
        ]
    )
    with pytest.warns(UserWarning, match="no rule for FusedBatchNormV3"):
        tfxai.DeepLIFT()(model, np.random.default_rng(0).normal(size=(2, 4, 4, 2)).astype(np.float32), 0)


def test_traces_go_with_their_model() -> None:
    """What is known of two passes must not keep their graph, and the weights in it."""

    def explained() -> int:
        model = keras.Sequential([keras.Input((3,)), L.Dense(4, "tanh"), L.Dense(2)])
        tfxai.DeepLIFT()(model, np.ones((2, 3), np.float32), 0)
        return len(twins._TWINS)

    gc.collect()
    before = len(twins._TWINS)
    assert explained() == before + 1
    gc.collect()
    assert len(twins._TWINS) <= before
