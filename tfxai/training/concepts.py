"""Which concepts a model leans on while it trains."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tfxai import plots
from tfxai.concepts import TCAV, TCAVResult
from tfxai.model import build
from tfxai.plots import Labels
from tfxai.scores import Score
from tfxai.support import BatchSize, Count, File, Inputs, checked
from tfxai.training.monitor import Look, Monitor


class ConceptCallback(Monitor[TCAVResult]):
    """How much a class leans on concepts, as training goes: TCAV after every so many epochs.

    `model.fit(x, y, callbacks=[tfxai.ConceptCallback(tfxai.TCAV(["conv"]), zebras, 3, {"striped": striped}, random)])`

    tcav, inputs, targets, concepts, random, score: as for tfxai.TCAV and its call; targets is a class, or several.
    every:     looks at every so many epochs.
    log_dir:   folder for TensorBoard's event files: the chart as an image, and all numbers.
    directory: folder for epoch_0003.png (the chart) and epoch_0003.npz (a TCAVResult), from the untrained state
               (epoch_0000) on.
    labels:    class names, for the charts.

    In the history and in TensorBoard: tcav_CONCEPT_LAYER, the mean score over runs (NaN where the layer has not learned the
    concept), and tcav_CONCEPT_LAYER_p, its corrected p-value; with several targets the class stands before the concept.

    results: epoch -> TCAVResult without its vectors.

    Raises ValueError at the start of the training if a layer, concept or target cannot work. Later errors are warned of once,
    and give NaN.
    Cost: that of TCAV for each look, and for the untrained state.

    Kim et al.: Interpretability Beyond Feature Attribution, 2018. arXiv:1711.11279
    """

    @checked
    def __init__(
        self,
        tcav: TCAV,
        inputs: Inputs,
        targets: int | Sequence[int],
        concepts: Mapping[str, Inputs],
        random: Inputs | Sequence[Inputs] | Mapping[str, Inputs],
        *,
        every: Count = 1,
        log_dir: File | None = None,
        directory: File | None = None,
        labels: Labels | None = None,
        score: str | Score = "logit",
        batch_size: BatchSize = 32,
    ) -> None:
        super().__init__(every, "epoch", log_dir, directory, labels, batch_size)
        self.tcav, self.inputs, self.targets = tcav, inputs, targets
        self.concepts, self.random, self.score = concepts, random, score
        self.results: dict[int, TCAVResult] = {}
        self._names: list[str] = []  # of all numbers

    def begin(self) -> Look[TCAVResult]:
        self.results = {}
        if isinstance(self.inputs, (np.ndarray, list, tuple)):
            build(self.model, self.inputs)
        result = self._tested()
        self._names = list(_numbers(result))
        return Look({}, {"tcav": result})

    def look(self) -> Look[TCAVResult]:
        numbers = dict.fromkeys(self._names, float("nan"))
        results = {}
        with self._going_on("test the concepts"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what there is to say of the call was said at the start
                result = self._tested()
            numbers |= _numbers(result)
            results["tcav"] = result
        return Look(numbers, results)

    def note(self, look: Look[TCAVResult], number: int) -> None:
        if "tcav" in look.results:
            self.results[number] = dataclasses.replace(look.results["tcav"], cavs={})

    def draw(self, result: TCAVResult) -> Figure:
        return plots.tcav(result, self.labels)

    def file(self, name: str, look: str) -> Path:
        return (self.directory or Path()) / look

    def _tested(self) -> TCAVResult:
        return self.tcav(
            self.model,
            self.inputs,
            self.targets,
            self.concepts,
            self.random,
            score=self.score,
            batch_size=self.batch_size,
        )


def _numbers(result: TCAVResult) -> dict[str, float]:
    """Mean score and p-value of every concept, layer and target, by the names that the history gives them."""
    numbers = {}
    for row in result.table:
        target = f"{row['target']}_" if len(result.targets) > 1 else ""
        name = f"tcav_{target}{row['concept']}_{row['layer']}"
        numbers |= {name: row["score"], f"{name}_p": row["p_value"]}
    return numbers
