"""What did a language model write this for? Each token of an output, explained by the prompt and the tokens before it."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from tfxai.engines import Method
from tfxai.model import Body, ModelFailed, Needs, Network, TraceRecord, run_at_own_batch
from tfxai.results import GenerationExplanation
from tfxai.scores import TokenUnit, continuation, logits_of_tokens
from tfxai.support import BatchSize, Count, Inputs, Model, OutputKey, Setting, Tensor, checked, warn

Tokens = str | ArrayLike
AS_METHOD = Setting(lambda value: isinstance(value, Method), "a method, such as tfxai.InputXGradient()")


@checked
def explain_generation(
    method: Annotated[Any, AS_METHOD],
    lm: Model,
    prompt: Tokens,
    output: Tokens | None = None,
    *,
    against: Tokens | None = None,
    score: TokenUnit = "log_probability",
    length: Count = 16,
    logits: OutputKey = None,
    tokenizer: Any = None,
    inputs: Callable[[NDArray[np.int32]], Inputs] | None = None,
    batch_size: BatchSize = 32,
    progress: bool = False,
) -> GenerationExplanation:
    """Which tokens before it does each token of an output lean on?

    The prompt and the output are read once, as one text: in a causal model what is said of a token depends on those before it
    alone, so all output tokens share the passes of methods that hide parts, and the batches of those that use gradients.

    method:    any method for token ids: Gradient, InputXGradient, IntegratedGradients, LRP(rule="attention"), DeepLIFT, Occlusion,
               LIME, KernelSHAP ... Cost: as for an input with as many targets as there are output tokens, and two forward passes.
    lm:        a causal model of ids (N, T) with one output (N, T, vocabulary), logits or probabilities; or of a dict of ids, masks,
               segments and positions, as KerasHub's CausalLM.
    prompt:    ids (P,), or a text if there is a tokenizer.
    output:    ids (O,) or a text; None: what the model finds likeliest, token after token (one forward pass each).
    against:   ids (O,) or a text of as many tokens: how much likelier is the output's token than this one, at each place?
    score:     "log_probability", or "logit", which LRP hands back without loss.
    length:    how many tokens are generated where no output is given; fewer if the tokenizer's end comes first.
    tokenizer: KerasHub's, or any object that is called with a text and has `id_to_token` or `detokenize`; unless given, that of
               `lm.preprocessor`.
    logits:    name or position of the output with scores of tokens, of a model with several.
    inputs:    ids (N, T) -> what the model takes; unless given, by the names of its inputs.

    Warns if the model looks at later tokens: then it is no causal model, and the values mean something else.

    Raises ValueError if ids and texts do not fit, or the model does not say something of each token.
    """
    told = _Tokenizer(tokenizer if tokenizer is not None else _own_tokenizer(lm))
    given = told.ids(prompt, "prompt")
    text = _Text(lm, inputs or _feeding(lm), _fixed_length(lm), logits)
    said = _generated(text, given, length, told.end) if output is None else told.ids(output, "output")
    others = None if against is None else told.ids(against, "against")
    if others is not None and len(others) != len(said):
        raise ValueError(
            f"against has {len(others)} tokens, the output {len(said)}. Give as many: they are compared place by place."
        )
    whole = np.concatenate([given, said])
    text.check_causal(whole[:-1])
    asked = continuation(said, len(given), others, unit=score, output=logits)
    with warnings.catch_warnings():
        if inputs is None:  # masks and segments that were made here are nobody's question
            warnings.filterwarnings("ignore", message=r".*gets? no values \(None\)", category=UserWarning)
        found = method(lm, text.fed(whole[:-1]), score=asked, batch_size=batch_size, progress=progress)
    values = found.one(text.key(found.values))[0][0][:, : len(whole) - 1]
    matrix = np.zeros((len(said), len(whole)), np.float32)
    matrix[:, :-1] = values
    later = np.arange(len(whole)) >= len(given) + np.arange(len(said))[:, None]
    # What samples leave there is chance: the score cannot depend on it.
    chance = np.where(later, matrix, 0).sum(1)
    matrix[later] = 0
    return GenerationExplanation(
        matrix,
        whole.astype(np.int64),
        [told.piece(int(i)) for i in whole],
        len(given),
        found.scores[0],
        None if found.delta is None else found.delta[0] - chance,
        found.method,
        found.score,
        others,
        None if others is None else [told.piece(int(i)) for i in others],
        found.receipt,
    )


@dataclasses.dataclass(frozen=True)
class _Text:
    """One text as the model takes it. fixed: how long it must be; None: any length. logits: the output that is read."""

    lm: Model
    feed: Callable[[NDArray[np.int32]], Inputs]
    fixed: int | None
    logits: str | int | None

    def fed(self, ids: NDArray) -> Inputs:
        """Ids (T,) as a batch of one. Raises ValueError if the model takes no text of this length."""
        if self.fixed is not None:
            if len(ids) > self.fixed:
                raise ValueError(
                    f"Prompt and output have {len(ids) + 1} tokens, and the model reads {self.fixed}. Give fewer."
                )
            ids = np.pad(ids, (0, self.fixed - len(ids)))  # behind the end, where no answer looks
        return self.feed(ids[None].astype(np.int32))

    def key(self, values: Any) -> Any:
        """The key of the ids among the inputs; None where there is one input."""
        if not isinstance(values, (dict, list, tuple)):
            return None
        pairs = values.items() if isinstance(values, dict) else enumerate(values)
        return next(key for key, value in pairs if value is not None)

    def said(self, ids: NDArray, at: int) -> NDArray[np.float32]:
        """Logits (V,) of the token behind a place. One text at a time: there are models that take no more."""
        fed = self.fed(ids)

        def run(network: Network) -> NDArray[np.float32]:
            arguments = [np.int32(at), *network.arrays]
            return network.traced(_Said(self.logits), arguments)(*arguments).numpy()[0]

        return run_at_own_batch(lambda: Network(self.lm, fed, Needs(gradients=False)), run)

    def check_causal(self, ids: NDArray) -> None:
        """Warns if other tokens behind a place change what is said there: behind the first, the middle and the last but one."""
        for place in sorted({0, (len(ids) - 1) // 2, len(ids) - 2} - {-1, len(ids) - 1}):
            other = ids.copy()
            other[place + 1 :] = np.where(
                ids[place + 1 :] == ids[0], max(int(ids[0]) - 1, 1 - int(ids[0])), ids[0]
            )
            one, two = self.said(ids, place), self.said(other, place)
            if np.abs(one - two).max() > 1e-3 * (np.abs(one).max() + 1e-6):
                warn(
                    "explain_generation: what the model says of a token depends on later ones, so it is no causal model: each token "
                    "was explained while the model read the whole text. Give a decoder with a causal mask."
                )
                return


@dataclasses.dataclass(frozen=True)
class _Said(Body):
    """Logits behind one place. output: that is read."""

    output: str | int | None

    def __call__(self, network: Network, record: TraceRecord, at: Tensor, *inputs: Tensor) -> Tensor:
        forward = network.forward(inputs)
        return forward.kept(tf.gather(logits_of_tokens(forward.named, self.output), at, axis=1))


def _generated(text: _Text, prompt: NDArray, length: int, end: int | None) -> NDArray:
    """What the model finds likeliest, token after token, until the end."""
    room = len(prompt) + length
    if text.fixed is not None:
        room = min(room, text.fixed + 1)
    ids = np.zeros(room - 1, prompt.dtype)
    ids[: len(prompt)] = prompt[: room - 1]
    said: list[int] = []
    for place in range(len(prompt), room):
        try:
            best = int(text.said(ids, place - 1).argmax())
        except ModelFailed as error:
            raise ValueError(
                f"{len(prompt)} tokens and length={length}: {error} Give a smaller length=."
            ) from error
        said.append(best)
        if best == end:
            break
        if place < len(ids):
            ids[place] = best
    if not said:
        raise ValueError(
            f"The prompt has {len(prompt)} tokens, and the model reads {text.fixed}. Give fewer."
        )
    return np.array(said, prompt.dtype)


def _fixed_length(lm: Any) -> int | None:
    """How many tokens a model takes, if it takes no other number."""
    try:
        shapes = {
            int(tensor.shape[1])
            for tensor in tf.nest.flatten(lm.input)
            if len(tensor.shape) == 2 and tensor.shape[1]
        }
    except (AttributeError, ValueError):  # a subclassed model, a function
        return None
    return min(shapes, default=None)


def _feeding(lm: Any) -> Callable[[NDArray[np.int32]], Inputs]:
    """How a model is fed, by the names of its inputs. Raises ValueError if that is not clear."""
    try:
        structure = lm.input
    except (AttributeError, ValueError):
        return lambda ids: ids
    if not isinstance(structure, dict):
        if isinstance(structure, (list, tuple)) and len(structure) > 1:
            raise ValueError(
                f"The model has {len(structure)} inputs without names. Say how ids become these: inputs="
            )
        return lambda ids: ids
    makers = {name: _maker(name) for name in structure}
    if sum(make is None for make in makers.values()) != 1:
        raise ValueError(
            f"Which of the inputs {', '.join(structure)} are the ids? Say how ids become all of them: inputs=lambda ids: {{...}}"
        )
    return lambda ids: {name: ids if make is None else make(ids) for name, make in makers.items()}


def _maker(name: str) -> Callable[[NDArray], NDArray] | None:
    """What an input of this name is made of, beside the ids themselves (None)."""
    words = name.lower()
    if "mask" in words:
        return np.ones_like
    if "segment" in words or "type" in words:
        return np.zeros_like
    if "position" in words:
        return lambda ids: np.broadcast_to(np.arange(ids.shape[1], dtype=ids.dtype), ids.shape).copy()
    return None


def _own_tokenizer(lm: Any) -> Any:
    return getattr(getattr(lm, "preprocessor", None), "tokenizer", None)


@dataclasses.dataclass(frozen=True)
class _Tokenizer:
    """A tokenizer, or none."""

    own: Any

    @property
    def end(self) -> int | None:
        """The id that ends a text."""
        end = getattr(self.own, "end_token_id", None)
        return None if end is None else int(end)

    def ids(self, given: Any, name: str) -> NDArray[np.int64]:
        """Ids (T,) of ids or of a text. Raises ValueError if they are neither."""
        if isinstance(given, str):
            if self.own is None:
                raise ValueError(f"{name} is a text, and there is no tokenizer. Give tokenizer=, or ids.")
            given = self.own(given)
            if isinstance(given, Mapping):  # as some tokenizers answer, with masks beside the ids
                given = given.get("input_ids", given.get("token_ids"))
            given = given.to_numpy() if hasattr(given, "to_numpy") else given
        ids = np.asarray(given)
        if ids.ndim == 2 and len(ids) == 1:
            ids = ids[0]
        if ids.ndim != 1 or not ids.size or ids.dtype.kind not in "iu" or ids.min() < 0:
            raise ValueError(
                f"{name} is {ids!r}. Give the ids of one text, (T,) whole numbers from 0, at least one."
            )
        return ids.astype(np.int64)

    def piece(self, number: int) -> str:
        """A token as text; its id where nothing tells."""
        if hasattr(self.own, "id_to_token"):
            piece = self.own.id_to_token(number)
        elif hasattr(self.own, "detokenize"):
            piece = self.own.detokenize([number])
        else:
            return str(number)
        if hasattr(piece, "numpy"):
            piece = piece.numpy()
        return piece.decode(errors="replace") if isinstance(piece, bytes) else str(piece)
