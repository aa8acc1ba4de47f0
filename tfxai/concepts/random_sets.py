"""Random images, from which concepts are told apart: as sets, or as one pool that is split into sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfxai.concepts.folders import from_folder, images_from, sub_folders
from tfxai.concepts.image_sets import FEWEST, image_set, size_of
from tfxai.concepts.set_batches import length_of, taken
from tfxai.inputs import specs_of
from tfxai.stats import smallest
from tfxai.support import Inputs, Model, warn


def random_sets(random: Any, model: Model, *, runs: int, alpha: float, seed: int) -> list[Inputs]:
    """Two sets of at least 10 images for each run, as many runs as there are images for.

    random: sets as a list or dict, a folder of folders, or a pool: an array, list of images or folder that is split.
    runs:   how many are wanted. alpha: as for TCAV, for the warning. seed: of how a pool is split.

    Raises ValueError if a set has too few images, or there are too few for two runs. Warns if there are fewer runs than
    wanted, or so few that no p-value can be below alpha.
    """
    random = _as_list_or_pool(random, model)
    if isinstance(random, list):
        sets = [image_set(images, model, f"random set {number}") for number, images in enumerate(random)]
        _check_lengths(sets)
        possible, given = len(sets) // 2, f"{len(sets)} random sets"
    else:
        pool = image_set(random, model, "random")
        count = length_of(pool)
        possible, given = count // (2 * FEWEST), f"{count} random images"
        order = np.random.default_rng([seed, count]).permutation(count)
        sets = [taken(pool, part) for part in np.array_split(order, max(2 * min(runs, possible), 1))]
    if possible < 2:
        raise ValueError(
            f"TCAV got {given}. Two runs are the least: 4 random sets of at least {FEWEST} images, or {4 * FEWEST} "
            f"images in one array; {runs} runs want {2 * runs} sets, or {2 * FEWEST * runs} images."
        )
    _warn_of_few(given, min(runs, possible), runs, alpha)
    return sets[: 2 * min(runs, possible)]


def _as_list_or_pool(random: Any, model: Model) -> Any:
    """A list of sets; or one set, in any form that `image_set` takes."""
    specs = specs_of(model)
    if isinstance(random, (str, Path)):
        read = from_folder if sub_folders(random) else images_from
        random = read(random, size_of(model, "random"))
    if isinstance(random, Mapping) and (len(specs) < 2 or set(random) != {spec.name for spec in specs}):
        random = list(random.values())
    if isinstance(random, (list, tuple)) and _is_pool(random, specs):
        random = np.asarray([np.asarray(image) for image in random])
    if isinstance(random, np.ndarray) and len(specs) == 1 and random.ndim == len(specs[0].shape) + 1:
        random = list(random)
    return list(random) if isinstance(random, tuple) else random


def _is_pool(random: Sequence[Any], specs: Sequence[Any]) -> bool:
    """Whether these are examples, not sets of them."""
    if all(isinstance(item, str) for item in random):
        return bool(random)
    rank = len(specs[0].shape) if len(specs) == 1 else 0
    return bool(random) and all(
        not isinstance(item, (Mapping, str, Path)) and np.ndim(item) == rank - 1 for item in random
    )


def _check_lengths(sets: Sequence[Inputs]) -> None:
    for number, images in enumerate(sets):
        if (count := length_of(images)) < FEWEST:
            raise ValueError(
                f"Random set {number} has {count} images. Give at least {FEWEST} in each, better 50."
            )


def _warn_of_few(given: str, runs: int, wanted: int, alpha: float) -> None:
    if runs == wanted and smallest(runs) < alpha:
        return
    fewer = "" if runs == wanted else f", not {wanted}"
    hopeless = ", so nothing can be significant." if smallest(runs) >= alpha else "."
    warn(
        f"TCAV got {given}, enough for {runs} runs{fewer}. The smallest p-value is then {smallest(runs):.2g} before "
        f"correction{hopeless}"
    )
