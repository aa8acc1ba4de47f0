"""Layer-wise relevance propagation: the score is handed back, layer by layer, to what it was made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

from tfxai.engines import (
    Attribution,
    Method,
    RelevanceRule,
    Request,
    Rules,
    ScoredBody,
    Tracer,
    gradients,
    per_token,
    relevance_rules,
    run_in_batches,
    sum_of_values,
    times,
)
from tfxai.support import Tensor, number


@dataclasses.dataclass(frozen=True)
class LRP(Method):
    """Which parts does the score come from, if every unit hands its relevance back to its inputs in proportion?

    Signed. `delta` is the sum of the values minus the score: what biases and the stabiliser keep for themselves.
    Written as gradient x input with f(z) / z in place of f'(z), so it works on any architecture; operations without
    a rule keep their gradient, and a warning names them. Cost: one forward pass, one backward pass ("epsilon") or
    about three ("alpha_beta").

    rule:    "epsilon": in proportion to x w. "alpha_beta": positive and negative contributions are shared out apart,
             alpha of the one minus beta of the other. "composite": alpha_beta with alpha 1, beta 0 in convolutions,
             epsilon in dense layers. "attention": for transformers (AttnLRP): epsilon in linear operations; attention's softmax
             hands back its derivative; two tensors that are multiplied share, half and half; deviations that a normalisation
             divides by, and the gates inside of GELU and its like, hand nothing back. Of biases, the shifts of
             normalisations and softmaxes relevance is lost, as `delta` says.
    epsilon: stabiliser added to the magnitude of denominators, in units of the activations: once for each convolution
             or dense layer, after its bias and batch norm, and never for a nonlinearity.
    alpha, beta: of alpha_beta; alpha - beta must be 1, so that relevance is kept.

    Bach et al.: On Pixel-Wise Explanations, 2015, equations 58 and 60; arXiv:1604.00825; arXiv:1711.06104, table 1;
    composite: Kohlbrenner et al., 2019. arXiv:1910.09840; attention: Achtibat et al.: AttnLRP, 2024. arXiv:2402.05602,
    section 3. Parts of layer-wise relevance propagation may be covered by patents in some countries; whoever uses it in a
    product may want to look into that.
    """

    rule: RelevanceRule = "epsilon"
    epsilon: Annotated[float, number(above=0)] = 1e-6
    alpha: Annotated[float, number(least=1)] = 2.0
    beta: Annotated[float, number(least=0)] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not abs(self.alpha - self.beta - 1) <= 1e-6:
            raise ValueError(f"LRP alpha {self.alpha} and beta {self.beta}: expected alpha - beta = 1.")

    def attribute(self, request: Request) -> Attribution:
        rules = relevance_rules(self.rule, self.epsilon, self.alpha, self.beta)
        return Attribution(*run_in_batches(request, _Relevance(rules, request.method)))


@dataclasses.dataclass(frozen=True)
class _Relevance(ScoredBody):
    rules: Rules
    method: str

    def __call__(self, tracer: Tracer, inputs: Sequence[Tensor], target_codes: Tensor) -> Any:
        forward = tracer.forward(inputs)
        scores, targets = tracer.scored(forward, target_codes)
        values = times(gradients(tracer, forward, scores, self.rules, self.method), forward.points)
        return per_token(values, tracer.places), targets, scores, sum_of_values(values) - scores
