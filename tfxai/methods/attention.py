"""Maps made of attention itself: which tokens' shares reach what the score reads, through all layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import tensorflow as tf

from tfxai.engines import (
    Attribution,
    Method,
    Request,
    Tracer,
    gradients,
    mean_of_heads,
    relevance_rules,
    through_attention,
)
from tfxai.model import ForwardPass
from tfxai.support import Tensor


@dataclasses.dataclass(frozen=True)
class AttentionRollout(Method):
    """Which tokens could the answer have drawn on, if attention alone mixed them?

    One channel, never negative, sums to 1 over all tokens (a class token keeps its own share), enlarged bilinearly where tokens are
    a grid; the same for every class. Half of each layer is its attention, averaged over heads, and half the way past it. What the
    score reads is found by its gradient: the class token, or all that are pooled. What values, gates and dense layers do is not seen:
    no measure of importance by itself. Cost: one forward pass and a backward pass to the last attention.

    Raises ValueError if there is no attention of all tokens to all tokens between the inputs and the score.

    Abnar, Zuidema: Quantifying Attention Flow in Transformers, 2020. arXiv:2005.00928, equations 1 and 2
    """

    inside = False

    def attribute(self, request: Request) -> Attribution:
        return through_attention(request, _rollout)


@dataclasses.dataclass(frozen=True)
class AttentionRelevance(Method):
    """Which tokens does the class draw on, through attention that counts for it?

    One channel, never negative, no units; enlarged bilinearly where tokens are a grid. As rollout, but each layer's attention counts by
    its gradient, where that times its relevance is positive, on average over heads, and is added to the identity. The class's own
    map. Cost: one forward and one backward pass ("attention"), or two ("lrp").

    relevance: "lrp": of each attention weight, by the rules of LRP(rule="attention"), in the place of the paper's own rules;
               "attention": the weight itself (arXiv:2103.15679, equation 5), which needs no rules.

    Raises ValueError if there is no attention of all tokens to all tokens between the inputs and the score.

    Chefer, Gur, Wolf: Transformer Interpretability Beyond Attention Visualization, 2020. arXiv:2012.09838, equations 13 and 14
    """

    relevance: Literal["lrp", "attention"] = "lrp"
    inside = False

    def attribute(self, request: Request) -> Attribution:
        return through_attention(request, _Relevant(self.relevance == "lrp", request.method))


def _rollout(tracer: Tracer, forward: ForwardPass, score: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
    """Half attention, half identity."""
    means = [mean_of_heads(each) for each in maps]
    mixed = [0.5 * each + 0.5 * tf.eye(tf.shape(each)[-1]) for each in means]
    return [each / tf.reduce_sum(each, -1, keepdims=True) for each in mixed]


@dataclasses.dataclass(frozen=True)
class _Relevant:
    """Identity, and what is positive of gradient times relevance. lrp: whose relevance; method: what warnings call it."""

    lrp: bool
    method: str

    def __call__(
        self, tracer: Tracer, forward: ForwardPass, score: Tensor, maps: Sequence[Tensor]
    ) -> list[Tensor]:
        slopes = forward.gradients(score, of=maps)  # the true ones come first
        shares = [tf.cast(each, tf.float32) for each in maps]
        if self.lrp:
            by_rules = gradients(tracer, forward, score, relevance_rules("attention"), self.method, of=maps)
            shares = [share * each for share, each in zip(shares, by_rules, strict=True)]
        positive = [
            mean_of_heads(tf.nn.relu(slope * share)) for slope, share in zip(slopes, shares, strict=True)
        ]
        return [tf.eye(tf.shape(each)[-1]) + each for each in positive]
