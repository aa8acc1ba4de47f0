"""Whether a model can take the inputs, and in which types: arrays are checked before any work."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from tfxai.inputs.memory import aligned
from tfxai.inputs.structure import flatten
from tfxai.support import Inputs, Model

Spec: TypeAlias = Any
"""What a model says of one input: a KerasTensor or a tf.TensorSpec, with name, shape and dtype."""


def checked_arrays(model: Model, inputs: Inputs, embeds: bool) -> list[NDArray]:
    """The inputs as a flat list of arrays (N, ...), in the types that the model takes.

    embeds: whether the model looks numbers up in tables, so that whole numbers stay whole where it does not say.

    Raises ValueError if the inputs are empty, lack the batch axis, differ in length, do not
    fit the model or hold NaN.
    """
    flat, names = flatten(inputs)
    if not flat:
        raise ValueError("inputs is empty. Give an array (N, ...), or a list, tuple or dict of arrays.")
    wanted = _wanted(model, inputs, names)
    arrays = [_array(*each, embeds) for each in zip(flat, wanted, names, strict=True)]
    if wanted == [None] and _built_axes(model) == arrays[0].ndim + 1:
        raise ValueError(
            f"inputs has shape {arrays[0].shape}, the model was built for {_built_axes(model)} axes. The batch axis is "
            "missing: give inputs[None]."
        )
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(f"The inputs have {lengths} examples. Give the same number for each input.")
    if lengths[0] == 0:
        raise ValueError("inputs has no examples. Give at least one, shape (1, ...).")
    return arrays


def _wanted(model: Model, inputs: Inputs, names: list[str]) -> list[Spec | None]:
    """What a functional model says it takes, for each flat input; None where it is not known."""
    specs = specs_of(model)
    if not specs:
        return [None] * len(names)
    if isinstance(getattr(model, "inputs", None), dict) and len(specs) > 1 and not isinstance(inputs, dict):
        raise ValueError(
            f"The model takes {len(specs)} inputs by name. Give a dict with the keys {list(model.inputs)}."
        )
    if isinstance(inputs, dict):
        known = {spec.name: spec for spec in specs}
        missing, extra = [k for k in known if k not in inputs], [k for k in inputs if k not in known]
        if missing or extra:
            raise ValueError(
                f"inputs has the keys {list(inputs)}, the model takes {list(known)}. Give just those."
            )
        return [known[name] for name in names]
    if len(specs) != len(names):
        taken = ", ".join(f"{spec.name} {tuple(spec.shape)}" for spec in specs)
        raise ValueError(
            f"{len(names)} input arrays came, the model takes {len(specs)}: {taken}. Give a list or dict of them."
        )
    return specs


def specs_of(model: Model) -> list[Spec]:
    """What a model says it takes, one spec with a name, shape and dtype for each input; empty if it does not say."""
    if hasattr(
        model, "structured_input_signature"
    ):  # a function of TensorFlow lists its variables among its inputs
        return []
    try:
        given = model.inputs
        specs = list(given.values()) if isinstance(given, dict) else tf.nest.flatten(given)
    except (AttributeError, TypeError, ValueError):
        return []
    return [] if any(spec is None for spec in specs) else specs


def _built_axes(model: Model) -> int | None:
    """How many axes the input had for which a subclassed model was built, where it says so."""
    config = (model.get_build_config() if hasattr(model, "get_build_config") else None) or {}
    shape = config.get("input_shape") or next(iter((config.get("shapes_dict") or {}).values()), None)
    return len(shape) if isinstance(shape, (list, tuple)) else None


def _array(given: ArrayLike, spec: Spec | None, name: str, embeds: bool) -> NDArray:
    """One input in the type that the model takes: words as objects, whole numbers, or float32."""
    array = np.asarray(given)
    if array.dtype.kind in "OU" and array.ndim == 1 and spec is not None and len(spec.shape) == 2:
        array = array[:, None]  # a list of texts, for a model that takes (N, 1)
    _check_shape(array, spec, name)
    if array.dtype.kind in "OUS":
        if spec is not None and tf.as_dtype(spec.dtype) != tf.string:
            raise ValueError(f"{name} has type {array.dtype}; expected numbers.")
        return array.astype(object) if array.dtype.kind in "US" else array
    integers = embeds if spec is None else not is_float(spec.dtype)
    if array.dtype.kind in "iub" and integers:
        return _whole(array)
    try:
        array = aligned(array)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} has type {array.dtype}; expected numbers.") from error
    _check_finite(array, name)
    return _whole(array) if spec is not None and integers else array


def _check_shape(array: NDArray, spec: Spec | None, name: str) -> None:
    wanted = None if spec is None else spec.shape
    shape = None if wanted is None or getattr(wanted, "rank", 0) is None else tuple(wanted)
    if shape is not None and not _fits(array.shape, shape):
        sizes = ["N", *("any" if n is None else str(n) for n in shape[1:])][: len(shape)]
        hint = " The batch axis is missing: give inputs[None]." if _fits((1, *array.shape), shape) else ""
        raise ValueError(f"{name} has shape {array.shape}, the model takes ({', '.join(sizes)}).{hint}")
    if array.ndim == 0:
        raise ValueError(f"{name} is a single value. Give an array with a batch axis, (N, ...).")


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        w is None or n == w for n, w in zip(shape[1:], wanted[1:], strict=True)
    )


def is_float(dtype: str | tf.DType) -> bool:
    """Whether a type, or the name of one, is of numbers with fractions."""
    return tf.as_dtype(dtype).is_floating


def _whole(array: NDArray) -> NDArray:
    """Whole numbers as int32, or as int64 where they need it."""
    large = array.size and max(abs(int(array.max())), abs(int(array.min()))) >= 2**31
    return array.astype(np.int64 if large else np.int32)


def _check_finite(array: NDArray[np.float32], name: str) -> None:
    # One pass that finds any NaN; only if there is one (or the squares overflow) is it worth looking for where.
    if not np.isfinite(np.vdot(array, array)) and not (finite := np.isfinite(array)).all():
        bad = np.unique(np.nonzero(~finite)[0])
        raise ValueError(
            f"{name} holds NaN or infinite numbers, in {len(bad)} of {len(array)} examples, first in number {bad[0]}. "
            "Clean them."
        )
