"""The rows (input, target) of an explanation: checked against the model, ready to be perturbed and scored."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfxai.axes import with_axes
from tfxai.baselines import Baseline
from tfxai.engines import (
    Example,
    HiddenInput,
    Perturb,
    Perturbation,
    PerturbedScores,
    Request,
    hidden_input,
    request_of,
)
from tfxai.metrics.result import MetricResult, metric_result
from tfxai.model import Needs, Network
from tfxai.results import Explanation
from tfxai.scores import References, Referring, Score
from tfxai.support import BatchSize, InputKey, Inputs, Model


@dataclasses.dataclass(frozen=True)
class Rows:
    """The (input, target) pairs of an explanation.

    explained: the explained input, (rows, ...).
    heat:  float32 (rows, *space): evidence, summed over channels.
    share: the same where a part's weight stands on each of its places (LIME, KernelSHAP), shared out among them: for sums.
    full:  float32 (rows, *shape of the input): one value for each number of the input, where the explanation has so many;
           else `share`, with a last axis of one.
    lead:  shape of the targets.
    """

    request: Request
    explained: HiddenInput
    heat: NDArray[np.float32]
    share: NDArray[np.float32]
    full: NDArray[np.float32]
    lead: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.heat)

    @property
    def places(self) -> int:
        """How many places there are in one example."""
        return int(np.prod(self.explained.space))

    def hidden(self, baseline: Baseline) -> NDArray:
        """What hidden parts look like, of the input's shape. Raises ValueError if a baseline does not fit."""
        return self.explained.hidden(baseline)

    def perturbed(
        self,
        perturbation: Perturbation,
        plans: Callable[[int], Sequence[NDArray]],
        fixed: Callable[[int], Sequence[NDArray]],
    ) -> Iterator[tuple[Example, PerturbedScores]]:
        """Each row with the scores of its perturbations.

        plans: row -> arrays (M, ...), one entry for each perturbation. fixed: row -> arrays that all of them need.
        """
        first = plans(0)
        engine = Perturb(self.request, len(self) * len(first[0]))
        for example in engine.examples():
            row = example.number
            plan = first if row == 0 else plans(row)
            yield example, engine.run(perturbation, example, plan, fixed(row))

    def result(
        self,
        function: Callable[..., Any],
        values: ArrayLike,
        kind: type[MetricResult] = MetricResult,
        *,
        fractions: ArrayLike | None = None,
        **more: ArrayLike,
    ) -> Any:
        """A metric's result, in the shape of the targets: values (rows,), and more (rows, ...) by the name of its field.

        fractions: (steps + 1,), the same for all rows.
        """
        fields = {name: self._shaped(of_rows) for name, of_rows in more.items()}
        if fractions is not None:
            fields["fractions"] = np.asarray(fractions, np.float32)
        return metric_result(function, self._shaped(values), kind, **fields)

    def _shaped(self, of_rows: ArrayLike) -> NDArray:
        array = np.asarray(of_rows)
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        return array.reshape(self.lead + array.shape[1:])


def rows_of(
    model: Model,
    explanation: Explanation,
    score: str | Score,
    batch_size: BatchSize,
    progress: bool = False,
    input: InputKey = None,
) -> Rows:
    """The rows of an explanation.

    Raises ValueError if it is not an explanation, holds NaN, or explains inputs that the model does not take.
    """
    key, heat = checked_heat(explanation, input)
    lead = explanation.targets.shape
    targets_each = int(np.prod(lead[1:]))
    inputs = with_axes(_repeated(explanation.inputs, targets_each), explanation.axes)
    targets = None if (explanation.targets < 0).all() else explanation.targets.reshape(-1)
    if explanation.references is not None:
        targets = _references(explanation, score)
    network = Network(model, inputs, Needs(gradients=False), "A metric")
    request = request_of(network, targets, score, "metric", batch_size=batch_size, progress=progress)
    explained = hidden_input(request, key, "A metric")
    if explanation.axes is None and network.axes is not None:  # one made by hand: the model says it
        explanation = dataclasses.replace(explanation, axes=network.axes)
        key, heat = checked_heat(explanation, input)
    if heat.shape[1:] != explained.space:
        raise ValueError(
            f"The explanation has values for places {heat.shape[1:]}, its inputs have {explained.space}. Give the "
            "explanation of these inputs."
        )
    share = heat / np.repeat(_part_sizes(explanation, key, heat.shape[1:]), targets_each, axis=0)
    full = _full(explanation, input, share, explained)
    return Rows(request, explained, heat, share.astype(np.float32), full.astype(np.float32), lead)


def _references(explanation: Explanation, score: str | Score) -> References:
    """What the explained rows were compared with, one entry for each. Raises ValueError if the score compares nothing."""
    if not isinstance(score, Referring) or score.words != explanation.score:
        raise ValueError(
            f"The explanation is of {explanation.score}, and the metric's score is {getattr(score, 'words', score)!r}. Give the same: "
            "score=tfxai.scores...."
        )
    lead = explanation.targets.ndim
    rows = explanation.targets.size
    arrays = explanation.references or {}
    return References(
        explanation.targets.reshape(-1),
        {name: array.reshape(rows, *array.shape[lead:]) for name, array in arrays.items()},
    )


def _repeated(inputs: Inputs, count: int) -> Inputs:
    """Every example `count` times, once for each of its targets, in the structure of the inputs."""
    if isinstance(inputs, np.ndarray):
        return np.repeat(inputs, count, axis=0) if count > 1 else inputs
    if isinstance(inputs, dict):
        return {name: np.repeat(array, count, axis=0) for name, array in inputs.items()}
    return type(inputs)(np.repeat(array, count, axis=0) for array in inputs)


def _part_sizes(explanation: Explanation, key: str | int | None, space: tuple[int, ...]) -> NDArray:
    """(N, *space): on how many places the weight of each place's part stands."""
    labels: Any = getattr(explanation, "segments", None)
    if labels is not None and not isinstance(labels, np.ndarray):  # of several inputs
        labels = labels[key]
    if labels is None or labels.shape[1:] != space:
        return np.ones((len(explanation.targets), *space), np.float32)
    return np.stack([np.bincount(example.reshape(-1))[example] for example in labels])


def _full(
    explanation: Explanation, input: str | int | None, share: NDArray, explained: HiddenInput
) -> NDArray[np.float32]:
    """(rows, *shape of the input) where there is a value for each number, else `share` with a last axis of one."""
    values = np.asarray(explanation.one(input)[0], np.float32)
    values = values.reshape(len(share), *values.shape[explanation.targets.ndim :])
    if values.shape[1:] == explained.array.shape[1:] and values.shape[-1] > 1:
        return values
    return share.reshape(*share.shape, *[1] * (explained.array.ndim - share.ndim))


def checked_heat(
    explanation: object, input: str | int | None
) -> tuple[str | int | None, NDArray[np.float32]]:
    """Key of the explained input, and its evidence (rows, *space).

    Raises ValueError if this is not an explanation, has another number of maps than targets, or holds NaN.
    """
    if not isinstance(explanation, Explanation):
        raise ValueError(
            f"explanation is a {type(explanation).__name__}. Give what a method returned: a tfxai.Explanation."
        )
    key, lead = explanation.key(input), explanation.targets.shape
    heat, inputs = np.asarray(explanation.heatmap(input), np.float32), explanation.one(input)[1]
    if heat.shape[: len(lead)] != lead or len(inputs) != lead[0]:
        raise ValueError(
            f"The explanation has values {heat.shape} for {len(inputs)} inputs and targets {lead}. Give one map for each "
            "target."
        )
    heat = heat.reshape(-1, *heat.shape[len(lead) :])
    if (bad := ~np.isfinite(heat).reshape(len(heat), -1).all(axis=1)).any():
        raise ValueError(
            f"The explanation holds NaN or infinite values, in {bad.sum()} of {len(heat)} rows, first in number "
            f"{bad.argmax()}. Texts of different length cannot be measured."
        )
    return key, heat


def ranks_of(heat: NDArray, generator: np.random.Generator) -> NDArray[np.int32]:
    """The rank of every place of a map, of its shape: 0 for the most evidence. Ties are broken by chance, not by place."""
    flat = heat.reshape(-1)
    order = np.lexsort((generator.random(flat.size), -flat))
    ranks = np.empty(flat.size, np.int32)
    ranks[order] = np.arange(flat.size, dtype=np.int32)
    return ranks.reshape(heat.shape)
