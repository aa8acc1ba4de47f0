"""What docs/coming_from.md says of other libraries, wherever these are installed: `pip install ".[rivals]"`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfxai

pytestmark = pytest.mark.slow
L = keras.layers
K, INNER = (
    1,
    slice(2, 22),
)  # the class; where the 20 x 20 cells of a layer without padding lie in 24 x 24 pixels


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((24, 24, 3))
    maps = L.Conv2D(8, 3, activation="relu", name="deeper")(L.Conv2D(6, 3, activation="relu")(inputs))
    return keras.Model(inputs, L.Dense(4)(L.GlobalAveragePooling2D()(maps)))


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(2, 24, 24, 3)).astype("float32")


@pytest.fixture(scope="module")
def table() -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """A model, its background, and rows."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((8,)), L.Dense(12, activation="tanh"), L.Dense(3)])
    draw = np.random.default_rng(1).normal
    return model, draw(size=(30, 8)).astype("float32"), draw(size=(3, 8)).astype("float32")


def apart(one: Any, other: Any) -> float:
    """Largest difference, of the largest value of the other."""
    one, other = np.asarray(one, float), np.asarray(other, float)
    return float(np.abs(one - other).max() / np.abs(other).max())


def test_tf_keras_vis(model: keras.Model, x: np.ndarray) -> None:
    pytest.importorskip("tf_keras_vis")
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
    from tf_keras_vis.layercam import Layercam
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.utils.scores import CategoricalScore

    score, gradient = CategoricalScore([K, K]), np.abs(tfxai.Gradient()(model, x, K).values)
    saliency = Saliency(model, clone=False)
    assert apart(saliency(score, x, keepdims=True, normalize_map=False), gradient) == 0
    assert apart(saliency(score, x, keepdims=False, normalize_map=False), gradient.max(-1)) == 0
    for theirs, ours, room in (
        (Gradcam, tfxai.GradCAM, 1e-6),
        (Layercam, tfxai.LayerCAM, 1e-6),
        (GradcamPlusPlus, tfxai.GradCAMPlusPlus, 5e-3),
    ):
        found = np.asarray(
            theirs(model, clone=False)(
                score, x, penultimate_layer="deeper", expand_cam=False, normalize_cam=False
            )
        )
        cells = ours(layer="deeper")(model, x, K).heatmap()[:, INNER, INNER]
        if ours is tfxai.GradCAMPlusPlus:  # in another unit
            found, cells = (each / each.max((1, 2), keepdims=True) for each in (found, cells))
        assert apart(found, cells) < room, ours


def test_tf_explain(model: keras.Model, x: np.ndarray) -> None:
    pytest.importorskip("tf_explain")
    from tf_explain.core.grad_cam import GradCAM
    from tf_explain.core.gradients_inputs import GradientsInputs
    from tf_explain.core.integrated_gradients import IntegratedGradients
    from tf_explain.core.vanilla_gradients import VanillaGradients

    assert apart(VanillaGradients.compute_gradients(x, model, K), tfxai.Gradient()(model, x, K).values) < 1e-6
    by_input = tfxai.InputXGradient()(model, x, K).values
    assert apart(GradientsInputs.compute_gradients(x, model, K), by_input) < 1e-6
    outputs, gradients = GradCAM.get_gradients_and_filters(model, x, "deeper", K, False)
    cams = np.asarray(GradCAM.generate_ponderated_output(outputs, gradients))
    cells = tfxai.GradCAM(layer="deeper")(model, x, K).heatmap()[:, INNER, INNER]
    assert cams.min() < 0 and apart(np.maximum(cams, 0), cells) < 1e-6
    path = IntegratedGradients.generate_interpolations(x, 50)
    means = np.asarray(IntegratedGradients.get_integrated_gradients(path, model, K, 50))
    ours = tfxai.IntegratedGradients(steps=50)(model, x, K)
    assert apart(means, ours.values) > 0.5 and apart(means * x, ours.values) < 0.03
    assert np.abs(ours.delta).max() < 1e-2 * np.abs(ours.values).sum()  # ours adds up


def test_pair_saliency(model: keras.Model, x: np.ndarray) -> None:
    saliency = pytest.importorskip("saliency.core")

    def call(images: Any, *_: Any, **__: Any) -> dict[str, Any]:
        tensor = tf.convert_to_tensor(np.asarray(images), tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            scores = model(tensor)[:, K]
        return {saliency.INPUT_OUTPUT_GRADIENTS: tape.gradient(scores, tensor).numpy()}

    one = x[0]
    gradient = tfxai.Gradient()(model, x[:1], K).values[0]
    assert apart(saliency.GradientSaliency().GetMask(one, call), gradient) == 0
    exact = tfxai.IntegratedGradients(tolerance="0.1%")(model, x[:1], K)
    change = float((model(x[:1]) - model(np.zeros_like(x[:1])))[0, K])
    assert exact.values.sum() == pytest.approx(change, rel=1e-3)
    for steps in (25, 100):
        found = saliency.IntegratedGradients().GetMask(
            one, call, x_steps=steps, x_baseline=np.zeros_like(one), batch_size=25
        )
        assert 0.5 / steps < abs(found.sum() / change - 1) < 2 / steps  # one part in n is missing
    for magnitude, ours in ((False, tfxai.SmoothGrad), (True, tfxai.SquareGrad)):
        found = saliency.GradientSaliency().GetSmoothedMask(
            one, call, stdev_spread=0.15, nsamples=400, magnitude=magnitude
        )
        expected = ours(samples=2000, noise=0.15)(model, x[:1], K).values[0]
        assert apart(found, expected) < 0.15, ours


def test_shap(table: Any) -> None:
    shap = pytest.importorskip("shap")
    model, background, rows = table

    def score(values: Any) -> np.ndarray:
        return model(np.asarray(values, "float32")).numpy()

    exact = tfxai.KernelSHAP(samples=512, background=background)(model, rows, K, score="output").values
    kernel = shap.KernelExplainer(score, background).shap_values(
        rows, nsamples=356, silent=True, l1_reg=False
    )
    assert apart(np.asarray(kernel)[..., K], exact) < 1e-6
    gradient = shap.GradientExplainer(model, background).shap_values(rows, nsamples=4000, rseed=1)
    expected = tfxai.ExpectedGradients(samples=4000, background=background)(model, rows, K).values
    assert apart(np.asarray(gradient)[..., K], expected) < 0.04
    deep = shap.DeepExplainer(model, background).shap_values(rows, check_additivity=False)
    means = np.mean([tfxai.DeepLIFT(baseline=row)(model, rows, K).values for row in background], 0)
    assert apart(np.asarray(deep)[..., K], means) < 1e-5


def test_lime() -> None:
    lime_text = pytest.importorskip("lime.lime_text")
    words = ["a", "very", "good", "film", "about", "a", "quiet", "cat"]
    weights = dict(zip(words, np.random.default_rng(0).normal(size=len(words)), strict=True))

    def score(texts: Any) -> np.ndarray:
        """A sum over words, and a pair that counts together."""
        held = [str(text).split() for text in texts]
        sums = [
            sum(weights[w] for w in text if w in weights) + 1.5 * ({"good", "film"} <= {*text})
            for text in held
        ]
        shares = 1 / (1 + np.exp(-np.array(sums)))
        return np.stack([1 - shares, shares], 1)

    explainer = lime_text.LimeTextExplainer(random_state=0, bow=False, split_expression=r"\s+")
    found = explainer.explain_instance(" ".join(words), score, num_features=20, num_samples=20000, labels=[1])
    theirs = dict(found.as_map()[1])
    ours = tfxai.LIME(samples=20000)(score, np.array([" ".join(words)], object), 1, score="output")
    listed = [theirs[i] for i in range(len(words))]
    assert np.corrcoef(listed, ours.weights[0])[0, 1] > 0.98  # pyright: ignore[reportAttributeAccessIssue]
    assert found.score == pytest.approx(float(ours.r2[0]), abs=0.02)  # pyright: ignore[reportAttributeAccessIssue]
