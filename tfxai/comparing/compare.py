"""Two models on the same examples: is what changed between them more than training again changes?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from tfxai.comparing.looking import Looks, likeness, looks_of
from tfxai.comparing.reference import ModelReference, reference, same_targets
from tfxai.comparing.result import ModelComparison, most_changed_first
from tfxai.scores import Targets
from tfxai.support import BatchSize, Explainer, Inputs, Model, checked

if TYPE_CHECKING:
    from tfxai.concepts import TCAVResult

SHOWN = 12  # examples whose maps are kept for pictures


@checked
def compare_models(
    old: Model | ModelReference,
    new: Model,
    inputs: Inputs,
    method: Explainer,
    targets: Targets = None,
    *,
    twins: Sequence[Model] = (),
    regions: ArrayLike | None = None,
    concepts: Callable[[Model], TCAVResult] | None = None,
    batch_size: BatchSize = 32,
    progress: bool = False,
) -> ModelComparison:
    """What changed in what the model looks at? Maps of two models, beside what training again changes by itself.

    Two trainings of the same network on the same data never give the same maps. So the question is not whether maps differ, but
    whether the new model's are less like the old one's than those of twins are, which are the old model trained again with other
    seeds. The test takes the new model for one twin more, and the examples for a sample: about 1 in 20 retrained models is said to
    have changed. Without at least 3 twins there are similarities, and no test.

    old:      the model that is trusted, or what `tfxai.comparing.reference` kept of it and its twins.
    new:      the model that is to take its place; weights alone may differ, or everything but the inputs.
    inputs:   N examples, as for every method. A few hundred that the models were not trained on are good. What changed shows
              only where it is: to catch a shortcut, some of them should have it.
    method:   that explains them all, or a function (model, inputs, targets) -> Explanation.
    targets:  an int, (N,) ints, or None for the classes that the old model predicts; the same for every model.
    twins:    K models; 5 or more see smaller changes than 3 do.
    regions:  masks (N, H, W) or boxes (N, 4), as for `tfxai.metrics.localisation`: also tests the share of evidence inside.
    concepts: a function of a model that asks which concepts it leans on, such as
              lambda model: tfxai.TCAV("conv3")(model, images, 7, sets, random). It is called for the old, the new and each twin.

    Raises ValueError if a model cannot be explained, a reference is of other inputs, targets or method, or regions do not fit.
    Cost: K + 2 times the method's own (with a reference once), and as many forward passes. Memory holds the maps of two models.

    The noise of retraining in maps: Adebayo et al., 2018, arXiv:1810.03292, section 5; of predictions that agree on accuracy:
    D'Amour et al., 2020, arXiv:2011.03395. The test: `tfxai.stats.significance.one_more`.
    """
    known = _known(old, inputs, method, targets, twins, regions, concepts, batch_size, progress)
    asked = known.regions if regions is None else np.asarray(regions)
    classes = None if (known.targets < 0).all() else known.targets
    looks = looks_of(new, inputs, method, classes, asked, batch_size)
    if isinstance(old, ModelReference):
        same_targets(known, targets, looks)
    leaned = None if concepts is None else [concepts(model) for model in (old, new, *twins)]
    return _compared(known, looks, leaned)


def _known(
    old: Model | ModelReference,
    inputs: Inputs,
    method: Explainer,
    targets: Targets,
    twins: Sequence[Model],
    regions: ArrayLike | None,
    concepts: object,
    batch_size: BatchSize,
    progress: bool,
) -> ModelReference:
    """What is known of the old model and its twins. Raises ValueError if it is given twice, or a reference is of something else."""
    if not isinstance(old, ModelReference):
        return reference(
            old,
            inputs,
            method,
            targets,
            twins=twins,
            regions=regions,
            batch_size=batch_size,
            progress=progress,
        )
    if len(twins) or concepts is not None:
        given = "twins" if len(twins) else "concepts"
        raise ValueError(
            f"{given} came with a reference, which holds no models. Give the old model itself instead."
        )
    if regions is not None and (old.regions is None or not np.array_equal(old.regions, np.asarray(regions))):
        raise ValueError("The reference was made without these regions. Make it again with them.")
    old.check(inputs)
    return old


def _compared(known: ModelReference, looks: Looks, leaned: list[TCAVResult] | None) -> ModelComparison:
    similarity = likeness(known.maps, looks.maps)
    order = most_changed_first(similarity, known.twin_similarity)
    shown = order[:SHOWN]
    inside = None
    if known.inside is not None and looks.inside is not None:
        inside = np.stack([known.inside[0], looks.inside, *known.inside[1:]])
    return ModelComparison(
        similarity=similarity,
        twin_similarity=known.twin_similarity,
        targets=known.targets,
        predictions=np.stack([known.predictions[0], looks.predictions, *known.predictions[1:]]),
        most_changed=order,
        inside=inside,
        concepts=leaned,
        inputs=looks.inputs[shown],
        maps=np.stack([known.maps[shown], looks.maps[shown]]),
        method=known.method,
    )
