"""What `explain` costs beside `predict`, for each format that a model is exported to, one image a request, in one run.

    python benchmarks/serving.py [--rounds 15] [--only saved_model]

EfficientNet-Lite0, 224 pixels. Requests are timed in turn: predict, explain, and the bare passes that the method cannot do
without, compiled by TensorFlow and written without tfxai. Printed are the medians of the ratios to predict: these machines'
speed drifts, and a ratio of two neighbours does not. Engines that are not installed are skipped.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

import tfxai
from tfxai import photos, zoo

STEPS = 20
METHODS = {
    "gradcam": tfxai.GradCAM(),
    "gradient": tfxai.Gradient(),
    "path": tfxai.IntegratedGradients(steps=STEPS),
}
TITLES = {"gradcam": "GradCAM", "gradient": "Gradient", "path": f"IntegratedGradients(steps={STEPS})"}
Answer = Callable[[str, np.ndarray], Any]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="timed requests of each kind")
    parser.add_argument("--only", default="", help="formats whose name contains this")
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    model = zoo.efficientnet_lite0(weights=False)
    image = np.random.default_rng(0).uniform(0, 255, (1, 224, 224, 3)).astype(np.float32)
    bare = passes(model)
    console = Console(width=124)
    table = Table(
        "format", "method", "predict, ms", "explain, ms", "explain / predict", "bare passes / predict"
    )
    for name, load in FORMATS.items():
        if options.only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                answer = load(model, Path(folder) / "served")
            except (ImportError, ValueError) as error:
                console.print(f"{name} is skipped: {str(error).splitlines()[0]}")
                continue
            for method in METHODS:
                told = row(answer, method, bare[method], image, options.rounds)
                # The bare passes are TensorFlow's: beside another engine's predict they say nothing.
                told[-1] = told[-1] if name == "saved_model" else ""
                table.add_row(name, TITLES[method], *told)
    console.print(table)
    if options.only in "litert":
        console.print(kept_smaller(zoo.efficientnet_lite0()))


def kept_smaller(model: keras.Model) -> Table:
    """What LiteRT files weigh, and how far their maps of a photo are from the library's, with weights kept in fewer bits."""
    photo = photos.fit(zoo.sample_photos()["chelsea"], (224, 224), crop=0.875)[None]
    table = Table("litert", "weights", "predict, MB", "explain, MB", "correlation with the library's map")
    for method in ("gradcam", "gradient"):
        want = METHODS[method](model, photo).heatmap().ravel()
        for kept in (None, "float16", "int8"):
            with tempfile.TemporaryDirectory() as folder:
                answer = litert(model, Path(folder) / "served", kept)
                sizes = (
                    Path(folder, "served", f"{name}.tflite").stat().st_size
                    for name in ("serving_default", method)
                )
                found = answer(method, photo)["values"].sum(-1).ravel()
                told = [f"{size / 1e6:.1f}" for size in sizes]
                table.add_row(
                    TITLES[method], kept or "float32", *told, f"{np.corrcoef(want, found)[0, 1]:.4f}"
                )
    return table


def row(answer: Answer, method: str, bare: Callable, image: np.ndarray, rounds: int) -> list[str]:
    """Medians of a method's requests."""
    jobs = [
        lambda: answer("serving_default", image),
        lambda: answer(method, image),
        lambda: bare(image),
    ]
    for job in jobs * 2:  # traces, and whatever an engine does first
        job()
    times = [[seconds(job) for job in jobs] for _ in range(rounds)]
    predict, explain, _ = (statistics.median(each) for each in zip(*times, strict=True))
    ratios = [sorted(each[i] / each[0] for each in times) for i in (1, 2)]
    told = [f"{statistics.median(r):.2f} ({r[0]:.2f}-{r[-1]:.2f})" for r in ratios]
    return [f"{1000 * predict:.1f}", f"{1000 * explain:.1f}", *told]


def passes(model: keras.Model) -> dict[str, Callable]:
    """The passes that each method cannot do without: to the last maps, to the input, and on every point of the path."""
    maps = keras.Model(model.inputs, [model.get_layer("top_activation").output, model.output])
    along = np.linspace(0, 1, STEPS, dtype=np.float32).reshape(-1, 1, 1, 1)

    @tf.function
    def to_maps(x: tf.Tensor) -> Any:
        activations, outputs = maps(x, training=False)
        return activations, tf.gradients(tf.reduce_max(outputs, 1), activations)[0]

    @tf.function
    def to_input(x: tf.Tensor) -> Any:
        return tf.gradients(tf.reduce_max(model(x, training=False), 1), x)[0]

    @tf.function
    def on_a_path(x: tf.Tensor) -> Any:
        ends = model(tf.concat([x, tf.zeros_like(x)], 0), training=False)
        points = along * x
        return ends, tf.gradients(tf.reduce_max(model(points, training=False), 1), points)[0]

    jobs = {"gradcam": to_maps, "gradient": to_input, "path": on_a_path}
    return {key: lambda x, job=job: fetched(job(tf.constant(x))) for key, job in jobs.items()}


def saved_model(model: keras.Model, folder: Path) -> Answer:
    """As TensorFlow Serving runs it."""
    tfxai.export(model, folder, METHODS)
    signatures = tf.saved_model.load(str(folder)).signatures
    return lambda name, image: fetched(signatures[name](tf.constant(image)))


def onnx(model: keras.Model, folder: Path) -> Answer:
    """In ONNX Runtime, on all cores."""
    import onnxruntime

    tfxai.export(model, folder, METHODS, format="onnx", inputs=ONE)
    sessions = {file.stem: onnxruntime.InferenceSession(str(file)) for file in folder.glob("*.onnx")}
    return lambda name, image: sessions[name].run(None, {"photo": image})


def litert(model: keras.Model, folder: Path, quantize: Any = None) -> Answer:
    """In LiteRT, on all cores."""
    from ai_edge_litert.interpreter import Interpreter

    tfxai.export(model, folder, METHODS, format="litert", inputs=ONE, quantize=quantize)
    files = {file.stem: str(file) for file in folder.glob("*.tflite")}
    interpreters = {name: Interpreter(file, num_threads=os.cpu_count()) for name, file in files.items()}
    runners = {name: each.get_signature_runner("serving_default") for name, each in interpreters.items()}
    return lambda name, image: runners[name](photo=image)


ONE = tf.TensorSpec((1, 224, 224, 3), tf.float32, name="photo")
FORMATS: dict[str, Callable[[keras.Model, Path], Answer]] = {
    "saved_model": saved_model,
    "onnx": onnx,
    "litert": litert,
}


def fetched(results: Any) -> Any:
    """Tensors as arrays, so that nothing is left to be done."""
    return tf.nest.map_structure(lambda tensor: tensor.numpy(), results)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
