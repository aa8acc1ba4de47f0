"""Does a map differ between a model that learnt true labels and one that learnt by heart?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfxai.methods import called, named_methods
from tfxai.predictions import probabilities
from tfxai.sanity.randomize_model import Explainers
from tfxai.sanity.reports import LabelReport
from tfxai.sanity.targets import fixed_targets
from tfxai.scores import Targets
from tfxai.stats import Reference, by_measure
from tfxai.support import Count, Inputs, Model, Seed, checked, progress_bar


@checked
def randomize_labels(
    build: Callable[[], Model],
    methods: Explainers,
    x: ArrayLike,
    y: ArrayLike,
    inputs: Inputs = None,
    targets: Targets = None,
    *,
    epochs: Count = 20,
    seed: Seed = 0,
    batch_size: Count = 32,
    progress: bool = False,
) -> LabelReport:
    """Do maps show what was learnt? Trains twins on true and on permuted labels, and compares their maps.

    The second twin can only learn by heart. If a method gives both the same maps, it does not show what was learnt.
    Look at `accuracy` first: a twin that did not learn its labels proves nothing; give it more epochs.

    build:   makes a compiled Keras model; called twice. Both twins start from the same weights.
    x, y:    training data as `model.fit` takes it: arrays (N, ...); classes as ints (N,) or one-hot (N, C).
    inputs:  to explain; unless given, the first 8 of x. targets: see randomize_model; unless given, what the first twin
             predicts.

    Raises ValueError if x and y differ in length. Cost: two trainings, and the methods on two models.
    Adebayo et al.: Sanity Checks for Saliency Maps, 2018. arXiv:1810.03292, section 4
    """
    named = named_methods(methods)
    x, y = np.asarray(x), np.asarray(y)
    if len(x) != len(y):
        raise ValueError(f"x has {len(x)} examples, y has {len(y)} labels. Give one label for each.")
    inputs = x[:8] if inputs is None else inputs
    generator = np.random.default_rng(seed)
    labels = {"true": y, "permuted": y[generator.permutation(len(y))]}
    orders = [generator.permutation(len(x)) for _ in range(epochs)]
    with progress_bar(progress, "randomize_labels", 2 * epochs) as advance:
        twins = _trained_twins(build, x, labels, orders, batch_size, advance)
    accuracy = {name: _accuracy(twin, x, labels[name], batch_size) for name, twin in twins.items()}
    targets = fixed_targets(twins["true"], inputs, targets, batch_size)
    explanations = {
        name: {key: called(method, twin, inputs, targets, batch_size) for key, method in named.items()}
        for name, twin in twins.items()
    }
    maps = [[explanations[name][key].heatmap() for name in ("true", "permuted")] for key in named]
    similarities = [
        [Reference(true).similarity(permuted) for true, permuted in zip(*pair, strict=True)] for pair in maps
    ]
    return LabelReport(list(named), accuracy, by_measure(similarities), explanations)


def _trained_twins(
    build: Callable[[], Model],
    x: NDArray,
    labels: Mapping[str, NDArray],
    orders: Sequence[NDArray],
    batch_size: int,
    advance: Callable[[float], None],
) -> dict[str, Model]:
    """A model for each kind of labels, all from the same weights, trained on the same examples in the same order."""
    twins = {name: build() for name in labels}
    start, *others = twins.values()
    for twin in others:
        twin.set_weights(start.get_weights())
    steps, epochs = -(-len(x) // batch_size), len(orders)
    for name, y in labels.items():
        batches = _shuffled(x, y, orders, batch_size)
        twins[name].fit(batches, steps_per_epoch=steps, epochs=epochs, shuffle=False, verbose=0)
        advance(epochs)
    return twins


def _shuffled(
    x: NDArray, y: NDArray, orders: Sequence[NDArray], batch_size: int
) -> Iterator[tuple[NDArray, NDArray]]:
    """Batches of all epochs, shuffled here: Keras would use the global random state."""
    for order in orders:
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            yield x[rows], y[rows]


def _accuracy(model: Model, x: NDArray, y: NDArray, batch_size: int) -> float:
    """Share of the examples that a model gets right, 0 to 1. y: classes, or one-hot."""
    classes = y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1)
    predicted = probabilities(model, x, batch_size=batch_size).argmax(axis=1)
    return float((predicted == classes).mean())
