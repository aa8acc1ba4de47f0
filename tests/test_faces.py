"""A real detector: MTCNN's three Keras networks with their weights, on a photo of a face."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from skimage import data, transform

import tfxai

mtcnn = pytest.importorskip("mtcnn")  # pip install --no-deps mtcnn==1.0.0 lz4 joblib
pytestmark = pytest.mark.slow
PHOTO = data.astronaut()[:256, 100:356].astype(np.float32)


@pytest.fixture(scope="module")
def detector() -> Any:
    return mtcnn.MTCNN()


def test_what_hides_the_face_costs_its_box(detector: Any) -> None:
    """The detector as a function on arrays, with its suppression inside."""

    def faces(images: np.ndarray) -> dict[str, np.ndarray]:
        boxes, confidence = np.zeros((len(images), 3, 4), np.float32), np.zeros((len(images), 3), np.float32)
        for n, image in enumerate(np.asarray(images)):
            for i, face in enumerate(detector.detect_faces(np.clip(image, 0, 255).astype(np.uint8))[:3]):
                left, top, width, height = face["box"]
                boxes[n, i], confidence[n, i] = (top, left, top + height, left + width), face["confidence"]
        return {"boxes": boxes, "confidence": confidence, "labels": np.zeros(confidence.shape, np.int32)}

    asked = {"targets": tfxai.boxes(k=1), "score": tfxai.scores.detection()}
    found = tfxai.Occlusion(window=32, stride=16, baseline=128.0)(faces, PHOTO[None], **asked)
    top, left, bottom, right = found.references["boxes"][0, 0].astype(int)
    assert 50 < top < 70 and 165 < bottom < 185 and 70 < left < 85 and 160 < right < 180  # where the face is
    heat = found.heatmap()[0, 0]
    near = np.zeros_like(heat, bool)
    near[top - 32 : bottom + 32, left - 32 : right + 32] = (
        True  # a window that only touches the face says so everywhere
    )
    assert heat[near].sum() >= 0.9 * heat.sum()
    peak = np.unravel_index(heat.argmax(), heat.shape)
    assert top <= peak[0] <= bottom and left <= peak[1] <= right
    with pytest.raises(ValueError, match="Gradients need"):
        tfxai.Gradient()(faces, PHOTO[None], **asked)


def test_each_landmark_is_read_where_it_is(detector: Any) -> None:
    """The last network's numbers: how far down each eye, the nose and each corner of the mouth are."""
    network = detector.stages[2].model
    left, top, width, height = detector.detect_faces(PHOTO.astype(np.uint8))[0]["box"]
    side, y, x = max(width, height) / 2, top + height / 2, left + width / 2
    crop = PHOTO[int(y - side) : int(y + side), int(x - side) : int(x + side)]
    face = (transform.resize(crop, (48, 48)).astype(np.float32)[None] - 127.5) / 128
    places = np.asarray(network(face)[1])[0].reshape(2, 5)[::-1].T  # (5, y and x)
    rows, columns = (np.mgrid[:48, :48] + 0.5) / 48
    for i in range(5):
        score = tfxai.scores.regression(5 + i, output=1)
        heat = np.abs(
            tfxai.Occlusion(window=9, stride=3, baseline=0.0)(network, face, score=score).heatmap()[0]
        )
        strongest = np.where(heat >= np.quantile(heat, 0.95), heat, 0)
        middle = np.array([(strongest * axis).sum() for axis in (rows, columns)]) / strongest.sum()
        distances = np.linalg.norm(places - middle, axis=1)
        assert distances.argmin() == i and distances[i] < 0.2
