"""Names for what goes in and comes out, where Python's own types say too little.

TensorFlow and Keras have no types that a checker could follow, so to a checker each of these is anything. To a reader they
say what is meant.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Model: TypeAlias = Any
"""A model of Keras 3 or tf_keras, a `tfxai.hub.Module`, or a function from a batch (N, ...) to scores (N, C)."""

Inputs: TypeAlias = Any
"""What a model takes: an array (N, ...), or a dict, list or tuple of arrays; texts as a list of strings or a `tfxai.Text`."""

Values: TypeAlias = Any
"""Arrays in the structure of the inputs, with None in the place of an input that is not explained."""

Tensor: TypeAlias = Any
"""A tf.Tensor; most are symbolic, in a graph that is being traced."""

Structure: TypeAlias = Any
"""One tensor, or a dict, list or tuple of tensors: what a model or a layer puts out."""

Layer: TypeAlias = Any
"""A layer of Keras 3 or tf_keras, or a `tfxai.hub.Endpoint`: an inner tensor of a module, in the place of a layer."""

Operation: TypeAlias = Any
"""A tf.Operation in a graph that is being traced."""

Variable: TypeAlias = Any
"""A variable of Keras or TensorFlow, such as a layer's kernel."""

PerInput: TypeAlias = list[Any]
"""For each input of a model a tensor, or None in the place of an input that is not explained."""
