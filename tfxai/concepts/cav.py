"""Concept activation vectors: the direction in which a linear classifier tells a concept from other images."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.svm import SVC, LinearSVC

Classifier = Literal["logistic", "sgd", "svm", "mean_difference"]
CLASSIFIERS = ("logistic", "sgd", "svm", "mean_difference")
PENALTY = 10.0  # C of scikit-learn
MANY = 1000  # rows, and columns, from which a fit must not take the square of their number


def concept_vector(
    positives: NDArray[np.float32],
    negatives: NDArray[np.float32],
    classifier: Classifier,
    generator: np.random.Generator,
) -> tuple[NDArray[np.float32], float]:
    """The unit vector (D,) that points towards the concept, and the classifier's balanced accuracy on held-out rows.

    A random half of each kind is learnt from, the other half is held out.

    positives, negatives: (n, D), (m, D): activations of the concept's images, and of others.

    Raises ValueError if all rows that are learnt from are identical.
    """
    halves = [_halves(rows, generator) for rows in (positives, negatives)]
    (positives, held_positives), (negatives, held_negatives) = halves
    rows = np.concatenate([positives, negatives])
    of_concept = np.arange(len(rows)) < len(positives)
    centre = (positives.mean(axis=0) + negatives.mean(axis=0)) / 2
    rows = rows - centre
    largest = np.abs(rows).max()
    unit = largest if largest > 0 else 1.0  # squares of very large or small activations are out of range
    direction, intercept = _direction(rows / unit, of_concept, classifier, generator)
    right = [
        np.mean((held_positives - centre) / unit @ direction + intercept > 0),
        np.mean((held_negatives - centre) / unit @ direction + intercept <= 0),
    ]
    length = np.linalg.norm(direction)
    vector = direction / length if length else direction
    return vector.astype(np.float32, copy=False), float(np.mean(right))


def _halves(rows: NDArray, generator: np.random.Generator) -> tuple[NDArray, NDArray]:
    order = generator.permutation(len(rows))
    half = (len(rows) + 1) // 2
    return rows[order[:half]], rows[order[half:]]


def _direction(
    rows: NDArray, of_concept: NDArray[np.bool_], classifier: Classifier, generator: np.random.Generator
) -> tuple[NDArray[np.float32], float]:
    """Weights (D,) and intercept of a linear classifier of rows (n, D).

    Classifiers with a quadratic penalty find a weighted sum of the rows they learn from. So they are fitted in the few
    coordinates that these rows span, or the columns, with the same answer as in all D, which may be millions. Where both
    are many, the rows are learnt from as they are: coordinates would take the square of their number.
    """
    squares = np.einsum("nd,nd->n", rows, rows, dtype=np.float64)
    if not squares.any():
        raise ValueError("The images of a concept and the random ones are all identical in this layer.")
    scale = np.sqrt(squares.mean())  # the penalty then means the same in every layer
    if min(rows.shape) > MANY:
        weights, intercept = _fitted(rows / np.float32(scale), of_concept, classifier, generator)
        return (weights / scale).astype(np.float32), intercept
    few_rows = len(rows) <= rows.shape[1]
    gram = (rows @ rows.T if few_rows else rows.T @ rows).astype(np.float64)
    values, vectors = np.linalg.eigh(gram)
    kept = values > values.max() * 1e-6
    root, vectors = np.sqrt(values[kept]), vectors[:, kept]
    coordinates = vectors * root if few_rows else rows @ vectors
    weights, intercept = _fitted(coordinates / scale, of_concept, classifier, generator)
    if not few_rows:
        return (vectors @ (weights / scale)).astype(np.float32), intercept
    return ((vectors @ (weights / scale / root)).astype(np.float32) @ rows).astype(np.float32), intercept


def _fitted(
    rows: NDArray, of_concept: NDArray[np.bool_], classifier: Classifier, generator: np.random.Generator
) -> tuple[NDArray, float]:
    """Weights and intercept in the coordinates of the rows."""
    if classifier == "mean_difference":  # rows are centred between both means already
        return rows[of_concept].mean(axis=0) - rows[~of_concept].mean(axis=0), 0.0
    state, many = int(generator.integers(2**31)), len(rows) > MANY
    solver = "lbfgs" if min(rows.shape) > MANY else "newton-cholesky"
    model: Any = {
        "logistic": lambda: LogisticRegression(
            C=PENALTY, class_weight="balanced", solver=solver, max_iter=1000
        ),
        "sgd": lambda: SGDClassifier(
            alpha=1 / (PENALTY * len(rows)), class_weight="balanced", random_state=state
        ),
        # The exact one takes the square of the rows, or more.
        "svm": lambda: (
            LinearSVC(C=PENALTY, class_weight="balanced", loss="hinge", random_state=state, tol=1e-2)
            if many
            else SVC(kernel="linear", C=PENALTY, class_weight="balanced", random_state=state)
        ),
    }[classifier]()
    model.fit(rows, of_concept)
    return model.coef_[0], float(model.intercept_[0])
