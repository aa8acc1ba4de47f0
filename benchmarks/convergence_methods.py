"""tfxai's sampling and path methods against very long runs of themselves, on one small image model; LIME beside `lime`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras
import model_games
import numpy as np
from lime import lime_image

import tfxai

IMAGES, SIDE = 4, 6
COUNTS = (50, 200, 1000, 4000)  # passes
LONG = 40_000  # ten times the most: errors look a twentieth too large there
CELL = np.arange(24) * SIDE // 24
LABELS = CELL[:, None] * SIDE + CELL


def measured() -> Iterator[tuple[str, int, int, int, float]]:
    """Method, number of the image, passes asked for, passes, relative error."""
    keras.utils.set_random_seed(0)
    model, images, classes = model_games.image_model()
    asked, targets, behind = images[:IMAGES], classes[:IMAGES].tolist(), images[100:200]

    for name, (method, longest) in _methods(behind).items():
        truth = _values(method(longest, 1), model, asked, targets)
        for passes in COUNTS[: 3 if name == "IntegratedGradients" else None]:  # exact long before
            values = _values(method(passes, 0), model, asked, targets)
            for image in range(IMAGES):
                yield name, image, passes, passes, _off(values[image], truth[image])
    truth = _lime(model, asked, targets, LONG, 1)
    for passes in COUNTS:
        values = _lime(model, asked, targets, passes, 0)
        for image in range(IMAGES):
            yield "lime", image, passes, passes, _off(values[image], truth[image])


def _methods(behind: np.ndarray) -> dict[str, tuple[Callable[[int, int], tfxai.Method], int]]:
    """(passes, seed) -> method, and the passes of the run that is taken for the truth."""
    lime = {"segmenter": LABELS, "hide": 0.0}
    return {
        "IntegratedGradients": (_integrated, 20_000),
        "SmoothGrad": (lambda n, seed: tfxai.SmoothGrad(samples=n, seed=seed), LONG),
        "ExpectedGradients": (lambda n, seed: tfxai.ExpectedGradients(behind, samples=n, seed=seed), LONG),
        "RISE": (lambda n, seed: tfxai.RISE(samples=n, seed=seed), LONG),
        "PartitionSHAP": (lambda n, _: tfxai.PartitionSHAP(evals=n), LONG),
        "KernelSHAP": (
            lambda n, seed: tfxai.KernelSHAP(samples=n, segmenter=LABELS, background=0.0, seed=seed),
            LONG,
        ),
        "LIME": (lambda n, seed: tfxai.LIME(samples=n, seed=seed, **lime), LONG),
    }


def _integrated(steps: int, seed: int) -> tfxai.Method:
    """With the rule of old where the nodes of Gauss would take longer than the passes."""
    rule = "midpoint" if steps > COUNTS[-1] else "gauss_legendre"
    return tfxai.IntegratedGradients(steps=steps, rule=rule)


def _values(method: tfxai.Method, model: keras.Model, images: np.ndarray, targets: list[int]) -> np.ndarray:
    """(images, pixels); of RISE without the mean, which says nothing of places."""
    values = method(model, images, targets).values.reshape(len(images), -1).astype(np.float64)
    return values - values.mean(1, keepdims=True) if isinstance(method, tfxai.RISE) else values


def _lime(model: keras.Model, images: np.ndarray, targets: list[int], samples: int, seed: int) -> np.ndarray:
    """(images, segments) weights of `lime`, with the same segments, kernel and hiding; it wants colours."""

    def forward(batch: np.ndarray) -> np.ndarray:
        return model.predict_on_batch(batch[..., :1].astype(np.float32))

    weights = np.zeros((len(images), SIDE**2))
    for image, target, row in zip(images, targets, weights, strict=True):
        explainer = lime_image.LimeImageExplainer(kernel_width=0.25, random_state=seed)
        found = explainer.explain_instance(
            np.repeat(image, 3, axis=2).astype("double"),
            forward,
            labels=(target,),
            top_labels=None,
            hide_color=0,
            num_samples=samples,
            batch_size=500,
            segmentation_fn=lambda _: LABELS,
            distance_metric="cosine",
        )
        for segment, weight in found.local_exp[target]:
            row[segment] = weight
    return weights


def _off(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))
