"""What docs/coming_from.md says of other libraries, wherever these are installed: `pip install ".[rivals]"`."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import pytest
import scipy.fft
import scipy.ndimage
import tensorflow as tf
from beside import INNER, SEGMENTS, K, alike, apart, change, convolutional, images
from beside import table as table_and_rows
from scipy.special import softmax

import tfxai

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return convolutional()


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return images()


@pytest.fixture(scope="module")
def table() -> tuple[keras.Model, np.ndarray, np.ndarray]:
    return table_and_rows()


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


def test_tf_keras_vis_weighs_score_cam_by_probabilities_and_we_by_their_softmax_over_channels(
    x: np.ndarray,
) -> None:
    pytest.importorskip("tf_keras_vis")
    from tf_keras_vis.scorecam import Scorecam
    from tf_keras_vis.utils.scores import CategoricalScore

    model = convolutional()
    model.layers[-1].kernel.assign(model.layers[-1].kernel * 100)  # so that channels differ
    maps = keras.Model(model.inputs, model.get_layer("deeper").output)(x).numpy()

    def probability(image: np.ndarray) -> float:
        return float(softmax(model(image[None].astype("float32")).numpy().astype(float))[0, K])

    def cam(row: int, enlarged: Any, weights_of: Any) -> np.ndarray:
        masks = [enlarged(maps[row, ..., k]) for k in range(8)]
        masks = [(m - m.min()) / (m.max() - m.min()) for m in masks]
        weights = np.array([probability(x[row] * m[..., None]) for m in masks])
        return np.maximum(maps[row] @ weights_of(weights - probability(0 * x[row]), weights), 0)

    theirs = Scorecam(model, clone=False)(
        CategoricalScore([K, K]), x, penultimate_layer="deeper", expand_cam=False, normalize_cam=False
    )
    ours = tfxai.ScoreCAM(layer="deeper")(model, x, K).heatmap()[:, INNER, INNER]
    for row in range(2):
        plain = cam(row, lambda m: scipy.ndimage.zoom(m, 24 / 20, order=1, mode="nearest"), lambda _, w: w)
        papers = cam(row, lambda m: np.pad(m, 2, mode="edge"), lambda gains, _: softmax(gains))
        assert apart(theirs[row], plain) < 1e-5 and apart(ours[row], papers) < 1e-5
        assert 0.9 < alike(theirs[row], ours[row]) < 1 - 1e-6


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


def answers(model: keras.Model) -> Any:
    """The function that gives PAIR's methods their gradients."""
    from saliency.core import INPUT_OUTPUT_GRADIENTS

    @tf.function
    def gradients(tensor: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            scores = model(tensor)[:, K]
        return tape.gradient(scores, tensor)

    def call(images: Any, *_: Any, **__: Any) -> dict[str, Any]:
        return {INPUT_OUTPUT_GRADIENTS: gradients(tf.constant(np.asarray(images), tf.float32)).numpy()}

    return call


def test_pair_saliency(model: keras.Model, x: np.ndarray) -> None:
    saliency = pytest.importorskip("saliency.core")
    call, one = answers(model), x[0]
    gradient = tfxai.Gradient()(model, x[:1], K).values[0]
    assert apart(saliency.GradientSaliency().GetMask(one, call), gradient) < 1e-6
    exact = tfxai.IntegratedGradients(tolerance="0.1%")(model, x[:1], K)
    assert exact.values.sum() == pytest.approx(change(model, one), rel=1e-3)
    for steps in (25, 100):
        found = saliency.IntegratedGradients().GetMask(
            one, call, x_steps=steps, x_baseline=np.zeros_like(one), batch_size=25
        )
        assert 0.5 / steps < abs(found.sum() / change(model, one) - 1) < 2 / steps  # one part in n is missing
    for magnitude, ours in ((False, tfxai.SmoothGrad), (True, tfxai.SquareGrad)):
        found = saliency.GradientSaliency().GetSmoothedMask(
            one, call, stdev_spread=0.15, nsamples=400, magnitude=magnitude
        )
        expected = ours(samples=2000, noise=0.15)(model, x[:1], K).values[0]
        assert apart(found, expected) < 0.15, ours


def test_blur_ig_of_pair_has_dark_borders_and_counts_nothing_of_its_first_step(
    model: keras.Model, x: np.ndarray
) -> None:
    saliency = pytest.importorskip("saliency.core")
    call, one, widest = answers(model), x[0].astype(float), 20.0

    def slope(image: np.ndarray) -> np.ndarray:
        return next(iter(call(image[None]).values()))[0]

    def along(blurred: Any, sigmas: np.ndarray) -> np.ndarray:
        """The integral of the paper's equation 7: slopes half way, times the change of the image."""
        ends = [blurred(sigma) for sigma in sigmas]
        middles = [slope(blurred((a + b) / 2)) for a, b in itertools.pairwise(sigmas)]
        return -np.sum(middles * np.diff(ends, axis=0), 0)

    def exactly(sigma: float) -> np.ndarray:
        """Borders reflect; a Gaussian is exp(-sigma^2 w^2 / 2) in frequencies."""
        squared = (np.pi * np.arange(24) / 24) ** 2
        damping = np.exp(-0.5 * sigma**2 * (squared[:, None, None] + squared[None, :, None]))
        waves = scipy.fft.dctn(one, axes=(0, 1), norm="ortho")
        return scipy.fft.idctn(waves * damping, axes=(0, 1), norm="ortho")

    def darkly(sigma: float) -> np.ndarray:
        """Black outside, and a Gaussian that is read at whole pixels."""
        return scipy.ndimage.gaussian_filter(one, [sigma, sigma, 0], mode="constant") if sigma else one

    fine = (1 + widest) ** np.linspace(0, 1, 801) - 1
    ours = tfxai.BlurIG(max_sigma=widest, steps=400)(model, x[:1], K)
    assert apart(ours.values[0], along(exactly, fine)) < 0.02
    assert ours.values.sum() == pytest.approx(change(model, one, exactly(widest)), rel=5e-3)

    def theirs(steps: int) -> np.ndarray:
        return saliency.BlurIG().GetMask(one, call, max_sigma=widest, steps=steps)

    width = widest / 100
    written = [
        slope(darkly(i * width)) * (darkly(i * width) - darkly(i * width + 0.01)) * width / 0.01
        for i in range(100)
    ]
    assert apart(theirs(100), sum(written)) < 1e-6 and not written[0].any()  # 0.01 pixels blur nothing
    dark = along(darkly, fine)
    assert apart(theirs(100), dark) > 0.3 and apart(theirs(1600), dark) < 0.05
    assert apart(dark, along(exactly, fine)) > 0.15  # what no number of steps mends


def test_guided_ig_and_xrai_of_pair(
    model: keras.Model, x: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    saliency = pytest.importorskip("saliency.core")
    call, quantile = answers(model), np.quantile

    def older(values: Any, share: float, interpolation: str) -> Any:
        """NumPy 2 calls it method."""
        return quantile(values, share, method=interpolation)

    with monkeypatch.context() as numpy1:
        numpy1.setattr(np, "quantile", older)
        found = saliency.GuidedIG().GetMask(x[0], call, x_steps=20, fraction=0.25, max_dist=0.2)
    ours = tfxai.GuidedIG(steps=20, fraction=0.25, max_distance=0.2)(model, x[:1], K)
    assert apart(found, ours.values[0]) < 1e-5

    blocks = np.random.default_rng(3).uniform(size=(6, 6, 3)).repeat(4, 0).repeat(4, 1)
    image = (blocks + 0.05 * x[0]).astype("float32")
    method = tfxai.XRAI(min_size=20, smallest_gain=10)
    regions = method._regions(image).toarray().astype(bool).reshape(-1, 24, 24)
    ends = [tfxai.IntegratedGradients(baseline=float(f(image))) for f in (np.min, np.max)]
    paths = np.mean([end(model, image[None], K).values[0] for end in ends], 0)
    settings = saliency.XRAIParameters()
    settings.experimental_params = {"min_pixel_diff": 10}

    def theirs(of_paths: np.ndarray) -> np.ndarray:
        return saliency.XRAI().GetMask(
            image, call, segments=[*regions], base_attribution=of_paths, extra_parameters=settings
        )

    maps = method(model, image[None], K)
    summed = np.repeat(paths.sum(-1, keepdims=True), 3, -1)  # their maximum over colours is then our sum
    assert apart(theirs(summed), maps.values[0, ..., 0]) < 1e-5
    assert apart(theirs(paths), maps.values[0, ..., 0]) > 0.3
    assert maps.values.sum() == pytest.approx(paths.sum(), rel=1e-4)
    assert theirs(paths).sum() > 1.5 * paths.sum()


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


def test_lime_of_images(model: keras.Model, x: np.ndarray) -> None:
    lime_image = pytest.importorskip("lime.lime_image")

    def score(pictures: Any) -> np.ndarray:
        return model(np.asarray(pictures, "float32")).numpy()

    for theirs, ours, room in ((0, 0.0, 0.1), (None, "mean", 0.02)):
        found = lime_image.LimeImageExplainer(random_state=0).explain_instance(
            x[0].astype(float), score, labels=(K,), top_labels=None, hide_color=theirs, num_features=100,
            num_samples=20000, batch_size=500, segmentation_fn=lambda _: SEGMENTS,
        )  # fmt: skip
        listed = dict(found.local_exp[K])
        weights = [listed[i] for i in range(16)]
        expected = tfxai.LIME(samples=20000, segmenter=SEGMENTS, hide=ours)(model, x[:1], K)
        assert apart(weights, expected.weights[0]) < room  # pyright: ignore[reportAttributeAccessIssue]
        assert found.score == pytest.approx(float(expected.r2[0]), abs=0.01)  # pyright: ignore[reportAttributeAccessIssue]
