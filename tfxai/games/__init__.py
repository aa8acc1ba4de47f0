"""Games: what coalitions of players are worth, and what each player's share of it is."""

from __future__ import annotations

from tfxai.games.pairs import Pairs
from tfxai.games.shapley import Estimate, estimated
from tfxai.games.surrogate import Surrogate

__all__ = ["Estimate", "Pairs", "Surrogate", "estimated"]
