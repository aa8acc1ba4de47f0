"""What docs/coming_from.md says of captum: the same weights in PyTorch and in Keras, wherever captum is installed."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import pytest
from beside import K, L, apart, table

import tfxai

torch = pytest.importorskip("torch")
attr = pytest.importorskip("captum.attr")
nn, functional = torch.nn, torch.nn.functional
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Setting")]


class Ported(nn.Module):
    """The network of `kerased`, with or without pooling; nothing is used twice, which captum's hooks ask for."""

    def __init__(self, pooled: bool) -> None:
        super().__init__()
        self.edges, self.edges_on = nn.Conv2d(3, 6, 3), nn.ReLU()
        self.pool = nn.MaxPool2d(2) if pooled else None
        self.deeper, self.deeper_on = nn.Conv2d(6, 8, 3), nn.ReLU()
        self.dense, self.dense_on = nn.Linear(8 * (3 if pooled else 8) ** 2, 10), nn.ReLU()
        self.last = nn.Linear(10, 4)

    def forward(self, x: Any) -> Any:
        x = self.edges_on(self.edges(x))
        x = self.deeper_on(self.deeper(self.pool(x) if self.pool else x))
        return self.last(self.dense_on(self.dense(torch.flatten(x, 1))))


def kerased(pooled: bool) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12, 12, 3))
    maps = L.Conv2D(6, 3, activation="relu", name="edges")(inputs)
    maps = L.Conv2D(8, 3, activation="relu", name="deeper")(L.MaxPooling2D(2)(maps) if pooled else maps)
    flat = L.Flatten()(
        L.Permute((3, 1, 2))(maps)
    )  # PyTorch has channels first, which shows where maps are flattened
    model = keras.Model(inputs, L.Dense(4)(L.Dense(10, activation="relu")(flat)))
    biases = np.random.default_rng(0)
    for weight in model.weights:
        if weight.ndim == 1:
            weight.assign(0.1 * biases.normal(size=weight.shape))
    return model


def port(model: keras.Model, layers: list[Any]) -> None:
    """Keras has kernels (height, width, in, out) and (in, out), PyTorch (out, in, height, width) and (out, in)."""
    weights = [weight.numpy() for weight in model.weights]
    with torch.no_grad():
        for layer, kernel, bias in zip(layers, weights[::2], weights[1::2], strict=True):
            layer.weight.copy_(torch.tensor(kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T))
            layer.bias.copy_(torch.tensor(bias))


def both(pooled: bool) -> tuple[keras.Model, Any]:
    model, net = kerased(pooled), Ported(pooled).eval()
    port(model, [net.edges, net.deeper, net.dense, net.last])
    return model, net


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(2, 12, 12, 3)).astype("float32")


@pytest.fixture(scope="module")
def t(x: np.ndarray) -> Any:
    return torch.tensor(x.transpose(0, 3, 1, 2).copy(), requires_grad=True)


def back(found: Any) -> np.ndarray:
    """Channels last, as NumPy has them."""
    array = found.detach().numpy()
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


@pytest.fixture(scope="module")
def rows() -> tuple[keras.Model, Any, np.ndarray, np.ndarray]:
    """A table's model in Keras and in PyTorch, a background, and rows."""
    model, background, rows = table()
    net = nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 3))
    port(model, [net[0], net[2]])
    return model, net, background, rows


def test_gradients_paths_and_backward_rules_are_those_of_captum(x: np.ndarray, t: Any) -> None:
    model, net = both(pooled=True)
    assert apart(net(t).detach(), model(x).numpy()) < 1e-5
    saliency = attr.Saliency(net).attribute(t, target=K)
    assert apart(back(saliency), np.abs(tfxai.Gradient()(model, x, K).values)) < 1e-5
    for theirs, ours in (
        (attr.InputXGradient, tfxai.InputXGradient),
        (attr.DeepLift, tfxai.DeepLIFT),
        (attr.GuidedBackprop, tfxai.GuidedBackprop),
        (attr.Deconvolution, tfxai.Deconvnet),
    ):
        assert apart(back(theirs(net).attribute(t, target=K)), ours()(model, x, K).values) < 1e-5, ours
    for steps, baseline in ((20, 0.0), (50, 0.5)):
        paths = attr.IntegratedGradients(net).attribute(t, target=K, n_steps=steps, baselines=baseline)
        ours = tfxai.IntegratedGradients(steps=steps, baseline=baseline)(model, x, K)
        assert apart(back(paths), ours.values) < 1e-5  # both by Gauss-Legendre, with few steps too


def test_layers_of_captum(x: np.ndarray, t: Any) -> None:
    model, net = both(pooled=True)
    cam = attr.LayerGradCam(net, net.edges_on).attribute(t, target=K, relu_attributions=True)
    cam = functional.interpolate(cam, size=(12, 12), mode="bilinear", align_corners=False)
    assert apart(back(cam), tfxai.GradCAM(layer="edges")(model, x, K).values) < 1e-5
    times = attr.LayerGradientXActivation(net, net.deeper_on).attribute(t, target=K)
    assert apart(back(times), tfxai.InputXGradient()(model, x, K, at="deeper").values) < 1e-5
    paths = attr.LayerIntegratedGradients(net, net.deeper_on).attribute(t, target=K, n_steps=50)
    assert apart(back(paths), tfxai.IntegratedGradients(steps=50)(model, x, K, at="deeper").values) < 1e-5
    flow = attr.LayerConductance(net, net.deeper_on)
    few, many = (back(flow.attribute(t, target=K, n_steps=n)) for n in (50, 400))
    ours, fine = (tfxai.Conductance(steps=n)(model, x, K, at="deeper").values for n in (50, 400))
    assert apart(many, fine) < 0.005 and apart(few, fine) > apart(ours, fine)  # one limit, reached sooner
    guided = back(attr.GuidedGradCam(net, net.deeper_on).attribute(t, target=3))
    ours = tfxai.GuidedGradCAM(layer="deeper")(model, x, 3).values
    assert 0.05 < apart(guided, ours) < 0.15  # there the map is enlarged by nearest neighbours
    cam = attr.LayerGradCam(net, net.deeper_on).attribute(t, target=3, relu_attributions=True)
    cam = functional.interpolate(cam, size=(12, 12), mode="bilinear", align_corners=False)
    assert apart(back(cam * attr.GuidedBackprop(net).attribute(t, target=3)), ours) < 1e-5


def test_lrp_of_captum(x: np.ndarray, t: Any) -> None:
    rules = pytest.importorskip("captum.attr._utils.lrp_rules")
    model, net = both(pooled=False)

    def theirs(rule: Any) -> np.ndarray:
        for layer in (net.edges, net.deeper, net.dense, net.last):
            layer.rule = rule()
        return back(attr.LRP(net).attribute(t, target=K))

    for epsilon in (1e-9, 1e-2):
        ours = tfxai.LRP(epsilon=epsilon)(model, x, K).values
        assert apart(theirs(lambda e=epsilon: rules.EpsilonRule(e)), ours) < 1e-5
    first = tfxai.LRP("alpha_beta", alpha=1.0, beta=0.0)
    assert 1e-3 < apart(theirs(rules.Alpha1_Beta0_Rule), first(model, x, K).values) < 0.1
    # There negative biases stay in the denominators of positive shares; the paper's equation 60 has positive ones only.
    for weight in model.weights:
        weight.assign(np.abs(weight) if weight.ndim == 1 else weight)
    port(model, [net.edges, net.deeper, net.dense, net.last])
    assert apart(theirs(rules.Alpha1_Beta0_Rule), first(model, x, K).values) < 1e-3


def test_noise_and_hidden_parts_of_captum(x: np.ndarray, t: Any) -> None:
    model, net = both(pooled=True)
    torch.manual_seed(0)
    for kind, ours, room in (
        ("smoothgrad", tfxai.SmoothGrad, 0.05),
        ("smoothgrad_sq", tfxai.SquareGrad, 0.1),
        ("vargrad", tfxai.VarGrad, 0.2),
    ):
        found = attr.NoiseTunnel(attr.Saliency(net)).attribute(
            t, nt_type=kind, nt_samples=2000, nt_samples_batch_size=200, stdevs=0.15, target=K, abs=False
        )
        spread = np.ptp(x, axis=(1, 2, 3))
        expected = [
            ours(samples=4000, noise=float(0.15 / s))(model, one[None], K).values[0]
            for one, s in zip(x, spread, strict=True)
        ]
        assert apart(back(found), expected) < room, kind
    places = torch.arange(144).reshape(1, 1, 12, 12)  # all colours of a place are one part
    alone = attr.FeatureAblation(net).attribute(t, target=K, feature_mask=places)[:, :1]
    assert apart(back(alone), tfxai.Occlusion(window=1, stride=1)(model, x, K).values) < 1e-4
    for window, stride in ((4, 2), (5, 3)):
        found = attr.Occlusion(net).attribute(t, (3, window, window), strides=(3, stride, stride), target=K)
        ours = tfxai.Occlusion(window=window, stride=stride)(model, x, K).values
        fits = (12 - window) % stride == 0
        assert (apart(back(found[:, :1]), ours) < 1e-4) == fits


def test_shapley_values_of_captum(rows: Any) -> None:
    model, net, background, x = rows
    t, zeros = torch.tensor(x), np.zeros((1, 8), "float32")
    exact = tfxai.KernelSHAP(samples=512, background=zeros)(model, x, K, score="output").values
    all_orders = attr.ShapleyValueSampling(net).attribute(t, target=K, n_samples=500)
    assert apart(all_orders, exact) < 0.02
    kernel = [
        attr.KernelShap(net).attribute(t[i : i + 1], target=K, n_samples=3000).numpy()[0] for i in range(3)
    ]
    assert apart(kernel, exact) < 0.03
    smooth = attr.GradientShap(net).attribute(t, baselines=torch.tensor(background), n_samples=4000, target=K)
    expected = tfxai.ExpectedGradients(samples=4000, background=background)(model, x, K).values
    assert apart(smooth, expected) < 0.06
    deep = attr.DeepLiftShap(net).attribute(t, baselines=torch.tensor(background), target=K)
    means = np.mean([tfxai.DeepLIFT(baseline=row)(model, x, K).values for row in background], 0)
    assert apart(deep.detach(), means) < 1e-5


def test_metrics_of_captum(rows: Any) -> None:
    measures = pytest.importorskip("captum.metrics")
    model, net, _, x = rows
    t, spread = torch.tensor(x), np.ptp(x, axis=1)
    slopes = tfxai.Gradient()(model, x, K)
    torch.manual_seed(0)

    def noisy(repeated: Any) -> tuple[Any, Any]:
        width = torch.tensor(0.2 * spread)[:, None].repeat_interleave(len(repeated) // 3, 0)
        noise = width * torch.randn_like(repeated)
        return noise, repeated - noise

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = measures.infidelity(
            net, noisy, t, torch.tensor(slopes.values), target=K, n_perturb_samples=20000,
            max_examples_per_batch=60000,
        )  # fmt: skip
    ours = tfxai.metrics.infidelity(
        model, slopes, reads="weights", perturbation="noise", noise=0.2, samples=20000, score="output"
    )
    np.testing.assert_allclose(theirs.numpy(), ours.values, rtol=0.1)

    def explained(moved: Any, target: int) -> Any:
        return attr.InputXGradient(net).attribute(moved, target=target)

    def moved(inputs: Any, radius: float) -> Any:
        """Our draws, each for all rows."""
        draws = [np.random.default_rng([0, sample]).uniform(-1, 1, (1, 8)) for sample in range(10)]
        steps = spread[:, None, None] * radius * np.concatenate(draws)
        return inputs + torch.tensor(steps.reshape(30, 8), dtype=torch.float32)

    furthest = measures.sensitivity_max(
        explained, t.requires_grad_(), moved, perturb_radius=0.02, n_perturb_samples=10, target=K
    )
    ours = tfxai.metrics.max_sensitivity(tfxai.InputXGradient(), model, x, K)
    np.testing.assert_allclose(furthest.detach().numpy(), ours.values, rtol=1e-3)
