"""An explanation made again from its receipt, and compared with itself to the bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from tfxai.axes import with_axes, without_axes
from tfxai.engines import Method, input_digests
from tfxai.inputs import flatten, pack
from tfxai.model import Snapshot, build, snapshot
from tfxai.receipts.differences import Gap, of_environments, of_inputs, of_settings, of_values, of_weights
from tfxai.receipts.rebuilding import rebuilt
from tfxai.results import Explanation, Receipt, as_json, recipe
from tfxai.scores import Score
from tfxai.support import Inputs, Model, checked, number

EQUAL, DIFFERENT, ELSEWHERE = 0, 1, 2  # as the command's exit status


@dataclasses.dataclass(frozen=True)
class Verification:
    """What came of making an explanation again.

    status: 0 equal to the bit; 1 something differs; 2 in another environment, with values within the tolerance.
    words:  what differs first, or what was compared.
    again:  the explanation that was made; None where that was not worth it, since model or inputs are others.
    """

    status: int
    words: str
    again: Explanation | None = dataclasses.field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return self.words


@checked
def verify(
    explanation: Explanation | str | Path,
    model: Model,
    inputs: Inputs = None,
    *,
    method: Method | None = None,
    score: Score | None = None,
    tolerance: Annotated[float, number(least=0)] = 1e-4,
) -> Verification:
    """Does this model give this explanation, to the bit? Makes it again as its receipt says, and compares.

    Weights, inputs and settings are compared before anything is run. A configuration of the model that is another one while
    all values are equal to the bit is mentioned. Cost: that of the explanation.

    explanation: one with a receipt, or a file that `save` wrote.
    inputs:      all of the call, to compare with those that were explained; needed for a part of an explanation
                 (`explanation[:3]`), for texts with a tokenizer and for functions of DataFrames. None: those in the explanation.
    method, score: where the receipt could not keep one, such as a function of your own: the same object again.
    tolerance:   how far values may be apart in another environment (versions, processor, threads), of the largest value.

    Raises ValueError if there is no receipt, or it does not hold all that is needed and it is not given.
    """
    saved = explanation if isinstance(explanation, Explanation) else Explanation.load(explanation)
    receipt = _receipt_of(saved, method, score)
    inputs = _inputs_of(saved, receipt, inputs)
    build(model, inputs)
    now = snapshot(model)
    if words := _other_weights(receipt, now) or _other_call(receipt, inputs, method, score):
        return Verification(DIFFERENT, words)
    structure = (
        "" if receipt.structure == now.structure else "structure: the model's configuration is another one"
    )
    try:
        again = _again(receipt, model, inputs, method, score)
    except ValueError as error:
        if structure:
            return Verification(DIFFERENT, f"{structure}, and it cannot be explained so: {error}")
        raise
    gap = of_values(saved, again if receipt.rows is None else again[receipt.rows])
    return _judged(gap, receipt, again, tolerance, structure)


def _receipt_of(saved: Explanation, method: Method | None, score: Score | None) -> Receipt:
    """The receipt, from which the call can be made again with what is given beside it."""
    receipt = saved.receipt
    if receipt is None:
        raise ValueError(
            "The explanation has no receipt: an older version wrote it, or no method alone made its values. Explain the inputs "
            "again with this version, which keeps one."
        )
    given = {"method": method, "score": score}
    lacking = [name for name, value in given.items() if value is None and receipt.lacks(name)]
    if lacking:
        words = "; ".join(each for name in lacking for each in receipt.lacks(name))
        arguments = ", ".join(f"{name}=..." for name in lacking)
        raise ValueError(
            f"The receipt could not keep {words}. Verify it in Python and give the same again: "
            f"tfxai.verify(file, model, {arguments})."
        )
    if rest := [words for name in ("targets", "at") for words in receipt.lacks(name)]:
        raise ValueError(f"The receipt could not keep {'; '.join(rest)}, so the call cannot be made again.")
    return receipt


def _inputs_of(saved: Explanation, receipt: Receipt, inputs: Inputs) -> Inputs:
    """What is explained again, in the types that were explained."""
    if inputs is None:
        if receipt.rows is not None and receipt.rows.tolist() != [*range(receipt.examples)]:
            raise ValueError(
                f"The explanation holds {len(receipt.rows)} of the {receipt.examples} examples of its call, and bits depend on "
                f"all. Give inputs= (--inputs) with all {receipt.examples}."
            )
        if receipt.given != "arrays":
            raise ValueError(
                f"The inputs came as {receipt.given}, which a file does not hold. Give inputs= with the same again, in Python."
            )
        inputs = saved.inputs
        return with_axes(inputs, saved.axes)
    if receipt.given != "arrays":
        return inputs
    arrays, names = flatten(inputs)
    if not all(isinstance(array, np.ndarray) for array in arrays):
        return inputs
    kinds = [told["dtype"] for told in receipt.inputs.values()]
    if len(kinds) == len(names):
        arrays = [_as(array, kind) for array, kind in zip(arrays, kinds, strict=True)]
    return with_axes(pack(inputs, arrays), saved.axes)


def _as(array: Any, kind: str) -> Any:
    return array if kind == "words" or array.dtype.kind in "OUS" else array.astype(kind)


def _other_weights(receipt: Receipt, now: Snapshot) -> str:
    """Which weight of the model differs, in words."""
    if (receipt.weights is None) != (now.weights is None):
        first, second = ("tells", "did not") if receipt.weights is None else ("does not tell", "did")
        return f"the model {first} its weights, and the one that was explained {second}"
    return of_weights(receipt.weights, now.weights)


def _other_call(receipt: Receipt, inputs: Inputs, method: Method | None, score: Score | None) -> str:
    """What of inputs and settings differs, in words."""
    now = input_digests(without_axes(inputs)[0]) if receipt.given == "arrays" else receipt.inputs
    if words := of_inputs(receipt.inputs, now):
        return words
    for name, value in (("method", method), ("score", score)):
        if value is not None and (
            words := of_settings(as_json(getattr(receipt, name)), as_json(recipe(value)), name)
        ):
            return words
    return ""


def _again(
    receipt: Receipt, model: Model, inputs: Inputs, method: Method | None, score: Score | None
) -> Explanation:
    call: Any = rebuilt(receipt.method) if method is None else method
    return call(
        model,
        inputs,
        rebuilt(receipt.targets),
        score=rebuilt(receipt.score) if score is None else score,
        batch_size=receipt.batch_size,
        jit_compile=receipt.jit_compile,
        at=rebuilt(receipt.at),
    )


def _judged(
    gap: Gap | None, receipt: Receipt, again: Explanation, tolerance: float, structure: str
) -> Verification:
    """structure: that it is another one, in words; of another Keras, or loaded from a file, that may mean nothing."""
    if gap is None:
        note = f" ({structure}, to no effect)" if structure else ""
        words = f"Equal to the bit: {again.method} of {len(again)} inputs. Compared: {_compared(receipt, again)}{note}."
        return Verification(EQUAL, words, again)
    assert again.receipt is not None
    elsewhere = of_environments(receipt.environment, again.receipt.environment)
    if elsewhere and gap.share <= tolerance:
        words = [
            f"Not to the bit, but within {tolerance:g}: {gap.words}",
            f"Elsewhere: {'; '.join(elsewhere)}",
        ]
        return Verification(ELSEWHERE, ". ".join([*words, structure] if structure else words) + ".", again)
    where = f", more than {tolerance:g}. Elsewhere: {'; '.join(elsewhere)}" if elsewhere else ""
    return Verification(DIFFERENT, f"Different: {structure and structure + '; '}{gap.words}{where}.", again)


def _compared(receipt: Receipt, again: Explanation) -> str:
    """What was found equal, in words."""
    held = receipt.weights
    weights = "of the model only what it answers" if held is None else f"{len(held)} weights"
    count = sum(np.size(array) for array in flatten(again.values)[0] if array is not None)
    return f"{weights}, inputs, settings, targets, scores, {count} values"
