"""Where an input equals its baseline it contributes nothing, also where its gradient is infinite or no number."""

import numpy as np
import pytest
import tensorflow as tf

import tfxai
from tfxai.engines import Method

X = np.array([[3.0, 4.0, 0.0, 0.0]], np.float32)


def norms(x: tf.Tensor) -> tf.Tensor:
    """The sum of the lengths of pairs, whose gradient at a pair of zeros is 0 / 0."""
    return tf.reduce_sum(tf.norm(tf.reshape(x, (-1, 2, 2)), axis=-1), axis=1)


@pytest.mark.parametrize(
    "method",
    [
        tfxai.IntegratedGradients(),
        tfxai.InputXGradient(),
        tfxai.ExpectedGradients(np.zeros((1, 4), np.float32), samples=50),
        tfxai.LRP(),
        tfxai.IntegratedGradients(tolerance="1%"),
    ],
    ids=lambda method: type(method).__name__,
)
def test_a_pair_that_is_zero_gets_zero(method: Method) -> None:
    np.testing.assert_allclose(method(norms, X).values, [[1.8, 3.2, 0, 0]], rtol=1e-4)


def test_what_stays_no_number_is_told() -> None:
    with pytest.warns(UserWarning, match="2 of 4 values are no numbers"):
        tfxai.Gradient()(norms, X)
