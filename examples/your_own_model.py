"""A small network learns handwritten digits; where does it look, and what tips its mistakes? Some seconds.

python examples/your_own_model.py [FOLDER]    writes digits.png and mistakes.png
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tfxai
from tfxai import plots

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
folder.mkdir(parents=True, exist_ok=True)


class DigitNet(keras.Model):
    """Subclassed, with a model inside and an operation that is no layer: nothing has to be rewritten for tfxai."""

    def __init__(self):
        super().__init__()
        convolutions = [layers.Conv2D(32, 3, padding="same", activation="relu") for _ in range(3)]
        self.backbone = keras.Sequential([layers.Rescaling(1 / 16), *convolutions], name="backbone")
        self.hidden, self.classes = layers.Dense(32), layers.Dense(10)

    def call(self, inputs):
        return self.classes(tf.nn.relu(self.hidden(layers.Flatten()(self.backbone(inputs)))))


def lead(outputs, targets):
    """How far the target is ahead of the best other class: a score of our own."""
    own = tf.one_hot(targets, 10, on_value=True, off_value=False)
    others = tf.reduce_max(tf.where(own, -1e9, outputs), axis=1)
    return tf.gather(outputs, targets, axis=1, batch_dims=1) - others


keras.utils.set_random_seed(0)
digits = load_digits()
train, images, train_labels, truth = train_test_split(digits.images[..., None], digits.target, random_state=0)
model = DigitNet()
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(train, train_labels, epochs=5, verbose=0)
predicted = model.predict(images, verbose=0).argmax(axis=1)
wrong = np.flatnonzero(predicted != truth)
print(f"{np.mean(predicted == truth):.1%} of {len(truth)} digits are right, {len(wrong)} are not")
print("Grad-CAM reads", tfxai.layers(model, images[:1]).chosen)

right = np.flatnonzero(predicted == truth)[:4]
methods = {"Grad-CAM": tfxai.GradCAM(), "Gradient": tfxai.Gradient(), "DeepLIFT": tfxai.DeepLIFT()}
found = {name: method(model, images[right]) for name, method in methods.items()}
plots.compare(found, [f"a {k}" for k in range(10)]).savefig(folder / "digits.png")

# Two maps of each mistake: what puts the predicted digit ahead, and what the true one lacks.
both = np.stack([predicted[wrong], truth[wrong]], axis=1)
mistakes = tfxai.DeepLIFT()(model, images[wrong], both, score=lead)
plots.show(mistakes, [f"a {k}" for k in range(10)], truth[wrong], limit=4).savefig(folder / "mistakes.png")
error = np.abs(mistakes.delta).max()
for (said, is_), (ahead, behind) in zip(both[:4], mistakes.scores[:4], strict=True):
    print(f"  a {is_} taken for a {said}: ahead by {ahead:.2f}, the {is_} behind by {-behind:.2f}")
print(f"The evidence adds up to the lead over an empty picture: error at most {error:.0e}")
print(f"Pictures: {folder / 'digits.png'}, {folder / 'mistakes.png'}")
