"""What LiteRT's builtin operations lack."""

from __future__ import annotations

import functools

import tensorflow as tf

from tfxai.exporting.calls import Call, Refused, Rules
from tfxai.exporting.gates import zero_where
from tfxai.support import Tensor

# A gate as min(STEEP * x, 1): LiteRT's quick kernels (XNNPACK) know products and minima, comparisons and casts they leave to slow
# ones. It is exact for all numbers above 1e-37, and not read as open below.
STEEP = 1e37


def _relu(call: Call) -> Tensor:
    gradient, features = call.inputs
    return gradient * _gate(features, features)


def _relu6(call: Call) -> Tensor:
    gradient, features = call.inputs
    return gradient * _gate((6 - features) * features, features)


def _added(call: Call) -> Tensor:
    """One by one, for the same reason."""
    return functools.reduce(tf.add, call.inputs)


def _gate(height: Tensor, features: Tensor) -> Tensor:
    """1 where a height is above zero, else 0; of what a ReLU has put out no height is below."""
    if features.op.type not in ("Relu", "Relu6"):
        height = tf.nn.relu(height)
    return tf.minimum(height * STEEP, 1)


# Abramowitz, Stegun: Handbook of Mathematical Functions, 1964, formula 7.1.26; |error| <= 1.5e-7, as much as float32 has
P = 0.3275911
COEFFICIENTS = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)


def _erf(call: Call) -> Tensor:
    return erf(call.inputs[0])


def _erfc(call: Call) -> Tensor:
    return 1 - erf(call.inputs[0])


def _x_log1p_y(call: Call) -> Tensor:
    x, y = call.inputs
    return zero_where(tf.equal(x, 0), x * tf.math.log1p(y))


def erf(x: Tensor) -> Tensor:
    """The error function. Its absolute error is below 5e-7 in float32."""
    t = 1 / (1 + P * tf.abs(x))
    polynomial = tf.zeros_like(t)
    for coefficient in reversed(COEFFICIENTS):
        polynomial = (polynomial + coefficient) * t
    return tf.sign(x) * (1 - polynomial * tf.exp(-tf.square(x)))


def _tan(call: Call) -> Tensor:
    return tf.sin(call.inputs[0]) / tf.cos(call.inputs[0])


def _sinh(call: Call) -> Tensor:
    return (tf.exp(call.inputs[0]) - tf.exp(-call.inputs[0])) / 2


def _cosh(call: Call) -> Tensor:
    return (tf.exp(call.inputs[0]) + tf.exp(-call.inputs[0])) / 2


def _pool3d(call: Call) -> Tensor:
    """First over height and width, then over depth: the largest of the largest; and means, where windows are all of a size."""
    x = call.inputs[0]
    size, steps, padding = call.attr("ksize"), call.attr("strides"), call.attr("padding")
    pool = tf.nn.max_pool2d if call.op.type == "MaxPool3D" else tf.nn.avg_pool2d
    _, depth, height, width, channels = x.shape.as_list()
    if None in (depth, height, width, channels) or call.attr("data_format") != "NDHWC":
        raise Refused(f"{call.op.type} ('{call.op.name}') with channels first, or of open sizes")
    flat = pool(tf.reshape(x, [-1, height, width, channels]), size[2:4], steps[2:4], padding)
    high, wide = flat.shape[1:3]
    assert isinstance(high, int) and isinstance(wide, int)  # as their input is
    deep = pool(tf.reshape(flat, [-1, depth, high * wide, channels]), [size[1], 1], [steps[1], 1], padding)
    return tf.reshape(deep, [-1, deep.shape[1], high, wide, channels])


def _product(call: Call) -> Tensor | None:
    if call.inputs[0].dtype.is_integer:
        raise Refused(f"{call.op.type} ('{call.op.name}') of whole numbers")
    return None


RULES: Rules = {
    "ReluGrad": _relu,
    "Relu6Grad": _relu6,
    **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), _product),
    "AddN": _added,
    "Erf": _erf,
    "Erfc": _erfc,
    "Xlog1py": _x_log1p_y,
    "Tan": _tan,
    "Sinh": _sinh,
    "Cosh": _cosh,
    "MaxPool3D": _pool3d,
    "AvgPool3D": _pool3d,
}
