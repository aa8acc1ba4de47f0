"""What docs/coming_from.md says of Xplique, wherever it is installed."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from beside import INNER, SEGMENTS, K, L, alike, apart, change, convolutional, images, table

import tfxai

there = pytest.importorskip("xplique.attributions", exc_type=ImportError)
measures = pytest.importorskip("xplique.metrics", exc_type=ImportError)
pytestmark = pytest.mark.slow
ONE_HOT = np.eye(4, dtype=np.float32)[[K, K]]


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return convolutional()


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return images()


def test_gradients_of_xplique(model: keras.Model, x: np.ndarray) -> None:
    plain = tfxai.Gradient()(model, x, K).values
    assert apart(there.Saliency(model, reducer=None)(x, ONE_HOT), np.abs(plain)) < 1e-6
    assert apart(there.Saliency(model)(x, ONE_HOT), np.abs(plain).max(-1, keepdims=True)) < 1e-6
    for name, ours in (
        ("GradientInput", tfxai.InputXGradient),
        ("GuidedBackprop", tfxai.GuidedBackprop),
        ("DeconvNet", tfxai.Deconvnet),
    ):
        found = getattr(there, name)(model, reducer=None)(x, ONE_HOT)
        assert apart(found, ours()(model, x, K).values) < 1e-6, name
    spread = float(np.ptp(x))
    assert spread == pytest.approx(
        1, abs=0.01
    )  # so that its noise, in units of the input, is ours, in parts of the range
    for name, ours, room in (
        ("SmoothGrad", tfxai.SmoothGrad, 0.1),
        ("SquareGrad", tfxai.SquareGrad, 0.1),
        ("VarGrad", tfxai.VarGrad, 0.15),
    ):
        found = getattr(there, name)(model, reducer=None, nb_samples=2000, noise=0.15)(x, ONE_HOT)
        assert apart(found, ours(samples=4000, noise=0.15)(model, x, K).values) < room, name


def test_integrated_gradients_of_xplique_take_trapezoids(model: keras.Model, x: np.ndarray) -> None:
    exact = tfxai.IntegratedGradients(tolerance="0.01%")(model, x, K).values
    wanted = [change(model, one) for one in x]
    gaps = []
    for steps in (20, 50):
        theirs = there.IntegratedGradients(model, reducer=None, steps=steps)(x, ONE_HOT).numpy()
        ours = tfxai.IntegratedGradients(steps=steps)(model, x, K).values
        assert apart(theirs, exact) > 5 * apart(ours, exact)
        gaps.append(np.abs(theirs.sum((1, 2, 3)) / wanted - 1).max())
    assert 0.01 < gaps[0] < 0.1 and gaps[1] < 0.6 * gaps[0]


def test_cams_of_xplique(model: keras.Model, x: np.ndarray) -> None:
    for theirs, ours in ((there.GradCAM, tfxai.GradCAM), (there.GradCAMPP, tfxai.GradCAMPlusPlus)):
        method = theirs(model, conv_layer="deeper")
        maps, slopes = method._gradient(tf.constant(x), tf.constant(ONE_HOT))
        found = method._apply_weights(method._compute_weights(slopes, maps), maps).numpy()
        cells = ours(layer="deeper")(model, x, K).heatmap()[:, INNER, INNER]
        if ours is tfxai.GradCAMPlusPlus:  # in another unit
            found, cells = (each / each.max((1, 2), keepdims=True) for each in (found, cells))
        assert apart(found, cells) < (1e-6 if ours is tfxai.GradCAM else 5e-3)


def test_hidden_parts_of_xplique(model: keras.Model, x: np.ndarray) -> None:
    for stride in (4, 2):
        found = there.Occlusion(model, patch_size=4, patch_stride=stride)(x, ONE_HOT).numpy()
        covers = np.zeros(24)
        for start in range(0, 21, stride):
            covers[start : start + 4] += 1
        mean = found / (covers[:, None, None] * covers[:, None])  # there values of a place are summed
        assert apart(mean, tfxai.Occlusion(window=4, stride=stride)(model, x, K).values) < 1e-5
    tf.random.set_seed(0)
    found = there.Rise(model, nb_samples=8000, grid_size=4)(x, ONE_HOT)
    ours = tfxai.RISE(samples=8000, cells=4)(model, x, K, score="output").values
    assert apart(found, ours) < 0.03 and alike(found, ours) > 0.98


def test_stand_ins_of_xplique(model: keras.Model, x: np.ndarray) -> None:
    settings: dict[str, Any] = {
        "map_to_interpret_space": lambda _: tf.constant(SEGMENTS), "ref_value": np.zeros(3, np.float32),
    }  # fmt: skip
    one, exact = x[:1], 0 * x[:1]
    tf.random.set_seed(0)
    found = there.Lime(model, nb_samples=20000, batch_size=500, **settings)(one, ONE_HOT[:1]).numpy()
    ours = tfxai.LIME(samples=20000, segmenter=SEGMENTS, hide=0.0, width=1000.0, ridge=2.0)(model, one, K)
    assert apart(found, ours.values) < 0.15 and alike(found, ours.values) > 0.99
    exact = tfxai.KernelSHAP(samples=65536, segmenter=SEGMENTS, background=exact)(
        model, one, K, score="output"
    ).values
    corners = (0, slice(None, None, 6), slice(None, None, 6), 0)
    assert exact[corners].sum() == pytest.approx(change(model, x[0]), rel=1e-4)
    errors, missing = [], []
    for samples in (2000, 32000):
        found = there.KernelShap(model, nb_samples=samples, **settings)(one, ONE_HOT[:1]).numpy()
        errors.append(apart(found, exact))
        missing.append(abs(found[corners].sum() / change(model, x[0]) - 1))
    assert (
        errors[1] < errors[0] / 2 and errors[1] < 0.1 and missing[1] > 0.01
    )  # its sum is not held to the change
    spare = tfxai.KernelSHAP(samples=2000, segmenter=SEGMENTS, background=0 * one)(
        model, one, K, score="output"
    )
    assert apart(spare.values, exact) < errors[0] / 4


def test_rows_and_curves_of_xplique(model: keras.Model) -> None:
    net, _, rows = table()
    exact = tfxai.KernelSHAP(samples=512, background=np.zeros((1, 8), "float32"))(
        net, rows, K, score="output"
    ).values
    tf.random.set_seed(0)
    found = there.KernelShap(net, nb_samples=5000)(rows, np.eye(3, dtype=np.float32)[[K] * 3])
    assert apart(found, exact) < 0.02
    soft = keras.Sequential([model, L.Softmax()])
    draw = np.random.default_rng(5)
    pictures = draw.uniform(size=(20, 24, 24, 3)).astype("float32")
    classes, heat = draw.integers(0, 4, 20), draw.random((20, 24, 24)).astype("float32")
    told = tfxai.Explanation(
        heat[..., None], pictures, classes, np.zeros(20, np.float32), None, "random", "none"
    )
    for theirs, ours in (
        (measures.Deletion, tfxai.metrics.deletion),
        (measures.Insertion, tfxai.metrics.insertion),
    ):
        rival = theirs(soft, pictures, np.eye(4, dtype=np.float32)[classes], steps=24, baseline_mode=0.0)
        curve = np.array([*rival.detailed_evaluate(heat).values()], float)
        result = ours(soft, told, baseline=0.0)
        assert result.curves is not None and apart(curve, result.curves.mean(0)) < 1e-5
