"""Does a map change while the weights are drawn anew, layer by layer?"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Literal

from tfxai.methods import Explainers, named_methods
from tfxai.model import thawed, weights_kept
from tfxai.sanity.recording import Recording
from tfxai.sanity.reports import SanityReport
from tfxai.sanity.steps import ordered_steps
from tfxai.sanity.targets import fixed_targets
from tfxai.scores import Targets
from tfxai.support import BatchSize, Inputs, Model, Seed, checked, progress_bar


@checked
def randomize_model(
    methods: Explainers,
    model: Model,
    inputs: Inputs,
    targets: Targets = None,
    *,
    mode: Literal["cascading", "independent"] = "cascading",
    order: str | Sequence[str] = "top_down",
    layers: str | Sequence[str] | None = None,
    init: Literal["layer", "uniform"] = "layer",
    explanations: bool = False,
    seed: Seed = 0,
    batch_size: BatchSize = 32,
    progress: bool = False,
) -> SanityReport:
    """Do maps change while the trained model's weights are drawn anew? Explains inputs again at every step.

    A step is one layer with weights, and the batch norms that it feeds: kernel, bias, batch norm's parameters and
    statistics are all drawn anew. In the end the model has every weight back, to the bit, whatever happened.

    methods: a method, a list of them, or a dict name -> method. A function called as method(model, inputs, targets) that
             gives an Explanation counts as one.
    model:   a Keras or tf_keras model, or a module of tfxai.hub that has variables.
    targets: an int, (N,) ints, or None for the classes that the trained model predicts; the same at every step.
    mode:    "cascading": each step destroys one more layer. "independent": one layer at a time, the others as trained.
    order:   "top_down" (from the output), "bottom_up", or a list of names.
    layers:  names of the layers to destroy; unless given, all. A name may be that of a part
             with several layers, what their names begin with, or the model's own: one step.
    init:    "layer": as the layer was first drawn; where that is not known (files), with the mean and spread of the
             trained weights. "uniform": from -1 to 1; statistics 0 and 1.
    explanations: keeps all explanations in the report, as `tfxai.plots.sanity` needs to draw maps.

    Raises ValueError if a name is not that of a layer, the weights cannot be changed, or the method's maps cannot be
    compared.
    Cost: S + 1 times the methods' own, and as many forward passes. Nothing is traced again from step to step.

    Adebayo et al.: Sanity Checks for Saliency Maps, 2018. arXiv:1810.03292
    """
    named = named_methods(methods)
    steps, direction = ordered_steps(model, inputs, order, layers)
    targets = fixed_targets(model, inputs, targets, batch_size)
    recording = Recording(named, model, inputs, targets, batch_size, explanations)
    total = (len(steps) + 1) * (len(named) + 1)
    with thawed(), weights_kept(steps), progress_bar(progress, "randomize_model", total) as advance:
        recording.record(advance)
        for number, step in enumerate(steps):
            with weights_kept([step]) if mode == "independent" else contextlib.nullcontext():
                step.redraw(init, [seed, number])
                recording.record(advance)
    return recording.report([step.path for step in steps], mode, direction, seed)
