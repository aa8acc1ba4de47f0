"""What comes back from every method: raw values and what is needed to read them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.results.parts import certainly_largest, of_parts
from tfxai.results.receipt import Receipt
from tfxai.results.storage import Stored
from tfxai.support import Inputs, Values


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Explanation(Stored):
    """How much each part of each input spoke for (positive) or against (negative) a class.

    values:  float32, raw and signed, never normalised; `targets.shape + inputs.shape[1:]`. CAM and mask
             methods give one channel. The same dict / list / tuple as the inputs where there are several;
             an input that was not explained gets None. Token ids get one value per token.
    inputs:  what was explained, (N, ...), in the structure that was given.
    targets: int, (N,) or (N, K): the class explained in each map. -1 where a score needs no class.
    scores:  float32, shape of targets: the explained score of each input.
    delta:   float32, shape of targets: sum of values - (score(inputs) - score(baseline)), the true error of
             methods that promise completeness; None for the others.
    method:  repr of the method with its settings.
    score:   what was explained: "logit", "probability" or the name of a score function.
    axes:    where an input is read in other axes than its array has (the model reshapes it at once, or `tfxai.Axes` says so):
             the shape of one example as it is read, in the structure of the inputs; None: as it is.
    at:      the layer whose output is explained instead of the inputs (or several): values then have its shape, targets.shape +
             (...), or are {layer: values}; None: the inputs.
    references: what each map's score compares with, by name, targets.shape + (...): "boxes" (y0, x0, y1, x1), "masks",
             "points" (y, x), "embedding"; None for scores of classes.
    standard_error: shape of values, of methods that sample: of each value, from the spread of the samples. None for others.
    interval: shape of values + (2,), low and high: where the values of infinitely many samples lie, all of one map together, at
             the method's confidence. It covers the chance of the sampling alone.
    passes:  int, shape of targets: how many passes through the model a map took; maps of one input may share them.
    converged: bool, shape of targets: whether every value is known to the method's tolerance; None where none was given.
    receipt: how it came about, for `tfxai.verify`; None in files of older versions, and where something else than a method
             made the values.
    """

    called = "explanation"

    values: Values
    inputs: Inputs
    targets: NDArray[np.int64]
    scores: NDArray[np.float32]
    delta: NDArray[np.float32] | None = None
    method: str = ""
    score: str = "logit"
    axes: Any = None
    at: str | list[str] | None = None
    references: dict[str, NDArray] | None = None
    standard_error: Values = None
    interval: Values = None
    passes: NDArray[np.int64] | None = None
    converged: NDArray[np.bool_] | None = None
    receipt: Receipt | None = None

    def problem(self) -> str:
        """See `Stored.problem`: targets, scores, values and inputs must be of the same examples."""
        lead = np.shape(self.targets)
        if (
            not isinstance(self.targets, np.ndarray)
            or len(lead) not in (1, 2)
            or self.targets.dtype.kind not in "iu"
        ):
            return "targets are not whole numbers (N,) or (N, K)"
        for name, shape in (
            ("scores", lead),
            ("delta", lead),
            ("values", lead),
            ("inputs", lead[:1]),
            ("references", lead),
            ("standard_error", lead),
            ("interval", lead),
            ("passes", lead),
            ("converged", lead),
        ):
            exact = name in ("scores", "delta", "passes", "converged")
            for each in _arrays_in(getattr(self, name)):
                if each.shape[: len(shape)] != shape or (exact and each.shape != shape):
                    return f"{name} have the shape {each.shape}, targets {lead}"
        return ""

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.method or 'unnamed method'} of the {self.score}: "
            f"values {_shapes_of(self.values)}, targets {self.targets.shape})"
        )

    def _repr_html_(self) -> str:
        """The picture, for notebooks."""
        from tfxai import plots  # only when it is looked at: they load matplotlib
        from tfxai.plots import notebook

        return notebook.inlined(plots.show(self) if len(self) else None, repr(self))

    def _repr_png_(self) -> bytes:
        """The same for whatever shows no HTML."""
        from tfxai import plots
        from tfxai.plots import notebook

        return notebook.png(plots.show(self))

    def __len__(self) -> int:
        """How many examples were explained."""
        return len(self.targets)

    def __getitem__(self, rows: int | slice | Sequence[int] | NDArray) -> Explanation:
        """Some of the examples, as `explanation[:3]` or `explanation[[4, 0]]`; one alone keeps the first axis."""
        order = _order(rows, len(self))
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        whole = ("axes", "at", "receipt")
        parts = {name: _rows_of_field(value, order) for name, value in fields.items() if name not in whole}
        if self.receipt is not None:
            parts["receipt"] = self.receipt.of_rows(order)
        return dataclasses.replace(self, **parts)

    def heatmap(self, input: str | int | None = None) -> NDArray[np.float32]:
        """Signed sum over channels: (N, H, W) or (N, K, H, W); (N, T) for series and tokens; of a layer with its own axes.

        input: which of several inputs (key or position); unless given, the first explained image, else the
               first explained input.
        """
        lead = self.targets.ndim
        if self.at is not None:
            values = self._of_layer(input)
            return values.sum(axis=-1) if values.ndim - lead >= 2 else values
        values, inputs = self.one(input)
        if inputs.ndim >= 3 and values.ndim - lead == inputs.ndim - 1:
            values = values.sum(axis=-1)
        return values

    def one(self, input: str | int | None = None) -> tuple[NDArray, NDArray]:
        """Values and array of one of several inputs, in the axes in which it is read.

        input: as for `heatmap`.
        """
        if self.at is not None:
            raise ValueError(
                f"The values lie at the output of {self.at}, not at the inputs. Read .values or .heatmap(), or explain without at=."
            )
        key = self.key(input)
        values, inputs = (self.values, self.inputs) if key is None else (self.values[key], self.inputs[key])
        if values is None:
            raise ValueError(f"Input {key!r} was not explained by {self.method}.")
        row = self._row(key)
        if row == inputs.shape[1:]:
            return values, inputs
        return values.reshape(*self.targets.shape, *row), inputs.reshape(len(inputs), *row)

    def _of_layer(self, name: str | int | None) -> NDArray:
        """The values at a layer; of several at the one with this path, else at the first."""
        if not isinstance(self.values, dict):
            return self.values
        name = next(iter(self.values)) if name is None else name
        if name not in self.values:
            raise ValueError(
                f"There is no layer {name!r}. Explained are: {', '.join(map(str, self.values))}."
            )
        return self.values[name]

    def certain(self, k: int, input: str | int | None = None) -> NDArray[np.bool_]:
        """Whether the k largest values of each map certainly are the k largest: bool, shape of targets.

        They are if the lowest end of their intervals lies above the highest end of all others', so that it holds for all k
        together, at the confidence of the method. Of explanations part by part, the k largest weights. A value counts by
        its sign: what speaks most for the class.

        input: as for `heatmap`.

        Raises ValueError if k is below 1, or there are no intervals.
        """
        if not isinstance(k, (int, np.integer)) or isinstance(k, bool) or k < 1:
            raise ValueError(f"k is {k!r}. Give a whole number, 1 or more.")
        if self.interval is None:
            raise ValueError(
                f"{self.method or 'The explanation'} has no intervals. Methods that sample give them: KernelSHAP, LIME, RISE, "
                "ExpectedGradients; SmoothGrad with a tolerance."
            )
        values, ends = self._with_ends(input)
        flat, ends = values.reshape(self.targets.size, -1), ends.reshape(self.targets.size, -1, 2)
        found = [
            certainly_largest(end[:, 0], end[:, 1], value, k) for value, end in zip(flat, ends, strict=True)
        ]
        return np.array(found).reshape(self.targets.shape)

    def _with_ends(self, input: str | int | None) -> tuple[NDArray, NDArray]:
        """What is ranked: targets.shape + (...), and the ends of its intervals on one more axis."""
        values, ends = self.values, self.interval
        if self.at is not None:
            return (values[input], ends[input]) if isinstance(values, dict) else (values, ends)
        key = self.key(input)
        return (values, ends) if key is None else (values[key], ends[key])

    def key(self, input: str | int | None = None) -> str | int | None:
        """The key of one of several inputs: that given, else of the first explained image; None for a single array."""
        if isinstance(self.inputs, np.ndarray):
            if input not in (None, 0):
                raise ValueError(
                    f"There is no input {input!r}: the explanation has one input, so leave that out."
                )
            return None
        keys = list(self.inputs) if isinstance(self.inputs, dict) else list(range(len(self.inputs)))
        if input is not None:
            if input not in keys:
                raise ValueError(f"There is no input {input!r}. The inputs are: {', '.join(map(str, keys))}.")
            return input
        explained = [key for key in keys if self.values[key] is not None]
        images = [key for key in explained if len(self._row(key)) == 3]
        return (images or explained)[0]

    def _row(self, key: str | int | None) -> tuple[int, ...]:
        """The shape of one example of an input, as it is read."""
        told = self.axes if key is None or self.axes is None else self.axes[key]
        return tuple((self.inputs if key is None else self.inputs[key]).shape[1:] if told is None else told)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class PartsExplanation(Explanation):
    """An explanation part by part: segments of images, stretches of series, columns of rows, words of texts.

    values repeat a part's weight on each of its places; of texts they are the weights, NaN beyond a text's end.

    weights:  float32, targets.shape + (parts,): what each part adds; NaN where an example has fewer parts.
    segments: int (N, H, W), (N, T) ...: the part to which each place belongs; None for texts, and for tables whose
              columns come as single inputs. Of several inputs of which one is a part as a whole, in their structure.
    tokens:   for texts, N lists of words.
    """

    weights: NDArray[np.float32] = dataclasses.field(default_factory=lambda: np.zeros(0, np.float32))
    segments: Values = None
    tokens: list[list[str]] | None = None

    @property
    def weights_interval(self) -> NDArray[np.float32] | None:
        """targets.shape + (parts, 2), low and high of each weight, NaN where an example has fewer parts; None without `interval`."""
        if self.interval is None or self.tokens is not None:
            return self._single(self.interval)
        return of_parts(self.interval, self.segments, self.targets.shape, self.weights.shape[-1])

    def _with_ends(self, input: str | int | None) -> tuple[NDArray, NDArray]:
        return self.weights, np.asarray(self.weights_interval)

    def _single(self, values: Values) -> Any:
        """Of the one input that was explained."""
        if isinstance(values, dict):
            values = list(values.values())
        return next(v for v in values if v is not None) if isinstance(values, (list, tuple)) else values


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class SurrogateExplanation(PartsExplanation):
    """A linear model that stands for the real one around each input.

    r2:               float32, shape of targets: weighted R2 of its fit to the perturbed inputs, 1 at best.
    intercept:        float32, shape of targets: its score when all parts are hidden.
    local_prediction: float32, shape of targets: its score of the input, to compare with `scores`.
    """

    r2: NDArray[np.float32] | None = None
    intercept: NDArray[np.float32] | None = None
    local_prediction: NDArray[np.float32] | None = None


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class SampledExplanation(Explanation):
    """What version 0.1 called an explanation with a `standard_error`; kept to read its files."""


def _order(rows: int | slice | Sequence[int] | NDArray, count: int) -> NDArray[np.int64]:
    """Numbers of the examples that are asked for, of so many."""
    if isinstance(rows, slice):
        return np.arange(count)[rows]
    whole = isinstance(rows, (int, np.integer)) and not isinstance(rows, bool)
    asked = np.asarray([rows] if whole else rows)
    if asked.ndim != 1 or (asked.size and asked.dtype.kind not in "iub"):
        raise IndexError(f"Examples are chosen by a number, a slice or a list of numbers; this is {rows!r}.")
    if asked.dtype.kind == "b" and len(asked) != count:
        raise IndexError(f"{len(asked)} truths for {count} examples. Give one for each.")
    if asked.dtype.kind != "b" and (outside := [i for i in asked if not -count <= i < count]):
        raise IndexError(f"There is no example {outside[0]}: the explanation has {count}, counted from 0.")
    return np.arange(count)[asked if asked.size else slice(0)]


def _rows_of_field(value: Any, order: NDArray) -> Any:
    """What belongs to these examples, of a field or of what it holds; words that describe the whole stay."""
    if isinstance(value, np.ndarray):
        return value[order]
    if isinstance(value, dict):
        return {key: _rows_of_field(item, order) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        if value and not any(item is None or isinstance(item, np.ndarray) for item in value):
            return [value[i] for i in order]  # the words of each text
        return type(value)(_rows_of_field(item, order) for item in value)
    return value


def _arrays_in(value: Any) -> list[NDArray]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [array for each in value for array in _arrays_in(each)]
    return [] if value is None else [np.asarray(value)]


def _shapes_of(values: Values) -> object:
    if isinstance(values, dict):
        return {key: _shapes_of(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [_shapes_of(value) for value in values]
    return None if values is None else tuple(values.shape)
