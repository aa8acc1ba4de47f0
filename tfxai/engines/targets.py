"""Which classes a call explains, as codes: a class, or a rank among what the model finds likeliest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tfxai.scores import Boxes, Targets, Top

MOST = 10**7  # maps of one call; nobody looks at more
LARGEST = 2**31 - 1  # class that a traced function can take


def target_codes(targets: Targets, count: int) -> NDArray[np.integer]:
    """(N,) or (N, K) codes for N inputs: a class, or -1 for the best ranked class of the input, -2 for the second ...

    Raises ValueError if targets does not fit N inputs, is one-hot, or holds negative numbers.
    """
    if targets is None:
        return np.full((count,), -1, np.int32)
    if isinstance(targets, Top):
        if targets.k * count > MOST:
            raise ValueError(
                f"top({targets.k}) of {count} inputs would be {targets.k * count} maps. Ask for fewer classes, or give fewer inputs "
                "at once."
            )
        return np.tile(-np.arange(1, targets.k + 1, dtype=np.int32), (count, 1))
    if isinstance(targets, Boxes):
        raise ValueError(
            "targets are boxes, and the score is about classes. Give score=tfxai.scores.detection() too."
        )
    classes = np.asarray(targets)
    _check_not_one_hot(classes)
    if classes.dtype.kind in "US" and classes.size:
        raise ValueError(
            f"targets holds the text {str(classes.flat[0])!r}. Give numbers of classes, such as names.index(...)."
        )
    if classes.dtype.kind not in "iu":
        raise ValueError(
            f"targets has type {classes.dtype}. Give None, an int, (N,) ints, (N, K) ints or tfxai.top(k)."
        )
    if classes.ndim == 0:
        classes = np.full((count,), classes)
    if classes.ndim > 2 or len(classes) != count or classes.size == 0:
        raise ValueError(
            f"targets has {len(classes)} entries for {count} inputs. Give one class per input, or one int for all."
            if classes.ndim == 1
            else f"targets has shape {classes.shape} for {count} inputs. Give (N,) or (N, K) classes, or one int for all."
        )
    if classes.min() < 0:
        raise ValueError(f"targets holds class {classes.min()}. Classes are counted from 0.")
    return classes.astype(np.int64)


def _check_not_one_hot(classes: NDArray) -> None:
    """Raises ValueError for rows of zeros with a single one, of whole numbers or fractions."""
    rows = classes.ndim == 2 and classes.shape[-1] > 2 and classes.dtype.kind in "iufb" and classes.size
    if rows and np.isin(classes, (0, 1)).all() and (classes.sum(axis=1) == 1).all():
        raise ValueError(
            f"targets has shape {classes.shape} and looks one-hot; (N, K) means K classes of each input. Give y.argmax(axis=1)."
        )


def check_targets(codes: NDArray[np.integer], count: int | None) -> None:
    """Raises ValueError if a class is out of range; called when the model is traced, before it runs.

    count: how many classes there are; None if the score does not tell.
    """
    if count is None:
        if codes.max() > LARGEST:
            raise ValueError(f"targets holds class {codes.max()}, more than any model has.")
        return
    if (codes >= count).any():
        classes = (
            " (a single unit without sigmoid: its only target is 0)."
            if count == 1
            else f" (0 to {count - 1})."
        )
        raise ValueError(f"targets holds class {codes.max()}, the model has {count}{classes}")
    if -codes.min() > count:
        raise ValueError(f"top({-codes.min()}) asks for more classes than the model has ({count}).")
