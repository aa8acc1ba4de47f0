"""A linear model in place of the real one, fitted to random coalitions of parts around the input."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import r2_score

from tfxai.engines import (
    Attribution,
    Coalitions,
    Example,
    Known,
    LinearGame,
    Method,
    Parts,
    Perturb,
    Request,
    averaged_in_graph,
)
from tfxai.inputs import segments as cuts
from tfxai.model import Needs
from tfxai.results import SurrogateExplanation
from tfxai.stats import Looks, reach
from tfxai.support import Confidence, InputKey, Seed, Tolerance, number, whole

FIRST = 4  # coalitions for each weight before the first look


@dataclasses.dataclass(frozen=True)
class LIME(Method):
    """Which segments would a simple, linear stand-in for the model lean on?

    Random halves of the parts are hidden, the model scores what is left, and a ridge regression weighed by closeness
    to the whole input explains the scores. Positive weights support the score; what the weights are worth is told by
    `r2`. Images, series and volumes by segments, tables by columns, texts by words or token ids. The result also carries
    `segments`, `weights`, `r2`, `intercept` and `local_prediction` (tfxai.results.SurrogateExplanation), and how sure it is:
    `standard_error`, `interval`, `passes` and, with a tolerance, `converged`.
    Cost: `samples` forward passes per input, whatever the number of classes, and a second or less of segmentation.

    segments:   asked of the segmenter, which may find more or fewer (felzenszwalb and quickshift find their own number).
    samples:    coalitions, with a tolerance at most; the first is the whole input.
    segmenter:  "slic", "felzenszwalb", "quickshift", "watershed", "grid", a label map (H, W) or (N, H, W), or a
                function image (H, W, C) in 0..1 -> label map. Series and volumes are cut evenly.
    hide:       what hidden segments look like: "mean" (each its own mean colour), a number, an array, or a function of
                tfxai.baselines. Token ids: by the padding id, 0, unless another is given. Hidden words are left out, or
                masked as tfxai.Text says.
    distance:   "cosine" or "euclidean", between the bits of a coalition and all ones.
    width:      of the kernel, in units of the distance.
    ridge:      strength of the penalty; 0 for none. It shrinks the weights of few parts much.
    background: training rows (R, ...) like the inputs (a dict of columns or a DataFrame, too); hidden parts then come from
                a random row. Needed for tables.
    seed:       of the coalitions and rows, the same for every input.
    input:      which of several inputs is hidden (key or number). Unless given, the first image; without images all
                tables and token ids together, each token and each input a part (each column, where every table has
                several), but not what masks tokens; else the first.
    tolerance:  draws until every weight is within so much of that of infinitely many coalitions, which no penalty shrinks: in
                units of the score, or a share of the largest weight, such as "1%". Warns where `samples` do not suffice.
    confidence: of the intervals, for all weights of one map together, between 0 and 1. They cover the chance of the
                coalitions, not the choice of segments, kernel or what hides.

    Raises ValueError if a setting is wrong, a label map does not fit or has one segment only, or a text has no words.
    Warns where a segmenter finds one segment only, and uses a grid.
    Ribeiro, Singh, Guestrin: "Why Should I Trust You?", 2016. arXiv:1602.04938, equation 1 and section 3.4
    """

    segments: Annotated[int, whole(2)] = 50
    samples: Annotated[int, whole(2)] = 1000
    segmenter: cuts.Segmenter = "slic"
    hide: Any = "mean"
    distance: Literal["cosine", "euclidean"] = "cosine"
    width: Annotated[float, number(above=0)] = 0.25
    ridge: Annotated[float, number(least=0)] = 1.0
    background: Any = None
    seed: Seed = 0
    input: InputKey = None
    tolerance: Tolerance = None
    confidence: Confidence = 0.95
    needs = Needs(gradients=False)
    default_score = "output"

    def __post_init__(self) -> None:
        super().__post_init__()
        cuts.check(self.segmenter, "LIME")
        if isinstance(self.hide, str) and self.hide != "mean":
            raise ValueError(
                f'LIME(hide={self.hide!r}): give "mean", a number, an array or a tfxai.baselines function.'
            )

    def attribute(self, request: Request) -> Attribution:
        coalitions = Coalitions.of(request, self.input, "LIME")
        coalitions.refuse_for_texts("LIME", hide=(self.hide, "mean"), background=(self.background, None))
        data = self.background is not None
        by_segment = isinstance(self.hide, str) and not (data or coalitions.rows or coalitions.text)
        if data:
            behind = coalitions.behind(self.background, self.seed, "LIME")
        else:
            behind = coalitions.own(0.0 if by_segment else self.hide, "LIME")
        engine = coalitions.engine(self.samples * len(request.network))
        if request.inside is not None:
            return self._in_graph(coalitions, engine, behind, by_segment)
        examples, cut, fits, known = [], [], [], []
        for example in engine.examples():
            parts = coalitions.parts(example.number, self.segmenter, self.segments)
            generator, visible = self._coalitions(parts)
            hidden, drawn = behind(example.number), None
            if by_segment:
                hidden = [cuts.averaged(coalitions.array[example.number], parts.labels)[None]]
            elif hidden and len(hidden[0]) > 1:
                drawn = generator.integers(0, len(hidden[0]), self.samples)
            worth = functools.partial(
                _worth, coalitions, engine, example, parts, visible, hidden=hidden, drawn=drawn
            )
            fit, sure = self._until_sure(visible, worth)
            fits.append(fit)
            known.append(sure)
            examples.append(example)
            cut.append(parts)
        more = {
            "r2": np.stack([fit.r2 for fit in fits]),
            "intercept": np.stack([fit.intercept for fit in fits]),
            "local_prediction": np.stack([fit.prediction for fit in fits]),
        }
        weights = [fit.weights for fit in fits]
        return coalitions.attribution(examples, cut, weights, SurrogateExplanation, known=known, more=more)

    def _coalitions(self, parts: Parts) -> tuple[np.random.Generator, NDArray[np.bool_]]:
        """Coalitions (samples, parts), and what draws the rows behind them."""
        generator = np.random.default_rng(self.seed)
        visible = generator.random((self.samples, parts.count)) < 0.5
        visible[0] = True
        return generator, visible

    def _in_graph(
        self, coalitions: Coalitions, engine: Perturb, behind: Callable[[Any], list[Any]], by_segment: bool
    ) -> Attribution:
        """The weights alone, of a call that is traced as a whole: a regression is linear in what it is fitted to."""
        parts = coalitions.parts(0, self.segmenter, self.segments)
        generator, visible = self._coalitions(parts)
        rows = 0 if by_segment else behind(0)[0].shape[0]
        drawn = generator.integers(0, rows, self.samples) if rows > 1 else None

        def hidden_of(example: Example) -> Sequence[Any]:
            if not by_segment:
                return behind(example.number)
            return [averaged_in_graph(example.inputs[coalitions.which[0]], parts.labels)]

        game = LinearGame(visible, self._fitted(visible, np.eye(len(visible))).weights.T)
        return coalitions.linear(engine, parts, game, hidden_of, drawn=drawn, complete=False)

    def _until_sure(self, visible: NDArray, worth: Callable[[int, int], NDArray]) -> tuple[_Fit, Known]:
        """The linear model, and how sure it is. worth: scores of the coalitions from one number to another."""
        parts, scores = visible.shape[1], []
        looks = Looks(self.tolerance, self.confidence, self.samples, FIRST * (parts + 1))
        while True:
            scores.append(worth(sum(map(len, scores)), looks.draws))
            fit = self._fitted(visible[: looks.draws], np.concatenate(scores))
            width = reach(fit.errors, looks.draws - parts - 1, parts, looks.risk) + fit.shrunk
            need = looks.need(fit.weights.T, width.T)
            if looks.end(need.max(), parts):
                break
        low, high = fit.weights - width, fit.weights + width
        return fit, Known(fit.errors, low, high, looks.draws, width.max(1), looks.converged(need))

    def _fitted(self, visible: NDArray, scores: NDArray) -> _Fit:
        bits = visible.astype(np.float64)
        from_all_ones = 1 - np.sqrt(bits.mean(1)) if self.distance == "cosine" else np.sqrt((1 - bits).sum(1))
        closeness = np.sqrt(np.exp(-((from_all_ones / self.width) ** 2)))
        model = Ridge(alpha=self.ridge) if self.ridge else LinearRegression()
        model.fit(bits, scores, sample_weight=closeness)
        predicted = model.predict(bits).reshape(scores.shape)
        r2 = r2_score(scores, predicted, sample_weight=closeness, multioutput="raw_values")
        weights = np.reshape(model.coef_, (-1, bits.shape[1]))
        errors, shrunk = self._errors(bits, closeness, scores - predicted, weights)
        return _Fit(weights, np.atleast_1d(r2), np.atleast_1d(model.intercept_), predicted[0], errors, shrunk)

    def _errors(
        self, bits: NDArray, closeness: NDArray, left: NDArray, weights: NDArray
    ) -> tuple[NDArray, NDArray]:
        """(K, parts) standard errors of the weights, and by how much the penalty shrinks them.

        The sandwich of a weighed regression, whose residuals need not be alike: White, 1980. doi:10.2307/1912934; made larger
        for what the fit itself takes from each residual (HC3: MacKinnon, White, 1985. doi:10.1016/0304-4076(85)90158-7).
        """
        centred = bits - (closeness @ bits) / closeness.sum()
        inner = (centred * closeness[:, None]).T @ centred + self.ridge * np.eye(bits.shape[1])
        inverse = np.linalg.pinv(inner, hermitian=True)
        moved = centred @ inverse  # by which a score moves each weight, without its closeness
        taken = closeness * ((moved * centred).sum(1) + 1 / closeness.sum())
        residuals = closeness[:, None] * left / np.maximum(1 - taken, 1e-3)[:, None]
        return np.sqrt((residuals**2).T @ moved**2), self.ridge * np.abs(weights @ inverse)


@dataclasses.dataclass(frozen=True)
class _Fit:
    """A linear model: weights (K, parts), and of each class R2, intercept and prediction at the input (K,).

    errors: (K, parts) standard errors. shrunk: (K, parts) what the penalty took.
    """

    weights: NDArray
    r2: NDArray
    intercept: NDArray
    prediction: NDArray
    errors: NDArray
    shrunk: NDArray


def _worth(
    coalitions: Coalitions,
    engine: Perturb,
    example: Example,
    parts: Parts,
    visible: NDArray,
    first: int,
    last: int,
    *,
    hidden: Sequence[NDArray],
    drawn: NDArray | None,
) -> NDArray:
    """(M, K) scores of the coalitions from one number to another."""
    some = slice(first, last)
    rows = None if drawn is None else drawn[some]
    return coalitions.scores(
        engine, example, parts, visible[some], hidden, rows, share=(last - first) / len(visible)
    )
