"""How far any number that is computed from draws may be off, by leaving out some of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

PARTS = 100  # of the draws, each left out once


def jackknife(number: Callable[[NDArray[np.int64]], float], draws: int) -> tuple[float, float, int]:
    """The number of all draws, its standard error, and the error's degrees of freedom.

    number: numbers of some draws -> what they give, such as a mean or a correlation; smooth in each of them.

    Grouped jackknife: Shao, Tu: The Jackknife and Bootstrap, 1995, section 2.2
    """
    every, parts = np.arange(draws), min(PARTS, draws)
    without = np.array([number(every[every % parts != part]) for part in range(parts)])
    error = np.sqrt((parts - 1) / parts * ((without - without.mean()) ** 2).sum())
    return number(every), float(error), parts - 1
