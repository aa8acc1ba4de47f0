"""Which layers of a model can be named, and what they put out."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
import tensorflow as tf

from tfxai.inputs import specs_of
from tfxai.model.families import adapter_of
from tfxai.model.layer_call import LayerCall
from tfxai.model.maps import default_calls, grids_of
from tfxai.model.named_layers import class_of, first_tensor
from tfxai.model.network import Network
from tfxai.model.operations import tensors_in
from tfxai.model.tracing import Body, TraceRecord
from tfxai.support import Inputs, Model, Tensor


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
        """Path of the layer that class activation maps read unless told otherwise, the last of several; None without."""
        return next((info.path for info in reversed(self) if info.chosen), None)

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


def layers(model: Model, inputs: Inputs | None = None) -> LayerTable:
    """Lists the layers of a model, however deep, that `layer=` can name.

    inputs: a batch, or a single one; only needed where the model does not say what it takes (subclassed models that
            were not built by a call, models of inputs of any size).

    Raises ValueError if the model is a plain callable, or does not say what it takes. Cost: traces the model once, runs nothing.
    """
    if not adapter_of(model).has_layers:
        raise ValueError("A plain callable has no layers. Give a Keras model or a module of tfxai.hub.")
    network = Network(model, sample_inputs(model) if inputs is None else inputs)
    record: _TableRecord = network.traced(_Table(), network.arrays).record
    return LayerTable(record.layers)


@dataclasses.dataclass
class _TableRecord(TraceRecord):
    """The layers that were seen."""

    layers: list[LayerInfo] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class _Table(Body):
    """Every layer with the shape that it puts out. Traced, and never run."""

    Record: ClassVar[type[TraceRecord]] = _TableRecord
    any_size: ClassVar[bool] = False

    def __call__(self, network: Network, record: _TableRecord, *tensors: Tensor) -> list[Tensor]:
        forward = network.forward(tensors)
        outputs = [tensor for tensor in tensors_in(forward.outputs) if tensor.dtype.is_floating]
        best = {call.path for call in default_calls(network, forward, outputs)}
        calls = {
            call.path: call for call in forward.calls if call.path and tf.is_tensor(first_tensor(call.output))
        }
        if network.adapter.has_aliases:  # the first name of a tensor stands for it
            calls = {call.path: call for call in _first_by_output(list(calls.values()))}
        for path, call in calls.items():
            tensor = first_tensor(call.output)
            spatial = bool(grids_of(network, forward, tensor))
            record.layers.append(
                LayerInfo(path, class_of(call.layer), tuple(tensor.shape), spatial, path in best)
            )
        return [tf.reduce_sum(tf.cast(tensor, tf.float32)) for tensor in outputs]


def _first_by_output(calls: list[LayerCall]) -> list[LayerCall]:
    """The first call of those that put out the same tensor."""
    outputs: set[int] = set()
    first = []
    for call in calls:
        if id(call.output) not in outputs:
            outputs.add(id(call.output))
            first.append(call)
    return first


def sample_inputs(model: Model) -> Inputs:
    """Zeros of the shape and in the structure that a model says it takes, one example."""
    if specs := specs_of(model):
        named = getattr(model, "input", None)  # where inputs have keys, Keras lists them in another order
        if isinstance(named, dict) and len(named) == len(specs):
            specs = list(named.values())
        if any(tf.TensorShape(spec.shape).rank is None for spec in specs):
            raise ValueError(
                "The model does not say what shape it takes. Give a batch: tfxai.layers(model, inputs)."
            )
        arrays = [
            np.zeros([1, *(n or 224 for n in spec.shape[1:])], tf.as_dtype(spec.dtype).as_numpy_dtype)
            for spec in specs
        ]
        keys = named if isinstance(named, dict) else model.inputs
        if isinstance(keys, dict) and (len(specs) > 1 or keys is named):
            return dict(zip(keys, arrays, strict=True))
        return arrays if len(arrays) > 1 else arrays[0]
    config = model.get_build_config() if hasattr(model, "get_build_config") else None
    shapes = (config or {}).get("shapes_dict") or {"input_shape": (config or {}).get("input_shape")}
    shape = next(iter(shapes.values()), None)
    if isinstance(shape, dict):
        return {name: np.zeros([1, *(n or 224 for n in one[1:])], np.float32) for name, one in shape.items()}
    if shape is None or not all(n is None or isinstance(n, int) for n in shape):
        raise ValueError("The model does not say what it takes. Give a batch: tfxai.layers(model, inputs).")
    return np.zeros([1, *(n or 224 for n in shape[1:])], np.float32)
