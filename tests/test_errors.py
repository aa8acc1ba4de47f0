"""Wrong input raises before any work: what came, what was expected, what to do."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfxai

L = keras.layers
NAN, INF = float("nan"), float("inf")
IMAGES = np.random.default_rng(0).uniform(0, 1, (2, 6, 6, 3)).astype(np.float32)
ROWS = np.ones((2, 3), np.float32)
IDS = np.ones((2, 4), int)
GRADIENT = tfxai.Gradient()

runs = 0


def counted(x: Any) -> Any:
    """Hands x on, and counts how often a model really ran; being traced does not count."""

    def note() -> None:
        global runs
        runs += 1

    tf.py_function(note, [], [])
    return x


class Counted(L.Layer):
    def call(self, x: Any) -> Any:
        return counted(x)


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.dense = L.Conv2D(4, 3), L.Dense(4)
        self.unused = L.Dense(2, name="unused")
        self.unused.build((None, 4))

    def call(self, x: Any, training: bool = False) -> Any:
        return self.dense(tf.reduce_mean(self.conv(counted(x)), (1, 2)))


class Models:
    """Small models that count their runs, each built once."""

    @functools.cached_property
    def classifier(self) -> Any:
        """Four classes."""
        inputs = keras.Input((6, 6, 3))
        x = L.Conv2D(5, 3, name="conv")(Counted(name="counted")(inputs))
        return keras.Model(inputs, L.Dense(4, name="scores")(L.GlobalAveragePooling2D(name="pool")(x)))

    @functools.cached_property
    def subclassed(self) -> Any:
        model = Subclassed()
        model(IMAGES)
        return model

    @functools.cached_property
    def unbuilt(self) -> Any:
        return Subclassed()

    @functools.cached_property
    def any_size(self) -> Any:
        return keras.Sequential([keras.Input((None, None, 3)), Counted(), L.GlobalAveragePooling2D()])

    @functools.cached_property
    def unit(self) -> Any:
        return keras.Sequential([keras.Input((3,)), Counted(), L.Dense(1)])

    @functools.cached_property
    def sigmoid(self) -> Any:
        return keras.Sequential([keras.Input((3,)), Counted(), L.Dense(1, activation="sigmoid")])

    @functools.cached_property
    def rows(self) -> Any:
        return keras.Sequential([keras.Input((3,)), Counted(), L.Dense(2, name="dense")])

    @functools.cached_property
    def tokens(self) -> Any:
        layers = [L.Embedding(5, 3), Counted(), L.GlobalAveragePooling1D(), L.Dense(2)]
        return keras.Sequential([keras.Input((4,)), *layers])

    @functools.cached_property
    def pair(self) -> Any:
        a, b = keras.Input((3,), name="left"), keras.Input((3,), name="right")
        x = Counted()(L.Concatenate()([a, b]))
        return keras.Model({"left": a, "right": b}, L.Dense(2)(x))

    @functools.cached_property
    def outputs(self) -> Any:
        inputs = keras.Input((3,))
        x = Counted()(inputs)
        return keras.Model(inputs, {"kind": L.Dense(3, name="kind")(x), "age": L.Dense(1, name="age")(x)})

    @functools.cached_property
    def output_list(self) -> Any:
        inputs = keras.Input((3,))
        x = Counted()(inputs)
        return keras.Model(inputs, [L.Dense(3, name="kind")(x), L.Dense(1, name="age")(x)])

    @functools.cached_property
    def segmenter(self) -> Any:
        return keras.Sequential([keras.Input((6, 6, 3)), Counted(), L.Conv2D(3, 1)])


MODELS = Models()


def refused(call: Callable[[], Any], parts: tuple[str, ...]) -> None:
    """The call raises a ValueError whose message holds all parts, and no model has run."""
    before = runs
    with pytest.raises(ValueError, match=re.escape(parts[0])) as caught:
        call()
    message = str(caught.value)
    assert [part for part in parts if part not in message] == []
    assert runs == before


def with_value(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array[1, 0] = value
    return array


Wrong = tuple[Any, ...]  # model -> call, then what the message must hold
PAIR = {"left": ROWS, "right": ROWS}

INPUTS: dict[str, Wrong] = {
    "an image without batch axis":
        (lambda m: GRADIENT(m.classifier, IMAGES[0]), "(6, 6, 3)", "(N, 6, 6, 3)", "inputs[None]"),
    "an image without batch axis for a model of any size":
        (lambda m: GRADIENT(m.any_size, IMAGES[0]), "(6, 6, 3)", "(N, any, any, 3)", "inputs[None]"),
    "an image without batch axis for a subclassed model":
        (lambda m: GRADIENT(m.subclassed, IMAGES[0]), "(6, 6, 3)", "inputs[None]"),
    "a row without batch axis":
        (lambda m: GRADIENT(m.rows, ROWS[0]), "(3,)", "(N, 3)", "inputs[None]"),
    "images of another size":
        (lambda m: GRADIENT(m.classifier, IMAGES[:, :5]), "(2, 5, 6, 3)", "(N, 6, 6, 3)"),
    "images of another size for a subclassed model":
        (lambda m: GRADIENT(m.subclassed, IMAGES[..., :2]), "2", "3"),
    "channels first":
        (lambda m: GRADIENT(m.classifier, IMAGES.transpose(0, 3, 1, 2)), "(2, 3, 6, 6)", "(N, 6, 6, 3)"),
    "a single number":
        (lambda m: GRADIENT(m.subclassed, 3.0), "batch axis", "(N, ...)"),
    "NaN": (lambda m: GRADIENT(m.classifier, with_value(IMAGES, NAN)), "NaN", "1"),
    "infinity": (lambda m: GRADIENT(m.classifier, with_value(IMAGES, INF)), "infinite"),
    "minus infinity": (lambda m: GRADIENT(m.subclassed, with_value(IMAGES, -INF)), "infinite"),
    "NaN in a batch of one": (lambda m: GRADIENT(m.rows, np.array([[1, 2, NAN]])), "NaN"),
    "numbers beyond float32": (lambda m: GRADIENT(m.rows, np.array([[1.0, 1e300, 0]])), "infinite"),
    "an empty batch": (lambda m: GRADIENT(m.classifier, IMAGES[:0]), "no examples", "(1, ...)"),
    "an empty list": (lambda m: GRADIENT(m.classifier, []), "inputs is empty"),
    "an empty dict": (lambda m: GRADIENT(m.pair, {}), "inputs is empty"),
    "an empty list for a callable": (lambda m: GRADIENT(lambda x: counted(x), []), "inputs is empty"),
    "words": (lambda m: GRADIENT(m.rows, np.array([["a", "b", "c"]] * 2)), "expected numbers"),
    "wrong keys":
        (lambda m: GRADIENT(m.pair, {"left": ROWS, "rihgt": ROWS}), "rihgt", "left", "right"),
    "a missing key": (lambda m: GRADIENT(m.pair, {"left": ROWS}), "['left']", "['left', 'right']"),
    "a key too many": (lambda m: GRADIENT(m.pair, {**PAIR, "up": ROWS}), "up", "['left', 'right']"),
    "one input of two": (lambda m: GRADIENT(m.pair, ROWS), "1 input", "takes 2", "left", "right"),
    "three inputs of two": (lambda m: GRADIENT(m.pair, [ROWS] * 3), "3 input", "takes 2"),
    "two inputs of one": (lambda m: GRADIENT(m.rows, [ROWS, ROWS]), "2 input", "takes 1"),
    "inputs of different lengths":
        (lambda m: GRADIENT(m.pair, {"left": ROWS, "right": ROWS[:1]}), "[2, 1] examples"),
    "inputs of different lengths for a callable":
        (lambda m: GRADIENT(lambda x: counted(x[0]), [ROWS, ROWS[:1]]), "[2, 1] examples"),
    "one wrong shape of two":
        (lambda m: GRADIENT(m.pair, {"left": ROWS, "right": ROWS[:, :2]}), "right", "(2, 2)", "(N, 3)"),
    "a model that is not built": (lambda m: GRADIENT(m.unbuilt, IMAGES), "not built", "Call it once"),
    "an unbuilt Sequential":
        (lambda m: GRADIENT(keras.Sequential([L.Dense(2)], name="lazy"), ROWS), "'lazy'", "not built"),
    "no model": (lambda m: GRADIENT(None, ROWS), "NoneType", "Give a Keras model"),
    "the name of a model": (lambda m: GRADIENT("model.keras", ROWS), "'model.keras'", "keras.models.load_model"),
}  # fmt: skip

TARGETS: dict[str, Wrong] = {
    "too many targets": (lambda m: GRADIENT(m.rows, ROWS, [0, 1, 0]), "3 entries for 2 inputs", "one int"),
    "too few targets": (lambda m: GRADIENT(m.rows, ROWS, [0]), "1 entries for 2 inputs"),
    "a table of targets for other inputs":
        (lambda m: GRADIENT(m.rows, ROWS, np.zeros((3, 2), int)), "(3, 2) for 2 inputs", "(N, K)"),
    "a cube of targets": (lambda m: GRADIENT(m.rows, ROWS, np.zeros((2, 2, 2), int)), "(2, 2, 2)"),
    "a table without columns": (lambda m: GRADIENT(m.rows, ROWS, np.zeros((2, 0), int)), "(2, 0)"),
    "no targets in a list": (lambda m: GRADIENT(m.rows, ROWS, []), "targets"),
    "a class out of range": (lambda m: GRADIENT(m.classifier, IMAGES, 4), "class 4", "model has 4", "0 to 3"),
    "one class of many out of range":
        (lambda m: GRADIENT(m.subclassed, IMAGES, [[0, 1], [2, 99]]), "class 99", "0 to 3"),
    "class 1 of one linear unit":
        (lambda m: GRADIENT(m.unit, ROWS, 1), "class 1", "the model has 1", "only target is 0"),
    "class 2 of one sigmoid unit": (lambda m: GRADIENT(m.sigmoid, ROWS, 2), "class 2", "0 to 1"),
    "a class beyond 32 bits": (lambda m: GRADIENT(m.rows, ROWS, 2**32), str(2**32), "0 to 1"),
    "a negative class": (lambda m: GRADIENT(m.rows, ROWS, [0, -1]), "class -1", "from 0"),
    "a float": (lambda m: GRADIENT(m.rows, ROWS, 1.0), "float64", "tfxai.top(k)"),
    "floats": (lambda m: GRADIENT(m.rows, ROWS, np.ones(2, np.float32)), "float32", "ints"),
    "booleans": (lambda m: GRADIENT(m.rows, ROWS, [True, False]), "bool", "ints"),
    "a class name": (lambda m: GRADIENT(m.rows, ROWS, "cat"), "'cat'", "names.index"),
    "one-hot rows of fractions":
        (lambda m: GRADIENT(m.classifier, IMAGES, np.eye(4)[[1, 2]]), "one-hot", "argmax"),
    "top 0": (lambda m: tfxai.top(0), "k is 0", "1 or more"),
    "top -1": (lambda m: tfxai.top(-1), "k is -1", "1 or more"),
    "top 1.5": (lambda m: tfxai.top(1.5), "k is 1.5", "whole number"),
    "top of too many": (lambda m: GRADIENT(m.classifier, IMAGES, tfxai.top(5)), "top(5)", "more", "(4)"),
    "the two best of one linear unit": (lambda m: GRADIENT(m.unit, ROWS, tfxai.top(2)), "top(2)", "(1)"),
}  # fmt: skip


def wide(outputs: Any, targets: Any) -> Any:
    return outputs


SCORES: dict[str, Wrong] = {
    "an unknown score": (lambda m: GRADIENT(m.rows, ROWS, score="logits"), "'logits'", '"logit"', "callable"),
    "an empty score": (lambda m: GRADIENT(m.rows, ROWS, score=""), "''", '"logit"'),
    "a number as score": (lambda m: GRADIENT(m.rows, ROWS, score=3), "score is 3", "function"),
    "zero as score": (lambda m: GRADIENT(m.rows, ROWS, score=0), "score is 0", "function"),
    "a score of all classes":
        (lambda m: GRADIENT(m.rows, ROWS, score=wide), "wide", "(None, 2)", "float tensor (N,)"),
    "a score that is one number for all":
        (lambda m: GRADIENT(m.rows, ROWS, score=lambda o, t: tf.reduce_sum(o)), "()", "(N,)"),
    "a score of integers":
        (lambda m: GRADIENT(m.rows, ROWS, score=lambda o, t: tf.argmax(o, 1)), "int64", "float tensor"),
    "a score that is no tensor":
        (lambda m: GRADIENT(m.rows, ROWS, score=lambda o, t: None), "NoneType", "(N,)"),
    "a score that does not depend on the inputs":
        (lambda m: GRADIENT(m.rows, ROWS, score=lambda o, t: tf.zeros(tf.shape(o)[0])), "does not depend"),
    "no choice between outputs":
        (lambda m: GRADIENT(m.outputs, ROWS),
         "2 outputs", "'kind' (None, 3)", "'age' (None, 1)", "output=NAME"),
    "no choice between outputs in a list":
        (lambda m: GRADIENT(m.output_list, ROWS), "2 outputs", "'kind' (None, 3)", "'age' (None, 1)"),
    "no choice for a probability":
        (lambda m: GRADIENT(m.outputs, ROWS, score="probability"), "tfxai.scores.probability(output=NAME)"),
    "no choice for a regression":
        (lambda m: GRADIENT(m.outputs, ROWS, score=tfxai.scores.regression()),
         "regression(output=NAME)", "age"),
    "an unknown output":
        (lambda m: GRADIENT(m.outputs, ROWS, score=tfxai.scores.logit("knd")), "'knd'", "'kind'", "'age'"),
    "an output beyond the last":
        (lambda m: GRADIENT(m.output_list, ROWS, score=tfxai.scores.logit(2)), "no output 2", "'kind'"),
    "a number of a regression beyond the last":
        (lambda m: GRADIENT(m.rows, ROWS, score=tfxai.scores.regression(2)), "regression(2)", "2 numbers"),
    "maps without a choice": (lambda m: GRADIENT(m.segmenter, IMAGES), "(None, 6, 6, 3)", "region"),
    "a region of another size":
        (lambda m: GRADIENT(m.segmenter, IMAGES, 0, score=tfxai.scores.region(np.ones((5, 6)))),
         "(5, 6)", "(6, 6)"),
    "an empty region":
        (lambda m: GRADIENT(m.segmenter, IMAGES, 0, score=tfxai.scores.region(np.zeros((6, 6)))), "0 cells"),
    "a region without class":
        (lambda m: GRADIENT(m.segmenter, IMAGES, score=tfxai.scores.region(np.ones((6, 6)))),
         "3 classes", "channel="),
    "a region of a class beyond the last":
        (lambda m: GRADIENT(m.segmenter, IMAGES, 3, score=tfxai.scores.region(np.ones((6, 6)))),
         "class 3", "3"),
    "a region of a channel beyond the last":
        (lambda m: GRADIENT(m.segmenter, IMAGES, score=tfxai.scores.region(np.ones((6, 6)), channel=3)),
         "channel 3", "3"),
    "a region of the best classes":
        (lambda m: GRADIENT(m.segmenter, IMAGES, tfxai.top(2), score=tfxai.scores.region(np.ones((6, 6)))),
         "top(2)"),
    "a region of rows":
        (lambda m: GRADIENT(m.rows, ROWS, score=tfxai.scores.region(np.ones((6, 6)))), "(None, 2)"),
    "a box beyond the edge":
        (lambda m: GRADIENT(m.segmenter, IMAGES, 0, score=tfxai.scores.box((0, 0, 6, 7))),
         "box(0, 0, 6, 7)", "(6, 6)"),
    "a box without cells":
        (lambda m: GRADIENT(m.segmenter, IMAGES, 0, score=tfxai.scores.box((2, 2, 2, 4))), "box(2, 2, 2, 4)"),
    "a batch size of 0": (lambda m: GRADIENT(m.rows, ROWS, batch_size=0), "batch_size is 0", "1 or more"),
    "half a batch": (lambda m: GRADIENT(m.rows, ROWS, batch_size=1.5), "batch_size is 1.5", "whole number"),
}  # fmt: skip


def summed(x: Any) -> Any:
    return tf.reduce_sum(counted(x), (1, 2))


def cam(layer: Any) -> Callable[[Any], Any]:
    return lambda m: tfxai.GradCAM(layer=layer)(m.classifier, IMAGES)


LAYERS: dict[str, Wrong] = {
    "a layer that does not exist":
        (cam("cnv"), "'cnv' does not exist", "Nearest: conv", "conv (None, 4, 4, 5)", "scores (None, 4)"),
    "a layer unlike any": (cam("zzzzzz"), "'zzzzzz'", "counted (None, 6, 6, 3)", "pool (None, 5)"),
    "a layer without maps": (cam("scores"), "'scores'", "(None, 4)", "can read", "conv (None, 4, 4, 5)"),
    "the pooled features": (cam("pool"), "'pool'", "(None, 5)", "no spatial maps"),
    "a layer beyond the last": (cam(9), "layer=9", "5 layers"),
    "a layer before the first": (cam(-6), "layer=-6", "5 layers"),
    "a layer of another model":
        (lambda m: tfxai.GradCAM(layer=m.rows.layers[-1])(m.classifier, IMAGES),
         "'dense' does not exist", "conv"),
    "a layer that is never called":
        (lambda m: tfxai.GradCAM(layer="unused")(m.subclassed, IMAGES), "'unused' is not used when", "dense"),
    "a guided map of no layer":
        (lambda m: tfxai.GuidedGradCAM(layer="cnv")(m.classifier, IMAGES), "'cnv'", "Nearest: conv"),
    "a subclassed model's unknown layer":
        (lambda m: tfxai.LayerCAM(layer="con")(m.subclassed, IMAGES), "'con' does not exist", "dense"),
    "a model without maps":
        (lambda m: tfxai.GradCAM()(m.rows, ROWS),
         "GradCAM needs a layer with spatial maps", "dense (None, 2)"),
    "the layers of a callable": (lambda m: tfxai.layers(lambda x: x, ROWS), "no layers", "Keras model"),
    "the layers of an unbuilt model": (lambda m: tfxai.layers(m.unbuilt, IMAGES), "not built"),
}  # fmt: skip

for method in (tfxai.GradCAM, tfxai.GradCAMPlusPlus, tfxai.LayerCAM, tfxai.HiResCAM, tfxai.EigenCAM,
               tfxai.GuidedGradCAM):  # fmt: skip
    LAYERS[f"{method.__name__} of a callable"] = (
        lambda m, method=method: method()(summed, IMAGES),
         method.__name__, "plain callable", "Give a Keras model",
    )  # fmt: skip


def ig(baseline: Any) -> Any:
    return tfxai.IntegratedGradients(steps=2, baseline=baseline)


BASELINES: dict[str, Wrong] = {
    "a baseline of another shape":
        (lambda m: ig(np.zeros((5, 6, 3)))(m.classifier, IMAGES), "(5, 6, 3)", "(2, 6, 6, 3)", "broadcast"),
    "a baseline for three of two examples":
        (lambda m: ig(np.zeros((3, 3)))(m.rows, ROWS), "(3, 3)", "(2, 3)"),
    "a baseline function of another shape":
        (lambda m: ig(lambda x: x[:, :2])(m.rows, ROWS), "(2, 2)", "(2, 3)", "broadcast"),
    "a name": (lambda m: ig("blur")(m.rows, ROWS), "'blur'", "baselines.blur(9)"),
    "a NaN": (lambda m: ig(NAN)(m.rows, ROWS), "baseline holds NaN"),
    "an array with a NaN": (lambda m: ig([0, NAN, 0])(m.rows, ROWS), "baseline holds NaN"),
    "an infinite baseline": (lambda m: tfxai.DeepLIFT(baseline=INF)(m.rows, ROWS), "infinite"),
    "a baseline function that returns NaN":
        (lambda m: tfxai.GuidedIG(steps=1, baseline=lambda x: x * NAN)(m.rows, ROWS), "baseline holds NaN"),
    "a NaN at an embedding": (lambda m: ig(NAN)(m.tokens, IDS), "baseline holds NaN"),
    "a word as baseline": (lambda m: ig("black")(m.rows, ROWS), "baseline"),
    "one baseline for two inputs":
        (lambda m: ig([0.0])(m.pair, [ROWS, ROWS]), "1 entries for 2 inputs"),
    "a baseline for an unknown input": (lambda m: ig({"letf": 1.0})(m.pair, PAIR), "letf", "left"),
    "a blur of rows": (lambda m: ig(tfxai.baselines.blur())(m.rows, ROWS), "blur", "(2, 3)"),
    "several baselines that are none": (lambda m: ig(tfxai.baselines.several())(m.rows, ROWS), "several"),
    "several baselines for a method that takes one":
        (lambda m: tfxai.DeepLIFT(baseline=tfxai.baselines.several(0, 1))(m.rows, ROWS), "baseline"),
    "one of several baselines that does not fit":
        (lambda m: ig(tfxai.baselines.several([0, NAN, 0], 0))(m.rows, ROWS), "baseline holds NaN"),
    "a background of another shape":
        (lambda m: tfxai.ExpectedGradients(IMAGES[:, :5])(m.classifier, IMAGES),
         "background", "(2, 5, 6, 3)"),
    "a background of another shape for a subclassed model":
        (lambda m: tfxai.ExpectedGradients(IMAGES[:, :5])(m.subclassed, IMAGES),
         "background", "(2, 5, 6, 3)"),
    "a background without batch axis":
        (lambda m: tfxai.ExpectedGradients(ROWS[0])(m.rows, ROWS), "background", "(3,)", "(N, 3)"),
    "an empty background": (lambda m: tfxai.ExpectedGradients(ROWS[:0])(m.rows, ROWS), "background"),
    "a background with NaN":
        (lambda m: tfxai.ExpectedGradients(with_value(ROWS, NAN))(m.rows, ROWS), "background", "NaN"),
    "a background of one input for two":
        (lambda m: tfxai.ExpectedGradients(ROWS)(lambda x: counted(x[0] + x[1]), [ROWS, ROWS]),
         "background", "1", "2"),
}  # fmt: skip

WRONG = {"inputs": INPUTS, "targets": TARGETS, "scores": SCORES, "layers": LAYERS, "baselines": BASELINES}


@pytest.mark.parametrize(
    ("group", "name"), [(group, name) for group, wrong in WRONG.items() for name in wrong]
)
def test_it_is_refused_before_any_work(group: str, name: str) -> None:
    call, *parts = WRONG[group][name]
    _ = MODELS.subclassed  # built by a call of its own, which must not be counted
    refused(lambda: call(MODELS), tuple(parts))


def test_runs_are_counted() -> None:
    """Otherwise the tests above would say nothing."""
    for model, inputs in ((MODELS.classifier, IMAGES), (MODELS.subclassed, IMAGES), (MODELS.pair, PAIR)):
        before = runs
        GRADIENT(model, inputs, batch_size=1)
        assert runs == before + 2


FAMILIES = [
    tfxai.InputXGradient(), tfxai.SmoothGrad(samples=2), tfxai.IntegratedGradients(steps=2),
    tfxai.IntegratedGradients(tolerance="10%"), tfxai.ExpectedGradients(IMAGES, samples=2),
    tfxai.BlurIG(steps=2), tfxai.GuidedIG(steps=2), tfxai.XRAI(steps=1), tfxai.GuidedBackprop(),
    tfxai.DeepLIFT(),
    tfxai.LRP(), tfxai.EigenCAM(), tfxai.GuidedGradCAM(),
]  # fmt: skip


@pytest.mark.parametrize("method", FAMILIES, ids=lambda method: type(method).__name__)
def test_every_method_knows_the_classes_before_any_work(method: Any) -> None:
    refused(lambda: method(MODELS.subclassed, IMAGES, [0, 4]), ("class 4", "0 to 3"))
    refused(lambda: method(MODELS.classifier, IMAGES[0]), ("(6, 6, 3)", "inputs[None]"))


def weights(x: Any) -> Any:
    return np.exp(np.asarray(x)).sum(axis=(1, 2))


@pytest.mark.parametrize(
    "function",
    [
        weights,
        lambda x: x.numpy().sum((1, 2)),
        lambda x: np.asarray(x)[:, 0, 0],
        lambda x: MODELS.classifier.predict(x, verbose=0),
        lambda x: np.zeros((2, 3), np.float32),
        lambda x: [float(row.sum()) for row in x],
        lambda x: x.astype("float32").mean((1, 2)),
        lambda x: x.mean((1, 2)) if len(x) else None,
    ],
    ids=["an operation of NumPy", "numpy()", "asarray", "predict", "constants", "a loop", "a method", "len"],
)
def test_a_callable_in_numpy_is_told_apart(function: Any) -> None:
    parts = ("TensorFlow", "methods that only hide parts")
    for method in (GRADIENT, tfxai.IntegratedGradients(steps=2), tfxai.DeepLIFT()):
        refused(lambda method=method: method(function, IMAGES), parts)


SETTINGS: dict[str, Wrong] = {
    "integrated gradients without steps":
        (lambda: tfxai.IntegratedGradients(steps=0), "steps is 0", "1 or more"),
    "half a step": (lambda: tfxai.IntegratedGradients(steps=2.5), "steps is 2.5"),
    "a trapezoid of one point":
        (lambda: tfxai.IntegratedGradients(steps=1, rule="trapezoid"), "steps is 1", "2 for the trapezoid"),
    "an unknown rule":
        (lambda: tfxai.IntegratedGradients(rule="simpson"), "'simpson'", "gauss_legendre", "midpoint"),
    "no tolerance at all":
        (lambda: tfxai.IntegratedGradients(tolerance=0), "tolerance is 0", "in units of the score"),
    "a tolerance of nothing": (lambda: tfxai.IntegratedGradients(tolerance="0%"), "tolerance is '0%'"),
    "a NaN as tolerance": (lambda: tfxai.IntegratedGradients(tolerance=NAN), "tolerance is nan"),
    "no noisy copies": (lambda: tfxai.SmoothGrad(samples=0), "samples is 0", "1 or more"),
    "no variance of none": (lambda: tfxai.VarGrad(samples=-1), "samples is -1"),
    "half a copy": (lambda: tfxai.SquareGrad(samples=2.5), "samples is 2.5"),
    "a word for a number": (lambda: tfxai.SmoothGrad(samples="3"), "samples is", "3"),
    "negative noise": (lambda: tfxai.SmoothGrad(noise=-0.1), "noise is -0.1", "0 or more"),
    "NaN as noise": (lambda: tfxai.SmoothGrad(noise=NAN), "noise is nan"),
    "one sample of a background":
        (lambda: tfxai.ExpectedGradients(ROWS, samples=1), "samples is 1", "2 or more"),
    "half a sample of a background": (lambda: tfxai.ExpectedGradients(ROWS, samples=2.5), "samples is 2.5"),
    "no blur": (lambda: tfxai.BlurIG(max_sigma=0), "max_sigma is 0", "above 0"),
    "an endless blur": (lambda: tfxai.BlurIG(max_sigma=INF), "max_sigma is inf"),
    "a blur in no steps": (lambda: tfxai.BlurIG(steps=0), "steps is 0", "1 or more"),
    "a blur in half steps": (lambda: tfxai.BlurIG(steps=1.5), "steps is 1.5"),
    "a guided path in no steps": (lambda: tfxai.GuidedIG(steps=0), "steps is 0", "1 or more"),
    "a guided path in half steps": (lambda: tfxai.GuidedIG(steps=2.5), "steps is 2.5"),
    "no values that move": (lambda: tfxai.GuidedIG(fraction=0), "fraction is 0", "up to 1"),
    "more than all values": (lambda: tfxai.GuidedIG(fraction=1.1), "fraction is 1.1", "up to 1"),
    "a negative distance": (lambda: tfxai.GuidedIG(max_distance=-0.1), "max_distance is -0.1", "0 to 1"),
    "a distance beyond the path": (lambda: tfxai.GuidedIG(max_distance=2), "max_distance is 2", "0 to 1"),
    "regions in no steps": (lambda: tfxai.XRAI(steps=0), "steps is 0", "1 or more"),
    "regions without pixels": (lambda: tfxai.XRAI(min_size=0), "min_size is 0", "1 or more"),
    "regions that add nothing": (lambda: tfxai.XRAI(smallest_gain=0), "smallest_gain is 0", "1 or more"),
    "an unknown LRP rule": (lambda: tfxai.LRP(rule="gamma"), "'gamma'", "epsilon", "alpha_beta", "composite"),
    "LRP without epsilon": (lambda: tfxai.LRP(epsilon=0), "epsilon is 0", "above 0"),
    "LRP with a negative epsilon": (lambda: tfxai.LRP(epsilon=-1e-6), "epsilon is -1e-06", "above 0"),
    "LRP that loses relevance": (lambda: tfxai.LRP(alpha=1, beta=1), "alpha 1", "beta 1", "alpha - beta = 1"),
    "LRP with a negative beta": (lambda: tfxai.LRP(alpha=0.5, beta=-0.5), "alpha is 0.5", "1 or more"),
    "LRP with NaN as alpha": (lambda: tfxai.LRP(alpha=NAN), "alpha is nan"),
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_a_bad_setting_is_refused_when_it_is_made(name: str) -> None:
    call, *parts = SETTINGS[name]
    refused(call, tuple(parts))


def test_a_bad_setting_is_refused_when_it_is_replaced() -> None:
    refused(lambda: dataclasses.replace(tfxai.SmoothGrad(), samples=0), ("samples is 0",))


@pytest.mark.filterwarnings("ignore:DeepLIFT found no operation")
@pytest.mark.parametrize(
    "method",
    [
        tfxai.IntegratedGradients(steps=1),
        tfxai.IntegratedGradients(steps=2, rule="trapezoid"),
        tfxai.IntegratedGradients(steps=1, tolerance="90%"),
        tfxai.GuidedIG(steps=1, fraction=1.0, max_distance=0.0),
        tfxai.ExpectedGradients(0 * ROWS, samples=2),
        tfxai.DeepLIFT(baseline=np.zeros(3)),
    ],
    ids=str,
)
def test_the_smallest_settings_are_not_refused(method: Any) -> None:
    """The model is linear, so every method must say input x weight, whatever its settings."""
    kernel = np.asarray(MODELS.rows.layers[-1].kernel)
    found = method(MODELS.rows, ROWS, 1, batch_size=1).values
    np.testing.assert_allclose(found, ROWS * kernel[:, 1], rtol=1e-5, atol=1e-7)


def test_a_background_follows_the_names_and_not_the_order() -> None:
    """The model is linear: each input must be compared with its own background."""
    kernel = np.asarray(MODELS.pair.layers[-1].kernel)[:, 1]
    background = {"right": 5 * ROWS, "left": 0 * ROWS}
    values = tfxai.ExpectedGradients(background, samples=2)(MODELS.pair, PAIR, 1).values
    np.testing.assert_allclose(values["left"], ROWS * kernel[:3], rtol=1e-5)
    np.testing.assert_allclose(values["right"], -4 * ROWS * kernel[3:], rtol=1e-5)


TEXTS = ["a good film", "so so"]
BY_WORDS = lambda texts: np.array([len(text) for text in texts])  # noqa: E731
SMALL_MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "a word for a probability": (
        lambda: tfxai.RISE(keep="half"),
        "keep is .half.. Give a probability between 0 and 1",
    ),
    "a negative seed": (lambda: tfxai.LIME(seed=-1), "seed is -1. Give a whole number from 0"),
    "a text for a width": (lambda: tfxai.LIME(width="0.25"), "Give a number above 0"),
    "a text for noise": (lambda: tfxai.SmoothGrad(noise="much"), "noise is .much.. Give a fraction"),
    "a colour for words": (lambda: tfxai.LIME(hide=3)(BY_WORDS, TEXTS), "hide=...\\) is not for texts"),
    "a background for words": (
        lambda: tfxai.KernelSHAP(background=3)(BY_WORDS, TEXTS),
        "background=...\\) is not for texts",
    ),
    "a masker for words": (lambda: tfxai.PartitionSHAP(masker=3)(BY_WORDS, TEXTS), "is not for texts"),
    "a score of NumPy": (
        lambda: GRADIENT(lambda x: x[:, 0], IMAGES, score=lambda outputs, targets: np.log(outputs)[:, 0, 0]),
        "does not run on TensorFlow tensors",
    ),
    "a tuple of outputs": (
        lambda: tfxai.Occlusion()(lambda x: (np.ones(len(x)), np.ones(len(x))), IMAGES),
        "returns a tuple. Return one array",
    ),
}


@pytest.mark.parametrize("mistake", SMALL_MISTAKES)
def test_small_mistakes_are_told_in_a_sentence(mistake: str) -> None:
    call, message = SMALL_MISTAKES[mistake]
    with pytest.raises(ValueError, match=message):
        call()


def test_an_id_is_a_whole_number() -> None:
    model = keras.Sequential([keras.Input((4,), dtype="int32"), L.Embedding(5, 2), L.Flatten(), L.Dense(2)])
    with pytest.raises(ValueError, match="this input is token ids"):
        tfxai.Occlusion(baseline=0.5)(model, IDS)


VOCABULARY = 20
WORDS = np.random.default_rng(0).integers(0, VOCABULARY, (2, 6))


@functools.cache
def reader(*, dtype: str = "int32", change: Any = None, table: int = VOCABULARY) -> Any:
    """Looks ids up as they are, or changed first."""
    layers = [] if change is None else [L.Lambda(change)]
    layers += [L.Embedding(table, 3), L.GlobalAveragePooling1D(), L.Dense(2, activation="softmax")]
    return keras.Sequential([keras.Input((6,), dtype=dtype), *layers])


def measured(name: str, **settings: Any) -> Any:
    return getattr(tfxai.metrics, name)(reader(), GRADIENT(reader(), WORDS), **settings)


ALIKE, STRAY = np.full(6, 21), np.where(np.arange(6) == 4, 33, WORDS)
OUTSIDE: dict[str, tuple[Callable[[], Any], str]] = {
    **{
        name: (functools.partial(measured, name, baseline=20), "^baseline holds the token id 20,")
        for name in ("deletion", "insertion", "irof", "monotonicity", "average_drop", "average_increase", "average_gain",
                     "mu_fidelity", "faithfulness_correlation", "infidelity", "completeness")
    },
    "below zero": (lambda: measured("deletion", baseline=-1), "^baseline holds the token id -1,"),
    "a function": (lambda: measured("insertion", baseline=lambda x: x + 40), r"^baseline holds the token id [45]\d,"),
    "inputs": (lambda: GRADIENT(reader(), STRAY), "^inputs holds the token id 33,"),
    "inputs of a metric": (lambda: tfxai.metrics.max_sensitivity(GRADIENT, reader(), STRAY), "token id 33,"),
    "inputs of a table": (lambda: tfxai.compare_methods(GRADIENT, reader(), STRAY), "token id 33,"),
    "as floats": (lambda: GRADIENT(reader(dtype="float32"), STRAY), "^inputs holds the token id 33,"),
    "hidden": (lambda: tfxai.Occlusion(baseline=20)(reader(), WORDS), "^baseline holds the token id 20,"),
    "starts": (lambda: tfxai.IntegratedGradients(baseline=ALIKE)(reader(), WORDS), "^baseline holds the token id 21,"),
    "rows": (lambda: tfxai.KernelSHAP(background=ALIKE[None])(reader(), WORDS), "background holds the token id 21,"),
    "data": (lambda: tfxai.ExpectedGradients(background=ALIKE[None])(reader(), WORDS), "background: inputs holds the token id 21,"),
    "a masker": (lambda: tfxai.PartitionSHAP(masker=21)(reader(), WORDS), "token id 21,"),
}  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_ids_outside_of_the_vocabulary(name: str) -> None:
    call, message = OUTSIDE[name]
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "the vocabulary has 20. Give ids from 0 to 19." in str(error.value)


def test_ids_that_are_changed_before_they_are_looked_up() -> None:
    """What they become is known when the model runs."""
    folded = reader(change=lambda ids: ids % VOCABULARY)
    np.testing.assert_allclose(
        GRADIENT(folded, WORDS + 400).scores, GRADIENT(folded, WORDS).scores, atol=1e-6
    )
    shifted = reader(change=lambda ids: ids + 15)
    with pytest.raises(
        ValueError, match=r"looks up the token id \d+, the vocabulary has 20\. Give ids from 0 to 19"
    ):
        GRADIENT(shifted, np.full((2, 6), 9))


def test_every_id_of_the_vocabulary_is_taken() -> None:
    explanation = GRADIENT(reader(), np.stack([WORDS[0], np.full(6, VOCABULARY - 1)]))
    for number in (0, VOCABULARY - 1):
        found = tfxai.metrics.deletion(reader(), explanation, baseline=number)
        gone = reader()(np.full((1, 6), number)).numpy()[0]
        np.testing.assert_allclose(found.curves[:, -1], gone[explanation.targets], atol=1e-6)


def test_names_in_the_place_of_a_number_of_segments() -> None:
    found = tfxai.LIME(samples=20, segments=4, segmenter="grid")(lambda x: x[:, 0, 0], IMAGES)
    with pytest.raises(ValueError, match="class names as labels="):
        tfxai.plots.segments(found, ["a", "b", "c"])
