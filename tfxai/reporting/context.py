"""What all sections of a page share: names of classes and inputs, and what the model predicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.model import snapshot
from tfxai.plots import Labels, class_name, score_text
from tfxai.predictions import probabilities
from tfxai.receipts import of_weights
from tfxai.results import Explanation, as_json
from tfxai.support import Model

BEST = 5  # classes that are listed of each input


@dataclasses.dataclass(frozen=True)
class Context:
    """model: asked for its classes, where there is one. labels: names of classes. names: of the inputs. photos: what people know of them, where
    the model was fed with other numbers. limit: how many are shown."""

    model: Model = None
    labels: Labels | None = None
    names: Sequence[str] | None = None
    photos: NDArray | None = None
    limit: int = 16

    def name(self, row: int) -> str:
        """Of an input."""
        return (
            str(self.names[row]) if self.names is not None and row < len(self.names) else f"input {row + 1}"
        )

    def of_class(self, target: Any) -> str:
        """The name of a class; empty where a score needs none."""
        return class_name(target, self.labels)

    def predicted(self, explanation: Explanation) -> NDArray | None:
        """Probabilities (N, C) of what was explained; None without a model, where it gives no classes, or another model was explained."""
        receipt = getattr(explanation, "receipt", None)
        if self.model is None or receipt is None:
            return None
        if of_weights(as_json(receipt.weights), as_json(snapshot(self.model).weights)):
            return None
        try:
            return probabilities(self.model, explanation.inputs)
        except ValueError:
            return None

    def best(self, shares: NDArray) -> list[tuple[str, str]]:
        """The best classes of one input, with their probabilities; several may have one name."""
        order = np.argsort(-shares, kind="stable")[:BEST]
        return [
            (self.of_class(k) or f"class {k}", score_text(float(shares[k]), "probability"))
            for k in order.tolist()
        ]

    def more(self, count: int) -> str:
        """Says that not all are shown."""
        return f"The first {self.limit} of {count} inputs. " if count > self.limit else ""
