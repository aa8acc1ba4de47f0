import dataclasses

import numpy as np
import pytest

import tfxai
from tfxai.methods.registry import configured, described_settings, method_class, snake_case


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GradCAM", "grad_cam"),
        ("GradCAMPlusPlus", "grad_cam_plus_plus"),
        ("IntegratedGradients", "integrated_gradients"),
        ("InputXGradient", "input_x_gradient"),
        ("KernelSHAP", "kernel_shap"),
        ("BlurIG", "blur_ig"),
        ("XRAI", "xrai"),
    ],
)
def test_snake_case_keeps_abbreviations_together(name, expected):
    assert snake_case(name) == expected


@pytest.mark.parametrize("name", tfxai.methods.__all__)
def test_every_method_is_found_by_any_spelling_of_its_name(name):
    kind = getattr(tfxai, name)
    snake = snake_case(name)
    for spelling in (name, snake, snake.upper(), snake.replace("_", ""), snake.replace("_", "-")):
        assert method_class(spelling) is kind


@pytest.mark.parametrize("name", tfxai.methods.__all__)
def test_no_settings_give_the_defaults_unless_data_is_needed(name):
    kind = getattr(tfxai, name)
    needed = [field for field in dataclasses.fields(kind) if "=" not in "".join(described_settings(kind)[:1])]
    if needed and described_settings(kind):
        with pytest.raises(ValueError, match="call it from Python"):
            configured(name)
    else:
        assert configured(name) == kind()


def test_values_get_the_types_of_the_settings():
    settings = ["steps=20", "baseline=0.5", "rule=trapezoid", "tolerance=1e-2"]
    expected = tfxai.IntegratedGradients(steps=20, baseline=0.5, rule="trapezoid", tolerance=0.01)
    assert configured("integrated_gradients", settings) == expected
    assert configured("integrated_gradients", ["tolerance=none"]).tolerance is None
    assert configured("kernel_shap", ["tolerance=1%"]).tolerance == "1%"
    noise = configured("smooth_grad", ["noise=1", "seed=3"])
    assert (type(noise.noise), noise.noise, type(noise.seed), noise.seed) == (float, 1.0, int, 3)
    assert configured("grad_cam", ["layer=backbone/conv=2"]).layer == "backbone/conv=2"
    assert configured("grad_cam", ["layer=-2"]).layer == -2


@pytest.mark.parametrize("name", ["blur", "mean", "noise"])
def test_a_baseline_is_named_as_in_the_module(name):
    inputs = np.random.default_rng(0).uniform(size=(2, 8, 8, 3)).astype("float32")
    baseline = configured("deep_lift", [f"baseline={name}"]).baseline
    np.testing.assert_array_equal(baseline(inputs), getattr(tfxai.baselines, name)()(inputs))


@pytest.mark.parametrize(
    ("name", "setting", "message"),
    [
        ("integrated_gradients", "steps=2.5", "steps takes a whole number"),
        ("integrated_gradients", "rule=simpson", "rule takes 'gauss_legendre' or 'midpoint' or 'trapezoid'"),
        ("integrated_gradients", "tolerance=low", "tolerance is 'low'.* a share"),
        ("integrated_gradients", "baseline=black", "neither a number nor one of: blur, mean, noise"),
        ("smooth_grad", "noise=nan", "noise takes a number"),
        ("smooth_grad", "noise=inf", "noise takes a number"),
        ("smooth_grad", "nois=1", "Did you mean noise.* It has: samples=50, noise=0.15, seed=0"),
        ("gradient", "steps=1", "It has: none"),
        ("grad_cam_plus", "layer=x", r"Did you mean grad_cam_plus_plus or .* There are: "),
    ],
)
def test_wrong_names_and_values_are_told_with_the_right_ones(name, setting, message):
    with pytest.raises(ValueError, match=message):
        configured(name, [setting])
