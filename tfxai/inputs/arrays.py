"""What a user gives as inputs: one array or many, in which structure, and whether the model can take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.text import Text


def checked_arrays(model: Any, inputs: Any, embeds: bool) -> list[NDArray]:
    """The inputs as a flat list of arrays (N, ...), in the types that the model takes.

    embeds: whether the model looks numbers up in tables, so that whole numbers stay whole where it does not say.

    Raises ValueError if the model is not built, or the inputs are empty, lack the batch axis, differ in length, do not
    fit the model or hold NaN.
    """
    flat, names = flatten(inputs)
    if not flat:
        raise ValueError("inputs is empty. Give an array (N, ...), or a list, tuple or dict of arrays.")
    wanted = _wanted(model, inputs, names)
    arrays = [_array(x, want, name, embeds) for x, want, name in zip(flat, wanted, names, strict=True)]
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


def _built_axes(model: Any) -> int | None:
    """How many axes the input had for which a subclassed model was built, where it says so."""
    config = (model.get_build_config() if hasattr(model, "get_build_config") else None) or {}
    shape = config.get("input_shape") or next(iter((config.get("shapes_dict") or {}).values()), None)
    return len(shape) if isinstance(shape, (list, tuple)) else None


def _array(x: Any, want: Any, name: str, embeds: bool) -> NDArray:
    array = np.asarray(x)
    if array.dtype.kind in "OU" and array.ndim == 1 and want is not None and len(want.shape) == 2:
        array = array[:, None]  # a list of texts, for a model that takes (N, 1)
    shape = (
        None
        if want is None or want.shape is None or getattr(want.shape, "rank", 0) is None
        else tuple(want.shape)
    )
    if shape is not None and not _fits(array.shape, shape):
        taken = (
            "("
            + ", ".join("N" if i == 0 else "any" if n is None else str(n) for i, n in enumerate(shape))
            + ")"
        )
        hint = " The batch axis is missing: give inputs[None]." if _fits((1, *array.shape), shape) else ""
        raise ValueError(f"{name} has shape {array.shape}, the model takes {taken}.{hint}")
    if array.ndim == 0:
        raise ValueError(f"{name} is a single value. Give an array with a batch axis, (N, ...).")
    kept = array.dtype.kind in "OUS"
    if array.dtype.kind in "iub":
        integers = (want is None and embeds) or (want is not None and not is_float(want.dtype))
        array, kept = (_whole(array), True) if integers else (array, False)
    if array.dtype.kind in "OUS" and want is not None and tf.as_dtype(want.dtype) != tf.string:
        raise ValueError(f"{name} has type {array.dtype}; expected numbers.")
    if kept:
        return array.astype(object) if array.dtype.kind in "US" else array
    try:
        array = _aligned(array)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} has type {array.dtype}; expected numbers.") from error
    # One pass that finds any NaN; only if there is one (or the squares overflow) is it worth looking for where.
    if not np.isfinite(np.vdot(array, array)) and not (finite := np.isfinite(array)).all():
        bad = np.unique(np.nonzero(~finite)[0])
        raise ValueError(
            f"{name} holds NaN or infinite numbers, in {len(bad)} of {len(array)} examples, first in number {bad[0]}. "
            "Clean them."
        )
    return _whole(array) if want is not None and not is_float(want.dtype) else array


ALIGNED = 64  # bytes, of addresses that TensorFlow reads from without a copy


LARGE = 1 << 18  # bytes from which a copy is worth avoiding


def _aligned(array: NDArray) -> NDArray[np.float32]:
    """A copy as float32 that TensorFlow can read where it lies."""
    room = np.empty(array.size * 4 + ALIGNED, np.uint8)
    start = -room.ctypes.data % ALIGNED
    copy = room[start : start + array.size * 4].view(np.float32).reshape(array.shape)
    copy[...] = array
    return copy


def tensor_of(argument: Any) -> Any:
    """The argument as a tensor; large inputs share their memory with it, so nobody may change them meanwhile."""
    if isinstance(argument, np.ndarray) and argument.nbytes >= LARGE and argument.dtype == np.float32:
        flags = argument.flags
        if flags.c_contiguous and flags.writeable and argument.ctypes.data % ALIGNED == 0:
            return tf.experimental.dlpack.from_dlpack(argument.__dlpack__())
    return tf.convert_to_tensor(argument)


def _whole(array: NDArray) -> NDArray:
    """Whole numbers as int32, or as int64 where they need it."""
    large = array.size and max(abs(int(array.max())), abs(int(array.min()))) >= 2**31
    return array.astype(np.int64 if large else np.int32)


def _wanted(model: Any, inputs: Any, names: list[str]) -> list[Any]:
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


def specs_of(model: Any) -> list[Any]:
    """What a model says it takes, one spec with a name, shape and dtype for each input; empty if it does not say."""
    try:
        given = model.inputs
        specs = list(given.values()) if isinstance(given, dict) else tf.nest.flatten(given)
    except (AttributeError, TypeError, ValueError):
        return []
    return [] if any(spec is None for spec in specs) else specs


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        w is None or n == w for n, w in zip(shape[1:], wanted[1:], strict=True)
    )


def flatten(inputs: Any) -> tuple[list[Any], list[str]]:
    """The arrays of any structure, and what messages call them."""
    if isinstance(inputs, Text):
        return [np.array(list(inputs.strings), object)], ["inputs"]
    if isinstance(inputs, dict):
        return list(inputs.values()), list(inputs)
    if isinstance(inputs, (list, tuple)) and all(np.ndim(x) > 0 for x in inputs):
        return list(inputs), [f"inputs[{i}]" for i in range(len(inputs))]
    return [inputs], ["inputs"]


def pack(structure: Any, flat: Sequence[Any]) -> Any:
    """A flat list in the structure of the inputs."""
    if isinstance(structure, dict):
        return dict(zip(structure, flat, strict=True))
    if isinstance(structure, (list, tuple)):
        return list(flat) if isinstance(structure, list) else tuple(flat)
    return flat[0]


def skeleton(structure: Any) -> Any:
    """The structure alone."""
    return pack(structure, ["*"] * len(flatten(structure)[0]))


def is_float(dtype: Any) -> bool:
    return tf.as_dtype(dtype).is_floating
