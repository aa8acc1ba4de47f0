"""A detector that is trained on the spot finds two digits in a picture: why each of them? Writes FOLDER/detections.png."""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

import tfxai

keras.utils.set_random_seed(0)
digits, rng, L = load_digits(), np.random.default_rng(0), keras.layers


def scenes(count):
    """Two digits in two quarters of a dark canvas; for each quarter: is one there, where, and which."""
    images = rng.uniform(0, 0.1, (count, 48, 48, 1)).astype("float32")
    answers = np.zeros((count, 2, 2, 13), "float32")
    for image, answer in zip(images, answers, strict=True):
        for quarter in rng.choice(4, 2, replace=False):
            row, column = divmod(quarter, 2)
            which, (down, right) = rng.integers(len(digits.images)), rng.integers(0, 8, 2)
            y, x = 24 * row + down, 24 * column + right
            image[y : y + 16, x : x + 16, 0] += np.kron(digits.images[which] / 16, np.ones((2, 2)))
            answer[row, column, [0, 3 + digits.target[which]]] = 1
            answer[row, column, 1:3] = down / 8, right / 8
    return images, answers


def loss(truth, found):
    there, crossed = truth[..., :1], tf.nn.sigmoid_cross_entropy_with_logits(truth, found)
    place = 4 * there * tf.square(truth[..., 1:3] - found[..., 1:3])
    return tf.reduce_mean(tf.concat([crossed[..., :1], place, there * crossed[..., 3:]], -1), (1, 2, 3))


def read(outputs, size):
    """How the detector's numbers are read: a box for each quarter, and the log of the probability of each digit in it."""
    corners = 8 * outputs[..., 1:3] + tf.constant([[[0.0, 0.0], [0.0, 24.0]], [[24.0, 0.0], [24.0, 24.0]]])
    logs = tf.math.log_sigmoid(outputs[..., :1]) + tf.math.log_sigmoid(outputs[..., 3:])
    boxes = tf.concat([corners, corners + 16], -1)
    return {"boxes": tf.reshape(boxes, (-1, 4, 4)), "logs": tf.reshape(logs, (-1, 4, 10))}


convolutions = [L.Conv2D(n, 3, padding="same", activation="relu", name=f"maps_{n}") for n in (16, 32, 64)]
pooled = [layer for each in convolutions for layer in (each, L.MaxPooling2D())]
detector = keras.Sequential([keras.Input((48, 48, 1)), *pooled, L.Conv2D(13, 3, strides=3)])
detector.compile(keras.optimizers.Adam(3e-3), loss)
detector.fit(*scenes(3000), batch_size=64, epochs=10, verbose=0)
asked = {"targets": tfxai.boxes(k=2), "score": tfxai.scores.detection(read)}  # the two surest boxes of each
cam, path = tfxai.LayerCAM(layer="maps_64"), tfxai.IntegratedGradients()
methods = {"Layer-CAM": cam, "IG": path, "Occlusion": tfxai.Occlusion(window=4, stride=2, baseline=0.05)}
images = scenes(8)[0]
found = {name: method(detector, images, **asked) for name, method in methods.items()}
print("Digits that are found:", *found["IG"].targets.tolist())
tfxai.plots.compare({name: each[:3] for name, each in found.items()}).savefig(
    Path(*sys.argv[1:2]) / "detections.png"
)
