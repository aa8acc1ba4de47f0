"""What ONNX lacks, or what the converter writes otherwise than TensorFlow means it."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfxai.exporting import windows
from tfxai.exporting.calls import Call, Refused, Rules
from tfxai.exporting.gates import zero_where
from tfxai.support import Tensor


def _log1p(call: Call) -> Tensor:
    return log1p(call.inputs[0])


def log1p(x: Tensor) -> Tensor:
    """log(1 + x), exact for small numbers, too: what rounding does to 1 + x, it does above and below the line."""
    large = 1 + x
    return tf.where(
        tf.equal(large, 1), x, tf.math.log(large) * (x / tf.where(tf.equal(large, 1), 1.0, large - 1))
    )


def _x_log1p_y(call: Call) -> Tensor:
    x, y = call.inputs
    return zero_where(tf.equal(x, 0), x * log1p(y))


def _erfc(call: Call) -> Tensor:
    return 1 - tf.math.erf(call.inputs[0])


def _expm1(call: Call) -> Tensor:
    """Near zero by tanh: e^x - 1 = (e^x + 1) * tanh(x / 2)."""
    x = call.inputs[0]
    return tf.where(tf.abs(x) < 1, (tf.exp(x) + 1) * tf.tanh(x / 2), tf.exp(x) - 1)


def _inverse(call: Call) -> Tensor:
    return tf.math.reciprocal(call.inputs[0])


def _half_square(call: Call) -> Tensor:
    return tf.reduce_sum(tf.square(call.inputs[0])) / 2


def _convolution(call: Call) -> Tensor | None:
    """The converter looks at the size of one row only, and takes a number of rows for a reason not to."""
    return windows.convolution(call, rows=-1)


def _convolution_of_volumes(call: Call) -> Tensor | None:
    return windows.convolution_of_volumes(call, rows=-1)


def _scattered(call: Call) -> Tensor:
    """What lands on one place is added; the converter would keep the last."""
    places, updates, shape = call.inputs
    return tf.tensor_scatter_nd_add(tf.zeros(shape, updates.dtype), places, updates)


def _resize(call: Call) -> Tensor | None:
    """The converter keeps the factor, not the size, and 9 * 13/9 may be 12: there it is a product with a matrix."""
    sizes = zip(call.shape(0)[1:3], call.constant(1).tolist(), strict=True)
    exact = all(old and int(float(np.float32(new) / np.float32(old)) * old) == new for old, new in sizes)
    return None if exact else windows.resized(call)


def _refused(call: Call) -> Tensor:
    """What the converter takes and writes as something else, and what it fails on without a name."""
    raise Refused(f"{call.op.type} ('{call.op.name}')")


def _of_whole_numbers(call: Call) -> Tensor | None:
    return _refused(call) if call.inputs[0].dtype.is_floating else None


RULES: Rules = {
    "Log1p": _log1p,
    "Xlog1py": _x_log1p_y,
    "Expm1": _expm1,
    "Erfc": _erfc,
    "Inv": _inverse,
    "Conv2DBackpropInput": _convolution,
    "Conv3DBackpropInputV2": _convolution_of_volumes,
    "L2Loss": _half_square,
    "ScatterNd": _scattered,
    "ResizeBilinear": _resize,
    "ResizeNearestNeighbor": _resize,
    "TruncateDiv": _of_whole_numbers,
    "Mod": _of_whole_numbers,
    "ResizeArea": _refused,
    "TensorListPushBack": _refused,
    "TensorListPopBack": _refused,
}
