"""Signatures: functions with named inputs and outputs that answer `predict` or `explain`, on the model's own variables."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.engines import Method
from tfxai.exporting.explaining import NamedRecord
from tfxai.graphs import Relaid
from tfxai.inputs import flatten, pack, specs_of
from tfxai.model import Body, Needs, Network, sample_inputs
from tfxai.support import Inputs, Model, Tensor

TARGET = "target"


@dataclasses.dataclass(frozen=True)
class Taking:
    """What the signatures of a model take.

    sample: one example, zeros, in the model's own structure.
    names, specs: of its inputs; a first axis None is free.
    """

    model: Model
    sample: Inputs
    names: tuple[str, ...]
    specs: tuple[tf.TensorSpec, ...]

    @classmethod
    def of(cls, model: Model, given: Any) -> Taking:
        """given: what the inputs look like, each a tf.TensorSpec or a batch; None for what the model says of itself.

        Raises ValueError if the model does not say what it takes.
        """
        told = specs_of(model)
        if given is None:
            given = _told(model, told)
        leaves, keys = _leaves(given)
        specs = [_spec_of(leaf) for leaf in leaves]
        sample = pack(given, [_zeros(spec) for spec in specs])
        network = Network(model, sample, Needs(gradients=False), "export")
        if network.batch is not None:  # it takes no other number of rows
            specs = [tf.TensorSpec([network.batch.rows, *spec.shape[1:]], spec.dtype) for spec in specs]
        own = [getattr(leaf, "name", None) for leaf in (leaves if not isinstance(given, dict) else [])]
        known = [getattr(spec, "name", None) for spec in told]
        if own != known and sorted(map(str, own)) == sorted(map(str, known)):
            raise ValueError(
                f"inputs are named {own}, and the model takes {known}, in this order. Give them so."
            )
        names = keys if isinstance(given, dict) else _names(own, known)
        words = [re.sub(r"\W", "_", str(name)) for name in names]
        if len({*words}) < len(words):
            raise ValueError(
                f"The inputs are named {words}. Give each another name, of letters, digits and _."
            )
        return cls(model, sample, tuple(words), tuple(specs))

    @property
    def rows(self) -> int | None:
        """How many rows come at once; None where any number may."""
        return next((spec.shape[0] for spec in self.specs if spec.shape[0] is not None), None)

    def network(self, method: Method | None = None) -> Network:
        """The model, for a method's needs."""
        if method is None:
            return Network(self.model, self.sample, Needs(gradients=False), "export")
        return Network(
            self.model, self.sample, method.needs, type(method).__name__, getattr(method, "seed", 0)
        )


@dataclasses.dataclass(frozen=True)
class Signature:
    """A function with named inputs and outputs.

    concrete: a tf.function of that. variables: that it reads. warnings: for the user. classes: how many a target may mean; None where nobody knows.
    """

    name: str
    concrete: Any
    variables: tuple[Any, ...]
    warnings: tuple[str, ...] = ()
    classes: int | None = None

    @property
    def inputs(self) -> dict[str, tf.TensorSpec]:
        """What it takes, by name."""
        return dict(self.concrete.structured_input_signature[1])


@dataclasses.dataclass(frozen=True)
class Front:
    """What is done in a signature before the model sees anything.

    specs: of what comes, by name. function: of these tensors -> the model's inputs in its structure, and pictures (B, H, W, C) in 0..1
    of what it sees; None where nobody knows these.
    """

    specs: dict[str, tf.TensorSpec]
    function: Callable[..., tuple[Any, Tensor | None]]


After = Callable[[Sequence[Tensor], "Tensor | None", dict[str, Tensor]], dict[str, Tensor]]
"""(the model's inputs, pictures, results by name) -> results by name."""


def signature_of(
    name: str,
    taking: Taking,
    network: Network,
    body: Body,
    *,
    target: int | str | None = None,
    front: Front | None = None,
    apart: bool = False,
    after: After | None = None,
) -> Signature:
    """A body as a function of named tensors.

    target: "given" for one with each row, or the code of all; None for bodies that explain nothing.
    apart:  another engine runs it: a target that is no class gives NaN, where TensorFlow fails, and no output bears an input's name.
    after:  what is drawn and told of the results.
    """
    types = [array.dtype if array.dtype != object else tf.string for array in network.arrays]
    specs = [tf.TensorSpec(spec.shape, kind) for spec, kind in zip(taking.specs, types, strict=True)]
    codes = [] if target is None else [tf.TensorSpec([taking.rows], tf.int32)]
    traced = network.traced_once(body, [*specs, *codes])
    record: NamedRecord = traced.record
    function: Any = traced.function
    run, dials, shapes = (
        Relaid.of(function),
        traced.dials.numpy(),
        [tensor.shape for tensor in function.outputs],
    )
    takes = dict(zip(taking.names, taking.specs, strict=True)) if front is None else dict(front.specs)
    if target == "given":
        takes = _with_target(takes, taking.rows)

    def signature(**named: Tensor) -> dict[str, Tensor]:
        given: list[Any] = [named[key] for key in takes]  # TensorFlow hands them on in an order of its own
        chosen = given.pop() if target == "given" else target
        pictures = None
        if front is not None:
            made, pictures = front.function(*given)
            given = _fitting(flatten(made)[0], specs)
        given = [
            tf.ensure_shape(tf.cast(x, spec.dtype), spec.shape) for x, spec in zip(given, specs, strict=True)
        ]
        rows = tf.shape(given[0])[0]
        if chosen is not None and not tf.is_tensor(chosen):
            chosen = tf.fill([rows], tf.constant(chosen, tf.int32))
        checks = [] if target != "given" or apart else _checks(chosen, rows, record.classes)
        given += [] if chosen is None else [chosen]
        with tf.control_dependencies(checks):
            checked = [tf.identity(each) for each in given]
        results = run(tf.constant(dials), *checked)
        for result, known in zip(results, shapes, strict=True):
            result.set_shape(known)
        found = dict(zip(record.names, results, strict=True))
        found = found if after is None else after(checked[: len(specs)], pictures, found)
        if apart and TARGET in takes and TARGET in found:
            found["explained"] = found.pop(TARGET)
        return {key: tf.identity(each, name=key) for key, each in found.items()}

    wanted = {key: tf.TensorSpec(spec.shape, spec.dtype, name=key) for key, spec in takes.items()}
    concrete = tf.function(signature, autograph=False).get_concrete_function(**wanted)
    return Signature(name, concrete, run.variables, tuple(record.warnings), record.classes)


def _fitting(made: Sequence[Tensor], specs: Sequence[tf.TensorSpec]) -> list[Tensor]:
    """What `preprocess` made, if the model takes it. Raises ValueError if not."""
    fits = len(made) == len(specs) and all(
        x.shape.is_compatible_with(spec.shape) and not (x.dtype.is_floating and spec.dtype.is_integer)
        for x, spec in zip(made, specs, strict=True)
    )
    if not fits:
        told, wanted = (
            ", ".join(f"{each.dtype.name} {tuple(each.shape)}" for each in some) for some in (made, specs)
        )
        raise ValueError(f"preprocess gives {told}, and the model takes {wanted}. Give just that.")
    return list(made)


def _with_target(takes: dict[str, tf.TensorSpec], rows: int | None) -> dict[str, tf.TensorSpec]:
    if TARGET in takes:
        raise ValueError(
            f"The model has an input that is called {TARGET!r}, as the class to explain would be. Rename it, or give targets='top' or a "
            "class."
        )
    return {**takes, TARGET: tf.TensorSpec([rows], tf.int32)}


def _checks(codes: Tensor, rows: Tensor, classes: int | None) -> list[Any]:
    """Fail if targets are not one class for each row."""
    words = "target must hold one class for each row"
    checks = [tf.debugging.assert_equal(tf.shape(codes)[0], rows, f"{words}.")]
    if classes is not None:
        inside = tf.reduce_all((codes >= -1) & (codes < classes))
        checks.append(
            tf.debugging.Assert(
                inside, [f"{words}, from 0 to {classes - 1}, or -1 for the predicted one.", codes]
            )
        )
    return checks


def _told(model: Model, specs: Sequence[Any]) -> Any:
    """What a model says that it takes, in its structure."""
    try:
        sample = sample_inputs(model)
    except ValueError as error:
        raise ValueError(
            "The model does not say what it takes. Give inputs: a tf.TensorSpec for each, or a batch of them."
        ) from error
    leaves = flatten(sample)[0]
    if isinstance(sample, dict) and isinstance(named := getattr(model, "input", None), dict):
        told = [tf.TensorSpec(named[key].shape, named[key].dtype, name=key) for key in sample]
    elif specs:
        told = [tf.TensorSpec(spec.shape, spec.dtype, name=spec.name) for spec in specs]
    else:
        told = [tf.TensorSpec([None, *np.shape(leaf)[1:]], np.asarray(leaf).dtype) for leaf in leaves]
    return pack(sample, told)


def named_specs(given: Any) -> dict[str, tf.TensorSpec]:
    """What a function in front of the model takes, by name. Raises ValueError if nobody says."""
    if given is None:
        raise ValueError(
            "inputs is not given. Say what preprocess takes: a tf.TensorSpec for each of its arguments."
        )
    leaves, keys = _leaves(given)
    own = [getattr(leaf, "name", None) for leaf in leaves]
    names = keys if isinstance(given, dict) else _names(own, [])
    return {re.sub(r"\W", "_", name): _spec_of(leaf) for name, leaf in zip(names, leaves, strict=True)}


def _leaves(given: Any) -> tuple[list[Any], list[str]]:
    """Specs, or batches, of any structure, and their keys."""
    if isinstance(given, (list, tuple)) and all(hasattr(each, "shape") for each in given):
        return list(given), [str(i) for i in range(len(given))]
    return flatten(given)


def _spec_of(leaf: Any) -> tf.TensorSpec:
    """Of a spec itself; of a batch, of any number of rows."""
    if hasattr(leaf, "dtype") and hasattr(leaf, "shape") and not hasattr(leaf, "__array__"):
        shape = tf.TensorShape(leaf.shape)
        if not shape.rank:
            raise ValueError(f"inputs has {leaf}, without a batch axis. Give its shape as (None, ...).")
        return tf.TensorSpec(shape, leaf.dtype)
    array = np.asarray(leaf)
    return tf.TensorSpec([None, *array.shape[1:]], tf.string if array.dtype.kind in "OUS" else array.dtype)


def _zeros(spec: tf.TensorSpec) -> NDArray:
    shape = [1, *(length or 224 for length in spec.shape[1:])]
    return (
        np.full(shape, "", object) if spec.dtype == tf.string else np.zeros(shape, spec.dtype.as_numpy_dtype)
    )


def _names(own: Sequence[str | None], told: Sequence[str | None]) -> list[str]:
    """Names of inputs that come in a list, or alone: those of the specs, else of the model, unless Keras just counted."""
    given = own if all(own) else told if len(told) == len(own) else [None] * len(own)
    usual = ["inputs"] if len(given) == 1 else [f"inputs_{i}" for i in range(len(given))]
    counted = re.compile(r"keras_tensor|input_layer|input_\d+$|inputs$|args_\d+$")
    return [
        each if each and not counted.match(each) else other for each, other in zip(given, usual, strict=True)
    ]
