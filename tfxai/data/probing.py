"""Whether a model and a score still answer as they did when a run was begun: of functions nothing else can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfxai.data import shards
from tfxai.data.rows import Rows, codes_of
from tfxai.data.tasks import RowTargets
from tfxai.engines import Method, at_inputs, request_of
from tfxai.model import Needs, Network
from tfxai.support import Model

NEAR = 0.02  # of a score: so far apart are other processors and batch sizes, in half precision


def check_answers(
    directory: Path,
    methods: Mapping[str, Method],
    model: Model,
    first: Rows,
    targets: RowTargets,
    call: Mapping[str, Any],
) -> None:
    """Explains nothing: asks for the score of one row that is there, and compares. first: rows of the data, with positions.

    Raises ValueError if the score is another one. Cost: a pass for each method.
    """
    numbers = shards.numbers_in(directory)
    if not numbers:
        return
    shard = shards.Shard(directory, numbers[0])
    try:
        found = _common(shard, first, targets.by_position)
        if found is None:
            return
        at, row = found
        for name, method in methods.items():
            if f"{name}.scores" in shard.names:
                scores = np.asarray(shard.column(f"{name}.scores").to_pylist(), np.float64)
                now = _scores_now(method, model, row, targets.of(row), call)
                _check_one(directory, scores, at, now, row)
    finally:
        shard.close()


def _common(shard: shards.Shard, first: Rows, by_position: bool) -> tuple[int, Rows] | None:
    """A row of the shard that was explained and has come again as it was: its place there, and itself."""
    places = {
        code: i
        for i, (code, why) in enumerate(
            zip(codes_of(_numbers(shard, "id")).tolist(), shard.column("failed").to_pylist(), strict=True)
        )
        if why is None
    }
    digests, positions = _numbers(shard, "digest"), _numbers(shard, "position")
    for i, code in enumerate(codes_of(first.keys).tolist()):
        at = places.get(code)
        if at is not None and digests[at] == first.digests[i]:
            row = first[[i]]
            if not by_position or positions[at] == i:  # the first part begins with the first row
                return at, row
    return None


def _numbers(shard: shards.Shard, name: str) -> Any:
    return shard.column(name).to_numpy(zero_copy_only=False)


def _scores_now(method: Method, model: Model, row: Rows, targets: Any, call: Mapping[str, Any]) -> np.ndarray:
    score = method.default_score if call["score"] is None else call["score"]
    network = Network(model, row.inputs, Needs(gradients=False), type(method).__name__)
    request = request_of(network, targets, score, type(method).__name__)
    return np.asarray(at_inputs(request)[1], np.float64).reshape(-1)


def _check_one(directory: Path, scores: np.ndarray, at: int, now: np.ndarray, row: Rows) -> None:
    then = scores[at].reshape(-1)
    room = NEAR * np.abs(then) + NEAR / 10 * np.nanmax(np.abs(scores))
    if then.shape != now.shape or (np.abs(then - now) > room).any():
        raise ValueError(
            f"{directory} holds another run: the score of the row {row.keys.tolist()[0]!r} was {then[0]:.4g}, and is {now[0]:.4g} now. The model, or the "
            "score, is another function. Give another directory, or what that run was begun with."
        )
