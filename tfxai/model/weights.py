"""The layers of a model that have weights, in the order in which they run; new random weights for them."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.hub import Module
from tfxai.inputs import is_float
from tfxai.model.forward_pass import ForwardPass
from tfxai.model.network import Network
from tfxai.model.operations import tensors_in
from tfxai.model.tracing import Body, TraceRecord
from tfxai.support import Inputs, Layer, Model, Operation, Tensor, Variable

STATISTICS = re.compile(r"moving_(mean|variance|var)(_\d+)?$")
ADAPTED = "Normalization"  # the Keras layer that only scales inputs by what it was adapted to
SHOWN = 12  # names in an error

Initializer: TypeAlias = Any
"""(shape, dtype) -> values: a Keras initializer, or a function."""


@dataclasses.dataclass(frozen=True)
class Weight:
    """One variable, and how its layer draws it when it is made (None where nobody knows)."""

    name: str
    variable: Variable
    initializer: Initializer | None = None

    @property
    def statistic(self) -> bool:
        """Whether training does not change it by gradients, but batch norm by what it sees."""
        return STATISTICS.search(self.name) is not None

    def redrawn(self, init: str, generator: np.random.Generator) -> NDArray:
        """New values.

        init: "layer" draws as the layer does when it is made; where that is not known, from a distribution with the
              mean and spread of the present values (lognormal for values above 0 such as variances; around 0 and as large
              as it is where all are one number). "uniform" draws from -1 to 1, and sets statistics back to 0 and 1, since
              there are no negative variances. Quantised weights are shuffled by both.
        """
        shape, now = tuple(self.variable.shape), self.variable.numpy()
        if now.dtype.kind in "iu":
            return generator.permutation(now.reshape(-1)).reshape(shape)
        if self.statistic and init == "uniform":
            return np.full(shape, 0.0 if "mean" in self.name else 1.0, now.dtype)
        if init == "uniform":
            return generator.uniform(-1, 1, shape).astype(now.dtype)
        if self.initializer is not None:
            return np.asarray(_seeded(self.initializer, generator)(shape, dtype="float32")).astype(now.dtype)
        values = now.astype(np.float64)
        if values.size and values.min() == values.max():  # one number has no spread but its size
            return generator.normal(0, np.abs(values.max()), shape).astype(now.dtype)
        if values.size and values.min() > 0:
            logs = np.log(values)
            return np.exp(generator.normal(logs.mean(), logs.std(), shape)).astype(now.dtype)
        return generator.normal(values.mean(), values.std(), shape).astype(now.dtype)


@dataclasses.dataclass(frozen=True)
class WeightedLayer:
    """A layer with weights, together with the batch norms that it feeds.

    path: as `layer=` takes it.
    """

    path: str
    weights: tuple[Weight, ...]

    def redraw(self, init: str, seed: Sequence[int]) -> None:
        """Draws all its weights anew."""
        for number, weight in enumerate(self.weights):
            weight.variable.assign(weight.redrawn(init, np.random.default_rng([*seed, number])))


def weighted_layers(model: Model, inputs: Inputs) -> list[WeightedLayer]:
    """The layers with weights that a model runs for these inputs, first to last. Cost: traces the model once.

    Raises ValueError for models whose weights cannot be changed.
    """
    network = Network(model, inputs)
    network.adapter.check_redrawable()
    if (module := network.adapter.scoped_module) is not None:
        return _of_module(module)
    owned = owned_weights(network)
    record: _OrderRecord = network.traced(_Order(), network.arrays).record
    grouped: dict[int, list[Weight]] = {}
    for position, feeder in record.order:
        layer = network.layers[position][1] if position >= 0 else model
        weights = [Weight(_name(v), v, _initializer(layer, _name(v))) for v in owned[position]]
        grouped.setdefault(feeder, []).extend(weights)
    return [
        WeightedLayer(network.layers[position][0] if position >= 0 else model.name, tuple(weights))
        for position, weights in grouped.items()
    ]


@dataclasses.dataclass
class _OrderRecord(TraceRecord):
    """(layer, the layer that it goes with) by their positions, in the order of their first calls."""

    order: list[tuple[int, int]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class _Order(Body):
    """The order in which layers with weights run. Traced, and never run."""

    Record: ClassVar[type[TraceRecord]] = _OrderRecord

    def __call__(self, network: Network, record: _OrderRecord, *tensors: Tensor) -> list[Tensor]:
        forward = network.forward(tensors)
        record.order = _order(network, forward, owned_weights(network))
        return [tf.reduce_sum(tf.cast(t, tf.float32)) for t in tensors_in(forward.outputs)]


@contextlib.contextmanager
def weights_kept(layers: Sequence[WeightedLayer]) -> Iterator[None]:
    """Gives back every weight to the bit at the end, however that comes."""
    variables = [weight.variable for layer in layers for weight in layer.weights]
    values = [np.array(variable.numpy()) for variable in variables]
    try:
        yield
    finally:
        interrupted = None
        for variable, value in zip(variables, values, strict=True):
            while True:
                try:
                    variable.assign(value)
                    break
                except KeyboardInterrupt as error:  # a second Ctrl-C must not leave a half-destroyed model
                    interrupted = error
        if interrupted is not None:
            raise interrupted


def chosen_layers(
    layers: Sequence[WeightedLayer], names: Sequence[str], model: str | None = None
) -> list[WeightedLayer]:
    """One layer for each name: of a layer, of a part of the model with all layers in it, or what names begin with.

    model: its name, which stands for all layers.

    Raises ValueError, with the nearest names, if there is none.
    """
    found = []
    for name in names:
        inside = [layer for layer in layers if _is_in(layer, name)]
        inside = inside or [layer for layer in layers if name == model]
        inside = inside or [
            layer for layer in layers if f"/{layer.path}".rpartition("/")[2].startswith(f"{name}_")
        ]
        if not inside:
            paths = [layer.path for layer in layers]
            near = difflib.get_close_matches(name, paths, n=3, cutoff=0.5)
            nearest = f" Nearest: {', '.join(near)}." if near else ""
            more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
            raise ValueError(
                f"No layer with weights is called {name!r}.{nearest} There are: {', '.join(paths[:SHOWN])}{more}."
            )
        exact = [layer for layer in inside if layer.path == name]
        weights = [weight for layer in exact or inside for weight in layer.weights]
        found.append(WeightedLayer(name, tuple(weights)))
    return found


def _is_in(layer: WeightedLayer, name: str) -> bool:
    wanted = f"/{name}/"
    return any(wanted in f"/{text}/" for text in (layer.path, *(weight.name for weight in layer.weights)))


def owned_weights(network: Network) -> dict[int, list[Variable]]:
    """Position of a layer -> the weights that belong to it and to no layer inside it; -1 is the model.

    Not whole numbers, such as counters and seeds, but for quantised ones.
    """
    owned: dict[int, list[Variable]] = {}
    for position, path, layer in [
        (-1, "", network.model),
        *((i, *each) for i, each in enumerate(network.layers)),
    ]:
        prefix = path and path + "/"
        inner = [other for name, other in network.layers if name.startswith(prefix) and other is not layer]
        others = {id(variable) for other in inner for variable in getattr(other, "weights", ())}
        own = [
            v
            for v in getattr(layer, "weights", ())
            if id(v) not in others and (is_float(v.dtype) or _is_quantised(v, layer))
        ]
        if (
            own
            and type(layer).__name__ != ADAPTED
            and not any(v is own[0] for vs in owned.values() for v in vs)
        ):
            owned[position] = own
    return owned


def _is_quantised(variable: Variable, layer: Layer) -> bool:
    """Whether a variable of whole numbers is a weight, which the layer scales when it is called."""
    return hasattr(layer, f"{_name(variable).split('/')[-1]}_scale")


def _order(network: Network, trace: ForwardPass, owned: dict[int, list[Variable]]) -> list[tuple[int, int]]:
    """(layer, the layer that it goes with) by their positions, in the order of their first calls."""
    positions = {id(layer): i for i, (_, layer) in reversed([*enumerate(network.layers)])}
    positions[id(network.model)] = -1
    uncalled = _read_but_not_called(network, owned, {positions[id(call.layer)] for call in trace.calls})
    steps: dict[int, int] = {}
    made: dict[Operation, int] = {}  # operation -> the layer whose output it makes
    for call in trace.calls:
        inside = [i for i in uncalled if f"{network.layers[i][0]}/".startswith(call.path and f"{call.path}/")]
        for position in [*inside, positions[id(call.layer)]]:
            if position not in owned:
                continue
            outputs = [t for t in tf.nest.flatten(call.output) if tf.is_tensor(t)]
            if position not in steps:
                before = None
                if "BatchNorm" in type(call.layer).__name__:
                    before = _feeder([t.op for t in tf.nest.flatten(call.inputs) if tf.is_tensor(t)], made)
                steps[position] = position if before is None else steps[before]
            made |= {tensor.op: position for tensor in outputs}
    return list(steps.items())


def _read_but_not_called(network: Network, owned: dict[int, list[Variable]], called: set[int]) -> list[int]:
    """Positions of layers that never run, but whose weights the layer around them reads in their place.

    So does a recurrent layer with its cell, where one kernel of cuDNN runs all of it.
    """
    graph: Any = tf.compat.v1.get_default_graph()
    read = {id(tensor) for tensor in graph.external_captures}
    return [
        position
        for position, variables in owned.items()
        if position >= 0 and position not in called and any(id(_handle(v)) in read for v in variables)
    ]


def _handle(variable: Variable) -> Tensor:
    return getattr(variable, "value", variable).handle if hasattr(variable, "path") else variable.handle


def _feeder(operations: Sequence[Operation], made: dict[Operation, int]) -> int | None:
    """The layer, of those that come right before, that ran last."""
    found, seen, waiting = [], set(), list(operations)
    while waiting:
        op = waiting.pop()
        if op in seen:
            continue
        seen.add(op)
        if op in made:
            found.append(op)
        else:
            waiting += [tensor.op for tensor in op.inputs]
    order = list(made)
    return made[max(found, key=order.index)] if found else None


def _name(variable: Variable) -> str:
    return getattr(variable, "path", variable.name).split(":")[0]


def _initializer(layer: Layer, path: str) -> Initializer | None:
    """The layer's own, by the names that Keras gives to weights and initializers."""
    name = re.sub(r"_\d+$", "", path.split("/")[-1])
    if name == "bias" and getattr(
        layer, "unit_forget_bias", False
    ):  # of an LSTM: ones for the gate that forgets
        return lambda shape, dtype: np.repeat(np.array([0, 1, 0, 0], dtype), shape[0] // 4)
    for attribute in (f"{name}_initializer", f"{name.removesuffix('_kernel')}_initializer"):
        found = getattr(layer, attribute, None)
        if callable(found):
            return found
    if name in ("kernel", "depthwise_kernel"):
        return getattr(layer, "depthwise_initializer", None)
    return None


def _constant(value: float) -> Initializer:
    return lambda shape, dtype: np.full(shape, value, dtype)


def _seeded(initializer: Initializer, generator: np.random.Generator) -> Initializer:
    """The same initializer with a seed of ours: as it is, it would draw the same values again."""
    config = initializer.get_config() if hasattr(initializer, "get_config") else {}
    if "seed" not in config:
        return initializer
    return type(initializer).from_config({**config, "seed": int(generator.integers(2**31))})


def _of_module(module: Module) -> list[WeightedLayer]:
    groups = module.weighted
    names = {id(variable): name for name, variable in module.variables.items()}
    made: dict[str, str] = {}  # operation -> scope
    steps: dict[str, list[Weight]] = {}
    home: dict[str, str] = {}
    for scope, (operations, variables) in groups.items():
        found = {names[id(v)] for v in variables}
        weights = [
            Weight(names[id(v)], v)
            for v in variables
            if is_float(v.dtype) or f"{names[id(v)]}_scale" in found  # quantised
        ]
        feeder = None
        if any(weight.statistic for weight in weights):
            feeder = module.feeder(operations, made)
            norms = {"gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": 1.0}
            starts = [norms.get(re.sub(r"_\d+$", "", weight.name.split("/")[-1])) for weight in weights]
            # The one layer of which everybody knows how it starts; with any other statistics the signal would die.
            weights = [
                w if start is None else dataclasses.replace(w, initializer=_constant(start))
                for w, start in zip(weights, starts, strict=True)
            ]
        home[scope] = scope if feeder is None else home[feeder]
        steps.setdefault(home[scope], []).extend(weights)
        made |= dict.fromkeys(operations, scope)
    return [WeightedLayer(scope, tuple(weights)) for scope, weights in steps.items() if weights]
