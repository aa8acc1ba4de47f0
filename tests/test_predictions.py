import keras
import numpy as np
import pytest
from scipy.special import expit, softmax

from tfxai.predictions import probabilities

INPUTS = np.random.default_rng(0).normal(size=(5, 7)).astype("float32")


def model_with(units, activation=None):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((7,)), keras.layers.Dense(units, activation=activation)])


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_logits_become_their_softmax_whatever_the_batch(batch_size):
    model = model_with(4)
    found = probabilities(model, INPUTS, batch_size=batch_size)
    np.testing.assert_allclose(found, softmax(model(INPUTS).numpy(), axis=1), rtol=1e-5)


def test_probabilities_stay_as_they_are():
    for activation in ("softmax", "sigmoid"):
        model = model_with(4, activation)
        np.testing.assert_allclose(probabilities(model, INPUTS), model(INPUTS).numpy(), rtol=1e-5)


def test_one_sigmoid_unit_has_two_classes():
    model = model_with(1, "sigmoid")
    unit = expit(INPUTS @ model.weights[0].numpy())[:, 0]
    np.testing.assert_allclose(probabilities(model, INPUTS), np.stack([1 - unit, unit], 1), rtol=1e-5)


def test_one_of_several_outputs_is_chosen_by_name():
    row = keras.Input((7,))
    heads = {name: keras.layers.Dense(units, name=name)(row) for name, units in (("kind", 3), ("colour", 2))}
    model = keras.Model(row, heads)
    expected = softmax(model(INPUTS)["colour"].numpy(), axis=1)
    np.testing.assert_allclose(probabilities(model, INPUTS, output="colour"), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="2 outputs: 'kind'"):
        probabilities(model, INPUTS)
