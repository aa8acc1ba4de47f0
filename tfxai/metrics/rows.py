"""What every metric needs of an explanation: its rows, checked against the model, ready to be perturbed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.baselines import Baseline
from tfxai.engines import Example, HiddenInput, Perturb, Perturbation, PerturbedScores, Request, hidden_input
from tfxai.metrics.result import MetricResult, unwrapped
from tfxai.model import Needs, Network
from tfxai.results import Explanation


@dataclasses.dataclass(frozen=True)
class Rows:
    """The (input, target) pairs of an explanation.

    part: the explained input, (rows, ...).
    heat:  float32 (rows, *space): evidence, summed over channels.
    share: the same where a part's weight stands on each of its places (LIME, KernelSHAP), shared out among them: for sums.
    full:  float32 (rows, *shape of the input): one value for each number of the input, where the explanation has so many;
           else `share`, with a last axis of one.
    lead: shape of the targets.
    """

    request: Request
    part: HiddenInput
    heat: NDArray[np.float32]
    share: NDArray[np.float32]
    full: NDArray[np.float32]
    lead: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.heat)

    @property
    def places(self) -> int:
        """How many there are in one example."""
        return int(np.prod(self.part.space))

    def hidden(self, baseline: Baseline) -> NDArray:
        return self.part.hidden(baseline)

    def perturbed(
        self,
        perturbation: Perturbation,
        plans: Callable[[int], list[NDArray]],
        fixed: Callable[[int], list[NDArray]],
        notes: int = 0,
    ) -> Iterator[tuple[Example, PerturbedScores]]:
        """Scores each row's perturbations.

        plans: row -> arrays (M, ...), one entry for each perturbation. fixed: row -> arrays that all of them need.
        notes: how many numbers are noted beside each score.
        """
        first = plans(0)
        engine = Perturb(self.request, len(self) * len(first[0]))
        for example in engine.examples():
            row = example.number
            plan = first if row == 0 else plans(row)
            yield example, engine.run(perturbation, example, plan, fixed(row), notes=notes)

    def result(self, function: Any, values: Any, kind: type[MetricResult] = MetricResult, **more: Any) -> Any:
        """Values (rows,), and more per row, in the shape of the targets."""
        shaped = {
            name: np.asarray(each, np.float32).reshape(self.lead + np.shape(each)[1:])
            if name != "fractions"
            else np.asarray(each, np.float32)
            for name, each in more.items()
        }
        return result(function, np.asarray(values, np.float32).reshape(self.lead), kind, **shaped)


def result(function: Any, values: NDArray, kind: type[MetricResult] = MetricResult, **more: Any) -> Any:
    own = unwrapped(function)
    return kind(own.__name__, np.asarray(values, np.float32), own.higher_is_better, **more)


def rows_of(
    model: Any,
    explanation: Explanation,
    score: Any,
    batch_size: int,
    progress: bool = False,
    input: str | int | None = None,
) -> Rows:
    """The rows of an explanation.

    Raises ValueError if it is none, holds NaN, or explains inputs that the model does not take.
    """
    key, heat = checked_heat(explanation, input)
    lead = explanation.targets.shape
    each = int(np.prod(lead[1:]))
    arrays = explanation.inputs
    if isinstance(arrays, np.ndarray):
        inputs: Any = np.repeat(arrays, each, axis=0) if each > 1 else arrays
    elif isinstance(arrays, dict):
        inputs = {name: np.repeat(array, each, axis=0) for name, array in arrays.items()}
    else:
        inputs = type(arrays)(np.repeat(array, each, axis=0) for array in arrays)
    targets = None if (explanation.targets < 0).all() else explanation.targets.reshape(-1)
    network = Network(model, inputs, Needs(gradients=False), "A metric")
    request = Request.of(network, targets, score, "metric", batch_size=batch_size, progress=progress)
    part = hidden_input(request, key, "A metric")
    if heat.shape[1:] != part.space:
        raise ValueError(
            f"The explanation has values for places {heat.shape[1:]}, its inputs have {part.space}. Give the "
            "explanation of these inputs."
        )
    share = heat / np.repeat(_sizes(explanation, heat.shape[1:]), each, axis=0)
    values = np.asarray(explanation.one(input)[0], np.float32)
    values = values.reshape(len(heat), *values.shape[len(lead) :])
    if values.shape[1:] == part.array.shape[1:] and values.shape[-1] > 1:
        full = values
    else:
        full = share.reshape(*heat.shape, *[1] * (part.array.ndim - heat.ndim))
    return Rows(request, part, heat, share.astype(np.float32), full.astype(np.float32), lead)


def _sizes(explanation: Explanation, space: tuple[int, ...]) -> NDArray:
    """(N, *space): on how many places the weight of each place's part stands."""
    labels = getattr(explanation, "segments", None)
    if labels is None or labels.shape[1:] != space:
        return np.ones((len(explanation.targets), *space), np.float32)
    return np.stack([np.bincount(one.reshape(-1))[one] for one in labels])


def checked_heat(explanation: Any, input: str | int | None) -> tuple[str | int | None, NDArray[np.float32]]:
    """Key of the explained input, and its evidence (rows, *space).

    Raises ValueError if this is no explanation, or it holds NaN.
    """
    if not isinstance(explanation, Explanation):
        raise ValueError(
            f"explanation is a {type(explanation).__name__}. Give what a method returned: a tfxai.Explanation."
        )
    key, lead = explanation.key(input), explanation.targets.shape
    heat = np.asarray(explanation.heatmap(input), np.float32)
    if heat.shape[: len(lead)] != lead or len(explanation.one(input)[1]) != lead[0]:
        raise ValueError(
            f"The explanation has values {heat.shape} for {len(explanation.one(input)[1])} inputs and targets {lead}. Give "
            "one map for each target."
        )
    heat = heat.reshape(-1, *heat.shape[len(lead) :])
    if (bad := ~np.isfinite(heat).reshape(len(heat), -1).all(axis=1)).any():
        raise ValueError(
            f"The explanation holds NaN or infinite values, in {bad.sum()} of {len(heat)} rows, first in number "
            f"{bad.argmax()}. Texts of different length cannot be measured."
        )
    return key, heat


def ranks_of(heat: NDArray, generator: np.random.Generator) -> NDArray[np.int32]:
    """The rank of every place of a row: 0 for the most evidence. Ties are broken by chance, not by place."""
    flat = heat.reshape(-1)
    order = np.lexsort((generator.random(flat.size), -flat))
    ranks = np.empty(flat.size, np.int32)
    ranks[order] = np.arange(flat.size, dtype=np.int32)
    return ranks.reshape(heat.shape)


def correlation(ones: NDArray, others: NDArray) -> float:
    """Pearson's, -1 to 1; 0 where one of them is constant."""
    if np.ptp(ones) == 0 or np.ptp(others) == 0:
        return 0.0
    return float(np.corrcoef(np.asarray(ones, np.float64), np.asarray(others, np.float64))[0, 1])
