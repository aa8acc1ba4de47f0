"""Gradients of convolutions, pooling and resizing, as convolutions and products with constant matrices."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.exporting.calls import Call, Refused, Rules
from tfxai.exporting.shapes import along, dilated, lengths, padded, padded_all
from tfxai.support import Tensor


@dataclasses.dataclass(frozen=True)
class Window:
    """How a window moves along one axis.

    length: of the axis. size: how far the window reaches. step: between two windows. rate: between two of its cells.
    before, after: how far it reaches out of the axis.
    """

    length: int
    size: int
    step: int
    rate: int
    before: int
    after: int

    @property
    def count(self) -> int:
        """How many windows there are."""
        return (self.length + self.before + self.after - self.size) // self.step + 1


def _windows(call: Call, lengths_of: Sequence[int | None], sizes: Sequence[int]) -> list[Window]:
    """Those along the axes of space of an operation on (N, ..., C). Raises Refused for other layouts and open lengths."""
    if not call.attr("data_format").endswith("C") or None in lengths_of:
        raise Refused(f"{call.op.type} ('{call.op.name}') with channels first, or of open sizes")
    steps = call.attr("strides")[1:-1]
    rates = call.attr("dilations")[1:-1] if "dilations" in call.op.node_def.attr else [1] * len(steps)
    padding = call.attr("padding")
    windows = []
    for i, (length, size, step, rate) in enumerate(zip(lengths_of, sizes, steps, rates, strict=True)):
        reach, before, after = (size - 1) * rate + 1, 0, 0
        if padding == "SAME":
            missing = max((-(-(length or 0) // step) - 1) * step + reach - (length or 0), 0)
            before, after = missing // 2, missing - missing // 2
        elif padding == "EXPLICIT":
            before, after = call.attr("explicit_paddings")[2 * i + 2 : 2 * i + 4]
        windows.append(Window(length or 0, reach, step, rate, before, after))
    return windows


# Convolutions


def convolution(call: Call, rows: int | None = None) -> Tensor | None:
    """The gradient of a convolution with respect to its input.

    Of step 1 it is a convolution with the kernel turned round, and so where the kernel is a point, dilated or in groups; else one
    that is transposed.

    rows: what to write for an open number of rows; None: the number is computed.
    """
    kernel, sizes = call.inputs[1], call.numbers(0)
    height, width, within, _ = kernel.shape.as_list()
    windows = _windows(call, sizes[1:3], [height, width])
    groups = (sizes[3] or 0) // within
    is_point = height == width == 1
    in_steps = any(window.step > 1 for window in windows) and all(window.rate == 1 for window in windows)
    if in_steps and not is_point and groups == 1:
        return _transposed(call, windows, rows)
    gradient, padding = call.inputs[2], "VALID"
    if not is_point:
        gradient, padding = _spread(gradient, windows)
    parts = tf.split(gradient, groups, 3) if groups > 1 else [gradient]
    rates = [window.rate for window in windows]
    results = [
        tf.nn.conv2d(part, turned, 1, padding, dilations=rates)
        for part, turned in zip(parts, _turned(call, groups), strict=True)
    ]
    result = tf.concat(results, 3) if groups > 1 else results[0]
    return _spread(result, windows)[0] if is_point else result


def _transposed(call: Call, windows: Sequence[Window], rows: int | None) -> Tensor:
    """Where windows do not fill the input, converters misplace what is left over: it is padded and cut here."""
    reaches = [(window.count - 1) * window.step + window.size for window in windows]
    around = [
        (window.before, reach - window.length - window.before)
        for window, reach in zip(windows, reaches, strict=True)
    ]
    usual = all(pair == (window.before, window.after) for pair, window in zip(around, windows, strict=True))
    padding = "SAME" if usual and call.attr("padding") == "SAME" else "VALID"
    sizes = reaches if padding == "VALID" else [window.length for window in windows]
    kernel, gradient = call.inputs[1:3]
    transpose = tf.nn.conv2d_transpose if len(windows) == 2 else tf.nn.conv3d_transpose
    count = gradient.shape[0] or rows or call.inputs[0][0]
    steps = [window.step for window in windows]
    result = transpose(gradient, kernel, tf.stack([count, *sizes, kernel.shape[-2]]), steps, padding)
    result.set_shape([gradient.shape[0], *sizes, kernel.shape[-2]])
    if padding == "SAME":
        return result
    return padded_all(
        result, {axis: (-before, -after) for axis, (before, after) in enumerate(around, start=1)}
    )


def convolution_of_volumes(call: Call, rows: int | None = None) -> Tensor | None:
    """The same of three axes; with holes or in groups it stays as it is."""
    sizes, shape = call.numbers(0), call.inputs[1].shape.as_list()
    windows = _windows(call, sizes[1:4], shape[:3])
    is_plain = all(window.rate == 1 for window in windows) and sizes[4] == shape[3]
    return _transposed(call, windows, rows) if is_plain else None


def _turned(call: Call, groups: int) -> list[NDArray | Tensor]:
    """For each group of channels the kernel (h, w, in, out) as (h, w, out, in), upside down and left to right."""
    value = call.values[1]
    if value is not None:  # done here once, not by every run of the file
        return [np.transpose(part[::-1, ::-1], [0, 1, 3, 2]) for part in np.split(value, groups, 3)]
    turned = tf.transpose(tf.reverse(call.inputs[1], [0, 1]), [0, 1, 3, 2])
    return tf.split(turned, groups, 2)


def _spread(gradient: Tensor, windows: Sequence[Window]) -> tuple[Tensor, Literal["SAME", "VALID"]]:
    """Gradients of windows where the windows begin, so that each place sees those of all windows that it lies in.

    The second is the padding that a convolution of step 1 has to do.
    """
    amounts = {}
    for axis, window in enumerate(windows, start=1):
        gradient = dilated(gradient, axis, window.step)
        before = window.size - 1 - window.before
        amounts[axis] = before, window.length + window.size - 1 - window.count * window.step - before
    usual = {
        axis: ((window.size - 1) // 2, window.size - 1 - (window.size - 1) // 2)
        for axis, window in enumerate(windows, start=1)
    }
    return (gradient, "SAME") if amounts == usual else (padded_all(gradient, amounts), "VALID")


def _depthwise(call: Call) -> Tensor:
    """A depthwise convolution with the kernel turned round; several outputs of one channel are added."""
    kernel, gradient = call.inputs[1], call.inputs[2]
    height, width, channels, each = kernel.shape.as_list()
    sizes = call.numbers(0)
    windows = _windows(call, sizes[1:3], [height, width])
    gradient, padding = _spread(gradient, windows)
    value = call.values[1]
    turned = tf.reverse(kernel, [0, 1]) if value is None else tf.constant(value[::-1, ::-1])
    turned = tf.reshape(turned, [height, width, channels * each, 1])
    rates = [window.rate for window in windows]
    result = tf.nn.depthwise_conv2d(gradient, turned, [1, 1, 1, 1], padding, dilations=rates)
    if each == 1:
        return result
    apart = tf.reshape(result, lengths([*result.shape.as_list()[:3], channels, each], result))
    return tf.reduce_sum(apart, -1)


# Pooling


def _max_pool(call: Call) -> Tensor:
    """The gradient goes to the first of the largest cells of each window, as TensorFlow's does."""
    inputs, outputs, gradient = call.inputs[:3]
    windows = _windows(call, inputs.shape.as_list()[1:-1], call.attr("ksize")[1:-1])
    for axis, window in enumerate(windows, start=1):
        inputs = padded(inputs, axis, window.before, window.after, inputs.dtype.min)
    free = None

    def of(offsets: Sequence[int]) -> Tensor:
        nonlocal free
        cells = _cells(inputs, windows, offsets)
        largest = tf.cast(tf.equal(cells, outputs), gradient.dtype)
        if free is None:
            free, taken = 1 - largest, largest
        else:
            taken = largest * free
            free = free - taken
        return gradient * taken

    return _put_back(of, windows)


def _cells(inputs: Tensor, windows: Sequence[Window], offsets: Sequence[int]) -> Tensor:
    """Of each window the cell at these offsets."""
    places = [slice(None)]
    for window, offset in zip(windows, offsets, strict=True):
        places.append(slice(offset, offset + (window.count - 1) * window.step + 1, window.step))
    return inputs[(*places, slice(None))]


def _put_back(
    of: Callable[[Sequence[int]], Tensor], windows: Sequence[Window], offsets: Sequence[int] = ()
) -> Tensor:
    """What belongs to each cell of all windows, added where the cells lie in the input.

    Cells a step apart are neighbours in the input, so that they are laid side by side, without zeros between.
    """
    if len(offsets) == len(windows):
        return of(offsets)
    window, axis = windows[len(offsets)], len(offsets) + 1
    parts = [_put_back(of, windows, [*offsets, cell]) for cell in range(window.size)]
    total = None
    for first in range(0, window.size, window.step):
        phases = parts[first : first + window.step]
        phases += [tf.zeros_like(parts[0])] * (window.step - len(phases))
        side = _side_by_side(phases, axis)
        end = window.length + window.before - first - window.count * window.step
        placed = padded(padded(side, axis, first, end), axis, -window.before, 0)
        total = placed if total is None else total + placed
    assert total is not None
    return total


def _side_by_side(parts: Sequence[Tensor], axis: int) -> Tensor:
    """[(..., n, ...)] * k -> (..., n * k, ...), by turns."""
    if len(parts) == 1:
        return parts[0]
    shape = parts[0].shape.as_list()
    after = int(np.prod(shape[axis + 1 :]))
    flat = tf.concat([tf.reshape(part, [-1, shape[axis], after]) for part in parts], 2)
    return tf.reshape(flat, lengths([*shape[:axis], shape[axis] * len(parts), *shape[axis + 1 :]], parts[0]))


def _average_pool(call: Call) -> Tensor:
    """Along each axis a product with the matrix that says which cells a window averages."""
    result = call.inputs[1]
    lengths_of = call.numbers(0)[1:-1]
    for axis, window in enumerate(_windows(call, lengths_of, call.attr("ksize")[1:-1]), start=1):
        begins = np.arange(window.count)[None] * window.step - window.before
        cells = np.arange(window.length)[:, None]
        inside = (cells >= begins) & (cells < begins + window.size)
        result = along(result, axis, inside / inside.sum(0))
    return result


# Resizing


def _resize_gradient(call: Call) -> Tensor:
    """Along each axis the transposed matrix of the resizing."""
    result = call.inputs[0]
    sizes = call.numbers(1) if call.op.type == "ResizeNearestNeighborGrad" else call.shape(1)[1:3]
    for axis, small in enumerate(sizes, start=1):
        matrix = _resizing(call, small or 0, result.shape[axis])
        result = along(result, axis, matrix.T)
    return result


def resized(call: Call) -> Tensor:
    """A resizing along each axis as a product with its matrix."""
    result = tf.cast(call.inputs[0], tf.float32)
    for axis, large in enumerate(call.constant(1).tolist(), start=1):
        result = along(result, axis, _resizing(call, result.shape[axis], large))
    return result


def _resizing(call: Call, old: int, new: int) -> NDArray:
    """(new, old) weights of the resizing of one axis."""
    resize = getattr(tf.raw_ops, call.op.type.removesuffix("Grad"))
    with tf.init_scope(), tf.device("CPU"):
        resized = resize(
            images=tf.reshape(tf.eye(old), [1, old, 1, old]),
            size=[new, 1],
            align_corners=call.attr("align_corners"),
            half_pixel_centers=call.attr("half_pixel_centers"),
        )
        return resized.numpy()[0, :, 0]


RULES: Rules = {
    "Conv2DBackpropInput": convolution,
    "Conv3DBackpropInputV2": convolution_of_volumes,
    "DepthwiseConv2dNativeBackpropInput": _depthwise,
    "MaxPoolGrad": _max_pool,
    "MaxPool3DGrad": _max_pool,
    "AvgPoolGrad": _average_pool,
    "AvgPool3DGrad": _average_pool,
    "ResizeBilinearGrad": _resize_gradient,
    "ResizeNearestNeighborGrad": _resize_gradient,
    "ResizeBicubicGrad": _resize_gradient,
    "ResizeBicubic": resized,
}
