"""How sure a sampled map is: standard errors, intervals, and whether a tolerance was reached."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.support import Values, warn


@dataclasses.dataclass(frozen=True)
class Uncertainty:
    """How far values of a method that samples may be from what infinitely many samples would give.

    errors:      standard errors, as the values: for each input array (rows, ...) or None.
    lows, highs: ends of the intervals, likewise.
    passes:      (rows,) how many passes through the model a map took; maps of one input may share them.
    reached:     (rows,) half of the widest interval of each map.
    converged:   (rows,) whether that is within the tolerance; None where none was asked for.
    """

    errors: Sequence[NDArray | None]
    lows: Sequence[NDArray | None]
    highs: Sequence[NDArray | None]
    passes: NDArray
    reached: NDArray
    converged: NDArray | None = None

    def fields(
        self, shaped: Callable[[Sequence[NDArray | None]], Values], shape: tuple[int, ...], method: str
    ) -> dict[str, Any]:
        """Fields of an explanation. Warns where a tolerance was not reached.

        shaped: brings values of all rows into the shape of an explanation's. shape: of the targets. method: its name.
        """
        # Of maps that are no numbers the user is told elsewhere.
        far = np.zeros(0, bool) if self.converged is None else ~self.converged & ~np.isnan(self.reached)
        if far.any():
            row = int(np.argmax(np.where(far, self.reached, -1)))
            warn(
                f"{method}: {int(far.sum())} of {len(far)} maps are not within the tolerance: in row "
                f"{row} values may be off by {self.reached[row]:.3g}. Allow more samples, or a larger tolerance."
            )
        return {
            "standard_error": shaped(self.errors),
            "interval": _side_by_side(shaped(self.lows), shaped(self.highs)),
            "passes": np.asarray(self.passes, np.int64).reshape(shape),
            "converged": None if self.converged is None else self.converged.reshape(shape),
        }


@dataclasses.dataclass(frozen=True)
class Known:
    """The same of one example's parts.

    error:     (K, parts) standard errors. low, high: (K, parts) ends of the intervals.
    passes:    of the example.
    reached, converged: (K,) as above.
    """

    error: NDArray
    low: NDArray
    high: NDArray
    passes: int
    reached: NDArray
    converged: NDArray | None


def _side_by_side(low: Values, high: Values) -> Values:
    """Low and high ends on one more axis, in the structure of the inputs."""
    if isinstance(low, dict):
        return {key: _side_by_side(low[key], high[key]) for key in low}
    if isinstance(low, (list, tuple)):
        return type(low)(_side_by_side(*ends) for ends in zip(low, high, strict=True))
    return None if low is None else np.stack([low, high], axis=-1)
