"""Names for what goes in and comes out, where Python's own types say too little.

TensorFlow and Keras have no types that a checker can read, so these stand for anything to it; to a reader they tell.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Model: TypeAlias = Any
"""A Keras 3 or tf_keras model, a `tfxai.hub.Module`, or a callable from a batch (N, ...) to scores (N, C)."""

Inputs: TypeAlias = Any
"""What a model takes: an array (N, ...), or the dict, list or tuple of them; texts as a list of strings or a `tfxai.Text`."""

Values: TypeAlias = Any
"""Arrays in the structure of the inputs; None in the place of an input that is not explained."""

Tensor: TypeAlias = Any
"""A tf.Tensor, mostly in a graph that is being traced."""

Structure: TypeAlias = Any
"""One tensor, or a dict, list or tuple of tensors, as a model or a layer puts it out."""

Layer: TypeAlias = Any
"""A layer of Keras 3 or tf_keras, or a `tfxai.hub.Endpoint`, an inner tensor of a module that stands for one."""

Operation: TypeAlias = Any
"""A tf.Operation, of a graph that is being traced."""

Variable: TypeAlias = Any
"""A variable of Keras or TensorFlow."""

PerInput: TypeAlias = list[Any]
"""For each input of a model a tensor, or None where it is not explained."""
