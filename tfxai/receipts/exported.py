"""An exported signature compared with a saved explanation: does the served model give this map?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.hub import Declared, signatures_of
from tfxai.inputs import flatten
from tfxai.receipts.verifying import DIFFERENT, ELSEWHERE, EQUAL, Verification
from tfxai.results import Explanation
from tfxai.support import checked, number

TARGET = "target"


@checked
def verify_exported(
    explanation: Explanation | str | Path,
    folder: str | Path,
    signature: str | None = None,
    *,
    tolerance: Annotated[float, number(least=0)] = 1e-4,
) -> Verification:
    """Does a folder that `tfxai.export` wrote give this explanation? Feeds its inputs to a signature, and compares what comes.

    explanation: one class for each input, or a file that `save` wrote; a receipt is not needed.
    signature:   its name; unless given, the only one that explains.
    tolerance:   how far values may be apart, of the largest value; where they are within it, the status is 2, and 0 if all bits are
                 equal.

    Cost: that of the explanation.

    Raises ValueError if there is no such signature, or it takes other inputs.
    """
    saved = explanation if isinstance(explanation, Explanation) else Explanation.load(explanation)
    name, declared = _chosen(folder, signature)
    if saved.targets.ndim != 1:
        raise ValueError(
            f"The explanation has targets {saved.targets.shape}. A signature explains one class for each input."
        )
    loaded = tf.saved_model.load(str(folder))
    function: Any = loaded.signatures[name]
    given = {key: tf.constant(array) for key, array in _inputs(saved, declared, name).items()}
    answer = {key: each.numpy() for key, each in function(**given).items()}
    return _judged(saved, answer, tolerance)


def _chosen(folder: str | Path, signature: str | None) -> tuple[str, Declared]:
    """The signature that explains."""
    explaining = {
        name: each
        for name, each in signatures_of(folder).items()
        if any(key == "values" or key.startswith("values_") for key in each.outputs)
    }
    if signature is None and len(explaining) == 1:
        return next(iter(explaining.items()))
    if signature not in explaining:
        what = f"no signature {signature!r} that explains" if signature else "not one signature that explains"
        raise ValueError(
            f"{folder} has {what}. Give one of: {', '.join(explaining) or 'none, it was not exported by tfxai'}."
        )
    return str(signature), explaining[str(signature)]


def _inputs(saved: Explanation, declared: Declared, name: str) -> Mapping[str, NDArray]:
    """What is fed, by name."""
    arrays, keys = flatten(saved.inputs)
    wanted = [key for key in declared.inputs if key != TARGET]
    named = dict(zip(keys, arrays, strict=True)) if isinstance(saved.inputs, dict) else {}
    if not named and len(arrays) == len(wanted) == 1:
        named = {wanted[0]: arrays[0]}
    if not named:  # a list: by what fits
        fits = {
            key: [x for x in arrays if declared.inputs[key].shape.is_compatible_with(np.shape(x))]
            for key in wanted
        }
        named = {key: found[0] for key, found in fits.items() if len(found) == 1}
    specs = declared.inputs
    if sorted(named) != sorted(wanted) or any(
        specs[key].dtype == tf.string or not specs[key].shape.is_compatible_with(np.shape(x))
        for key, x in named.items()
    ):
        raise ValueError(
            f"The signature {name!r} takes {', '.join(f'{key} {specs[key].shape}' for key in wanted)}; the explanation is of "
            f"{', '.join(str(np.shape(x)) for x in arrays)}. Compare one of the same inputs, which came in as numbers."
        )
    fed = {key: np.asarray(x).astype(specs[key].dtype.as_numpy_dtype) for key, x in named.items()}
    return {**fed, **({TARGET: saved.targets.astype(np.int32)} if TARGET in specs else {})}


def _judged(saved: Explanation, answer: Mapping[str, NDArray], tolerance: float) -> Verification:
    if not np.array_equal(answer[TARGET], saved.targets):
        row = int(np.argmax(answer[TARGET] != saved.targets))
        told = f"{answer[TARGET][row]}, and the explanation is of {saved.targets[row]}"
        return Verification(DIFFERENT, f"target: in row {row} the signature explains class {told}")
    largest, equal = 0.0, True
    for key, own in _parts(saved).items():
        found = answer.get(key)
        if found is None or found.shape != own.shape:
            return Verification(
                DIFFERENT,
                f"{key}: the signature gives {None if found is None else found.shape}, not {own.shape}",
            )
        # An error is nearly nothing: it is measured in scores.
        scale = np.append(np.abs(own).ravel(), np.abs(saved.scores) if key == "delta" else 0)
        size = max(float(np.nanmax(scale)), 1e-30)
        apart = float(np.nanmax(np.abs(found - own), initial=0)) / size
        if apart > tolerance or not np.array_equal(np.isnan(found), np.isnan(own)):
            return Verification(
                DIFFERENT, f"{key}: up to {apart:.2g} of the largest apart, more than {tolerance:g}"
            )
        largest, equal = max(largest, apart), equal and np.array_equal(found, own, equal_nan=True)
    if equal:
        return Verification(EQUAL, "values, targets and scores are equal to the bit")
    return Verification(ELSEWHERE, f"the same but for rounding: up to {largest:.2g} of the largest apart")


def _parts(saved: Explanation) -> dict[str, NDArray]:
    """What a signature gives, of the explanation."""
    values, keys = flatten(saved.values)
    given = [(key, np.asarray(each)) for key, each in zip(keys, values, strict=True) if each is not None]
    parts = {"values": given[0][1]} if len(given) == 1 else {f"values_{key}": each for key, each in given}
    parts["score"] = saved.scores
    return parts if saved.delta is None else {**parts, "delta": saved.delta}
