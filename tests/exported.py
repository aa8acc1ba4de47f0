"""Operations that gradients are made of, one by one, each on numbers that its rule could get wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.model.tracing import cache_of
from tfxai.support import Tensor

raw = tf.raw_ops
Of = Mapping[str, Any]


def inputs(rows: int = 2) -> dict[str, NDArray]:
    """Images with zeros, sixes and ties; rows of numbers; rows above zero; whole numbers."""
    random = np.random.default_rng(3)
    image = np.round(random.normal(0, 3, (rows, 9, 8, 4)) * 2) / 2  # halves, so that many are equal
    image[0, :2] = 6
    return {
        "image": image.astype(np.float32),
        "row": random.normal(0, 2, (rows, 6)).astype(np.float32) * (random.random((rows, 6)) > 0.3),
        "above": random.uniform(0.5, 3, (rows, 6)).astype(np.float32),
        "ids": random.integers(0, 5, (rows, 3)).astype(np.int32),
    }


def constant(*shape: int, seed: int = 0) -> NDArray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def slope(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """The gradient of a function whose outputs all count, each by another weight."""
    result = function(at)
    # weights that differ, and follow from nothing but a number in the graph
    weights = 1 + tf.sin(result) / 2
    return tf.gradients(result, at, grad_ys=tf.stop_gradient(weights))[0]


def conv(**settings: Any) -> Callable[[Of], Tensor]:
    kernel = constant(*settings.pop("kernel"))
    settings = {"strides": 1, "padding": "SAME", **settings}
    return lambda of: slope(lambda x: tf.nn.conv2d(x, kernel, **settings), of["image"])


def depthwise(step: int, padding: str, kernel: tuple[int, ...], rate: int = 1) -> Callable[[Of], Tensor]:
    weights = constant(*kernel)
    return lambda of: slope(
        lambda x: tf.nn.depthwise_conv2d(x, weights, [1, step, step, 1], padding, dilations=[rate, rate]),
        of["image"],
    )


def pool(kind: Any, size: int, step: int, padding: str) -> Callable[[Of], Tensor]:
    return lambda of: slope(lambda x: kind(x, size, step, padding), of["image"])


def taken(*places: Any) -> Callable[[Of], Tensor]:
    return lambda of: slope(lambda x: x[places] * 2, of["image"])


def resized(kind: Any, size: tuple[int, int], **settings: bool) -> Callable[[Of], Tensor]:
    return lambda of: slope(lambda x: kind(images=x, size=size, **settings), of["image"])


def elementwise(function: Callable[[Tensor], Tensor], key: str = "row") -> Callable[[Of], Tensor]:
    return lambda of: slope(function, of[key])


def normalized(training: bool) -> Callable[[Of], Tensor]:
    four = [np.abs(constant(4, seed=i)) + 0.5 for i in range(4)]

    def norm(x: Tensor) -> Tensor:
        mean, variance = ([], []) if training else four[2:]
        return raw.FusedBatchNormV3(
            x=x,
            scale=four[0],
            offset=four[1],
            mean=mean,
            variance=variance,
            epsilon=1e-3,
            is_training=training,
        )[0]

    return lambda of: slope(norm, of["image"])


CASES: dict[str, Callable[[Of], Tensor]] = {
    "ReluGrad": lambda of: slope(tf.nn.relu, of["image"]),
    "Relu6Grad": lambda of: slope(tf.nn.relu6, of["image"]),
    "LeakyReluGrad": lambda of: slope(lambda x: tf.nn.leaky_relu(x, 0.2), of["image"]),
    "EluGrad": elementwise(tf.nn.elu),
    "SeluGrad": elementwise(tf.nn.selu),
    "SoftplusGrad": elementwise(tf.nn.softplus),
    "SoftplusGrad itself": lambda of: raw.SoftplusGrad(gradients=of["above"], features=of["row"]),
    "SoftsignGrad": elementwise(tf.nn.softsign),
    "SigmoidGrad": elementwise(tf.sigmoid),
    "TanhGrad": elementwise(tf.tanh),
    "RsqrtGrad": elementwise(tf.math.rsqrt, "above"),
    "SqrtGrad": elementwise(tf.sqrt, "above"),
    "ReciprocalGrad": elementwise(tf.math.reciprocal, "above"),
    "silu": elementwise(tf.nn.silu),
    "gelu": elementwise(tf.nn.gelu),
    "gelu by tanh": elementwise(lambda x: tf.nn.gelu(x, approximate=True)),
    "mish": elementwise(lambda x: x * tf.tanh(tf.nn.softplus(x))),
    "softmax": elementwise(tf.nn.softmax),
    "log_softmax": elementwise(tf.nn.log_softmax),
    "a power": elementwise(lambda x: x**3),
    "a power of numbers above zero": elementwise(lambda x: x**0.7, "above"),
    "exp and log": elementwise(lambda x: tf.math.log(1 + tf.exp(x))),
    "expm1 and log1p": elementwise(lambda x: tf.math.log1p(x) + tf.math.expm1(x), "above"),
    "sin and cos": elementwise(lambda x: tf.sin(x) * tf.cos(x)),
    "the largest": elementwise(lambda x: tf.reduce_max(x, 1)),
    "the larger and the smaller": elementwise(lambda x: tf.maximum(x, 0.5) * tf.minimum(x, [1.0, 2, 3, 0, 0, 0])),
    "a product of rows": elementwise(lambda x: tf.reduce_prod(x, 1), "above"),
    "a length": elementwise(lambda x: tf.norm(x, axis=1)),
    "MulNoNan": lambda of: raw.MulNoNan(x=of["row"] / of["row"], y=of["row"]),
    "DivNoNan": lambda of: raw.DivNoNan(x=of["above"], y=of["row"]),
    "Xdivy": lambda of: raw.Xdivy(x=of["row"], y=of["row"]),
    "Xlogy": lambda of: raw.Xlogy(x=tf.nn.relu(of["row"]), y=tf.nn.relu(of["row"])),
    "Xlog1py": lambda of: raw.Xlog1py(x=of["row"], y=of["above"]),
    "SoftmaxCrossEntropyWithLogits": elementwise(
        lambda x: tf.nn.softmax_cross_entropy_with_logits(tf.constant([[0.2, 0.8, 0, 0, 0, 0]] * 2), x)
    ),
    "SparseSoftmaxCrossEntropyWithLogits": lambda of: slope(
        lambda x: tf.nn.sparse_softmax_cross_entropy_with_logits(of["ids"][:, 0], x), of["row"]
    ),
    "a convolution": conv(kernel=(3, 3, 4, 5)),
    "a convolution without padding": conv(kernel=(3, 2, 4, 5), padding="VALID"),
    "a convolution of even size": conv(kernel=(4, 2, 4, 5)),
    "a convolution of a point": conv(kernel=(1, 1, 4, 5)),
    "a convolution of a point in steps": conv(kernel=(1, 1, 4, 5), strides=2),
    "a convolution in steps": conv(kernel=(3, 3, 4, 5), strides=2),
    "a convolution in steps without padding": conv(kernel=(3, 3, 4, 5), strides=2, padding="VALID"),
    "a convolution that leaves much over": conv(kernel=(2, 2, 4, 5), strides=4, padding="VALID"),
    "a convolution with holes": conv(kernel=(3, 3, 4, 5), dilations=2),
    "a convolution with padding of its own": conv(
        kernel=(3, 3, 4, 5), strides=2, padding=[[0, 0], [2, 0], [0, 1], [0, 0]]
    ),
    "a convolution in groups": conv(kernel=(3, 3, 2, 6), strides=2),
    "a convolution's transpose": lambda of: slope(
        lambda x: tf.nn.conv2d_transpose(x, constant(3, 3, 5, 4), np.array([2, 18, 16, 5]), 2), of["image"]
    ),
    "a convolution of volumes": lambda of: slope(
        lambda x: tf.nn.conv3d(x[:, :, :7, :, None], constant(3, 2, 2, 1, 3), [1, 2, 2, 1, 1], "VALID"), of["image"]
    ),
    "a convolution of volumes with padding": lambda of: slope(
        lambda x: tf.nn.conv3d(x[..., None], constant(3, 2, 2, 1, 3), [1, 2, 1, 2, 1], "SAME"), of["image"]
    ),
    "a depthwise convolution": depthwise(1, "SAME", (3, 3, 4, 1)),
    "a depthwise convolution in steps": depthwise(2, "SAME", (3, 3, 4, 1)),
    "a depthwise convolution of two": depthwise(2, "VALID", (3, 2, 4, 2)),
    "a depthwise convolution with holes": depthwise(1, "SAME", (3, 3, 4, 1), 2),
    "MaxPoolGrad": pool(tf.nn.max_pool2d, 2, 2, "VALID"),
    "MaxPoolGrad of overlapping windows": pool(tf.nn.max_pool2d, 3, 2, "SAME"),
    "MaxPoolGrad of far windows": pool(tf.nn.max_pool2d, 2, 3, "VALID"),
    "MaxPoolGrad in steps of one": pool(tf.nn.max_pool2d, 3, 1, "SAME"),
    "AvgPoolGrad": pool(tf.nn.avg_pool2d, 2, 2, "VALID"),
    "AvgPoolGrad of overlapping windows": pool(tf.nn.avg_pool2d, 3, 2, "SAME"),
    "a mean over space": lambda of: slope(lambda x: tf.reduce_mean(x, [1, 2]), of["image"]),
    "a largest value over space": lambda of: slope(lambda x: tf.reduce_max(x, [1, 2]), of["image"]),
    "FusedBatchNormGradV3": normalized(False),
    "FusedBatchNormGradV3 of a batch": normalized(True),
    "a layer norm": lambda of: slope(
        lambda x: (x - tf.reduce_mean(x, -1, keepdims=True))
        * tf.math.rsqrt(tf.math.reduce_variance(x, -1, keepdims=True) + 1e-3),
        of["image"],
    ),
    "ResizeBilinearGrad": resized(raw.ResizeBilinear, (13, 5), half_pixel_centers=True),
    "ResizeBilinearGrad with corners": resized(raw.ResizeBilinear, (4, 16), align_corners=True),
    "ResizeNearestNeighborGrad": resized(raw.ResizeNearestNeighbor, (18, 5), half_pixel_centers=True),
    "ResizeBicubicGrad": resized(raw.ResizeBicubic, (13, 5), half_pixel_centers=True),
    "BiasAddGrad": lambda of: raw.BiasAddGrad(out_backprop=of["image"]),
    "a sum that is spread": lambda of: slope(lambda x: x * tf.reduce_sum(x, [1, 2], keepdims=True), of["image"]),
    "a broadcast": lambda of: slope(lambda x: x[:, None] * constant(3, 6), of["row"]),
    "a slice": taken(slice(None), slice(2, 7)),
    "a slice in steps": taken(slice(None), slice(1, 8, 3), slice(None, None, -2)),
    "one place": taken(slice(None), 3, ..., -1),
    "a new axis": taken(slice(None), None, slice(1, None), 2),
    "MirrorPadGrad": lambda of: slope(
        lambda x: tf.pad(x, [[0, 0], [2, 1], [0, 3], [0, 0]], "REFLECT"), of["image"]
    ),
    "MirrorPadGrad of symmetric padding": lambda of: slope(
        lambda x: tf.pad(x, [[0, 0], [2, 1], [0, 3], [0, 0]], "SYMMETRIC"), of["image"]
    ),
    "a padding": lambda of: slope(lambda x: tf.pad(x, [[0, 0], [2, 1], [0, 3], [0, 0]]), of["image"]),
    "a tile": lambda of: slope(lambda x: tf.tile(x, [1, 3]), of["row"]),
    "parts and wholes": lambda of: slope(
        lambda x: tf.concat([part * i for i, part in enumerate(tf.split(x, 3, 1))], 0), of["row"]
    ),
    "columns in another order": lambda of: slope(lambda x: tf.gather(x, [4, 0, 4, 2], axis=1), of["row"]),
    "a column for each row": lambda of: slope(
        lambda x: tf.gather(x, of["ids"][:, 0], axis=1, batch_dims=1), of["row"]
    ),
    "a lookup": lambda of: tf.gather(constant(5, 4), of["ids"]),
    "Roll": lambda of: slope(lambda x: tf.roll(x, [2, -1], [1, 2]), of["image"]),
    "MatrixBandPart": lambda of: slope(lambda x: tf.linalg.band_part(x, 1, 2), of["image"]),
    "MatrixDiagPartV3": lambda of: slope(lambda x: tf.linalg.diag_part(x[:, 1:, :, 0]), of["image"]),
    "MatrixDiagV3": lambda of: slope(lambda x: tf.linalg.diag(x), of["row"]),
    "Cumsum": lambda of: slope(lambda x: tf.cumsum(x, 1, exclusive=True), of["row"]),
    "Cumprod": lambda of: tf.math.cumprod(of["row"], 1, exclusive=True, reverse=True),
    "DynamicStitch": lambda of: tf.dynamic_stitch(
        [[[0, 2], [4, 1]], [3, 5]], [tf.reshape(tf.transpose(of["row"])[:4], [2, 2, -1]), tf.transpose(of["row"])[1:3]]
    ),
    "SegmentSum": lambda of: tf.math.segment_sum(tf.transpose(of["row"]), [0, 0, 1, 3, 3, 3]),
    "attention": lambda of: slope(
        lambda x: tf.einsum(
            "bqk,bkc->bqc", tf.nn.softmax(tf.einsum("bqc,bkc->bqk", x[:, 0], x[:, 1])), x[:, 2]
        ),
        of["image"],
    ),
    "a choice": lambda of: slope(lambda x: tf.where(x > 0, x * x, -x), of["row"]),
    "a space in depth": lambda of: slope(
        lambda x: tf.nn.space_to_depth(x[:, :8], 2) * 2, of["image"]
    ),
    "the best columns": lambda of: slope(lambda x: tf.math.top_k(x, 2).values, of["row"]),
    "a clip": lambda of: slope(lambda x: tf.clip_by_value(x, -1, 1), of["row"]),
}  # fmt: skip


FIXED = ("SoftmaxCrossEntropyWithLogits", "a convolution's transpose")  # cases that are written for two rows


def function_of(names: Iterable[str], rows: int | None) -> Any:
    """One function of some cases, an output for each: a tf.ConcreteFunction. rows: two, or None for any number."""
    given = inputs()
    specs = [tf.TensorSpec([rows, *array.shape[1:]], array.dtype, name) for name, array in given.items()]

    def function(*tensors: Tensor) -> dict[str, Tensor]:
        of = dict(zip(given, tensors, strict=True))
        return {key(name): CASES[name](of) for name in names if rows or name not in FIXED}

    return tf.function(function, autograph=False, input_signature=specs).get_concrete_function()


def key(name: str) -> str:
    """A case's name as that of an output."""
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def traced(method: Any, model: Any, arrays: Any, *, rows: int | None = None) -> Any:
    """What a method traces for a model, as a tf.ConcreteFunction of inputs by name and `target`, with a dict of outputs.

    rows: how many, or None for any number.
    """
    method(model, arrays)
    kept = [*cache_of(model).functions.values()][-1].function
    flat = tf.nest.flatten(arrays)
    specs = [
        tf.TensorSpec([rows, *array.shape[1:]], array.dtype, f"input_{i}") for i, array in enumerate(flat)
    ]

    def function(*tensors: Tensor) -> dict[str, Tensor]:
        *values, classes, scores = kept(tf.constant([0, 0]), *tensors)
        named = {f"values_{i}": each for i, each in enumerate(values)}
        return {**named, "explained": classes, "score": scores}

    signature = [*specs, tf.TensorSpec([rows], tf.int32, "target")]
    return tf.function(function, autograph=False, input_signature=signature).get_concrete_function()


def without_tensorflow(folder: Path, engine: str) -> dict[str, float]:
    """Runs all files of a folder in a process that never sees TensorFlow: {file: the largest error, of the largest number}.

    Beside each file lies what goes in (.in.npz) and what came out here (.out.npz). engine: "onnx" or "litert".
    """
    command = [sys.executable, "-c", RUNNER, engine, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


RUNNER = """
import json, pathlib, sys
import numpy as np

engine, folder = sys.argv[1], pathlib.Path(sys.argv[2])

def outputs(file, given):
    if engine == "onnx":
        import onnxruntime
        session = onnxruntime.InferenceSession(str(file))
        given = {each.name: given[each.name] for each in session.get_inputs()}
        return dict(zip([each.name for each in session.get_outputs()], session.run(None, given)))
    from ai_edge_litert.interpreter import Interpreter
    return Interpreter(str(file), num_threads=1).get_signature_runner("serving_default")(**given)

errors = {}
for file in sorted(folder.glob("*." + engine)):
    found = outputs(file, dict(np.load(file.with_suffix(".in.npz"))))
    wanted = dict(np.load(file.with_suffix(".out.npz")))
    assert sorted(found) == sorted(wanted), (sorted(found), sorted(wanted))
    errors[file.stem] = 0.0
    for name, want in wanted.items():
        got = found[name]
        assert got.shape == want.shape and np.array_equal(np.isnan(got), np.isnan(want)), name
        error = np.nanmax(np.abs(got - want)) / max(np.nanmax(np.abs(want)), 1e-6)
        errors[file.stem] = max(errors[file.stem], float(error))
assert "tensorflow" not in sys.modules
print(json.dumps(errors))
"""


def put(folder: Path, name: str, function: Any, given: Mapping[str, NDArray]) -> None:
    """What goes into a function and what comes out, for `without_tensorflow`."""
    results = function(*map(tf.constant, given.values()))
    np.savez(folder / f"{name}.in.npz", allow_pickle=False, **given)
    arrays = {name: result.numpy() for name, result in results.items()}
    np.savez(folder / f"{name}.out.npz", allow_pickle=False, **arrays)
