"""Coalitions: which parts of an example are visible together, and what the score then is.

A part is a segment of an image, a stretch of a series, a column of a row, a token or a word of a text. What LIME and the Shapley
methods need of a model is the score of each coalition; this engine knows how parts are hidden.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.engines.backgrounds import Background, background_rows
from tfxai.engines.hiding import (
    PADDING,
    hidden_behind,
    hidden_inputs,
    is_token_ids,
    side_by_side,
    space_of,
    visible,
)
from tfxai.engines.inside import NotOneGraph
from tfxai.engines.linear_games import LinearGame
from tfxai.engines.parts import Fill, HiddenParts, HiddenWords, Parts
from tfxai.engines.perturb import Example, Perturb, attribution_of, joined_values
from tfxai.engines.request import Attribution, Request
from tfxai.engines.uncertainty import Known, Uncertainty
from tfxai.inputs import flatten, missing_values
from tfxai.inputs import segments as cuts
from tfxai.results import Explanation, PartsExplanation
from tfxai.text import Text

WIDE = 64  # columns of bits are filled up to a multiple, so that another number of parts is no new trace


@dataclasses.dataclass(frozen=True)
class Coalitions:
    """The engine for one call.

    which: numbers of the inputs that are hidden in parts: one, or several that are tables or token ids.
    text:  how texts are cut and joined; None for arrays.
    fill:  what takes the place of hidden parts, made from what they are hidden by.
    """

    request: Request
    which: tuple[int, ...]
    text: Text | None = None
    fill: Fill = visible

    @classmethod
    def of(cls, request: Request, input: str | int | None, method: str) -> Coalitions:
        """Raises ValueError if there is no such input, or there is nothing in it to compare."""
        network = request.network
        which, *more = hidden_inputs(request, input)
        if more:
            return cls(request, (which, *more))
        array, text = network.arrays[which], None
        if array.dtype == object and request.inside is not None:
            raise NotOneGraph("Texts are cut into words in Python. Export a model of token ids.")
        if array.dtype == object and array.size == len(array):
            if (lacking := missing_values(array)).any():
                raise ValueError(f"{method}: there is no text in number {lacking.argmax()}. Leave it out.")
            text = (
                network.structure if isinstance(network.structure, Text) else Text(array.reshape(-1).tolist())
            )
        elif array.ndim < 2 or (array.ndim == 2 and array.shape[1] < 2):
            raise ValueError(f"{method} compares parts; this input has shape {array.shape}, one part only.")
        return cls(request, (which,), text)

    @property
    def array(self) -> NDArray:
        """The input that is hidden, if it is one."""
        return self.request.network.arrays[self.which[0]]

    @property
    def several(self) -> bool:
        """Whether several inputs are hidden together: columns of a table, or token ids."""
        return len(self.which) > 1

    @property
    def rows(self) -> bool:
        """Whether the examples are rows of a table, or token ids."""
        return self.text is None and (self.several or self.array.ndim == 2 or self.tokens)

    @property
    def tokens(self) -> bool:
        """Whether the one input that is hidden is token ids."""
        return not self.several and is_token_ids(self.request.network, self.which[0])

    def parts(self, number: int, segmenter: cuts.Segmenter, segments: int) -> Parts:
        """How an example is cut."""
        if self.text is not None:
            words = self.text.words(number)
            if not words:
                raise ValueError(f"Text {number} has no words. Leave it out.")
            return Parts(np.arange(len(words)), len(words), words)
        if self.several:
            return self._side_by_side()
        if self.request.inside is not None and not cuts.is_fixed(self.array, segmenter):
            raise NotOneGraph(
                f'{self.request.method}: segments are found in Python. Give segmenter="grid", or one label map of shape '
                f"{space_of(self.array)}."
            )
        labels = cuts.parts(self.array, number, segmenter, segments)
        return Parts(labels, int(labels.max()) + 1)

    def _side_by_side(self) -> Parts:
        labels = side_by_side(self.request.network, self.which)
        count = int(max(each.max() for each in labels)) + 1
        return Parts(np.arange(count), count, by_input=tuple(labels))

    def places(self, number: int) -> Parts:
        """The finest cut of an example: every place a part."""
        if self.text is not None or self.several:
            return self.parts(number, "grid", 2)
        space = space_of(self.array)
        return Parts(np.arange(np.prod(space)).reshape(space), int(np.prod(space)))

    def refuse_for_texts(self, method: str, **settings: tuple[Any, Any]) -> None:
        """Raises ValueError if the inputs are texts and a setting (given, usual) says what hidden parts look like."""
        for name, (given, usual) in settings.items():
            if (
                self.text is not None
                and given is not usual
                and not (isinstance(given, str) and given == usual)
            ):
                raise ValueError(
                    f"{method}({name}=...) is not for texts: their words are removed, or replaced by the mask of "
                    "tfxai.Text(texts, mask=WORD)."
                )

    def is_data(self, given: Background) -> bool:
        """Whether a background is rows (R, ...), not a number, one example or a function."""
        network = self.request.network
        rows: Any = network.in_order(given)
        if self.several or (isinstance(rows, dict) and isinstance(network.structure, dict)):
            columns = list(rows.values()) if isinstance(rows, dict) else rows
            return isinstance(columns, (list, tuple)) and all(np.ndim(column) > 0 for column in columns)
        return self.text is None and not callable(rows) and np.ndim(rows) == self.array.ndim  # pyright: ignore[reportArgumentType]

    def behind(self, given: Background, seed: int, method: str) -> Callable[[Any], list[Any]]:
        """What stands for hidden parts: number of an example -> for each hidden input (R, ...); nothing for texts.

        given: training rows, a number, an array of one example, or a function; see `tfxai.engines.backgrounds` and `hidden`.
        """
        if self.text is not None:
            return lambda number: []
        if self.is_data(given):
            rows = background_rows(self.request.network, self.which, given, seed, method)
            return lambda number: rows
        return self.own(given, method)

    def own(self, hide: Background, method: str) -> Callable[[Any], list[Any]]:
        """The same for what each example is hidden by alone: a number, an array like the inputs, a function."""
        if self.text is not None:
            return lambda number: []
        fixed = self.hidden(hide, method)
        if self.request.inside is not None:
            return lambda number: [tf.gather(array, [number]) for array in fixed]
        return lambda number: [array[number : number + 1] for array in fixed]

    def hidden(self, hide: Background, method: str) -> list[NDArray]:
        """For each hidden input what stands for hidden places of each example (N, ...): a number, an array or a function."""
        if isinstance(hide, str) and not self.rows:
            raise ValueError(
                f"{method}: {hide!r} hides nothing. Give a number, an array or a tfxai.baselines function."
            )
        hide = self.request.network.in_order(hide)
        own = isinstance(hide, dict)  # a word is one then, not the name of a way to hide
        of_each = self.request.for_each_input(hide)
        return [self._hidden_in(which, of_each[which], own, method) for which in self.which]

    def _hidden_in(self, which: int, hide: Background, own: bool, method: str) -> NDArray:
        network, inside = self.request.network, self.request.inside
        words, number = network.arrays[which].dtype == object, hide is not None and not isinstance(hide, str)
        if (own and isinstance(hide, str)) if words else number:
            return hidden_behind(network, which, hide, f"{method}: what hides", inside)
        if is_token_ids(network, which):
            return hidden_behind(network, which, PADDING, f"{method}: what hides", inside)
        alone = [flatten(network.structure)[1][i] for i in self.which if is_token_ids(network, i)]
        raise ValueError(
            f"{method} on a table hides columns behind training rows. Give about 100 of them, (R, F) like the inputs or the "
            "dict, list or table of columns that they are, as the method's background (of PartitionSHAP, its masker); or a "
            "number where there are no words."
            + (f" Or hide token ids alone, as input={alone[0]!r}." if alone else "")
        )

    def engine(self, passes: int) -> Perturb:
        """The passes for one call."""
        return Perturb(self.request, passes)

    def scores(
        self,
        engine: Perturb,
        example: Example,
        parts: Parts,
        visible: NDArray,
        hidden: Sequence[NDArray],
        drawn: NDArray | None = None,
        share: float = 1.0,
    ) -> Any:
        """(M, K) scores of coalitions, each the mean over what hides the rest.

        visible: bool (M, parts).
        hidden:  for each hidden input (R, ...); none for texts.
        drawn:   (M,) the one row behind each coalition, instead of the mean over all.
        """
        if self.text is not None:
            texts = self.text.without(parts.words or [], visible)
            return engine.run(HiddenWords(self.which[0]), example, [texts], share=share).scores
        many = hidden[0].shape[0]
        if drawn is None:
            coalitions, rows = np.divmod(np.arange(len(visible) * many, dtype=np.int32), np.int32(many))
            engine = dataclasses.replace(engine, passes=engine.passes * many)
        else:
            coalitions, rows = np.arange(len(visible), dtype=np.int32), drawn.astype(np.int32)
        are_places = parts.labels.size == parts.count  # every place is a part
        width = parts.count if are_places else -(-parts.count // WIDE) * WIDE
        bits = np.zeros((len(visible), width), bool)
        bits[:, : parts.count] = visible
        labels = parts.by_input or (() if are_places else (parts.labels,))
        labels = [each[None].astype(np.int32) for each in labels]
        perturbed = engine.run(
            HiddenParts(self.which, self.fill, bool(labels)),
            example,
            [coalitions, rows],
            [bits, *labels, *hidden],
            share=share,
        )
        shape = (len(visible), -1, perturbed.scores.shape[1])
        if tf.is_tensor(perturbed.scores):
            return tf.reduce_mean(tf.reshape(perturbed.scores, shape), 1)
        return perturbed.scores.reshape(shape).mean(1, dtype=np.float64)

    def linear(
        self,
        engine: Perturb,
        parts: Parts,
        game: LinearGame,
        hidden_of: Callable[[Example], Sequence[Any]],
        *,
        drawn: NDArray | None = None,
        evenly: bool = False,
        complete: bool = True,
    ) -> Attribution:
        """Of a call that is traced as a whole: a method whose values are sums of the coalitions' scores with fixed weights.

        hidden_of: what stands for hidden parts of an example. complete: the values add up from the score of nobody.
        """
        nobody = int(np.argmin(game.visible.sum(1)))

        def explain(example: Example) -> list[Any]:
            scores = self.scores(engine, example, parts, game.visible, hidden_of(example), drawn)
            weights = tf.matmul(game.weights, scores)
            values = self.spread(parts, tf.transpose(weights), evenly)
            ends = (scores[nobody], tf.reduce_sum(weights, 0) - (example.scores - scores[nobody]))
            return [*values, *(ends if complete else ())]

        return engine.explained(explain, ends=complete)

    def spread(self, parts: Parts, weights: Any, evenly: bool = False) -> list[Any]:
        """For each input the weights (K, parts), repeated on the places of each part; None where not explained.

        evenly: shared out among the places instead, where a part is a whole input.
        """
        found: list[Any] = [None] * len(self.request.network.arrays)
        for which, labels in zip(self.which, parts.by_input or (parts.labels,), strict=True):
            values = tf.gather(weights, labels, axis=1) if tf.is_tensor(weights) else weights[:, labels]
            if evenly and self.several:
                values = values / np.bincount(labels.reshape(-1))[labels]
            found[which] = values[..., None] if self.request.network.arrays[which].ndim > 2 else values
        return found

    def _label_maps(self, cut: Sequence[Parts]) -> Any:
        """The part of each place (N, ...), of several inputs in their structure; None for texts and single columns."""
        if self.text is not None or (self.several and all(parts.count == _places(parts) for parts in cut)):
            return None
        if not self.several:
            return np.stack([parts.labels for parts in cut]).astype(np.int32)
        maps: list[NDArray | None] = [None] * len(self.request.network.arrays)
        for position, which in enumerate(self.which):
            maps[which] = np.stack([parts.by_input[position] for parts in cut]).astype(np.int32)
        return self.request.network.pack(maps)

    def attribution(
        self,
        examples: Sequence[Example],
        cut: Sequence[Parts],
        weights: Sequence[NDArray],
        kind: type[Explanation] = PartsExplanation,
        delta: NDArray | None = None,
        known: Sequence[Known] = (),
        more: Mapping[str, NDArray] | None = None,
    ) -> Attribution:
        """All examples together; texts and label maps differ in their number of parts, and are filled up with NaN.

        weights: for each example (K, parts); known: how sure they are; more: further fields of the explanation, each (N, K).
        """
        request, evenly = self.request, kind is Explanation
        padded, values = self._in_places(cut, weights, evenly)
        found = attribution_of(examples, values, delta=delta)
        if known:
            found = dataclasses.replace(found, uncertainty=self._uncertainty(cut, known, evenly))
        if evenly:
            return found
        fields: dict[str, Any] = {
            name: value.reshape(request.target_shape).astype(np.float32)
            for name, value in (more or {}).items()
        }
        fields["weights"] = padded.reshape(*request.target_shape, padded.shape[-1])
        fields["tokens"] = None if self.text is None else [parts.words for parts in cut]
        fields["segments"] = self._label_maps(cut)
        return dataclasses.replace(found, kind=kind, more=fields)

    def _in_places(
        self, cut: Sequence[Parts], weights: Sequence[NDArray], evenly: bool
    ) -> tuple[NDArray, list[NDArray | None]]:
        """Weights of all rows, filled up with NaN, and the same on the places of each input."""
        padded = np.full((self.request.rows, max(parts.count for parts in cut)), np.nan, np.float32)
        for i, each in enumerate(weights):
            padded[i * len(each) : (i + 1) * len(each), : each.shape[1]] = each
        if self.text is None:
            spread = [self.spread(parts, each, evenly) for parts, each in zip(cut, weights, strict=True)]
            return padded, joined_values(spread)
        values: list[NDArray | None] = [None] * len(self.request.network.arrays)
        values[self.which[0]] = padded
        return padded, values

    def _uncertainty(self, cut: Sequence[Parts], known: Sequence[Known], evenly: bool) -> Uncertainty:
        errors, lows, highs = (
            self._in_places(cut, [getattr(each, name) for each in known], evenly)[1]
            for name in ("error", "low", "high")
        )
        converged = [each.converged for each in known if each.converged is not None]
        return Uncertainty(
            errors,
            lows,
            highs,
            np.repeat([each.passes for each in known], self.request.targets_each),
            np.concatenate([each.reached for each in known]),
            np.concatenate(converged) if converged else None,
        )


def _places(parts: Parts) -> int:
    """How many places the parts of several inputs have together."""
    return sum(labels.size for labels in parts.by_input)
