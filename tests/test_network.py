"""A user's model is looked into, and left as it was."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import gc
import random
import threading
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from covering import every, halved
from kinds import seeded

import tfxai
from tfxai.engines import Attribution, Method, ScoredBody, run_in_batches
from tfxai.model.layer_paths import named_layers
from tfxai.model.tracing import traces

L = keras.layers
IMAGES = np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 3)).astype(np.float32)
ROWS = np.random.default_rng(1).normal(size=(2, 3)).astype(np.float32)

FAMILIES = {
    "gradient": tfxai.Gradient(),
    "smooth_grad": tfxai.SmoothGrad(samples=2),
    "var_grad": tfxai.VarGrad(samples=2),
    "integrated_gradients": tfxai.IntegratedGradients(steps=2),
    "tolerance": tfxai.IntegratedGradients(steps=10, tolerance="50%"),
    "expected_gradients": tfxai.ExpectedGradients(IMAGES, samples=2),
    "blur_ig": tfxai.BlurIG(max_sigma=2, steps=2),
    "guided_ig": tfxai.GuidedIG(steps=2),
    "xrai": tfxai.XRAI(steps=1),
    "guided_backprop": tfxai.GuidedBackprop(),
    "deep_lift": tfxai.DeepLIFT(),
    "lrp": tfxai.LRP(),
    "lrp_composite": tfxai.LRP(rule="composite"),
    "grad_cam": tfxai.GradCAM(),
    "guided_grad_cam": tfxai.GuidedGradCAM(),
}


class Fragile(L.Layer):
    """Hands its input on, or raises what it is told to."""

    def __init__(self) -> None:
        super().__init__(name="fragile")
        self.error: BaseException | None = None

    def call(self, x: Any) -> Any:
        if self.error is not None:
            raise self.error
        return x


class Moody(L.Layer):
    """Draws and counts in inference too, as Monte Carlo dropout does."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = keras.random.SeedGenerator(4)
        self.count = self.add_weight(name="count", initializer="zeros", trainable=False)

    def call(self, x: Any) -> Any:
        self.count.assign_add(1.0)
        return x * keras.random.uniform((1,), 1, 2, seed=self.generator)


def restless() -> keras.Model:
    """Everything that could change when a model is called: seeds, statistics, losses; and frozen layers."""
    keras.utils.set_random_seed(1)
    augmentation = keras.Sequential(
        [L.RandomFlip(seed=1), L.RandomContrast(0.1, seed=2)], name="augmentation"
    )
    inputs = keras.Input((8, 8, 3))
    x = augmentation(inputs)
    x = L.Conv2D(4, 3, activity_regularizer=keras.regularizers.L2(0.1), kernel_regularizer="l2")(x)
    x = L.ReLU()(L.BatchNormalization()(x))
    x = Fragile()(L.Dropout(0.5, seed=3)(x))
    x = Moody()(x)
    model = keras.Model(inputs, L.Dense(3, activation="softmax")(L.GlobalAveragePooling2D()(x)))
    next(layer for layer in model.layers if isinstance(layer, L.BatchNormalization)).trainable = False
    return model


def state(model: Any) -> dict[str, Any]:
    """What a user could notice."""
    layers = [("", model), *named_layers(model)]
    return {
        "values": {v.path: np.asarray(v).tobytes() for v in model.variables},
        "order": [v.path for v in model.trainable_variables],
        "trainable": {path: layer.trainable for path, layer in layers if isinstance(layer, L.Layer)},
        "attributes": {path: sorted(vars(layer)) for path, layer in layers},
        "calls": {path: type(layer).call for path, layer in layers if "call" not in vars(layer)},
    }


def draws() -> list[float]:
    """What each of the global generators has next."""
    numbers = tf.random.uniform(()), keras.random.uniform(())
    return [random.random(), np.random.rand(), *map(float, numbers)]


@dataclasses.dataclass
class Record:
    """What could be seen of a model and its inputs before and after an explanation."""

    before: dict[str, Any]
    after: dict[str, Any]
    drawn: list[float]
    drawn_without: list[float]
    images: np.ndarray
    result: tfxai.Explanation
    model: weakref.ref


@pytest.fixture(scope="module", params=halved(FAMILIES))
def record(request: Any) -> Record:
    model, images = restless(), IMAGES.copy()
    seeded(11)
    drawn_without = draws()
    seeded(11)
    before = state(model)
    result = FAMILIES[request.param](model, images)
    return Record(before, state(model), draws(), drawn_without, images, result, weakref.ref(model))


def test_a_model_is_as_it_was_after_every_method(record: Record) -> None:
    assert sum("seed" in path for path in record.before["values"]) >= 3
    assert record.after == record.before


def test_global_random_states_belong_to_the_user(record: Record) -> None:
    assert record.drawn == record.drawn_without


def test_a_model_can_be_collected_after_every_method(record: Record) -> None:
    gc.collect()
    assert record.model() is None


def test_inputs_are_not_changed(record: Record) -> None:
    np.testing.assert_array_equal(record.images, IMAGES)
    np.testing.assert_array_equal(record.result.inputs, IMAGES)


ERRORS: dict[str, tuple[Callable[[Any], None], type[BaseException]]] = {
    "a layer that raises": (lambda model: fails(model, RuntimeError("no luck")), ValueError),
    "an interrupt inside a layer": (lambda model: fails(model, KeyboardInterrupt()), KeyboardInterrupt),
    "an exit inside a layer": (lambda model: fails(model, SystemExit(3)), SystemExit),
    "a layer that does not exist": (lambda m: tfxai.GradCAM(layer="conv9")(m, IMAGES), ValueError),
    "a class out of range": (lambda model: tfxai.Gradient()(model, IMAGES, 9), ValueError),
    "a score that raises": (lambda model: tfxai.Gradient()(model, IMAGES, score=raising), ZeroDivisionError),
    "a run that fails": (lambda model: tfxai.Gradient()(model, IMAGES, score=false_claim), ValueError),
}


def fails(model: Any, error: BaseException) -> None:
    model.get_layer("fragile").error = error
    try:
        tfxai.Gradient()(model, IMAGES)
    finally:
        model.get_layer("fragile").error = None


def raising(outputs: Any, targets: Any) -> Any:
    raise ZeroDivisionError


def false_claim(outputs: Any, targets: Any) -> Any:
    with tf.control_dependencies([tf.debugging.assert_greater(outputs, 2.0)]):
        return tf.reduce_sum(outputs, axis=1)


@functools.cache
def undisturbed() -> np.ndarray:
    model = restless()
    model(IMAGES)
    return tfxai.Gradient()(model, IMAGES).values


@pytest.mark.parametrize("name", ERRORS)
def test_a_model_is_as_it_was_after_an_error(name: str) -> None:
    provoke, error = ERRORS[name]
    model = restless()
    model(IMAGES)
    before = state(model)
    with pytest.raises(error):
        provoke(model)
    assert state(model) == before
    # And it is explained as if nothing had happened.
    np.testing.assert_array_equal(tfxai.Gradient()(model, IMAGES).values, undisturbed())


def test_a_call_of_the_users_own_stays_in_its_place() -> None:
    """Some users (and libraries) set `call` on one layer."""
    model = keras.Sequential([keras.Input((3,)), L.Dense(2, use_bias=False)])
    layer = model.layers[0]

    def own(x: Any, training: Any = None) -> Any:
        return 3 * (x @ tf.convert_to_tensor(layer.kernel))

    vars(layer)["call"] = own
    values = tfxai.Gradient()(model, ROWS, 1).values
    assert vars(layer)["call"] is own
    np.testing.assert_allclose(values, np.tile(3 * np.asarray(layer.kernel)[:, 1], (2, 1)), rtol=1e-6)


def test_training_goes_on_as_if_nothing_had_been_explained() -> None:
    def weights(explain: bool) -> list[np.ndarray]:
        model = restless()
        model.compile("sgd", "sparse_categorical_crossentropy")
        keras.utils.set_random_seed(7)
        for _ in range(2):
            model.fit(IMAGES, np.array([0, 1]), verbose=0)
            if explain:
                tfxai.SmoothGrad(samples=2)(model, IMAGES)
        return model.get_weights()

    for one, other in zip(weights(True), weights(False), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_layer_that_draws_from_the_global_generator_does_not_move_it() -> None:
    class Noisy(L.Layer):
        def call(self, x: Any) -> Any:
            return x + keras.random.normal(tf.shape(x))

    inputs = keras.Input((3,))
    model = keras.Model(inputs, L.Dense(2, use_bias=False)(Noisy()(inputs)))
    seeded(11)
    wanted = [float(keras.random.uniform(())) for _ in range(2)]
    seeded(11)
    drawn = [float(keras.random.uniform(()))]
    values = tfxai.Gradient()(model, ROWS, 0).values
    assert [*drawn, float(keras.random.uniform(()))] == wanted
    np.testing.assert_allclose(values, np.tile(model.get_weights()[0][:, 0], (2, 1)), rtol=1e-6)


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
@pytest.mark.parametrize("layer", [None, "nowhere"], ids=["success", "an error"])
def test_losses_of_the_users_last_call_are_kept_after(layer: str | None, library: str) -> None:
    k = __import__(library)
    convolution = k.layers.Conv2D(2, 3, activity_regularizer="l2", kernel_regularizer="l2")
    inputs = k.Input((8, 8, 3))
    model = k.Model(inputs, k.layers.Flatten()(convolution(inputs)))
    model(IMAGES)
    before = [float(loss) for loss in model.losses]
    assert len(before) == 2  # of the activity and of the kernel
    if layer is None:
        tfxai.Gradient()(model, IMAGES)
    else:
        with pytest.raises(ValueError, match="nowhere"):
            tfxai.GradCAM(layer=layer)(model, IMAGES)
    assert [float(loss) for loss in model.losses] == before


# Memory


def small() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = L.ReLU()(L.Conv2D(4, 3)(inputs))
    return keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling2D()(x)))


class Gated(keras.Model):
    """Dropout that is told by hand whether to work, and a loop in a tf.function."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.dense = L.Dropout(0.9), L.Dense(2, use_bias=False)

    @tf.function
    def call(self, x: Any, training: Any = True) -> Any:
        for _ in range(2):
            x = self.drop(x, training=training)
        return self.dense(x)


def tokens() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), L.Embedding(9, 3), L.Flatten(), L.Dense(2)])


def legacy() -> Any:
    import tf_keras

    return tf_keras.Sequential([tf_keras.layers.InputLayer((3,)), tf_keras.layers.Dense(2)])


def gated() -> keras.Model:
    model = Gated()
    model(ROWS, training=False)
    return model


@pytest.mark.parametrize("build", [gated, tokens, legacy])
def test_models_of_every_kind_can_be_collected(build: Callable[[], Any]) -> None:
    def explained() -> weakref.ref:
        model = build()
        tfxai.IntegratedGradients(steps=2)(model, np.ones((2, 4), int) if build is tokens else ROWS)
        assert traces(model) > 0
        return weakref.ref(model)

    reference = explained()
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("how", ["a layer as setting", "a score that knows the model", "an error"])
def test_a_model_can_be_collected_although_it_was_named_in(how: str) -> None:
    def explained() -> weakref.ref:
        model = small()
        if how == "a layer as setting":
            tfxai.GradCAM(layer=model.layers[1])(model, IMAGES)
        elif how == "an error":
            with pytest.raises(ValueError, match="does not exist"):
                tfxai.GradCAM(layer="nowhere")(model, IMAGES)
        else:
            tfxai.Gradient()(model, IMAGES, score=lambda o, t: o[:, 0] * len(model.layers))
        return weakref.ref(model)

    reference = explained()
    gc.collect()
    assert reference() is None


# What is traced, and when


def linear(activation: Any = None) -> keras.Sequential:
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((3,)), L.Dense(2, use_bias=False, activation=activation)])


def slopes(model: Any) -> np.ndarray:
    """What the gradient of class 1 of a linear model must be, for both rows."""
    return np.tile(np.asarray(model.layers[0].kernel)[:, 1], (2, 1))


def test_changed_weights_are_seen_without_a_new_trace() -> None:
    model = linear()
    np.testing.assert_allclose(tfxai.Gradient()(model, ROWS, 1).values, slopes(model), rtol=1e-6)
    count = traces(model)
    model.layers[0].kernel.assign([[1, 2]] * 3)
    np.testing.assert_array_equal(tfxai.Gradient()(model, ROWS, 1).values, np.full((2, 3), 2))
    assert traces(model) == count > 0


def test_a_changed_activation_is_seen() -> None:
    model = linear("softmax")
    outputs = model(ROWS).numpy()
    weights = np.asarray(model.layers[0].kernel)
    wanted = outputs[:, 1:] * (weights[:, 1] - outputs @ weights.T)  # derivative of the softmax
    found = tfxai.Gradient()(model, ROWS, 1, score="output").values
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    count = traces(model)
    model.layers[-1].activation = keras.activations.linear
    found = tfxai.Gradient()(model, ROWS, 1, score="output").values
    np.testing.assert_allclose(found, slopes(model), rtol=1e-6)
    assert traces(model) > count


def test_a_new_activation_in_the_memory_of_an_old_one_is_seen() -> None:
    model = linear()
    layer = model.layers[0]
    layer.activation = lambda x: 2 * x
    np.testing.assert_allclose(tfxai.Gradient()(model, ROWS, 1).values, 2 * slopes(model), rtol=1e-6)
    old = id(layer.activation)
    layer.activation = None
    gc.collect()
    new = [lambda x: 3 * x]
    while id(new[-1]) != old and len(new) < 10_000:  # unless something keeps the old one
        new.append(lambda x: 3 * x)
    layer.activation = new[-1]
    np.testing.assert_allclose(tfxai.Gradient()(model, ROWS, 1).values, 3 * slopes(model), rtol=1e-6)


def test_an_added_layer_is_seen() -> None:
    model = linear()
    first = tfxai.Gradient()(model, ROWS, 1).values
    count = traces(model)
    model.add(L.Rescaling(-3.0))
    np.testing.assert_allclose(tfxai.Gradient()(model, ROWS, 1).values, -3 * first, rtol=1e-6)
    assert traces(model) > count


def test_a_replaced_layer_is_seen() -> None:
    model = keras.Sequential([keras.Input((3,)), L.Dense(2, use_bias=False), L.Rescaling(1.0)])
    for factor in range(2, 5):
        model.pop()
        gc.collect()
        model.add(L.Rescaling(float(factor)))
        found = tfxai.Gradient()(model, ROWS, 1).values
        np.testing.assert_allclose(found, factor * slopes(model), rtol=1e-6)


@every(2, 1, name=("gradient", "integrated_gradients", "guided_ig", "deep_lift"))
def test_ever_more_classes_can_be_asked_for(name: str) -> None:
    """What was traced for one class must not answer for two."""
    model = linear()
    ranked = np.argsort(-model(ROWS).numpy(), axis=1)
    asked = {0: np.array([0, 0]), tfxai.top(1): ranked[:, :1], tfxai.top(2): ranked, None: ranked[:, 0]}
    for targets, wanted in asked.items():
        result = FAMILIES[name](model, ROWS, targets)
        np.testing.assert_array_equal(result.targets, wanted)
        factor = 1 if name == "gradient" else ROWS if wanted.ndim == 1 else ROWS[:, None]
        values = factor * np.asarray(model.layers[0].kernel).T[wanted]
        np.testing.assert_allclose(result.values, values, rtol=1e-4, atol=1e-6)


def test_two_methods_of_the_same_name_are_not_mixed_up() -> None:
    """As when the cell of a notebook that defines a method is run again after a change."""

    def defined(factor: float) -> Any:
        @dataclasses.dataclass(frozen=True)
        class Times(ScoredBody):
            def __call__(self, tracer: Any, inputs: Any, target_codes: Any) -> Any:
                forward = tracer.forward(inputs)
                scores, targets = tracer.scored(forward, target_codes)
                return [factor * forward.gradients(scores)[0]], targets, scores

        @dataclasses.dataclass(frozen=True)
        class Mine(Method):
            def attribute(self, request: Any) -> Any:
                return Attribution(*run_in_batches(request, Times()))

        return Mine()

    model = linear()
    for factor in (1.0, 5.0):
        np.testing.assert_allclose(defined(factor)(model, ROWS, 1).values, factor * slopes(model), rtol=1e-6)


def test_two_score_functions_of_the_same_name_are_not_mixed_up() -> None:
    model = linear()
    for factor in range(1, 9):
        values = tfxai.Gradient()(model, ROWS, 1, score=lambda o, t, f=factor: f * o[:, 1]).values
        np.testing.assert_allclose(values, factor * slopes(model), rtol=1e-6)


# Callables


class Slotted:
    """Neither weakly referable nor able to hold anything else."""

    __slots__ = ("factor",)

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, x: Any) -> Any:
        return self.factor * x


@dataclasses.dataclass
class Unhashable:
    factor: float

    def __call__(self, x: Any) -> Any:
        return self.factor * x

    def method(self, x: Any) -> Any:
        return self.factor * x


@pytest.mark.parametrize(
    "build", [Slotted, Unhashable, lambda f: Unhashable(f).method, lambda f: lambda x: f * x]
)
def test_any_callable_can_be_explained(build: Any) -> None:
    for factor in range(1, 5):  # those before may have left their place in memory to the next
        found = tfxai.InputXGradient()(build(float(factor)), ROWS, 2)
        np.testing.assert_allclose(found.values, factor * ROWS * [0, 0, 1], rtol=1e-6)
        np.testing.assert_allclose(found.scores, factor * ROWS[:, 2], rtol=1e-6)


# Threads


def test_threads_explain_their_own_models_at_the_same_time() -> None:
    start = threading.Barrier(4)

    def work(number: int) -> tuple[keras.Model, list[np.ndarray]]:
        model = models[number]
        start.wait()
        methods = (tfxai.Gradient(), tfxai.InputXGradient())
        return model, [method(model, ROWS, 1).values for method in methods for _ in range(3)]

    shared = L.Dense(3, use_bias=False)  # two of the models even share a layer
    models = [
        linear(),
        linear(),
        *(keras.Sequential([keras.Input((3,)), shared, L.Dense(2)]) for _ in range(2)),
    ]
    for number, model in enumerate(models):
        for variable in model.variables:
            variable.assign(np.random.default_rng(number).normal(size=variable.shape))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for model, found in pool.map(work, range(4)):
            matrix = np.eye(3)
            for layer in model.layers:
                matrix = matrix @ np.asarray(layer.kernel)
            slope = np.tile(matrix[:, 1], (2, 1))
            for values, wanted in zip(found, np.repeat([slope, slope * ROWS], 3, axis=0), strict=True):
                np.testing.assert_allclose(values, wanted, rtol=1e-4, atol=1e-6)


def test_threads_explain_one_model_at_the_same_time() -> None:
    model = linear()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: tfxai.Gradient()(model, ROWS, 1).values, range(12)))
    for values in found:
        np.testing.assert_allclose(values, slopes(model), rtol=1e-6)


# Sizes and modes


@pytest.mark.filterwarnings("ignore:DeepLIFT found no operation")
@every(2, name=("gradient", "integrated_gradients", "blur_ig", "guided_ig", "grad_cam", "deep_lift"))
def test_a_model_of_any_image_size_takes_several(name: str) -> None:
    """The score is the mean of a weighed sum of channels, so what every method must say is known."""
    conv = L.Conv2D(1, 1, use_bias=False)
    model = keras.Sequential([keras.Input((None, None, 3)), conv, L.GlobalAveragePooling2D()])
    weights = np.asarray(conv.kernel).reshape(3)
    for shape in ((8, 8, 3), (6, 10, 3), (8, 8, 3)):
        images = np.random.default_rng(0).uniform(0, 1, (2, *shape)).astype(np.float32)
        area = shape[0] * shape[1]
        wanted = {
            "gradient": np.broadcast_to(weights / area, images.shape),
            "grad_cam": np.maximum(images @ weights, 0)[..., None] / area,
            # From the blurred image: what is left of it adds nothing.
            "blur_ig": (images - blurred(images, 2.0)) * weights / area,
        }.get(name, images * weights / area)
        np.testing.assert_allclose(FAMILIES[name](model, images).values, wanted, rtol=1e-3, atol=1e-6)


def blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    """By the heat equation with reflecting borders: each cosine fades by its frequency."""
    for axis in (1, 2):
        n = images.shape[axis]
        basis = np.cos(np.pi * (np.arange(n)[:, None] + 0.5) * np.arange(n) / n)
        basis /= np.linalg.norm(basis, axis=0)
        kernel = basis * np.exp(-0.5 * sigma**2 * (np.pi * np.arange(n) / n) ** 2) @ basis.T
        images = np.moveaxis(np.tensordot(images, kernel, [[axis], [1]]), -1, axis)
    return images


class Inherited(keras.Model):
    """`call` knows nothing of training; the layer inside does."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.dense = L.Dropout(0.9), L.Dense(2, use_bias=False)

    def call(self, x: Any) -> Any:
        return self.dense(self.drop(x))


@pytest.mark.parametrize("build", [Gated, Inherited])
def test_subclassed_models_stay_in_inference_mode(build: Any) -> None:
    model = build()
    model(ROWS)
    values = tfxai.Gradient()(model, ROWS, 1).values
    np.testing.assert_allclose(values, np.tile(np.asarray(model.dense.kernel)[:, 1], (2, 1)), rtol=1e-6)


def test_batch_norm_uses_what_it_has_learnt() -> None:
    norm = L.BatchNormalization(epsilon=0.0)
    model = keras.Sequential([keras.Input((3,)), norm])
    norm.moving_variance.assign([4.0, 16.0, 64.0])
    before = [np.asarray(v) for v in norm.variables]
    found = tfxai.Gradient()(model, ROWS, np.array([[0, 1, 2]] * 2)).values
    np.testing.assert_allclose(found, np.tile(np.diag([1 / 2, 1 / 4, 1 / 8]), (2, 1, 1)), rtol=1e-6)
    for one, other in zip(norm.variables, before, strict=True):
        np.testing.assert_array_equal(np.asarray(one), other)


def test_layers_are_named_by_their_path() -> None:
    inner = keras.Sequential([keras.Input((3,)), L.Dense(3, name="dense")], name="inner")
    inputs = keras.Input((3,), name="row")
    model = keras.Model(inputs, L.Dense(2, name="dense")(inner(inputs)))
    paths = [path for path, _ in named_layers(model)]
    assert [path for path in paths if "dense" in path] == ["inner/dense", "dense"]
    assert dict(named_layers(model))["inner/dense"] is inner.layers[-1]
