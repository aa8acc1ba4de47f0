"""Which layers of a model can be named, and what they put out."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfxai.hub import Module
from tfxai.inputs import specs_of
from tfxai.model.maps import class_of, default_call, first_tensor, grid_of
from tfxai.model.network import Network


@dataclasses.dataclass(frozen=True)
class LayerInfo:
    """One layer: its path as methods take it, its class, the shape it puts out, and whether it is the default."""

    path: str
    kind: str
    shape: tuple[int | None, ...]
    spatial: bool
    chosen: bool


class LayerTable(list[LayerInfo]):
    """The layers of a model in the order in which they run; prints as a table."""

    @property
    def chosen(self) -> str | None:
        """Path of the layer that class activation maps read unless told otherwise; None if there is none."""
        return next((info.path for info in self if info.chosen), None)

    def __repr__(self) -> str:
        width = max((len(info.path) for info in self), default=5)
        kinds = max((len(info.kind) for info in self), default=5)
        lines = [f"  {'layer':{width}}  {'kind':{kinds}}  output shape"]
        for info in self:
            shape = (
                "(" + ", ".join("N" if i == 0 else str(n or "any") for i, n in enumerate(info.shape)) + ")"
            )
            lines.append(f"{'*' if info.chosen else ' '} {info.path:{width}}  {info.kind:{kinds}}  {shape}")
        lines.append("* read by class activation maps unless another layer is named" if self.chosen else
                     "no layer has spatial maps that a class activation map could read")  # fmt: skip
        return "\n".join(lines)


def layers(model: Any, inputs: Any = None) -> LayerTable:
    """Lists the layers of a model, however deep, that `layer=` can name.

    inputs: a batch, or a single one; only needed where the model does not say what it takes (subclassed models that
            were not built by a call, models of inputs of any size).

    Raises ValueError if the model is no Keras model, or needs inputs. Cost: traces the model once, runs nothing.
    """
    if not hasattr(model, "get_config") and not isinstance(model, Module):
        raise ValueError("A plain callable has no layers. Give a Keras model or a module of tfxai.hub.")
    network = Network(model, sample_inputs(model) if inputs is None else inputs)

    def body(facts: dict[str, Any], *tensors: Any) -> Any:
        trace = network.forward(tensors)
        outputs = [tensor for tensor in tf.nest.flatten(trace.outputs) if tensor.dtype.is_floating]
        best = default_call(network, trace, outputs)
        seen = {
            call.path: call for call in trace.calls if call.path and tf.is_tensor(first_tensor(call.output))
        }
        if network.kind == "hub":  # whose tensors may have several names, the shortest first
            seen = {
                call.path: call
                for call in {id(call.output): call for call in reversed(seen.values())}.values()
            }
            seen = dict(reversed(seen.items()))
        facts["layers"] = [
            LayerInfo(path, class_of(call.layer), tuple(first_tensor(call.output).shape),
                      grid_of(network, trace, first_tensor(call.output)) is not None, best is not None and path == best.path)
            for path, call in seen.items()
        ]  # fmt: skip
        return [tf.reduce_sum(tf.cast(tensor, tf.float32)) for tensor in outputs]

    return LayerTable(network.compiled("layers", body, network.arrays).facts["layers"])


def sample_inputs(model: Any) -> Any:
    """Zeros of the shape and in the structure that a model says it takes, one example."""
    if specs := specs_of(model):
        if any(tf.TensorShape(spec.shape).rank is None for spec in specs):
            raise ValueError(
                "The model does not say what shape it takes. Give a batch: tfxai.layers(model, inputs)."
            )
        arrays = [
            np.zeros([1, *(n or 224 for n in spec.shape[1:])], tf.as_dtype(spec.dtype).as_numpy_dtype)
            for spec in specs
        ]
        if isinstance(model.inputs, dict) and len(specs) > 1:
            return dict(zip(model.inputs, arrays, strict=True))
        return arrays if len(arrays) > 1 else arrays[0]
    config = model.get_build_config() if hasattr(model, "get_build_config") else None
    shapes = (config or {}).get("shapes_dict") or {"input_shape": (config or {}).get("input_shape")}
    shape = next(iter(shapes.values()), None)
    if isinstance(shape, dict):
        return {name: np.zeros([1, *(n or 224 for n in one[1:])], np.float32) for name, one in shape.items()}
    if shape is None or not all(n is None or isinstance(n, int) for n in shape):
        raise ValueError("The model does not say what it takes. Give a batch: tfxai.layers(model, inputs).")
    return np.zeros([1, *(n or 224 for n in shape[1:])], np.float32)
