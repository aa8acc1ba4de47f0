"""Does a new model look at what the old one looked at?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from numpy.typing import ArrayLike

from tfxai import plots
from tfxai.comparing import ModelReference, compare_models
from tfxai.scores import Targets
from tfxai.support import BatchSize, Explainer, File, Inputs, Model, checked
from tfxai.testing.failing import check_picture, fail


@checked
def assert_same_reasons(
    old: Model | ModelReference | File,
    new: Model,
    images: Inputs,
    method: Explainer,
    targets: Targets = None,
    *,
    twins: Sequence[Model] = (),
    regions: ArrayLike | None = None,
    picture: File | None = None,
    batch_size: BatchSize = 32,
) -> None:
    """The new model's maps are as like the old one's as those of twins are, by `tfxai.compare_models`.

    old:     the old model with at least 3 `twins`, a reference that `tfxai.comparing.reference` made, or the path of its file. The
             fixture `tfxai_reference` of pytest keeps one beside the test.
    picture: file to write if it fails; None: tfxai-failures/NAME OF THE TEST.png.

    The others are those of `tfxai.compare_models`. One model in 20 that was only trained again fails.

    Raises AssertionError, with similarities, p-values and the examples that changed most, if they are not; ValueError if there are
    fewer than 3 twins, or an argument is wrong.
    """
    check_picture(picture)
    known = ModelReference.load(old) if isinstance(old, (str, Path)) else old
    found = compare_models(
        known, new, images, method, targets, twins=twins, regions=regions, batch_size=batch_size
    )
    if found.changed is None:
        raise ValueError(
            f"There are {len(found.twin_similarity)} twins, and it takes 3 to know what training again changes. Give `twins`, the old "
            "model trained again with other seeds, or a reference that was made with them."
        )
    if found.changed:
        fail(f"The new model {found.verdict}.\n{found}", lambda: plots.compare_models(found), picture)
