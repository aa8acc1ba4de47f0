"""Whether a model can take the inputs, and in which types: arrays are checked before any work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from tfxai.inputs.memory import aligned
from tfxai.inputs.structure import flatten
from tfxai.inputs.words import missing_words, numbers_if_all_are, words_of
from tfxai.support import Inputs, Model, in_short
from tfxai.text import Text

Spec: TypeAlias = Any
"""What a model says of one input: a KerasTensor or a tf.TensorSpec, with name, shape and dtype."""


def checked_arrays(model: Model, inputs: Inputs, embeds: bool, missing: bool = False) -> list[NDArray]:
    """The inputs as a flat list of arrays (N, ...), in the types that the model takes.

    embeds: whether the model looks numbers up in tables, so that whole numbers stay whole where it does not say.
    missing: whether values may be missing (NaN; of words None, too).

    Raises ValueError if the inputs are empty, lack the batch axis, differ in length, do not
    fit the model or hold NaN.
    """
    _refuse_streams(inputs)
    flat, names = flatten(inputs)
    if not flat:
        raise ValueError("inputs is empty. Give an array (N, ...), or a list, tuple or dict of arrays.")
    wanted = _wanted(model, inputs, names)
    built = _built_shapes(model, names) if wanted == [None] * len(names) else []
    flat = [_as_built(array, shape) for array, shape in zip(flat, built, strict=True)] if built else flat
    arrays = [_array(*each, embeds, missing) for each in zip(flat, wanted, names, strict=True)]
    if len(built) == 1 and len(built[0]) == arrays[0].ndim + 1:
        raise ValueError(
            f"inputs has shape {arrays[0].shape}, the model was built for {len(built[0])} axes. The batch axis is "
            "missing: give inputs[None]."
        )
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(f"The inputs have {lengths} examples. Give the same number for each input.")
    if lengths[0] == 0:
        raise ValueError("inputs has no examples. Give at least one, shape (1, ...).")
    return arrays


def _refuse_streams(inputs: Inputs) -> None:
    """Raises ValueError for what gives arrays one after another, or nothing, in the place of arrays."""
    if hasattr(inputs, "element_spec"):
        raise ValueError(
            f"inputs is a {type(inputs).__name__}. Give arrays (N, ...): of a dataset, such as "
            "next(iter(dataset.batch(8))), without the labels."
        )
    array_like = (
        isinstance(inputs, (Text, int, float)) or hasattr(inputs, "__len__") or hasattr(inputs, "__array__")
    )
    if isinstance(inputs, (Iterator, set)) or inputs is None or not array_like:
        raise ValueError(
            f"inputs is {in_short(inputs)}. Give an array (N, ...), or a list, tuple or dict of arrays; of a generator "
            "np.stack(list(images))."
        )


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
    shapes = {np.shape(each) for each in inputs} if isinstance(inputs, (list, tuple)) else set()
    if len(specs) == 1 and len(shapes) == 1 and _fits(next(iter(shapes)), tuple(specs[0].shape)[1:]):
        raise ValueError(
            f"inputs is a list of {len(inputs)} examples {next(iter(shapes))}; a list stands for several inputs of a model. "
            "Give one array: np.stack(inputs)."
        )
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


def _built_shapes(model: Model, names: list[str]) -> list[tuple[int | None, ...]]:
    """The shapes of the inputs for which a subclassed model was built; empty if it does not say."""
    config = (model.get_build_config() if hasattr(model, "get_build_config") else None) or {}
    shapes = config.get("input_shape") or next(iter((config.get("shapes_dict") or {}).values()), None)
    if isinstance(shapes, dict):
        found = [shapes.get(name) for name in names]
    else:
        several = isinstance(shapes, (list, tuple)) and any(
            isinstance(each, (list, tuple)) for each in shapes
        )
        found = list(shapes or ()) if several else [shapes]
    fits = len(found) == len(names) and all(isinstance(shape, (list, tuple)) for shape in found)
    return [tuple(shape) for shape in found if shape is not None] if fits else []


def _as_built(given: ArrayLike, shape: tuple[int | None, ...]) -> ArrayLike:
    """A column (N,) as (N, 1), if the model was built for that."""
    return np.asarray(given)[:, None] if np.ndim(given) == 1 and _fits((len(given), 1), shape) else given  # pyright: ignore[reportArgumentType]


def _array(given: ArrayLike, spec: Spec | None, name: str, embeds: bool, missing: bool) -> NDArray:
    """One input in the type that the model takes: words as objects, whole numbers, or float32."""
    array = _ranked(numbers_if_all_are(np.asarray(given)), spec)
    _check_shape(array, spec, name)
    if array.dtype.kind in "OUS":
        return _words(array, spec, name, missing)
    integers = embeds if spec is None else not is_float(spec.dtype)
    if array.dtype.kind in "iub" and integers:
        return _whole(array)
    try:
        array = aligned(array)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} has type {array.dtype}; expected numbers.") from error
    check_finite(array, name, missing)
    return _whole(array) if spec is not None and integers else array


def _ranked(array: NDArray, spec: Spec | None) -> NDArray:
    """An input with a last axis of one, or without it, where the model takes it so: as Keras does it in predict.

    Left as it is where it could be an example without the batch axis.
    """
    shape = _known_shape(spec)
    if shape is None or array.ndim == 0 or _fits(array.shape, shape):
        return array
    # A list of texts, for a model that takes (N, 1).
    texts = array.dtype.kind in "OU" and array.ndim == 1 and len(shape) == 2
    added, one = (*array.shape, 1), (1, *array.shape)
    if texts or (_fits(added, shape) and shape[-1] == 1 and (added == one or not _fits(one, shape))):
        return array[..., None]
    return array[..., 0] if array.shape[-1] == 1 and _fits(array.shape[:-1], shape) else array


def _words(array: NDArray, spec: Spec | None, name: str, missing: bool) -> NDArray[np.object_]:
    """Words as objects. Raises ValueError if the model takes numbers, or words are missing and may not be."""
    if spec is not None and tf.as_dtype(spec.dtype) != tf.string:
        raise ValueError(f"{name} has type {array.dtype}; expected numbers.")
    words = words_of(array, name) if array.dtype.kind == "O" else array.astype(object)
    if not missing and (bad := np.unique(np.nonzero(missing_words(words))[0])).size:
        raise ValueError(
            f"{name} lacks words (None or NaN) in {len(bad)} of {len(words)} examples, first in number {bad[0]}. Give a word "
            "for what is missing."
        )
    return words


def _known_shape(spec: Spec | None) -> tuple[int | None, ...] | None:
    """The shape that a model says it takes, batch axis first."""
    wanted = None if spec is None else spec.shape
    return None if wanted is None or getattr(wanted, "rank", 0) is None else tuple(wanted)


def _check_shape(array: NDArray, spec: Spec | None, name: str) -> None:
    shape = _known_shape(spec)
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


def check_finite(array: NDArray, name: str, missing: bool = False) -> None:
    """Raises ValueError, with the first example, if numbers are infinite or NaN; missing: NaN is one that is missing."""
    # One pass that finds any NaN; only if there is one (or the squares overflow) is it worth looking for where.
    if array.dtype.kind != "f" or np.isfinite(np.vdot(array, array)):
        return
    good = ~np.isinf(array) if missing else np.isfinite(array)
    if not good.all():
        bad = np.unique(np.nonzero(~good)[0])
        what = "infinite numbers" if missing else "NaN or infinite numbers"
        raise ValueError(
            f"{name} holds {what}, in {len(bad)} of {len(array)} examples, first in number {bad[0]}. Clean them."
        )
