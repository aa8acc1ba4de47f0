"""Where does a network of your own look, and what tips its mistakes? Writes two pictures to the FOLDER it is given."""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tfxai
from tfxai import photos, plots

folder = Path(*sys.argv[1:2])
keras.utils.set_random_seed(0)


class DigitNet(keras.Model):
    """Subclassed, with a model inside and a ReLU that is no layer: nothing has to be rewritten for tfxai."""

    def __init__(self):
        super().__init__()
        sizes = (16, 4, 2), (32, 4, 2), (64, 3, 1)  # filters, kernel, stride
        stack = [layers.Conv2D(*size, padding="same", activation="relu") for size in sizes]
        stack = [layers.Rescaling(1 / 255), *stack, layers.GlobalAveragePooling2D()]
        self.backbone = keras.Sequential(stack, name="backbone")
        self.hidden, self.classes = layers.Dense(32), layers.Dense(10)

    def call(self, inputs):
        return self.classes(tf.nn.relu(self.hidden(self.backbone(inputs))))


def lead(outputs, targets):
    """A score of our own: how far the target is ahead of the best other class."""
    own = tf.one_hot(targets, 10, on_value=True, off_value=False)
    return tf.boolean_mask(outputs, own) - tf.reduce_max(tf.where(own, -1e9, outputs), axis=1)


digits = load_digits()
large = np.stack([photos.fit(image[..., None] * (255 / 16), (32, 32)) for image in digits.images])
train, images, known, truth = train_test_split(large, digits.target, random_state=0)
model, labels = DigitNet(), [f"a {digit}" for digit in range(10)]
model.compile(keras.optimizers.Adam(0.004), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(train, known, epochs=15, verbose=0)
predicted = model.predict(images, verbose=0).argmax(axis=1)
right, wrong = np.flatnonzero(predicted == truth), np.flatnonzero(predicted != truth)
print(f"{len(right)} of {len(truth)} digits are read right; Grad-CAM looks at {tfxai.layers(model).chosen}")

methods = {"Grad-CAM": tfxai.GradCAM(), "Gradient": tfxai.Gradient(), "DeepLIFT": tfxai.DeepLIFT()}
found = {name: method(model, images[right[:4]]) for name, method in methods.items()}
plots.compare(found, labels).savefig(folder / "digits.png")

# Red put the wrong digit ahead of the next best, blue spoke against it.
mistakes = tfxai.IntegratedGradients(tolerance="1%")(model, images[wrong], score=lead)
plots.show(mistakes, labels, truth[wrong], limit=4).savefig(folder / "mistakes.png")
for said, own, score in list(zip(mistakes.targets, truth[wrong], mistakes.scores, strict=True))[:4]:
    print(f"  a {own} is taken for a {said}, which is ahead by {score:.2f}")
