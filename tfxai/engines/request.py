"""One checked call of a method: which rows of which model to explain, and how to run it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.baselines import Baseline, filled
from tfxai.engines.inside import Inside
from tfxai.engines.scoring import ScoredBody, Scoring, WithScore
from tfxai.engines.targets import LARGEST, check_targets, target_codes
from tfxai.engines.uncertainty import Uncertainty
from tfxai.inputs import missing_words, restored
from tfxai.model import Embedded, Network, TracedFunction, rows_at_once
from tfxai.results import Explanation
from tfxai.scores import ClassScore, References, Score, Targets
from tfxai.support import BatchSize, Tensor, Values, checked, progress_bar, warn

FAR = 0.5  # delta is large: that part of the change of the score
ROUNDING = 1e-2  # but never where it is so small beside the scores themselves, as half precision leaves it


@dataclasses.dataclass(frozen=True)
class Attribution:
    """What a method computes, one row for every (input, target) pair.

    values:  for each input array (rows, ...), or None if it is not explained.
    targets, scores: (rows,).
    delta:   (rows,), of methods whose values should add up.
    base_scores: (rows,) the model's scores where they should add up from; the user is warned where delta is large.
    remedy:  what then helps.
    kind:    type of the explanation, for methods that give more than values.
    more:    its further fields.
    uncertainty: of methods that sample.
    """

    values: Sequence[NDArray | None]
    targets: NDArray
    scores: NDArray
    delta: NDArray | None = None
    base_scores: NDArray | None = None
    remedy: str = ""
    kind: type[Explanation] = Explanation
    more: dict[str, Any] = dataclasses.field(default_factory=dict)
    uncertainty: Uncertainty | None = None


@dataclasses.dataclass(frozen=True)
class Request:
    """One checked call: which rows (input, target) of which network to explain, and how to run it.

    target_codes: (rows,) ints: a class, or -1 for the best ranked class of the input, -2 for the second ...
    target_shape: shape of the targets, (N,) or (N, K).
    scoring:      what is explained.
    method:       what warnings and errors call the method; no trace depends on it, so that methods share traces.
    references:   of a score that compares rows with something of their own; target codes are then numbers of rows.
    inside:       of a call that is traced as a whole: its rows are tensors, and the network's arrays an example of them.
    """

    network: Network
    target_codes: NDArray[np.integer]
    target_shape: tuple[int, ...]
    scoring: Scoring
    method: str
    batch_size: int = 32
    progress: bool = False
    jit_compile: bool = False
    references: References | None = None
    inside: Inside | None = None

    @classmethod
    @checked
    def of(
        cls,
        network: Network,
        targets: Targets,
        score: str | Score,
        method: str,
        *,
        batch_size: BatchSize = 32,
        progress: bool = False,
        jit_compile: bool = False,
    ) -> Request:
        """batch_size: "auto" is the number of rows for which there is room.

        Raises ValueError if an argument is wrong, or does not fit the network's inputs."""
        codes = target_codes(targets, len(network))
        function, name = _named_score(score)
        if network.batch is not None:
            batch_size = network.batch.rows
        rows = rows_at_once(network) if batch_size == "auto" else int(batch_size)
        lowest = int(codes.min())
        scoring = Scoring(function, name, targets is not None, lowest < 0, max(1, -lowest))
        return cls(network, codes.reshape(-1), codes.shape, scoring, method, rows, progress, jit_compile)

    @property
    def rows(self) -> int:
        """How many (input, target) pairs there are."""
        return len(self.target_codes)

    @property
    def targets_each(self) -> int:
        """How many targets each input has."""
        return self.rows // len(self.network)

    def traced(
        self, body: ScoredBody, arguments: Sequence[Any], frozen: bytes | None = None
    ) -> TracedFunction:
        """A body traced once for its fields and this call's score; see `tfxai.model.Network.traced`.

        Raises ValueError if a target is not a class of the model.
        """
        function = self.network.traced(
            WithScore(self.scoring, body),
            arguments,
            frozen=frozen,
            jit_compile=self.jit_compile,
            details=self._details,
        )
        classes = self.target_codes if self.references is None else self.references.targets
        check_targets(classes, function.record.classes)
        return function

    def run(self, body: ScoredBody, arguments: Sequence[Any]) -> Any:
        """What a body returns for tensors or arrays, as tensors: from its trace, or as a part of the graph of the whole call."""
        if self.inside is None:
            return self.traced(body, arguments)(*arguments)
        given = [tf.convert_to_tensor(argument) for argument in arguments]
        return self.inside.called(self.network, self.scoring, body, *given)

    def read(self, tensor: Tensor) -> Any:
        """What came of `run`, as an array; a tensor where the whole call is traced."""
        return tensor.numpy() if self.inside is None else tensor

    @property
    def arrays(self) -> Sequence[Any]:
        """The inputs (N, ...)."""
        return self.network.arrays if self.inside is None else self.inside.inputs

    @functools.cached_property
    def _details(self) -> list[Tensor]:
        """The classes of all rows, and what else the score compares them with; nothing where it has no references."""
        if self.references is None:
            return []
        rows = len(self.references.targets.reshape(-1))
        lead = self.references.targets.ndim
        arrays = [
            array.reshape(rows, *array.shape[lead:])
            for array in (self.references.targets.astype(np.int32), *self.references.arrays.values())
        ]
        return [tf.constant(array) for array in arrays]

    def target_codes_of(self, block: slice) -> Any:
        """The codes of some rows as the traced functions take them; too large ones are refused before they run."""
        if self.inside is not None:
            return self.inside.codes
        return np.minimum(self.target_codes[block], LARGEST).astype(np.int32)

    def rows_of(self, arrays: Sequence[Any], block: slice) -> list[Any]:
        """What belongs to some rows, of arrays with one entry per example."""
        if self.inside is not None:
            return list(arrays)
        if self.targets_each == 1:
            return [array[block] for array in arrays]
        examples = np.arange(block.start, block.stop) // self.targets_each
        return [array[examples] for array in arrays]

    def blocks(self) -> Iterator[slice]:
        """Rows in blocks of at most `batch_size`, as even as possible."""
        if self.inside is not None:
            yield slice(None)
            return
        count = -(-self.rows // self.batch_size)
        for start, stop in itertools.pairwise(self.rows * i // count for i in range(count + 1)):
            self.network.at(start // self.targets_each)
            yield slice(start, stop)

    def bar(self, total: float) -> contextlib.AbstractContextManager[Callable[[float], None]]:
        """A progress bar if the user asked for one; gives the function that moves it on."""
        return progress_bar(self.progress, self.method, total)

    def baselines_of(self, baseline: Baseline) -> list[Any]:
        """The baseline for each input array, of its shape; (N, 1, 1 ...), of one axis more, where a number is meant at an embedding.

        None: zeros; token ids of a model with a padding id are that id.

        Raises ValueError if it does not fit.
        """
        return [self._baseline_at(which, own) for which, own in enumerate(self.for_each_input(baseline))]

    def for_each_input(self, baseline: Baseline) -> list[Baseline]:
        """The baseline of each input, of one that may name them: a dict, list or tuple, or a table.

        Raises ValueError if it names other inputs than there are.
        """
        network = self.network
        baseline = network.in_order(baseline)
        if isinstance(network.structure, dict) and isinstance(baseline, dict):
            if unknown := [name for name in baseline if name not in network.structure]:
                raise ValueError(
                    f"baseline has {unknown}, the inputs are {list(network.structure)}. Give just those."
                )
            return [baseline.get(name) for name in network.structure]
        if isinstance(network.structure, (list, tuple)) and isinstance(baseline, (list, tuple)):
            if len(baseline) != len(network.arrays):
                raise ValueError(
                    f"baseline has {len(baseline)} entries for {len(network.arrays)} inputs. Give one for each."
                )
            return list(baseline)
        return [baseline] * len(network.arrays)

    def _baseline_at(self, which: int, baseline: Baseline) -> Any:
        place = self.network.own_places[which]
        if place is None:
            return self.arrays[which]
        array = self.network.arrays[which]
        if baseline is None:
            if isinstance(place, Embedded) and self._is_padded(which, place):
                return self._filled(which, 0, array)
            baseline = 0.0
        if isinstance(place, Embedded) and not callable(baseline) and np.ndim(baseline) == 0:
            rows = len(array) if self.inside is None else 1
            return self._filled(which, baseline, np.zeros((rows, *(1,) * array.ndim), np.float32))
        viewed = self.network.viewed(which, baseline)
        values = self._filled(which, viewed, array)
        if self.inside is None:
            self.network.check_ids(which, values, "baseline")
        elif not callable(viewed):
            self.network.check_ids(which, np.asarray(viewed), "baseline")
        return values

    def _filled(self, which: int, baseline: Baseline, array: NDArray) -> Any:
        inside = self.inside
        return filled(baseline, array) if inside is None else inside.filled(baseline, array, which)

    def _is_padded(self, which: int, place: Embedded) -> bool:
        """Whether 0 is padding among an input's token ids, as its table says (`mask_zero`)."""
        as_they_are = self.network.tables[which] is not None
        return as_they_are and any(getattr(lookup.layer, "mask_zero", False) for lookup in place.lookups)

    def check_scores(self, scores: NDArray) -> None:
        """Raises ValueError if all scores are NaN: then there is nothing to explain. Warns of some, and of infinite ones."""
        numbers = np.asarray(scores, np.float64)
        if np.isinf(numbers).any():
            warn(
                f"{self.method}: the score is infinite for {np.isinf(numbers).sum()} of {numbers.size} inputs and targets: "
                "what would change it cannot be said. The usual cause: weights that are infinite or far too large."
            )
        if (bad := np.isnan(numbers)).any():
            message = (
                f"{self.method}: the score is not a number (NaN) for {bad.sum()} of {bad.size} inputs and targets, first in row "
                f"{np.argwhere(bad)[0][0]}. The usual causes: weights that are NaN or infinite, as a training that diverged "
                "leaves them, or inputs far outside of what the model was trained on."
            )
            if bad.all():
                raise ValueError(message)
            warn(f"{message} Their maps say nothing; those of the others are right.")

    def explanation(self, attribution: Attribution, described: str) -> Explanation:
        """What the user gets. described: the method with its settings, as text.

        Raises ValueError if all scores are NaN. Warns where some are, or values, and where all values are 0.
        """
        network, shape = self.network, self.target_shape
        delta, more = attribution.delta, dict(attribution.more)
        targets = np.asarray(attribution.targets, np.int64).reshape(shape)
        if self.references is not None:
            targets, more["references"] = self.references.targets, dict(self.references.arrays)
        self.check_scores(attribution.scores)
        if self._check_values(attribution.values):
            self._check_delta(attribution)
        if attribution.uncertainty is not None:
            more |= attribution.uncertainty.fields(self.shaped, shape, self.method)
        return attribution.kind(
            values=self.shaped(attribution.values),
            inputs=network.pack(
                [_as_given(network.as_given(i, array)) for i, array in enumerate(network.arrays)]
            ),
            targets=targets,
            scores=np.asarray(attribution.scores, np.float32).reshape(shape),
            delta=None if delta is None else np.asarray(delta, np.float32).reshape(shape),
            method=described,
            score=self.scoring.score_name,
            axes=network.axes,
            at=None if network.inner is None else network.inner.names,
            **more,
        )

    def _check_values(self, values: Sequence[NDArray | None]) -> bool:
        """Whether all are numbers; warns if not, and if none says anything."""
        # Of texts, which have as many values as words, the rest of a row is NaN.
        arrays = self.network.arrays
        inside = self.network.inner is not None
        given = [
            v
            for v, array in zip(values, arrays, strict=True)
            if v is not None and (inside or array.dtype != object)
        ]
        # A sum tells quickly whether any is no number.
        if all(np.isfinite(np.sum(value, dtype=np.float64)) for value in given):
            if given and not any(value.any() for value in given):
                warn(
                    f"{self.method}: every value of every map is 0. To this method the score does not depend on these inputs: "
                    "all ReLUs on the way may be off, a probability may be saturated (then explain the logit), or all evidence "
                    "may speak against the class, which class activation maps cut off."
                )
            return True
        bad = [~np.isfinite(value) for value in given]
        count = sum(int(each.sum()) for each in bad)
        rows = {*np.concatenate([np.nonzero(each)[0] for each in bad]).tolist()}
        if count:
            warn(
                f"{self.method}: {count} of {sum(each.size for each in bad)} values are no numbers (NaN or infinite), in "
                f"{len(rows)} of {self.rows} maps. The usual causes: weights that are NaN, or a root, norm or logarithm of 0."
            )
        return not count

    def _check_delta(self, attribution: Attribution) -> None:
        """Warns if values that should add up are far from it: a map of them may look right all the same."""
        if attribution.delta is None or attribution.base_scores is None:
            return
        scores, base, delta = (
            np.asarray(each, np.float64)
            for each in (attribution.scores, attribution.base_scores, attribution.delta)
        )
        change, missed = np.abs(scores - base), np.abs(delta)
        rounding = ROUNDING * (np.abs(scores) + np.abs(base)) + 1e-6
        far = ~(missed <= np.maximum(FAR * change, rounding))  # also where one of them is no number
        if not far.any():
            return
        with np.errstate(divide="ignore", invalid="ignore"):
            row = int(np.argmax(np.where(far, np.nan_to_num(missed / change, nan=np.inf), -1)))
        gap = f"where the score changes by {scores[row] - base[row]:.3g}, their sum misses it by {delta[row]:.3g}"
        worst = gap if np.isfinite(base[row]) else "the score of the baseline is no number"
        warn(
            f"{self.method}: in {int(far.sum())} of {len(far)} maps the values do not add up to the change of the score from "
            f"the baseline (see delta; in row {row} {worst}), and may be far off themselves. {self._remedy(attribution)}".rstrip()
        )

    def _remedy(self, attribution: Attribution) -> str:
        if self.network.inner is None:
            return attribution.remedy
        return (
            f"A part of the evidence may go past {self.network.inner.names}, as in a skip connection: then name a layer behind it, "
            f"or list all that it goes through. {attribution.remedy}"
        )

    def _in_shape(self, values: NDArray) -> NDArray:
        return values.reshape(self.target_shape + values.shape[1:])

    def shaped(self, values: Sequence[NDArray | None]) -> Values:
        """Values of all rows, for each input, in the shape of the targets and the structure of the inputs; or of a layer."""
        if (inner := self.network.inner) is not None:
            return inner.apart(self._in_shape(np.asarray(values[0], np.float32)))
        return self.network.pack(
            [
                None if v is None else self._in_shape(self.network.as_given(i, np.asarray(v, np.float32)))
                for i, v in enumerate(values)
            ]
        )


def _as_given(array: NDArray) -> NDArray:
    """An input as users read it: words that are missing are None or NaN again."""
    return restored(array) if array.dtype == object and missing_words(array).any() else array


def _named_score(score: str | Score) -> tuple[Score, str]:
    if isinstance(score, str):
        if score not in ("logit", "probability", "output"):
            raise ValueError(
                f'score is {score!r}. Give "logit", "probability", "output" or a callable (outputs, targets) -> (N,).'
            )
        return ClassScore(score), score
    if not callable(score):
        raise ValueError(
            f"score is a {type(score).__name__}. Give a name or a callable (outputs, targets) -> (N,)."
        )
    return score, repr(score) if dataclasses.is_dataclass(score) else getattr(
        score, "__name__", type(score).__name__
    )
