"""Writes a Keras model the way modules were written in TensorFlow 1, when most of TF-Hub was made.

Several signatures, endpoints named in the outputs, one variant for training and one for inference. Whoever has such a
module from TF-Hub does not need this file; it stands in for a download.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

v1 = tf.compat.v1
BACKGROUND = -10.0  # its logit: never the best


def write(
    model: keras.Model,
    folder: str | Path,
    *,
    name: str = "Net",
    background: bool = False,
    resource: bool = True,
) -> None:
    """Writes a model to a new folder, without its training.

    The variant `[]` is for inference, `["train"]` for training. The signature `image_classification` puts out the
    logits as `default`, `image_feature_vector` what the last layer sees; both put out each block by its name as well.
    `default` is the feature vector alone.

    model:      functional, of convolutions, batch norm, ReLUs, sums and a global pooling, with layers named BLOCK_PART.
    name:       of the network, in front of the endpoints: `Net/block1a`.
    background: puts a class for the background in front, as in many modules; so there are 1001.
    resource:   the kind of variables; False for the first kind of TensorFlow 1.
    """
    arrays = {id(weight): weight.numpy() for weight in model.weights}  # there are no values inside a graph
    builder = v1.saved_model.Builder(str(folder))
    for tags in (["train"], []):
        with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
            images = v1.placeholder(tf.float32, [None, *model.input_shape[1:]], "hub_input/images")
            with v1.variable_scope(f"module/{name}", use_resource=resource):
                blocks, features, logits, variables = _run(model, images, training=bool(tags))
                if background:
                    logits = tf.pad(logits, [[0, 0], [1, 0]], constant_values=BACKGROUND, name="background")
            session.run(v1.global_variables_initializer())
            for weight, variable in variables:
                variable.load(arrays[id(weight)], session)
            ends = {f"{name}/{block}": tensor for block, tensor in blocks.items()}
            answers = {
                "image_classification": {"default": logits, **ends},
                "image_feature_vector": {"default": features, **ends},
                "default": {"default": features},
            }
            signatures = {
                key: v1.saved_model.signature_def_utils.predict_signature_def({"images": images}, outputs)
                for key, outputs in answers.items()
            }
            if tags:
                builder.add_meta_graph_and_variables(session, tags, signature_def_map=signatures)
            else:
                builder.add_meta_graph(tags, signature_def_map=signatures)
    builder.save()


def _run(model: Any, images: Any, training: bool) -> tuple[dict[str, Any], Any, Any, list[tuple[Any, Any]]]:
    """The model in operations of TensorFlow 1: last tensor of each block, features, logits, and (weight, variable)
    pairs."""
    variables: list[tuple[Any, Any]] = []

    def variable(weight: Any) -> Any:
        name = weight.path.split("/")[-1]
        made = v1.get_variable(
            name, weight.shape, initializer=v1.zeros_initializer(), trainable=weight.trainable
        )
        variables.append((weight, made))
        return made

    made = {id(model.inputs[0]): images}
    blocks: dict[str, Any] = {}
    x = features = images
    for layer in model.layers[1:]:
        inputs = [made[id(tensor)] for tensor in tf.nest.flatten(layer.input)]
        with v1.variable_scope(layer.name.replace("_", "/", 1)):  # block1a/expand_conv
            x = _layer(layer, inputs, [variable(weight) for weight in layer.weights], training)
        made[id(layer.output)] = x
        if isinstance(layer, keras.layers.GlobalAveragePooling2D):
            features = x
        elif x.shape.rank == 4 and "_" in layer.name:
            blocks[layer.name.split("_")[0]] = x
    return blocks, features, x, variables


def _layer(layer: Any, inputs: list[Any], weights: list[Any], training: bool) -> Any:
    x = inputs[0]
    if isinstance(layer, keras.layers.Rescaling):
        return x * layer.scale + layer.offset
    if isinstance(layer, keras.layers.BatchNormalization):
        gamma, beta, mean, variance = weights
        statistics = {} if training else {"mean": mean, "variance": variance}
        return v1.nn.fused_batch_norm(
            x, gamma, beta, epsilon=layer.epsilon, is_training=training, **statistics
        )[0]
    if isinstance(layer, keras.layers.ReLU):
        return tf.nn.relu6(x) if layer.max_value == 6 else tf.nn.relu(x)
    if isinstance(layer, keras.layers.Add):
        return x + inputs[1]
    if isinstance(layer, keras.layers.GlobalAveragePooling2D):
        return tf.reduce_mean(x, [1, 2])
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        x = tf.nn.depthwise_conv2d(x, weights[0], [1, *layer.strides, 1], layer.padding.upper())
    elif isinstance(layer, keras.layers.Conv2D):
        x = tf.nn.conv2d(x, weights[0], layer.strides, layer.padding.upper())
    elif isinstance(layer, keras.layers.Dense):
        x = x @ weights[0]
    else:
        raise ValueError(f"There is no rule to write the layer {layer.name!r}, a {type(layer).__name__}.")
    return tf.nn.bias_add(x, weights[1]) if len(weights) > 1 else x
