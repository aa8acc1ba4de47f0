"""Does a map differ between a model that learnt true labels and one that learnt by heart?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.methods import called, named_methods
from tfxai.predictions import probabilities
from tfxai.sanity.recording import by_measure
from tfxai.sanity.reports import LabelReport
from tfxai.sanity.steps import fixed_targets
from tfxai.stats import Reference
from tfxai.support import progress_bar


def randomize_labels(
    build: Callable[[], Any],
    methods: Any,
    x: Any,
    y: Any,
    inputs: Any = None,
    targets: Any = None,
    *,
    epochs: int = 20,
    seed: int = 0,
    batch_size: int = 32,
    progress: bool = False,
) -> LabelReport:
    """Trains twins on true and on permuted labels, and compares what explanations say of them.

    The second twin can only learn by heart. If a method gives both the same maps, it does not show what was learnt.
    Look at `accuracy` first: a twin that did not learn its labels proves nothing; give it more epochs.

    build:   makes a compiled Keras model; called twice. Both twins start from the same weights.
    x, y:    training data as `model.fit` takes it: arrays; classes as ints or one-hot.
    inputs:  to explain; unless given, the first 8 of x. targets: see randomize_model; unless given, what the first twin
             predicts.

    Raises ValueError if x and y differ in length. Cost: two trainings, and the methods on two models.
    Adebayo et al.: Sanity Checks for Saliency Maps, 2018. arXiv:1810.03292, section 4
    """
    named = named_methods(methods)
    x, y = np.asarray(x), np.asarray(y)
    if len(x) != len(y):
        raise ValueError(f"x has {len(x)} examples, y has {len(y)} labels. Give one label for each.")
    if not callable(build) or epochs < 1:
        raise ValueError("build is a function that makes a compiled Keras model, and epochs is 1 or more.")
    inputs = x[:8] if inputs is None else inputs
    generator = np.random.default_rng(seed)
    labels = {"true": y, "permuted": y[generator.permutation(len(y))]}
    orders = [generator.permutation(len(x)) for _ in range(epochs)]
    twins = {name: build() for name in labels}
    twins["permuted"].set_weights(twins["true"].get_weights())
    with progress_bar(progress, "randomize_labels", 2 * epochs) as advance:
        for name, given in labels.items():
            shuffled = _shuffled(x, given, orders, batch_size)
            twins[name].fit(
                shuffled, steps_per_epoch=-(-len(x) // batch_size), epochs=epochs, shuffle=False, verbose=0
            )
            advance(epochs)
    accuracy = {}
    for name, given in labels.items():
        classes = given.argmax(axis=1) if given.ndim == 2 and given.shape[1] > 1 else given.reshape(-1)
        found = probabilities(twins[name], x, batch_size=batch_size).argmax(axis=1)
        accuracy[name] = float((found == classes).mean())
    targets = fixed_targets(twins["true"], inputs, targets, batch_size)
    explained = {
        name: {key: called(method, twin, inputs, targets, batch_size) for key, method in named.items()}
        for name, twin in twins.items()
    }
    pairs = [(explained["true"][key].heatmap(), explained["permuted"][key].heatmap()) for key in named]
    alike = [[Reference(one).similarity(two) for one, two in zip(*pair, strict=True)] for pair in pairs]
    return LabelReport(list(named), accuracy, by_measure(alike), explained)


def _shuffled(
    x: NDArray, y: NDArray, orders: Sequence[NDArray], batch_size: int
) -> Iterator[tuple[NDArray, NDArray]]:
    """Batches of all epochs, shuffled here: Keras would use the global random state."""
    for order in orders:
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            yield x[rows], y[rows]
