"""Where a map lies is a claim: each cell of a layer stands in the middle of what it sees, whatever the model does to axes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from covering import every
from matplotlib.backends.backend_agg import FigureCanvasAgg

import tfxai
import tfxai.plots

L = keras.layers
ONE = keras.initializers.Constant(1.0)


def conv(filters: int = 1, size: int = 1, **more: Any) -> Any:
    return L.Conv2D(filters, size, kernel_initializer=ONE, **more)


def peaked(shape: Any, dtype: Any = None) -> Any:
    """Most of the weight in the middle of a window."""
    kernel = np.full(shape, 0.1, np.float32)
    kernel[tuple(n // 2 for n in shape[:2])] = 1
    return tf.constant(kernel)


def dense(**more: Any) -> Any:
    return L.Dense(1, kernel_initializer=ONE, **more)


def hot(*places: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    x = np.zeros((1, *shape), np.float32)
    for place in places:
        x[(0, *place)] = 1
    return x


def hottest(values: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(values.argmax(), values.shape))


# A turned, cut, padded, reshaped way: the hottest place is the place that is hot. (The twin: nothing but that.)

WAYS: dict[str, list[Any]] = {
    "turned": [L.Permute((2, 1, 3)), conv(name="read")],
    "cropped": [L.Cropping2D(1), conv(name="read")],
    "cropped_on_one_side": [L.Cropping2D(((2, 0), (0, 3))), conv(name="read")],
    "padded": [L.ZeroPadding2D(((6, 0), (0, 6))), conv(name="read")],
    "flipped": [L.Lambda(lambda x: x[:, ::-1, ::-1]), conv(name="read")],
    "every_second": [L.Lambda(lambda x: x[:, 1::2, ::2]), conv(name="read")],
    "window_after_the_crop": [L.Cropping2D(((0, 2), (3, 0))), L.Conv2D(1, 3, padding="same", kernel_initializer=peaked, name="read")],
    "as_rows_and_back": [L.Reshape((-1, 1)), L.Dense(1, kernel_initializer=ONE), L.Reshape((9, 10, 1)), conv(name="read")],
    "tokens": [L.Reshape((90, 1)), L.Dense(1, kernel_initializer=ONE, name="read"), L.Lambda(lambda x: x[:, :, None])],
    "rolled_axes": [L.Lambda(lambda x: tf.einsum("nhwc->nwhc", x)), conv(name="read")],
    "split_and_joined": [L.Lambda(lambda x: tf.concat(tf.split(x, 3, 1), 1)), conv(name="read")],
    "frames_apart": [L.Lambda(lambda x: tf.stack(tf.unstack(x, axis=2), 1)), conv(name="read")],
    "dilated": [L.Conv2D(1, 3, dilation_rate=2, padding="same", kernel_initializer=peaked, name="read")],
    "depth_and_back": [L.Lambda(lambda x: tf.nn.space_to_depth(x[:, 1:], 2)), L.Lambda(lambda x: tf.nn.depth_to_space(x, 2)),
                       conv(name="read")],
    "gathered": [L.Lambda(lambda x: tf.gather(x, [7, 5, 3, 1], axis=1)), conv(name="read")],
}  # fmt: skip


# What no rule knows: it is measured.


def with_function(function: Callable[[Any], Any]) -> list[Any]:
    return [L.Lambda(function), conv(name="read")]


SHIFTED = [[1.0, 0, 2, 0, 1, -1, 0, 0]]  # each place shows what lies two columns to the right, one row up
UNKNOWN_WAYS: dict[str, list[Any]] = {
    "quarter_turn": with_function(tf.image.rot90),
    "half_turn": with_function(lambda x: tf.image.rot90(x, 2)),
    "picked_backwards": with_function(lambda x: keras.ops.take(x, [8, 7, 6, 5, 4, 3, 2, 1, 0], axis=1)),
    "condition": with_function(lambda x: tf.cond(tf.size(x) > 3, lambda: tf.transpose(x, (0, 2, 1, 3)), lambda: tf.transpose(x * 2, (0, 2, 1, 3)))),
    "each_by_itself": with_function(lambda x: tf.vectorized_map(lambda one: tf.reverse(tf.transpose(one, (1, 0, 2)), [0]), x)),
    "spectrum_and_back": with_function(
        lambda x: tf.math.real(tf.signal.ifft2d(tf.signal.fft2d(tf.cast(tf.transpose(x[..., 0], (0, 2, 1)), tf.complex64))))[..., None]
    ),
    "moved_by_a_matrix": with_function(
        lambda x: tf.raw_ops.ImageProjectiveTransformV3(
            images=x, transforms=SHIFTED, output_shape=[9, 10], fill_value=0.0, interpolation="NEAREST", fill_mode="CONSTANT"
        )
    ),
    "enlarged_part": with_function(lambda x: tf.image.crop_and_resize(x, tf.tile([[0.25, 0.0, 1.0, 0.75]], (tf.shape(x)[0], 1)), tf.range(tf.shape(x)[0]), (9, 10))),
    "written_into_zeros": with_function(
        lambda x: tf.transpose(tf.tensor_scatter_nd_update(tf.zeros_like(tf.transpose(x, (1, 0, 2, 3))), [[8 - i] for i in range(9)], tf.transpose(x, (1, 0, 2, 3))), (1, 0, 2, 3))
    ),
    "patches": with_function(lambda x: tf.image.extract_patches(x, [1, 3, 1, 1], [1, 3, 1, 1], [1, 1, 1, 1], "VALID")),
    "step_by_step": with_function(lambda x: tf.transpose(tf.scan(lambda before, column: column, tf.transpose(x, (2, 0, 1, 3))), (1, 0, 2, 3))),
}  # fmt: skip


@every(3, name=UNKNOWN_WAYS)
def test_the_hottest_place_is_hot_behind_what_no_rule_knows(name: str) -> None:
    model = keras.Sequential(
        [keras.Input((9, 10, 1)), *UNKNOWN_WAYS[name], L.GlobalAveragePooling2D(), dense()]
    )
    x = hot((5, 4, 0), shape=(9, 10, 1))
    for layer in ("read", None):
        values = tfxai.GradCAM(layer=layer)(model, x, 0).values
        # A patch is one cell, and the hottest place its middle.
        assert hottest(values[0, ..., 0]) == ((4, 4) if name == "patches" else (5, 4))
        assert values.max() > 0


@every(3, way=("cut_at_the_end", "turned", "shrunk"))
def test_maps_of_sizes_that_are_open_lie_as_those_of_known_ones(way: str) -> None:
    """Also from the third size on, when axes are traced open; and where an operation tells no size."""
    ways: dict[str, Any] = {
        "cut_at_the_end": L.Cropping2D(((0, 8), (0, 12))),
        "turned": L.Lambda(tf.image.rot90),
        "shrunk": L.Lambda(lambda x: tf.raw_ops.ImageProjectiveTransformV3(
            images=x, transforms=[[2.0, 0, 0, 0, 2, 0, 0, 0]], output_shape=tf.shape(x)[1:3], fill_value=0.0,
            interpolation="BILINEAR", fill_mode="CONSTANT")),
    }  # fmt: skip
    layers = [ways[way], conv(2, 3, padding="same", activation="relu"), L.GlobalAveragePooling2D(), dense()]
    model = keras.Sequential([keras.Input((None, None, 1)), *layers])
    for size in ((36, 48), (32, 40), (28, 44), (40, 36), (36, 48)):
        x = np.zeros((1, *size, 1), np.float32)
        x[:, 13:16, 15:18] = 1
        values = tfxai.GradCAM()(model, x, 0).values[0, ..., 0]
        weights = values / values.sum()
        middle = [(weights.sum(1 - axis) * np.arange(size[axis])).sum() for axis in (0, 1)]
        np.testing.assert_allclose(middle, (14, 16), atol=1.0)


def test_calls_of_one_layer_on_one_input_have_one_map() -> None:
    """Similar and dissimilar to the same image: for the net difference, which is positive nowhere, there is no evidence."""
    inputs = keras.Input((4, 4, 1))
    pool, shared = L.GlobalAveragePooling2D(), conv(name="shared")
    model = keras.Model(inputs, dense()(pool(shared(inputs)) - 2 * pool(shared(inputs))))
    np.testing.assert_array_equal(tfxai.GradCAM()(model, np.ones((1, 4, 4, 1)), 0).values, 0)


@pytest.mark.parametrize("function", [lambda x: tf.roll(x, 3, 1), lambda x: tf.sort(x, axis=1)])
def test_cells_that_lie_in_no_order_have_no_place(function: Callable[[Any], Any]) -> None:
    model = keras.Sequential(
        [keras.Input((9, 10, 1)), *with_function(function), L.GlobalAveragePooling2D(), dense()]
    )
    with pytest.raises(ValueError, match="no spatial maps that line up"):
        tfxai.GradCAM(layer="read")(model, hot((5, 4, 0), shape=(9, 10, 1)), 0)


def test_where_nothing_can_be_measured_a_guess_is_said_to_be_one() -> None:
    def flipped(x: np.ndarray) -> np.ndarray:
        return x[:, ::-1].copy()

    def function(x: Any) -> Any:
        y = tf.numpy_function(flipped, [x], tf.float32)
        y.set_shape((None, 9, 10, 1))
        return y

    model = keras.Sequential(
        [keras.Input((9, 10, 1)), *with_function(function), L.GlobalAveragePooling2D(), dense()]
    )
    x = hot((5, 4, 0), shape=(9, 10, 1))
    for method in (tfxai.GradCAM(), tfxai.AblationCAM()):
        with pytest.warns(UserWarning, match="layer read lies an operation of which it is not known"):
            method(model, x, 0)


def test_measuring_leaves_the_model_and_its_random_state_alone() -> None:
    layers = [
        conv(name="first"),
        L.Dropout(0.5),
        *with_function(tf.image.rot90),
        L.BatchNormalization(name="norm"),
    ]
    model = keras.Sequential([keras.Input((9, 10, 1)), *layers, L.GlobalAveragePooling2D(), dense()])
    held = [np.array(variable) for variable in model.variables]
    tf.random.set_seed(1)
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    x = np.random.default_rng(0).uniform(size=(2, 9, 10, 1)).astype(np.float32)
    assert tfxai.layers(model, x).chosen == "norm"
    tfxai.GradCAM()(model, x, 0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    assert all(np.array_equal(a, b) for a, b in zip(held, model.variables, strict=True))


@every(2, name=WAYS)
def test_the_hottest_place_is_hot(name: str) -> None:
    check_hottest(name, "read")


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
def test_the_hottest_place_of_the_default_layer_is_hot(name: str) -> None:
    check_hottest(name, None)


def check_hottest(name: str, layer: str | None) -> None:
    place = (5, 4)
    model = keras.Sequential([keras.Input((9, 10, 1)), *WAYS[name], L.GlobalAveragePooling2D(), dense()])
    values = tfxai.GradCAM(layer=layer)(model, hot((*place, 0), shape=(9, 10, 1)), 0).values
    assert hottest(values[0, ..., 0]) == place
    assert values.max() > 0


def test_what_is_cut_off_gets_nothing() -> None:
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), L.Cropping2D(((0, 0), (0, 5))), conv(), L.GlobalAveragePooling2D(), dense()]
    )
    values = tfxai.GradCAM()(model, np.ones((1, 8, 8, 1)), 0).values[0, ..., 0]
    np.testing.assert_allclose(values[:, :3], 1 / 24, rtol=1e-6)
    np.testing.assert_array_equal(values[:, 3:], 0)


def test_a_layer_whose_axes_do_not_line_up_says_why() -> None:
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), conv(), L.Reshape((8, 8), name="rows"), L.LSTM(4), dense()]
    )
    with pytest.raises(ValueError, match=r"'rows' puts out .* no spatial maps that line up"):
        tfxai.GradCAM(layer="rows")(model, np.ones((1, 8, 8, 1)), 0)


def test_time_first_is_no_map() -> None:
    """As recurrent layers keep it inside: N = T must not make it one."""
    first = L.Lambda(lambda x: tf.transpose(x, (1, 0, 2)), name="first")
    back = L.Lambda(lambda x: tf.transpose(tf.tanh(x), (1, 0, 2)), name="back")
    model = keras.Sequential([keras.Input((3, 2)), first, back, L.Flatten(), dense()])
    x = np.random.default_rng(0).normal(size=(3, 3, 2)).astype(np.float32)
    assert tfxai.layers(model).chosen == "back"
    with pytest.raises(ValueError, match="first axis does not count the examples"):
        tfxai.GradCAM(layer="first")(model, x, 0)


# Truth: the middle of what a cell sees, by a gradient of the cell

NETS: dict[str, Callable[[], list[Any]]] = {
    "valid": lambda: [conv(size=5), conv(size=3, strides=2), conv(size=3)],
    "same": lambda: [conv(size=3, strides=2, padding="same"), conv(size=5, padding="same"), L.MaxPooling2D(3, 2, "same")],
    "padded": lambda: [L.ZeroPadding2D(3), conv(size=7, strides=2), L.ZeroPadding2D(1), L.AveragePooling2D(3, 2)],
    "upwards": lambda: [conv(size=3), L.Conv2DTranspose(1, 3, strides=2, kernel_initializer=ONE), L.UpSampling2D(2), conv(size=3)],
    "upwards_same": lambda: [conv(size=3, strides=2), L.Conv2DTranspose(1, 4, 2, "same", kernel_initializer=ONE)],
    "resized": lambda: [conv(size=3), L.Resizing(40, 30), conv(size=3)],
    "dilated": lambda: [conv(size=3, dilation_rate=3), conv(size=3, padding="same", dilation_rate=2)],
    "depthwise": lambda: [L.DepthwiseConv2D(5, 2, depthwise_initializer=ONE), L.Cropping2D(((1, 2), (2, 1)))],
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_a_cell_stands_in_the_middle_of_what_it_sees(name: str) -> None:
    from tfxai.model.alignment import Alignment, layout_of_input

    model = keras.Sequential([keras.Input((33, 26, 1)), *NETS[name]()])
    found: list[Any] = []

    @tf.function
    def trace(x: tf.Tensor) -> tf.Tensor:
        y = model(x)
        found.append(Alignment(x.graph, [(x, layout_of_input([None, 33, 26, 1]))]).of(y))
        return y

    # Rising numbers: where a window takes the largest, all that it sees still counts in turn.
    x = tf.random.stateless_uniform((64, 33, 26, 1), (0, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = trace(x)
        k, m = y.shape[1] // 2, y.shape[2] // 2
        total = tf.reduce_sum(y[:, k, m])
    seen = np.abs(tape.gradient(total, x).numpy()).max((0, 3)) > 0
    for axis, cell in ((0, k), (1, m)):
        along = found[0].dims[axis + 1].along
        inside = np.nonzero(seen.any(1 - axis))[0]
        middle = (inside[0] + inside[-1]) / 2
        # Between cells of an enlarged map a cell sees whole ones of the smaller map.
        slack = 0.0 if name in ("valid", "same", "padded", "dilated", "depthwise") else 1.0
        assert along.axis == axis + 1
        assert abs(along.start + along.step * cell - middle) <= slack


# Several calls of a layer


@pytest.mark.parametrize(
    ("method", "wanted"),
    [
        (tfxai.GradCAM(), (1, 2)),
        (tfxai.LayerCAM(), (1, 2)),
        (tfxai.AblationCAM(), (16, 32)),
        (tfxai.EigenCAM(), (16, 16)),
    ],
)
def test_each_twin_has_its_map(method: Any, wanted: tuple[float, float]) -> None:
    one, two = keras.Input((4, 4, 1)), keras.Input((4, 4, 1))
    pool, shared = L.GlobalAveragePooling2D(), conv()
    model = keras.Model([one, two], dense()(pool(shared(one)) + 2 * pool(shared(two))))
    x = np.ones((1, 4, 4, 1))
    first, second = method(model, [x, x], 0).values
    assert first.max() * 16 == pytest.approx(wanted[0])
    assert second.max() * 16 == pytest.approx(wanted[1])


def test_twins_are_told_apart_by_score_cam() -> None:
    one, two = keras.Input((4, 4, 1)), keras.Input((4, 4, 1))
    pool, shared = L.GlobalAveragePooling2D(), conv()
    model = keras.Model([one, two], dense()(pool(shared(one)) + 2 * pool(shared(two))))
    x = [hot((1, 2, 0), shape=(4, 4, 1)), hot((3, 0, 0), shape=(4, 4, 1))]
    first, second = tfxai.ScoreCAM()(model, x, 0, score="output").values
    assert hottest(first[0, ..., 0]) == (1, 2)
    assert hottest(second[0, ..., 0]) == (3, 0)


def test_each_frame_of_a_video_has_its_map() -> None:
    frame = keras.Sequential([keras.Input((6, 6, 1)), conv(name="conv"), L.GlobalAveragePooling2D()])
    last = L.Dense(1, kernel_initializer=lambda shape, dtype=None: tf.constant([[1.0], [2.0], [3.0]]))
    model = keras.Sequential([keras.Input((3, 6, 6, 1)), L.TimeDistributed(frame), L.Flatten(), last])
    places = [(0, 1, 2), (1, 3, 3), (2, 5, 0)]
    x = hot(*[(*place, 0) for place in places], shape=(3, 6, 6, 1))
    values = tfxai.GradCAM()(model, x, 0).values
    assert values.shape == (1, 3, 6, 6, 1)
    for t, place in enumerate(places):
        assert values[(0, *place, 0)] * 36 == pytest.approx(t + 1)
    assert np.count_nonzero(values) == 3


def test_a_layer_for_all_frames_at_once() -> None:
    layers = [L.TimeDistributed(conv(), name="each"), L.GlobalAveragePooling3D(), dense()]
    model = keras.Sequential([keras.Input((3, 6, 6, 1)), *layers])
    values = tfxai.GradCAM(layer="each")(model, hot((2, 1, 4, 0), shape=(3, 6, 6, 1)), 0).values
    assert hottest(values[0, ..., 0]) == (2, 1, 4)


def test_a_relu_that_is_used_everywhere_is_read_where_it_ran_last() -> None:
    relu = L.ReLU(name="relu")
    inputs = keras.Input((8, 8, 1))
    x = relu(conv(size=3, padding="same")(inputs))
    x = relu(conv(size=3, strides=2, padding="same", name="last")(x))
    model = keras.Model(inputs, dense()(L.GlobalAveragePooling2D()(x)))
    x = np.random.default_rng(0).uniform(size=(1, 8, 8, 1)).astype(np.float32)
    np.testing.assert_allclose(
        tfxai.GradCAM(layer="relu")(model, x, 0).values, tfxai.GradCAM(layer="last")(model, x, 0).values
    )


# Detectors and other dense outputs


def pyramid(shared: bool) -> Any:
    inputs = keras.Input((16, 16, 1))
    fine = conv(size=1, name="fine")(inputs)
    coarse = conv(size=4, strides=4, name="coarse")(fine)
    head = conv(3, name="head")
    heads = (
        [head(fine), head(coarse)]
        if shared
        else [conv(3, name="fine_head")(fine), conv(3, name="coarse_head")(coarse)]
    )
    boxes = [
        L.Reshape((-1, 1))(conv(9, name=f"boxes_{i}")(L.ReLU(name=f"relu_{i}")(each)))
        for i, each in enumerate(heads)
    ]
    return keras.Model(inputs, L.Concatenate(axis=1)(boxes))


@pytest.mark.parametrize("shared", [True, False])
def test_the_map_comes_from_the_level_of_the_score(shared: bool) -> None:
    """144 = 4 x 4 x 9 boxes of the coarse level are no grid of 12 x 12; the score of one is read at its own level."""
    model, x = pyramid(shared), np.ones((1, 16, 16, 1), np.float32)
    coarse = tfxai.GradCAM()(model, x, score=lambda y, t: y[:, 2304 + 5, 0])
    named = tfxai.GradCAM(layer="relu_1")(model, x, score=lambda y, t: y[:, 2304 + 5, 0])
    np.testing.assert_allclose(coarse.values, named.values)
    assert coarse.values.max() > 0
    fine = tfxai.GradCAM()(model, x, score=lambda y, t: y[:, 7, 0])
    np.testing.assert_allclose(
        fine.values, tfxai.GradCAM(layer="relu_0")(model, x, score=lambda y, t: y[:, 7, 0]).values
    )


def test_the_answer_itself_is_not_its_reason() -> None:
    """Of a dense output neither the softmax, nor the logits, nor what is only resized to them, is read by default."""
    layers = [
        conv(3, 3, padding="same", activation="relu", name="last"),
        conv(4, name="logits"),
        L.UpSampling2D(2),
        L.Softmax(),
    ]
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    mask = np.zeros((16, 16))
    mask[4:8, 4:8] = 1
    assert tfxai.layers(model).chosen == "last"
    x = np.random.default_rng(0).uniform(size=(1, 8, 8, 1)).astype(np.float32)
    score = tfxai.scores.region(mask, channel=2)
    np.testing.assert_array_equal(
        tfxai.GradCAM()(model, x, score=score).values,
        tfxai.GradCAM(layer="last")(model, x, score=score).values,
    )


def test_a_language_model_is_read_before_its_logits() -> None:
    ids = keras.Input((5,), dtype="int32")
    hidden = L.Dense(8, "relu", name="hidden")(L.Embedding(11, 8)(ids))
    model = keras.Model(ids, L.Dense(11, name="logits")(hidden))
    assert tfxai.layers(model).chosen == "hidden"


# Inputs of other kinds


@pytest.mark.parametrize("shape", [(4, 6), (24,)])
def test_images_without_an_axis_for_channels(shape: tuple[int, ...]) -> None:
    layers = [L.Rescaling(1.0), L.Reshape((4, 6, 1)), conv(), L.GlobalAveragePooling2D(), dense()]
    model = keras.Sequential([keras.Input(shape), *layers])
    x = np.zeros((1, 4, 6), np.float32)
    x[0, 1, 4] = 24
    for method in (tfxai.GradCAM(), tfxai.LayerCAM(), tfxai.HiResCAM(), tfxai.AblationCAM()):
        values = method(model, x.reshape(1, *shape), 0).values
        np.testing.assert_allclose(values, x.reshape(1, *shape) * values.max() / 24, atol=1e-6)
        assert values.max() > 0
    values = tfxai.GradCAM()(model, x.reshape(1, *shape), 0).values
    assert values.max() == pytest.approx(1)


@pytest.mark.parametrize("dtype", ["uint8", "bool"])
def test_maps_of_pixels_that_are_whole_numbers(dtype: str) -> None:
    scale = 1 / 255 if dtype == "uint8" else 1.0
    layers = [
        L.Lambda(lambda x: tf.cast(x, tf.float32) * scale),
        conv(name="conv"),
        L.GlobalAveragePooling2D(),
        dense(),
    ]
    model = keras.Sequential([keras.Input((4, 4, 1), dtype=dtype), *layers])
    x = np.full((1, 4, 4, 1), 255 if dtype == "uint8" else True, dtype)
    np.testing.assert_allclose(tfxai.GradCAM(layer="conv")(model, x, 0).values, 1 / 16, rtol=1e-5)


def test_layers_that_put_out_several_tensors_can_be_silenced() -> None:
    inputs = keras.Input((5, 2))
    sequence, *_ = L.LSTM(4, return_sequences=True, return_state=True, name="lstm")(inputs)
    model = keras.Model(inputs, dense()(L.Flatten()(sequence)))
    x = np.random.default_rng(0).normal(size=(1, 5, 2)).astype(np.float32)
    silenced = keras.Model(inputs, sequence)(x).numpy()[0]
    weights = model.layers[-1].get_weights()[0].reshape(5, 4)
    falls = (silenced * weights).sum(0)  # the score is linear in the layer
    wanted = np.maximum((silenced * falls).sum(-1), 0)
    found = tfxai.AblationCAM(layer="lstm")(model, x, 0).values[0, :, 0]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_recurrent_layer_in_one_kernel_keeps_its_time(backwards: bool, masked: bool) -> None:
    """As Keras lays out LSTM and GRU for a GPU; the graph is made here, and needs none."""
    from tfxai.model.alignment import Alignment, layout_of_input

    @tf.function
    def layer(x: Any) -> Any:
        rows = tf.shape(x)[0]
        lengths = tf.fill([rows], 7)
        if masked:
            lengths = tf.reduce_sum(tf.cast(x[..., 0] != 0, tf.int32), 1)
        if backwards:
            x = tf.reverse_sequence(x, lengths, seq_axis=1, batch_axis=0)
        state = tf.zeros([rows, 1, 3])
        steps, last, *_ = tf.raw_ops.CudnnRNNV3(
            input=x, input_h=state, input_c=state, params=tf.zeros([100]), sequence_lengths=lengths,
            is_training=True, rnn_mode="lstm", time_major=False,
        )  # fmt: skip
        if backwards:
            steps = tf.reverse_sequence(steps, lengths, seq_axis=1, batch_axis=0)
            once = tf.reverse_sequence(steps, lengths, seq_axis=1, batch_axis=0)
            return steps, last, once
        return steps, last, steps

    graph: Any = layer.get_concrete_function(tf.TensorSpec((None, 7, 2))).graph
    known = Alignment(graph, [(graph.inputs[0], layout_of_input([None, 7, 2]))])
    steps, last, once = (known.of(tensor) for tensor in graph.outputs)
    assert steps is not None and steps.dims is not None and last is not None and last.dims is not None
    batch, time, features = steps.dims
    assert batch.is_batch and time.along is not None and not features.places
    assert (time.along.axis, time.along.start, time.along.step) == (1, 0, 1)
    assert last.dims[0].is_batch and not any(dim.places for dim in last.dims[1:])
    if backwards and masked:  # rows of different lengths, turned around: no place that all rows share
        assert once is not None and once.dims is not None and not once.dims[1].places


def test_cells_that_see_all_before_them_lie_where_they_end() -> None:
    """An operation without a rule: half of the way back, the middle of what it sees, is not its place."""
    mixing = (np.eye(9) + 0.5 * np.tril(np.ones((9, 9)), -1)).astype(np.float32)
    for order, wanted in ((mixing, np.arange(9)), (mixing.T.copy(), np.arange(9))):
        solve = L.Lambda(
            lambda x, order=order: tf.linalg.triangular_solve(
                tf.broadcast_to(order, [tf.shape(x)[0], 9, 9]), x, lower=bool(order[1, 0])
            ),
            name="solve",
        )
        model = keras.Sequential([keras.Input((9, 2)), solve, L.Flatten(), dense()])
        x = np.random.default_rng(0).normal(size=(1, 9, 2)).astype(np.float32)
        answer = tfxai.HiResCAM(layer="solve")(model, x, 0)
        weights = model.layers[-1].get_weights()[0].reshape(9, 2)
        cells = np.linalg.solve(order, x[0])
        np.testing.assert_allclose(
            answer.values[0, :, 0], np.maximum((cells * weights).sum(-1), 0)[wanted], atol=1e-5
        )


RECURRENT = [
    L.LSTM,
    pytest.param(L.GRU, marks=pytest.mark.slow),
    pytest.param(L.SimpleRNN, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("layer", RECURRENT)
def test_sequences_of_recurrent_layers_keep_their_time(layer: Any) -> None:
    """Read one way, or both."""
    for backwards in (False, True):
        check_steps(layer, backwards)


def check_steps(layer: Any, backwards: bool) -> None:
    recurrent = layer(3, return_sequences=True, name="steps")
    steps = L.Bidirectional(recurrent, name="steps") if backwards else recurrent
    model = keras.Sequential([keras.Input((7, 2)), steps, L.Flatten(), dense()])
    assert tfxai.layers(model).chosen == "steps"


def test_ragged_tensors_are_passed_over() -> None:
    class Ragged(L.Layer):
        def call(self, x: Any) -> Any:
            return tf.RaggedTensor.from_tensor(x)

    class Dense(L.Layer):
        def call(self, x: Any) -> Any:
            return x.to_tensor(shape=(None, 5, 3))

    inputs = keras.Input((5, 3))

    class Model(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.ragged, self.dense = L.Conv1D(2, 1, name="conv"), Ragged(), Dense()
            self.last = dense()

        def call(self, x: Any) -> Any:
            y = self.conv(self.dense(self.ragged(x)))
            return self.last(tf.reduce_mean(y, 1))

    model = Model()
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    model(x)
    assert inputs.shape == (None, 5, 3)
    assert tfxai.layers(model, x).chosen == "conv"
    assert tfxai.GradCAM()(model, x, 0).values.shape == (2, 5, 1)


PLACES = [
    tfxai.Occlusion(window=1),
    tfxai.KernelSHAP(background=0.0),
    tfxai.RISE(samples=400, cells=4),
    tfxai.LIME(samples=200, hide=0.0),
]


@pytest.mark.parametrize("method", PLACES, ids=lambda method: type(method).__name__)
def test_hidden_parts_of_images_without_an_axis_for_channels(method: Any) -> None:
    check_hidden(method, (4, 6))


@pytest.mark.slow
@pytest.mark.parametrize("method", PLACES, ids=lambda method: type(method).__name__)
def test_hidden_parts_of_rows_of_pixels(method: Any) -> None:
    check_hidden(method, (24,))


def check_hidden(method: Any, shape: tuple[int, ...]) -> None:
    layers = [L.Rescaling(1.0), L.Reshape((4, 6, 1)), conv(), L.GlobalAveragePooling2D(), dense()]
    model = keras.Sequential([keras.Input(shape), *layers])
    x = np.full((1, 4, 6), 1, np.float32)
    x[0, 1, 4] = 24
    more = {"segmenter": "grid", "segments": 24} if isinstance(method, (tfxai.KernelSHAP, tfxai.LIME)) else {}
    values = type(method)(**{**vars(method), **more})(model, x.reshape(1, *shape), 0, score="output").values
    assert values.shape == (1, *shape)
    place = np.unravel_index(values.argmax(), (4, 6))
    assert max(abs(place[0] - 1), abs(place[1] - 4)) <= (1 if isinstance(method, tfxai.RISE) else 0)
    if isinstance(method, (tfxai.Occlusion, tfxai.KernelSHAP)):
        np.testing.assert_allclose(values.reshape(4, 6), x[0] / 24, rtol=1e-3)


def test_axes_that_the_user_tells() -> None:
    """A matrix that reads a row of pixels knows nothing of their places: the user does."""
    kernel = np.arange(24, dtype=np.float32)[:, None]
    model = keras.Sequential([keras.Input((24,)), L.Dense(1, use_bias=False)])
    model.layers[0].set_weights([kernel])
    x = np.ones((2, 24), np.float32)
    found = tfxai.Occlusion(window=2, stride=2)(model, tfxai.Axes(x, (4, 6, 1)), 0)
    blocks = kernel.reshape(2, 2, 3, 2).sum((1, 3))
    wanted = np.repeat(np.repeat(blocks, 2, 0), 2, 1).reshape(-1)
    np.testing.assert_allclose(found.values[0] / found.values[0].max(), wanted / wanted.max(), rtol=1e-5)
    assert found.values.shape == found.inputs.shape == (2, 24)
    np.testing.assert_allclose(
        tfxai.Gradient()(model, {"x": tfxai.Axes(x, (2, 12))}["x"], 0).values[0], kernel[:, 0]
    )
    colours = tfxai.Occlusion(window=1)(model, tfxai.Axes(x, (2, 4, 3)), 0)
    # Of a place with three colours each has a third.
    np.testing.assert_allclose(colours.values[0].reshape(8, 3).sum(1), kernel.reshape(8, 3).sum(1), rtol=1e-5)
    np.testing.assert_allclose(colours.heatmap()[0].reshape(-1), kernel.reshape(8, 3).sum(1), rtol=1e-5)
    with pytest.raises(ValueError, match="as many numbers"):
        tfxai.Axes(x, (5, 5))


@pytest.mark.parametrize("told", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_results_know_the_axes(tmp_path: Path, told: bool) -> None:
    """Pictures and metrics of images without an axis for channels are those of the same images with one."""
    keras.utils.set_random_seed(0)
    layers = [L.Conv2D(3, 3, activation="relu"), L.GlobalAveragePooling2D(), L.Dense(2)]
    square = keras.Sequential([keras.Input((12, 10, 1)), *layers])
    x = np.random.default_rng(0).uniform(size=(2, 12, 10)).astype(np.float32)
    # A model of which the axes cannot be told, for rows; one that says them, for matrices.
    flat = (lambda rows: square(tf.reshape(rows[:, ::-1], (-1, 12, 10, 1)))) if told else keras.Sequential(
        [keras.Input((12, 10)), L.Reshape((12, 10, 1)), *layers]
    )  # fmt: skip
    given: Any = tfxai.Axes(x.reshape(2, 120)[:, ::-1], (12, 10, 1)) if told else x
    same = x.reshape(2, 120)[:, ::-1].reshape(2, 12, 10, 1) if told else x[..., None]
    twin = (
        (lambda images: square(tf.reshape(tf.reshape(images, (-1, 120))[:, ::-1], (-1, 12, 10, 1))))
        if told
        else square
    )
    method = tfxai.IntegratedGradients(steps=3)
    found, wanted = method(flat, given, 1), method(twin, same, 1)
    assert found.inputs.shape == ((2, 120) if told else (2, 12, 10)) == found.values.shape
    again = tfxai.Explanation.load(found.save(tmp_path / "found.npz"))[1:]
    np.testing.assert_allclose(again.heatmap(), wanted.heatmap()[1:], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(*map(drawn, (found, wanted)))
    for metric in (tfxai.metrics.deletion, tfxai.metrics.faithfulness_correlation):
        values = [metric(model, each).values for model, each in ((flat, found), (twin, wanted))]
        np.testing.assert_allclose(*values, rtol=1e-3, atol=1e-4)
    moves = [
        tfxai.metrics.max_sensitivity(method, m, i, 1, samples=2).values
        for m, i in ((flat, given), (twin, same))
    ]
    np.testing.assert_allclose(*moves, rtol=0.5)


def drawn(explanation: tfxai.Explanation) -> np.ndarray:
    canvas = FigureCanvasAgg(tfxai.plots.show(explanation))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def test_methods_for_images_take_rows_that_are_images() -> None:
    keras.utils.set_random_seed(0)
    layers = [
        L.Reshape((16, 16, 1)),
        L.Conv2D(3, 3, activation="relu"),
        L.GlobalAveragePooling2D(),
        L.Dense(2),
    ]
    flat, square = (
        keras.Sequential([keras.Input((256,)), *layers]),
        keras.Sequential([keras.Input((16, 16, 1)), *layers[1:]]),
    )
    x = np.random.default_rng(0).uniform(size=(2, 256)).astype(np.float32)
    for method in (
        tfxai.BlurIG(steps=4),
        tfxai.XRAI(steps=2),
        tfxai.IntegratedGradients(steps=3, baseline=x[0]),
    ):
        if isinstance(method, tfxai.IntegratedGradients):
            twin = tfxai.IntegratedGradients(steps=3, baseline=x[0].reshape(16, 16, 1))
        else:
            twin = method
        wanted = twin(square, x.reshape(2, 16, 16, 1), 0).values.reshape(2, 256)
        np.testing.assert_allclose(method(flat, x, 0).values, wanted, rtol=1e-4, atol=1e-6)


def test_a_cut_that_the_data_decide_has_no_place() -> None:
    class Moving(L.Layer):
        def call(self, x: Any) -> Any:
            start = tf.cast(tf.reduce_max(x) > 5, tf.int32)
            return x[:, start : start + 4]

    model = keras.Sequential(
        [keras.Input((8, 8, 1)), Moving(name="moving"), L.Lambda(lambda x: tf.reduce_mean(x, (1, 2)))]
    )
    with pytest.raises(ValueError, match="no spatial maps that line up"):
        tfxai.GradCAM(layer="moving")(model, np.ones((1, 8, 8, 1)), 0)


def test_a_slice_is_a_cut() -> None:
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            L.Lambda(lambda x: tf.slice(x, (0, 3, 2, 0), (-1, 4, 4, 1))),
            conv(),
            L.GlobalAveragePooling2D(),
        ]
    )
    values = tfxai.GradCAM()(model, hot((5, 4, 0), shape=(8, 8, 1)), 0).values
    assert hottest(values[0, ..., 0]) == (5, 4)


def test_an_example_that_is_no_number_costs_the_others_no_map() -> None:
    """The activations of one image of two overflow; its map is NaN, and said to be."""
    layers = [L.Lambda(lambda x: tf.math.log(x), name="read"), L.GlobalAveragePooling2D(), dense()]
    model = keras.Sequential([keras.Input((4, 4, 1)), *layers])
    x = np.random.default_rng(0).uniform(1, 2, (2, 4, 4, 1)).astype(np.float32)
    alone = tfxai.EigenCAM(layer="read")(model, x[:1], 0).values
    x[1] = -1
    with pytest.warns(UserWarning, match="16 of 32 values are no numbers"):
        both = tfxai.EigenCAM(layer="read")(model, x, 0).values
    np.testing.assert_allclose(both[:1], alone, rtol=1e-5)
    assert np.isnan(both[1]).all()


def test_a_series_that_gets_an_axis_for_a_product_alone_stays_a_series() -> None:
    class Weighed(L.Layer):
        def call(self, x: Any) -> Any:
            return tf.reduce_sum(tf.expand_dims(x, -1) * tf.ones((1, 1, 3, 2)), 2)

    inputs = keras.Input((7, 3))
    steps = L.Conv1D(2, 1, kernel_initializer=ONE, name="steps")(inputs)
    model = keras.Model(inputs, dense()(L.GlobalAveragePooling1D()(steps + Weighed()(inputs))))
    x = hot((4, 1), shape=(7, 3))
    values = tfxai.GradCAM(layer="steps")(model, x, 0).values
    assert values.shape == (1, 7, 1)
    assert hottest(values[0, :, 0]) == (4,)
    assert tfxai.Occlusion(window=1)(model, x, 0).values.shape == (1, 7, 1)
