"""The door that every method shares: check the call, run the method, hand back an Explanation."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tfxai.engines.left_out import warn_of_left_out
from tfxai.engines.receipts import receipt_of
from tfxai.engines.references import request_of
from tfxai.engines.request import Attribution, Request
from tfxai.model import At, Needs, Network, in_room, run_at_own_batch
from tfxai.results import Explanation
from tfxai.scores import Score, Targets
from tfxai.support import BatchSize, Inputs, Model, check_settings, checked, warnings_heard


class Method(abc.ABC):
    """An explanation method: settings that can be called on any model.

    `method(model, inputs, targets=None, *, score=None, batch_size=32, progress=False) -> Explanation`

    model:      a Keras 3 or tf_keras model of any kind, or a callable from a batch to scores.
    inputs:     (N, ...) array, or the dict / list / tuple of arrays that the model takes; columns also as a pandas
                DataFrame or Series. Of a function on arrays that hides parts of them, values may be missing (NaN).
    targets:    the class to explain: None (the predicted one), an int, (N,) ints, (N, K) ints, `tfxai.top(k)`.
    score:      what is explained: "logit", "probability", "output" or a callable (outputs, targets) -> (N,); see
                tfxai.scores.
    batch_size: examples that the model sees at once; memory grows with it and with nothing else. A model with a batch size
                of its own is run at that. "auto": a power of two up to 1024, so that a batch needs about 1 GB, or four tenths of
                what a GPU has left; where memory runs short, it is halved for good, with one warning.
    progress:   shows a progress bar.
    jit_compile: compiles the passes by XLA: slower for most convolutions on a CPU, quicker for some models elsewhere.
    at:         a layer whose output is explained instead of the inputs, by its path, name or number; of methods that use
                gradients. values then have its shape, (N, ...); its baseline is what it puts out for that of the inputs, and
                `delta` also tells what goes past it. A list of layers that differ at most in their last axis, such as the
                embeddings of words and positions, gives {path: values}.

    A subclass is a frozen dataclass of settings, whose annotations say what fits (see tfxai.support.settings). It declares what it needs of a model (`needs`), what it explains unless
    it is told otherwise (`default_score`), why its work is not one graph that can be exported (`not_one_graph`), whether other inputs than images get None without a word (`only_images`), and whether a
    layer can stand in the place of the inputs (`inside`), if it needs gradients and no layers or images.

    Warns where an input gets no values (None) that a user would expect.

    Raises ValueError, before any work, if an argument is wrong: it says what came and what was expected.
    """

    needs: ClassVar[Needs] = Needs()
    default_score: ClassVar[str] = "logit"
    only_images: ClassVar[bool] = False
    not_one_graph: ClassVar[str | None] = None
    inside: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_settings(self)

    @checked
    def __call__(
        self,
        model: Model,
        inputs: Inputs,
        targets: Targets = None,
        *,
        score: str | Score | None = None,
        batch_size: BatchSize = 32,
        progress: bool = False,
        jit_compile: bool = False,
        at: At = None,
    ) -> Explanation:
        name = type(self).__name__
        self._check_at(at)
        seed, score = getattr(self, "seed", 0), self.default_score if score is None else score

        def explained(network: Network) -> Explanation:
            if at is not None:
                network = network.explained_at(at)
            return in_room(network.model, batch_size, name, lambda: explained_by(network))

        def explained_by(network: Network) -> Explanation:
            how: dict[str, Any] = {"batch_size": batch_size, "jit_compile": jit_compile}
            request = request_of(network, targets, score, name, progress=progress, **how)
            how["batch_size"] = request.batch_size
            attribution = self.attribute(request)
            warn_of_left_out(
                network,
                attribution.values,
                name,
                self.needs,
                chosen=getattr(self, "input", None) is not None or at is not None,
                only_images=self.only_images,
            )
            explanation = request.explanation(attribution, described=described(self))
            receipt = receipt_of(
                explanation, network, self, heard, score=score, targets=targets, at=at, **how
            )
            return dataclasses.replace(explanation, receipt=receipt)

        with warnings_heard() as heard:
            return run_at_own_batch(lambda: Network(model, inputs, self.needs, name, seed), explained)

    def _check_at(self, at: At) -> None:
        """Raises ValueError if a layer is to be explained by a method that goes back to inputs alone."""
        needs = self.needs
        if at is not None and (not self.inside or needs.layers or needs.images_only or not needs.gradients):
            raise ValueError(
                f"at={at!r}: {type(self).__name__} explains inputs. At a layer, gradients, paths and backward rules can be used: "
                "Gradient, IntegratedGradients, Conductance, DeepLIFT, LRP ..."
            )

    @abc.abstractmethod
    def attribute(self, request: Request) -> Attribution:
        """Explains every row of the request."""


def described(method: Method) -> str:
    """The method with its settings, as repr has it, but arrays by their shape."""
    settings = {field.name: getattr(method, field.name) for field in dataclasses.fields(method)}  # pyright: ignore[reportArgumentType]
    listed = ", ".join(f"{name}={_short_text(value)}" for name, value in settings.items())
    return f"{type(method).__name__}({listed})"


def _short_text(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name!r}: {_short_text(each)}" for name, each in value.items()) + "}"
    if isinstance(value, np.ndarray) or tf.is_tensor(value) or hasattr(value, "iloc"):
        return f"<array {tuple(value.shape)}>"
    if isinstance(value, (list, tuple)) and any(not isinstance(each, (int, float, str)) for each in value):
        return f"<{type(value).__name__} of {len(value)}>"
    return repr(value)
