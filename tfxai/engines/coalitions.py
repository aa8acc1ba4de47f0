"""Coalitions: which parts of an example are visible together, and what the score then is.

A part is a segment of an image, a stretch of a series, a column of a row, a word of a text. What LIME and the Shapley
methods need of a model is the score of each coalition; this engine knows how parts are hidden.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.baselines import filled
from tfxai.engines.backgrounds import Background, background_rows
from tfxai.engines.hiding import chosen_input, space_of, visible
from tfxai.engines.parts import Fill, HiddenParts, HiddenWords, Parts
from tfxai.engines.perturb import Example, Perturb, attribution_of, joined_values
from tfxai.engines.request import Attribution, Request
from tfxai.inputs import segments as cuts
from tfxai.results import Explanation, PartsExplanation
from tfxai.text import Text

WIDE = 64  # columns of bits are filled up to a multiple, so that another number of parts is no new trace


@dataclasses.dataclass(frozen=True)
class Coalitions:
    """The engine for one call.

    which: numbers of the inputs that are hidden in parts: one, or all columns of a table that come one by one.
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
        which = chosen_input(request, input)
        single = all(int(np.prod(array.shape[1:])) == 1 for array in network.arrays)
        if input is None and len(network.arrays) > 1 and single:
            return cls(request, tuple(range(len(network.arrays))))
        array, text = network.arrays[which], None
        if array.dtype == object and array.size > len(array):
            raise ValueError(
                f"{method}: this input holds {array.shape[1:]} texts for each example. Give tables with words as a dict of "
                "columns, and texts as a list of strings."
            )
        if array.dtype == object:
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
    def columns(self) -> bool:
        """Whether each input is a column of a table."""
        return len(self.which) > 1

    @property
    def rows(self) -> bool:
        """Whether the examples are rows of a table."""
        return self.text is None and (self.columns or self.array.ndim == 2)

    def parts(self, number: int, segmenter: cuts.Segmenter, segments: int) -> Parts:
        """How an example is cut."""
        if self.text is not None:
            words = self.text.words(number)
            if not words:
                raise ValueError(f"Text {number} has no words. Leave it out.")
            return Parts(np.arange(len(words)), len(words), words)
        if self.columns:
            return Parts(np.arange(len(self.which)), len(self.which))
        labels = cuts.parts(self.array, number, segmenter, segments)
        return Parts(labels, int(labels.max()) + 1)

    def places(self, number: int) -> Parts:
        """The finest cut of an example: every place a part."""
        if self.text is not None or self.columns:
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
        if self.columns:
            return isinstance(given, (dict, list, tuple))
        return self.text is None and not callable(given) and np.ndim(given) == self.array.ndim

    def behind(self, given: Background, seed: int, method: str) -> Callable[[int], list[NDArray]]:
        """What stands for hidden parts: number of an example -> for each hidden input (R, ...); nothing for texts.

        given: training rows, a number, an array of one example, or a function; see `tfxai.engines.backgrounds` and `hidden`.
        """
        if self.text is not None:
            return lambda number: []
        if self.is_data(given):
            rows = background_rows(self.request.network, self.which, given, seed, method)
            return lambda number: rows
        return self.own(given, method)

    def own(self, hide: Background, method: str) -> Callable[[int], list[NDArray]]:
        """The same for what each example is hidden by alone: a number, an array like the inputs, a function."""
        if self.text is not None:
            return lambda number: []
        fixed = self.hidden(hide, method)
        return lambda number: [fixed[number : number + 1]]

    def hidden(self, hide: Background, method: str) -> NDArray:
        """What stands for hidden places of each example (N, ...): from a number, an array or a function."""
        if isinstance(hide, str) and not self.rows:
            raise ValueError(
                f"{method}: {hide!r} hides nothing. Give a number, an array or a tfxai.baselines function."
            )
        if self.columns or (self.array.ndim == 2 and (hide is None or isinstance(hide, str))):
            raise ValueError(
                f"{method} on a table hides columns behind training rows. Give about 100 of them, (R, F) like the inputs, "
                "as the method's background (of PartitionSHAP, its masker); or a number."
            )
        values = filled(hide, self.array)
        self.request.network.check_ids(self.which[0], values, f"{method}: what hides")
        return values

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
    ) -> NDArray:
        """(M, K) scores of coalitions, each the mean over what hides the rest.

        visible: bool (M, parts).
        hidden:  for each hidden input (R, ...); none for texts.
        drawn:   (M,) the one row behind each coalition, instead of the mean over all.
        """
        if self.text is not None:
            texts = self.text.without(parts.words or [], visible)
            return engine.run(HiddenWords(self.which[0]), example, [texts], share=share).scores
        many = len(hidden[0])
        if drawn is None:
            coalitions, rows = np.divmod(np.arange(len(visible) * many, dtype=np.int32), np.int32(many))
            engine = dataclasses.replace(engine, passes=engine.passes * many)
        else:
            coalitions, rows = np.arange(len(visible), dtype=np.int32), drawn.astype(np.int32)
        are_places = parts.labels.size == parts.count  # every place is a part
        width = parts.count if are_places else -(-parts.count // WIDE) * WIDE
        bits = np.zeros((len(visible), width), bool)
        bits[:, : parts.count] = visible
        labels = [] if are_places else [parts.labels[None].astype(np.int32)]
        perturbed = engine.run(
            HiddenParts(self.which, self.fill, bool(labels)),
            example,
            [coalitions, rows],
            [bits, *labels, *hidden],
            share=share,
        )
        scores = perturbed.scores.reshape(len(visible), -1, perturbed.scores.shape[1])
        return scores.mean(1, dtype=np.float64)

    def spread(self, parts: Parts, weights: NDArray) -> list[NDArray | None]:
        """For each input the weights (K, parts), repeated on the places of each part; None where not explained."""
        found: list[NDArray | None] = [None] * len(self.request.network.arrays)
        for position, which in enumerate(self.which):
            array = self.request.network.arrays[which]
            if self.columns:
                values = weights[:, position].reshape(-1, *[1] * (array.ndim - 1))
            else:
                values = weights[:, parts.labels]
            found[which] = values[..., None] if not self.columns and array.ndim > 2 else values
        return found

    def attribution(
        self,
        examples: Sequence[Example],
        cut: Sequence[Parts],
        weights: Sequence[NDArray],
        kind: type[Explanation] = PartsExplanation,
        delta: NDArray | None = None,
        **more: NDArray,
    ) -> Attribution:
        """All examples together; texts and label maps differ in their number of parts, and are filled up with NaN.

        weights: for each example (K, parts); more: further fields of the explanation, each (N, K).
        """
        request = self.request
        longest = max(parts.count for parts in cut)
        padded = np.full((request.rows, longest), np.nan, np.float32)
        for i, each in enumerate(weights):
            padded[i * len(each) : (i + 1) * len(each), : each.shape[1]] = each
        if self.text is not None:
            values: list[NDArray | None] = [None] * len(request.network.arrays)
            values[self.which[0]] = padded
        else:
            spread = [self.spread(parts, each) for parts, each in zip(cut, weights, strict=True)]
            values = joined_values(spread)
        if kind is Explanation:
            return attribution_of(examples, values, delta=delta)
        fields: dict[str, Any] = {
            name: value.reshape(request.target_shape).astype(np.float32) for name, value in more.items()
        }
        fields["weights"] = padded.reshape(*request.target_shape, longest)
        fields["tokens"] = None if self.text is None else [parts.words for parts in cut]
        maps = self.text is None and not self.columns
        fields["segments"] = np.stack([parts.labels for parts in cut]).astype(np.int32) if maps else None
        return attribution_of(examples, values, delta=delta, kind=kind, more=fields)
