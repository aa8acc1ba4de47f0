"""Which layers can be named, and that the right one is chosen."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from models import kind

import tfxai

A = keras.applications

# (family, input size without top, chosen without top, chosen with top). None: a layer numbered by Keras; see KIND.
FAMILIES = {
    "VGG16": (96, "block5_conv3", "block5_conv3"),
    "ResNet50": (96, "conv5_block3_out", "conv5_block3_out"),
    "ResNet50V2": (96, "post_relu", "post_relu"),
    "InceptionV3": (160, "mixed10", "mixed10"),
    "Xception": (96, "block14_sepconv2_act", "block14_sepconv2_act"),
    "MobileNet": (96, "conv_pw_13_relu", "conv_pw_13_relu"),
    "MobileNetV2": (96, "out_relu", "out_relu"),
    "MobileNetV3Large": (96, None, None),
    "DenseNet121": (96, "relu", "relu"),
    "NASNetMobile": (96, None, None),
    "EfficientNetB0": (96, "top_activation", "top_activation"),
    "EfficientNetV2B0": (96, "top_activation", "top_activation"),
    "ConvNeXtTiny": (96, None, None),
    "InceptionResNetV2": (160, "conv_7b_ac", "conv_7b_ac"),
}
# Where Keras numbers the layer: its class, and its maps at the model's own size.
KIND = {
    ("MobileNetV3Large", False): ("Activation", 960),
    ("MobileNetV3Large", True): ("Activation", 960),
    ("NASNetMobile", False): ("Activation", 1056),
    ("NASNetMobile", True): ("Activation", 1056),
    ("ConvNeXtTiny", False): ("LayerNormalization", 768),
    ("ConvNeXtTiny", True): ("Add", 768),  # the residual sum, an operation that is no layer
}


@pytest.mark.slow
@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("top", [False, True], ids=["no_top", "top"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_spatial_layer_of_every_family(family: str, top: bool) -> None:
    size, without, with_top = FAMILIES[family]
    build = getattr(A, family)
    model = (
        build(weights=None) if top else build(weights=None, include_top=False, input_shape=(size, size, 3))
    )
    table = tfxai.layers(model)
    chosen = next(info for info in table if info.chosen)
    wanted = with_top if top else without
    if wanted is not None:
        assert table.chosen == wanted
    else:
        name, channels = KIND[family, top]
        assert chosen.kind == name
        assert chosen.shape[-1] == channels
    # Nothing but pooling and what has no maps comes after it.
    after = table[[info.path for info in table].index(chosen.path) + 1 :]
    assert all("Pool" in info.kind or not info.spatial for info in after if info.path != model.name)


def test_a_nested_model_lists_paths_and_shapes() -> None:
    table = tfxai.layers(kind("nested").model)
    assert table.chosen == "mobilenetv2_0.35_32/block_3_expand_relu"
    shapes = {info.path: info.shape for info in table}
    assert shapes["mobilenetv2_0.35_32/block_3_expand_relu"] == (None, 8, 8, 48)
    assert shapes["mobilenetv2_0.35_32/Conv1"] == (None, 16, 16, 16)
    assert "* mobilenetv2_0.35_32/block_3_expand_relu" in repr(table)
    assert "(N, 8, 8, 48)" in repr(table)


def test_a_subclassed_model_that_was_called_knows_its_shapes() -> None:
    table = tfxai.layers(kind("subclassed").model)
    assert next(info for info in table if info.chosen).shape == (None, 4, 4, 6)


def test_layers_can_be_named_in_four_ways() -> None:
    case = kind("nested")
    model, inner = case.model, case.model.layers[3].get_layer("block_1_expand_relu")
    wanted = tfxai.GradCAM(layer=inner)(model, case.inputs).values
    assert wanted.max() > 0
    for layer in ("mobilenetv2_0.35_32/block_1_expand_relu", "block_1_expand_relu"):
        np.testing.assert_array_equal(tfxai.GradCAM(layer=layer)(model, case.inputs).values, wanted)
    flat = kind("sequential")
    by_index = tfxai.GradCAM(layer=3)(flat.model, flat.inputs).values
    np.testing.assert_array_equal(
        tfxai.GradCAM(layer=flat.model.layers[3])(flat.model, flat.inputs).values, by_index
    )
    np.testing.assert_array_equal(
        tfxai.GradCAM(layer=flat.model.layers[3].name)(flat.model, flat.inputs).values, by_index
    )


def test_a_name_that_two_layers_share_asks_for_the_path() -> None:
    def block() -> keras.Model:
        inputs = keras.Input((8, 8, 2))
        return keras.Model(inputs, keras.layers.Conv2D(2, 3, padding="same", name="conv")(inputs))

    model = keras.Sequential(
        [keras.Input((8, 8, 2)), block(), block(), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    with pytest.raises(ValueError, match=r"2 layers named 'conv'.*Give the whole path"):
        tfxai.GradCAM(layer="conv")(model, np.zeros((1, 8, 8, 2), np.float32))


def test_a_transformer_with_mean_pooling_is_read_at_its_last_norm() -> None:
    inputs = keras.Input((12, 18, 3))
    x = keras.layers.Reshape((6, 5))(keras.layers.Conv2D(5, 6, strides=6)(inputs))  # 2 x 3 patches
    y = keras.layers.LayerNormalization(name="before")(x)
    x = keras.layers.Add()([x, keras.layers.MultiHeadAttention(1, 4)(y, y)])
    x = keras.layers.LayerNormalization(name="after")(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(x)))
    assert tfxai.layers(model).chosen == "after"
    image = np.random.default_rng(0).normal(size=(1, 12, 18, 3)).astype(np.float32)
    heat = tfxai.GradCAM()(model, image).values
    assert heat.shape == (1, 12, 18, 1)
    norm = keras.Model(inputs, x)(image).numpy()[0]
    with tf.GradientTape() as tape:
        maps = tf.Variable(norm[None])
        score = tf.reduce_max(model.layers[-1](tf.reduce_mean(maps, 1)))
    weights = tape.gradient(score, maps).numpy()[0].mean(0)
    coarse = np.maximum(norm @ weights, 0).reshape(2, 3)
    np.testing.assert_allclose(heat[0, [0, 11], :, 0][:, [0, 17]], coarse[:, [0, 2]], rtol=1e-4, atol=1e-6)


def test_the_last_call_of_a_layer_that_is_called_twice_is_read() -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    shared = keras.layers.Conv2D(3, 3, padding="same", name="c")
    maps = shared(shared(inputs))
    head = keras.layers.Dense(2)
    model = keras.Model(inputs, head(keras.layers.GlobalAveragePooling2D()(maps)))
    x = np.random.default_rng(0).random((2, 8, 8, 3)).astype(np.float32)
    activations = shared(shared(x)).numpy()
    found = tfxai.GradCAM(layer="c")(model, x, targets=1)
    wanted = np.maximum((activations * np.array(head.kernel)[:, 1] / 64).sum(-1), 0)
    np.testing.assert_allclose(found.values[..., 0], wanted, rtol=1e-4, atol=1e-6)
