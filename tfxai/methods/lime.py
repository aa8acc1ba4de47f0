"""A linear model in place of the real one, fitted to random coalitions of parts around the input."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import r2_score

from tfxai.engines import Attribution, Coalitions, Method, Request
from tfxai.inputs import segments as cuts
from tfxai.model import Needs
from tfxai.results import SurrogateExplanation
from tfxai.support import InputKey, Seed, number, whole


@dataclasses.dataclass(frozen=True)
class LIME(Method):
    """Which segments would a simple, linear stand-in for the model lean on?

    Random halves of the parts are hidden, the model scores what is left, and a ridge regression weighed by closeness
    to the whole input explains the scores. Positive weights support the score; what the weights are worth is told by
    `r2`. Images, series and volumes by segments, tables by columns, texts by words or token ids. The result also carries
    `segments`, `weights`, `r2`, `intercept` and `local_prediction` (tfxai.results.SurrogateExplanation).
    Cost: `samples` forward passes per input, whatever the number of classes, and a second or less of segmentation.

    segments:   asked of the segmenter, which may find more or fewer (felzenszwalb and quickshift find their own number).
    samples:    coalitions; the first is the whole input.
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
        examples, cut, fits = [], [], []
        for example in engine.examples():
            parts = coalitions.parts(example.number, self.segmenter, self.segments)
            generator = np.random.default_rng(self.seed)
            visible = generator.random((self.samples, parts.count)) < 0.5
            visible[0] = True
            hidden, drawn = behind(example.number), None
            if by_segment:
                hidden = [cuts.averaged(coalitions.array[example.number], parts.labels)[None]]
            elif hidden and len(hidden[0]) > 1:
                drawn = generator.integers(0, len(hidden[0]), self.samples)
            fits.append(
                self._fitted(visible, coalitions.scores(engine, example, parts, visible, hidden, drawn))
            )
            examples.append(example)
            cut.append(parts)
        weights, r2, intercept, prediction = zip(*fits, strict=True)
        more = {
            "r2": np.stack(r2),
            "intercept": np.stack(intercept),
            "local_prediction": np.stack(prediction),
        }
        return coalitions.attribution(examples, cut, weights, SurrogateExplanation, more=more)

    def _fitted(self, visible: NDArray, scores: NDArray) -> tuple[Any, ...]:
        """Weights (K, parts), and R2, intercept and prediction at the input (K,)."""
        bits = visible.astype(np.float64)
        from_all_ones = 1 - np.sqrt(bits.mean(1)) if self.distance == "cosine" else np.sqrt((1 - bits).sum(1))
        closeness = np.sqrt(np.exp(-((from_all_ones / self.width) ** 2)))
        model = Ridge(alpha=self.ridge) if self.ridge else LinearRegression()
        model.fit(bits, scores, sample_weight=closeness)
        r2 = r2_score(scores, model.predict(bits), sample_weight=closeness, multioutput="raw_values")
        return np.atleast_2d(model.coef_), np.asarray(r2), model.intercept_, model.predict(bits[:1])[0]
