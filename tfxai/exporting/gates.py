"""Gradients of activations as products: a gate that is open or closed, or a formula."""

from __future__ import annotations

import tensorflow as tf

from tfxai.exporting.calls import Call, Rules
from tfxai.support import Tensor

SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772  # of SELU, arXiv:1706.02515, equation 14


def _open(gate: Tensor, gradient: Tensor) -> Tensor:
    """What goes through where a gate is open."""
    return gradient * tf.cast(gate, gradient.dtype)


def _relu(call: Call) -> Tensor:
    gradient, features = call.inputs
    return _open(features > 0, gradient)


def _relu6(call: Call) -> Tensor:
    gradient, features = call.inputs
    return _open(tf.logical_and(features > 0, features < 6), gradient)


def _leaky_relu(call: Call) -> Tensor:
    gradient, features = call.inputs
    return tf.where(features > 0, gradient, gradient * call.attr("alpha"))


def _elu(call: Call) -> Tensor:
    gradient, outputs = call.inputs
    return tf.where(outputs < 0, gradient * (outputs + 1), gradient)


def _selu(call: Call) -> Tensor:
    gradient, outputs = call.inputs
    return gradient * tf.where(outputs < 0, outputs + SCALE * ALPHA, SCALE)


def _softplus(call: Call) -> Tensor:
    gradient, features = call.inputs
    return gradient * tf.sigmoid(features)


def _softsign(call: Call) -> Tensor:
    gradient, features = call.inputs
    return gradient / tf.square(1 + tf.abs(features))


def _sigmoid(call: Call) -> Tensor:
    outputs, gradient = call.inputs
    return gradient * outputs * (1 - outputs)


def _tanh(call: Call) -> Tensor:
    outputs, gradient = call.inputs
    return gradient * (1 - tf.square(outputs))


def _rsqrt(call: Call) -> Tensor:
    outputs, gradient = call.inputs
    return gradient * (-0.5 * outputs * outputs * outputs)


def _sqrt(call: Call) -> Tensor:
    outputs, gradient = call.inputs
    return 0.5 * gradient / outputs


def _reciprocal(call: Call) -> Tensor:
    outputs, gradient = call.inputs
    return -gradient * outputs * outputs


# Products and quotients in which zero wins, as gradients of powers and logarithms have them.


def zero_where(closed: Tensor, value: Tensor) -> Tensor:
    """A value, but 0 where it is closed, also in the place of what is no number."""
    return tf.where(closed, tf.zeros([], value.dtype), value)


def _safe(divisor: Tensor) -> Tensor:
    """A divisor with ones for zeros; what is divided there is not used."""
    return tf.where(tf.equal(divisor, 0), tf.ones([], divisor.dtype), divisor)


def _mul_no_nan(call: Call) -> Tensor:
    x, y = call.inputs
    return zero_where(tf.equal(y, 0), x * y)


def _div_no_nan(call: Call) -> Tensor:
    x, y = call.inputs
    return zero_where(tf.equal(y, 0), x / _safe(y))


def _x_div_y(call: Call) -> Tensor:
    x, y = call.inputs
    return zero_where(tf.equal(x, 0), x / y)


def _x_log_y(call: Call) -> Tensor:
    x, y = call.inputs
    return zero_where(tf.equal(x, 0), x * tf.math.log(y))


def _cross_entropy(call: Call) -> list[Tensor]:
    """The loss of each row, and its gradient with respect to the features."""
    features, labels = call.inputs
    return _loss_of(features, labels)


def _sparse_cross_entropy(call: Call) -> list[Tensor]:
    features, labels = call.inputs
    return _loss_of(features, tf.one_hot(labels, features.shape[-1], dtype=features.dtype))


def _loss_of(features: Tensor, labels: Tensor) -> list[Tensor]:
    logarithms = tf.nn.log_softmax(features)
    return [-tf.reduce_sum(labels * logarithms, -1), tf.nn.softmax(features) - labels]


def _choice(call: Call) -> Tensor:
    """Whole rows, or numbers one by one."""
    condition, yes, no = call.inputs
    if condition.shape.rank == 1 and (yes.shape.rank or 0) > 1:
        condition = tf.reshape(condition, [-1, *[1] * (yes.shape.rank - 1)])
    return tf.where(condition, yes, no)


RULES: Rules = {
    "Select": _choice,
    "ReluGrad": _relu,
    "Relu6Grad": _relu6,
    "LeakyReluGrad": _leaky_relu,
    "EluGrad": _elu,
    "SeluGrad": _selu,
    "SoftplusGrad": _softplus,
    "SoftsignGrad": _softsign,
    "SigmoidGrad": _sigmoid,
    "TanhGrad": _tanh,
    "RsqrtGrad": _rsqrt,
    "SqrtGrad": _sqrt,
    "ReciprocalGrad": _reciprocal,
    "InvGrad": _reciprocal,
    "MulNoNan": _mul_no_nan,
    "DivNoNan": _div_no_nan,
    "Xdivy": _x_div_y,
    "Xlogy": _x_log_y,
    "SoftmaxCrossEntropyWithLogits": _cross_entropy,
    "SparseSoftmaxCrossEntropyWithLogits": _sparse_cross_entropy,
}
