"""What can be drawn: pictures read these of a result, and know nothing else of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Protocol

from numpy.typing import NDArray

from tfxai.support import InputKey, Inputs, Values, number

Percentile = Annotated[float, number(above=0, most=100)]
"""Of the magnitudes of a map: what lies above is drawn in the strongest colour."""


class Explained(Protocol):
    """Values that explain inputs, as of `tfxai.Explanation`; its docstring has the shapes.

    Explanations part by part also have `weights`, `segments` or `tokens`; linear stand-ins have `r2`.
    """

    @property
    def values(self) -> Values:
        """Signed values, in the structure of the inputs."""
        ...

    @property
    def inputs(self) -> Inputs:
        """What was explained: an array (N, ...), or a dict, list or tuple of them."""
        ...

    @property
    def targets(self) -> NDArray:
        """Explained classes, (N,) or (N, K)."""
        ...

    @property
    def scores(self) -> NDArray:
        """Explained scores, of the targets' shape."""
        ...

    @property
    def method(self) -> str:
        """The method with its settings, as text."""
        ...

    @property
    def score(self) -> str:
        """What was explained, as text."""
        ...

    def __len__(self) -> int: ...

    def heatmap(self, input: InputKey = None) -> NDArray:
        """Values summed over channels, (N, H, W), (N, K, H, W), (N, T) ..."""
        ...

    def one(self, input: InputKey = None) -> tuple[NDArray, NDArray]:
        """Values and array of one of several inputs."""
        ...


class Generated(Protocol):
    """What O output tokens were made of, as of `tfxai.GenerationExplanation`."""

    @property
    def matrix(self) -> NDArray:
        """(O, prompt + O): what each token says for each output token."""
        ...

    @property
    def pieces(self) -> Sequence[str]:
        """All tokens as text."""
        ...

    @property
    def prompt(self) -> int:
        """How many of them are the prompt."""
        ...

    @property
    def against_pieces(self) -> Sequence[str] | None:
        """What the output tokens are compared with, as text."""
        ...

    @property
    def scores(self) -> NDArray:
        """(O,): the explained scores."""
        ...

    @property
    def method(self) -> str:
        """The method with its settings, as text."""
        ...

    @property
    def score(self) -> str:
        """What was explained, as text."""
        ...

    def __len__(self) -> int: ...


class LayerByLayer(Protocol):
    """Explanations of N inputs by M methods while S layers lose their weights, as of `tfxai.sanity.SanityReport`."""

    @property
    def layers(self) -> Sequence[str]:
        """Names of the S layers, in the order in which they lose their weights."""
        ...

    @property
    def methods(self) -> Sequence[str]:
        """Names of the M methods."""
        ...

    @property
    def similarity(self) -> Mapping[str, NDArray]:
        """Measure -> (M, S + 1, N): how like the trained model's map each map is."""
        ...

    @property
    def scores(self) -> NDArray:
        """(S + 1, N): probability of the explained class, NaN where there are no classes."""
        ...

    @property
    def targets(self) -> NDArray:
        """(N,): explained classes."""
        ...

    @property
    def mode(self) -> str:
        """ "cascading" if layers stay destroyed, "independent" if one is at a time."""
        ...

    @property
    def explanations(self) -> Mapping[str, Sequence[Explained]] | None:
        """Method -> its S + 1 explanations, if they were kept."""
        ...


class ConceptScores(Protocol):
    """How much T classes lean on C concepts in L layers, over R runs, as of `tfxai.TCAVResult`."""

    @property
    def targets(self) -> Sequence[int]:
        """The T classes."""
        ...

    @property
    def concepts(self) -> Sequence[str]:
        """Names of the C concepts."""
        ...

    @property
    def layers(self) -> Sequence[str]:
        """Names of the L layers."""
        ...

    @property
    def scores(self) -> NDArray:
        """(T, C, L, R): TCAV scores, 0 to 1."""
        ...

    @property
    def random_scores(self) -> NDArray:
        """(T, L, R): those of random sets."""
        ...

    @property
    def learned(self) -> NDArray:
        """(C, L): whether the layer tells the concept from random images."""
        ...

    @property
    def significant(self) -> NDArray:
        """(T, C, L): whether the score is other than chance."""
        ...

    @property
    def correction(self) -> str:
        """Name of the correction for many tests."""
        ...

    @property
    def alpha(self) -> float:
        """Level of significance."""
        ...


class MethodScores(Protocol):
    """Methods by metrics over the same N examples, as of `tfxai.metrics.MethodTable`."""

    @property
    def methods(self) -> Sequence[str]:
        """Names of the methods."""
        ...

    @property
    def metrics(self) -> Sequence[str]:
        """Names of the metrics."""
        ...

    @property
    def higher_is_better(self) -> Mapping[str, bool]:
        """Metric -> direction."""
        ...

    @property
    def values(self) -> Mapping[str, NDArray]:
        """Metric -> (methods, N)."""
        ...

    @property
    def best(self) -> Mapping[str, str | None]:
        """Metric -> the method that is certainly better than every other one, if there is one."""
        ...

    def mean(self, method: str, metric: str) -> float:
        """Over all examples that have a value."""
        ...

    def interval(self, method: str, metric: str) -> tuple[float, float]:
        """95 % interval of the mean."""
        ...


class MetricCurves(Protocol):
    """A metric's scores while parts of N inputs are taken away, as of `tfxai.metrics.MetricResult`, such as that of deletion.

    Results of road have no `curves`, but `morf` and `lerf`, (N, steps): most, and least relevant places first.
    """

    @property
    def name(self) -> str:
        """Of the metric."""
        ...

    @property
    def values(self) -> NDArray:
        """(N,) or (N, K): the metric's number for each explained input and target."""
        ...

    @property
    def mean(self) -> float:
        """Over all examples and targets."""
        ...

    @property
    def higher_is_better(self) -> bool:
        """The direction."""
        ...

    @property
    def curves(self) -> NDArray | None:
        """(N, steps) or (N, K, steps): the score at each step; None where the metric has no such curve."""
        ...

    @property
    def fractions(self) -> NDArray | None:
        """(steps,): the part of the input, 0 to 1, at which it was taken."""
        ...
