import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfxai
from tfxai.cli.model_files import load, read_labels
from tfxai.predictions import probabilities

PHOTOS = np.random.default_rng(0).uniform(0, 255, (2, 12, 16, 3)).astype("float32")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    photo = keras.Input((12, 16, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(photo))
    x = keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(photo, x)


@pytest.mark.parametrize("export", ["keras", "tensorflow"])
def test_a_saved_model_is_open_to_every_gradient_method(model, tmp_path, export):
    if export == "keras":
        model.export(tmp_path / "saved", verbose=False)
    else:
        tf.saved_model.save(model, str(tmp_path / "saved"))
    loaded = load(str(tmp_path / "saved"))
    assert loaded.photo_shape() == (12, 16, 3)
    # Behind the softmax, and through the ReLU: a call of the signature would hide both.
    for method in (tfxai.Gradient(), tfxai.GuidedBackprop(), tfxai.DeepLIFT()):
        found, expected = method(loaded.model, PHOTOS), method(model, PHOTOS)
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
        np.testing.assert_allclose(found.values, expected.values, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(probabilities(loaded.model, PHOTOS), model(PHOTOS).numpy(), rtol=1e-5)


def test_outputs_of_a_saved_model_keep_their_names(model, tmp_path):
    class Two(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 12, 16, 3], tf.uint8, name="photo")])
        def serve(self, photo):
            mean = tf.reduce_mean(tf.cast(photo, tf.float32), axis=(1, 2))
            return {"zebra": mean[:, :2], "ape": mean}

    module = Two()
    tf.saved_model.save(module, str(tmp_path / "two"), signatures={"look": module.serve})
    found = probabilities(load(str(tmp_path / "two")).model, PHOTOS, output="ape")
    expected = tf.nn.softmax(PHOTOS.astype("uint8").mean(axis=(1, 2)))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    with pytest.raises(ValueError, match=r"2 outputs: 'ape' \(None, 3\), 'zebra' \(None, 2\)"):
        probabilities(load(str(tmp_path / "two")).model, PHOTOS)


def test_a_folder_without_signature_is_told(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "empty"))
    with pytest.raises(ValueError, match="no signature to call"):
        load(str(tmp_path / "empty"))


def test_demo_knows_its_labels_size_and_crop():
    loaded = load("demo")
    assert loaded.photo_shape() == (224, 224, 3)
    assert loaded.crop == 0.875
    assert loaded.labels is not None
    assert loaded.labels[282] == "tiger cat"


def test_a_model_of_any_size_takes_224_pixels(tmp_path):
    layers = [keras.Input((None, None, 1)), keras.layers.GlobalMaxPooling2D()]
    keras.Sequential(layers).save(tmp_path / "any.keras")
    assert load(str(tmp_path / "any.keras")).photo_shape() == (224, 224, 1)


class Doubled(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs


def test_a_class_of_the_author_is_named_when_it_is_missing(tmp_path):
    keras.Sequential([keras.Input((4, 4, 3)), Doubled()]).save(tmp_path / "own.keras")
    with pytest.raises(
        ValueError, match=r"own.keras does not load .*: Could not locate class 'Doubled'\. Load it in Python"
    ):
        load(str(tmp_path / "own.keras"))


NAMES = ["cat", "great white shark", "owl"]
FILES = {
    "a.txt": "cat\ngreat white shark\r\nowl\n\n",
    "bom.txt": "\ufeffcat\ngreat white shark\nowl",
    "list.json": json.dumps(NAMES),
    "dict.json": json.dumps({"0": "cat", "2": "owl", "1": "great white shark"}),
    "index.json": json.dumps({str(i): [f"n{i}", name] for i, name in enumerate(NAMES)}),
}


@pytest.mark.parametrize("name", FILES)
def test_labels_are_read_from_any_usual_file(tmp_path, name):
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    assert read_labels(tmp_path / name) == NAMES


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "[", "cannot be read as class names: Expecting value"),
        ("a.json", "3", "cannot be read"),
        ("a.json", "[3]", "cannot be read"),
        ("a.json", '{"1": "cat", "2": "dog"}', "names no class '0'"),
    ],
)
def test_files_that_name_no_classes_are_told(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_labels(tmp_path / name)
    with pytest.raises(ValueError, match=r"no\.txt cannot be read"):
        read_labels(tmp_path / "no.txt")
