"""Do a method's maps depend on the weights of this model?"""

from __future__ import annotations

from tfxai import plots
from tfxai.methods import Explainers
from tfxai.sanity import randomize_model
from tfxai.scores import Targets
from tfxai.support import BatchSize, File, Inputs, Model, Seed, checked
from tfxai.testing.failing import check_picture, fail


@checked
def assert_passes_sanity(
    method: Explainers,
    model: Model,
    images: Inputs,
    targets: Targets = None,
    *,
    seed: Seed = 0,
    picture: File | None = None,
    batch_size: BatchSize = 32,
) -> None:
    """The method's maps change while the model's weights are drawn anew, layer by layer, by `tfxai.sanity.randomize_model`.

    method:  one, a list of them, or a dict name -> method: each must pass. images: N inputs; ten or so are enough.
    seed:    of the new weights. picture: file to write if it fails; None: tfxai-failures/NAME OF THE TEST.png.

    Raises AssertionError, with the similarity that is left at the end and on the way, if one does not; ValueError if an argument is wrong.
    Cost: S + 1 times the method's own for S layers with weights.
    """
    check_picture(picture)
    report = randomize_model(
        method, model, images, targets, explanations=True, seed=seed, batch_size=batch_size
    )
    failed = [name for name, passes in report.verdict().items() if not passes]
    if failed:
        message = f"Maps of {', '.join(failed)} outlive the weights of the model, so they show the images, and not what it learnt.\n{report}"
        fail(message, lambda: plots.sanity(report), picture)
