"""A detector that is trained on the spot finds two digits in a picture: why each of them? Writes FOLDER/detections.png."""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

import tfxai

folder = Path(*sys.argv[1:2])
keras.utils.set_random_seed(0)
digits, rng = load_digits(), np.random.default_rng(0)


def scenes(count):
    """Two digits of 16 x 16 pixels in two quarters of a dark canvas; for each quarter: is one there, where, and which."""
    images = rng.uniform(0, 0.1, (count, 48, 48, 1)).astype("float32")
    answers = np.zeros((count, 2, 2, 13), "float32")
    for image, answer in zip(images, answers, strict=True):
        for quarter in rng.choice(4, 2, replace=False):
            row, column = divmod(quarter, 2)
            which, (down, right) = rng.integers(len(digits.images)), rng.integers(0, 8, 2)
            y, x = 24 * row + down, 24 * column + right
            image[y : y + 16, x : x + 16, 0] += np.kron(digits.images[which] / 16, np.ones((2, 2)))
            answer[row, column, :3] = 1, down / 8, right / 8
            answer[row, column, 3 + digits.target[which]] = 1
    return images, answers


def loss(truth, found):
    there = truth[..., :1]
    sure = tf.nn.sigmoid_cross_entropy_with_logits(there, found[..., :1])
    place = 4 * there * tf.square(truth[..., 1:3] - found[..., 1:3])
    kind = there * tf.nn.sigmoid_cross_entropy_with_logits(truth[..., 3:], found[..., 3:])
    return tf.reduce_mean(tf.concat([sure, place, kind], -1), (1, 2, 3))


L = keras.layers
detector = keras.Sequential([keras.Input((48, 48, 1))])
for width in (16, 32, 64):
    detector.add(L.Conv2D(width, 3, padding="same", activation="relu", name=f"maps_{width}"))
    detector.add(L.MaxPooling2D())
detector.add(L.Conv2D(13, 3, strides=3))
detector.compile(keras.optimizers.Adam(3e-3), loss)
detector.fit(*scenes(3000), batch_size=64, epochs=10, verbose=0)


def read(outputs, size):
    """How the detector's numbers are read: a box for each quarter, and the log of the probability of each digit in it."""
    corners = 8 * outputs[..., 1:3] + tf.constant([[[0.0, 0.0], [0.0, 24.0]], [[24.0, 0.0], [24.0, 24.0]]])
    boxes = tf.reshape(tf.concat([corners, corners + 16], -1), (-1, 4, 4))
    logs = tf.math.log_sigmoid(outputs[..., :1]) + tf.math.log_sigmoid(outputs[..., 3:])
    return {"boxes": boxes, "logs": tf.reshape(logs, (-1, 4, 10))}


score = tfxai.scores.detection(read)
images, answers = scenes(8)
best = tfxai.boxes(k=2)  # the two surest boxes of each picture
cam = tfxai.LayerCAM(layer="maps_64")(detector, images, best, score=score)
integrated = tfxai.IntegratedGradients()(detector, images, best, score=score)
hidden = tfxai.Occlusion(window=4, stride=2, baseline=0.05)(detector, images, best, score=score)


def share_inside(explanation, of_the_other=False):
    """How much of the positive evidence lies inside of its own box, or of the other one: (pictures, 2)."""
    boxes = explanation.references["boxes"].round().astype(int).clip(0, 48)
    boxes = boxes[:, ::-1] if of_the_other else boxes
    evidence = np.maximum(explanation.heatmap(), 0)
    inside = np.zeros(evidence.shape[:2])
    for n, k in np.ndindex(inside.shape):
        y0, x0, y1, x1 = boxes[n, k]
        inside[n, k] = evidence[n, k, y0:y1, x0:x1].sum() / evidence[n, k].sum()
    return inside


found = {"Layer-CAM": cam, "Integrated gradients": integrated, "Occlusion": hidden}
print("Share of the positive evidence in its own box, and in that of the other digit")
for name, explanation in found.items():
    print(
        f"  {name:22} {share_inside(explanation).mean():6.1%} {share_inside(explanation, True).mean():6.1%}"
    )
tfxai.plots.compare({name: each[:3] for name, each in found.items()}).savefig(folder / "detections.png")
print(f"Picture: {folder / 'detections.png'}")
