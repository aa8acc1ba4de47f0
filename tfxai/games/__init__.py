"""Games: what coalitions of players are worth, what each player's share of it is, and what players add together."""

from __future__ import annotations

from tfxai.games.estimates import Estimate, Sample, estimated, interactions
from tfxai.games.functionals import Functional, Index, alone, shapley, together
from tfxai.games.pairs import Pairs
from tfxai.games.surrogate import Surrogate

__all__ = [
    "Estimate",
    "Functional",
    "Index",
    "Pairs",
    "Sample",
    "Surrogate",
    "alone",
    "estimated",
    "interactions",
    "shapley",
    "together",
]
