"""What a run over a data set costs beside a plain loop over the same rows, how its memory grows, and what going on costs.

    python benchmarks/dataset.py [--rounds 5] [--most 1000000] [--workers 2]

A loop that keeps nothing and the run are timed in turn, several times, and the median of the ratios is printed. Peak memory is that
of a process of its own for each number of rows (table of 20 columns; pictures of 32 x 32 up to a tenth of that), read from a file.
With --workers runs by Ray are timed, too: one worker with one core, then so many, each with one, in turn, from the first shard that is
written to the last: what it takes to start processes and load models does not grow with the rows.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import tfxai

L = keras.layers


def pictures() -> keras.Model:
    """A small network for 32 x 32."""
    keras.utils.set_random_seed(0)
    convolutions = [L.Conv2D(32, 3, strides=s, activation="relu") for s in (1, 2, 2)]
    return keras.Sequential(
        [keras.Input((32, 32, 3)), *convolutions, L.GlobalAveragePooling2D(), L.Dense(10)]
    )


def table() -> keras.Model:
    """A small network for 20 columns."""
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((20,)), L.Dense(64, activation="relu"), L.Dense(2)])


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="timed pairs of each row; 0 for none")
    parser.add_argument("--most", type=int, default=10**6, help="rows of the largest table; 0 for none")
    parser.add_argument("--workers", type=int, default=0, help="of Ray, beside one; 0 for none")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)  # of one run, in this process
    options = parser.parse_args()
    if options.peak:
        return peak(options.peak[0], int(options.peak[1]))
    console = Console(width=130)
    if options.rounds:
        console.print(speeds(options.rounds))
    if options.workers:
        console.print(by_workers(options.workers, max(options.rounds, 1)))
    if options.most:
        console.print(memory(options.most))
    return None


def by_workers(workers: int, rounds: int) -> Table:
    """Rows a second of one worker of Ray and of several."""
    import ray

    ray.init(num_cpus=workers, log_to_driver=False, include_dashboard=False, logging_level="error")
    shown = Table("rows", "method", "one worker, rows/s", f"{workers} workers, rows/s", "ratio")
    generator = np.random.default_rng(0)
    for name, count, method in (
        ("GradCAM", 65536, tfxai.GradCAM()),
        ("IntegratedGradients, 20 steps", 8192, tfxai.IntegratedGradients(steps=20)),
        ("RISE, 500 masks", 768, tfxai.RISE(samples=500)),
    ):
        rows = generator.normal(size=(count, 32, 32, 3)).astype("float32")
        rates = [[_rate(method, rows, each) for each in (1, workers)] for _ in range(rounds)]
        one, several = (statistics.median(column) for column in zip(*rates, strict=True))
        ratio = statistics.median(b / a for a, b in rates)
        shown.add_row("pictures", name, f"{one:.4g}", f"{several:.4g}", f"{ratio:.2f}")
    ray.shutdown()
    return shown


def _rate(method: Any, rows: np.ndarray, workers: int) -> float:
    """Rows a second behind the first tenth of the shards, when every worker has loaded its model and traced the method."""
    with tempfile.TemporaryDirectory() as folder:
        tfxai.explain_dataset(
            method,
            pictures(),
            rows,
            folder,
            shard_rows=len(rows) // 64,
            progress=False,
            engine=tfxai.data.Ray(workers=workers),
        )
        times = sorted(file.stat().st_mtime for file in Path(folder, "rows").glob("*.parquet"))
    return len(rows) / 64 * (len(times) - 7) / (times[-1] - times[6])


def speeds(rounds: int) -> Table:
    """Rows a second of a loop and of a run."""
    shown = Table(
        "rows",
        "method",
        "loop, rows/s",
        "bare passes, rows/s",
        "run / loop",
        "without inputs",
        "going on / loop",
    )
    generator = np.random.default_rng(0)
    shapes = {"pictures": (pictures(), (32, 32, 3), 32), "table": (table(), (20,), 1024)}
    for kind, name, count, method in (
        ("pictures", "GradCAM", 4096, tfxai.GradCAM()),
        ("pictures", "IntegratedGradients, 20 steps", 1024, tfxai.IntegratedGradients(steps=20)),
        ("pictures", "RISE, 500 masks", 128, tfxai.RISE(samples=500)),
        ("table", "Gradient", 131072, tfxai.Gradient()),
        ("table", "IntegratedGradients, 20 steps", 65536, tfxai.IntegratedGradients(steps=20)),
        (
            "table",
            "KernelSHAP, 256 x 10 rows",
            512,
            tfxai.KernelSHAP(background=np.zeros((10, 20)), samples=256),
        ),
    ):
        model, shape, batch = shapes[kind]
        rows = generator.normal(size=(count, *shape)).astype("float32")
        ratios = [_ratios(method, model, rows, batch) for _ in range(rounds + 1)][1:]  # the first one traces
        loop, bare, *others = (statistics.median(column) for column in zip(*ratios, strict=True))
        shown.add_row(
            kind, name, f"{count / loop:.4g}", f"{count / bare:.4g}", *(f"{each:.2f}" for each in others)
        )
    return shown


def _ratios(method: Any, model: Any, rows: np.ndarray, batch: int) -> tuple[float, ...]:
    size = max(min(len(rows) // 4, 16384), 16)
    whole = len(rows) // size * size
    loop = _seconds(
        lambda: [method(model, rows[i : i + size], batch_size=batch) for i in range(0, whole, size)]
    )
    bare = _seconds(lambda: model.predict(rows, batch_size=batch, verbose=0))
    with tempfile.TemporaryDirectory() as folder:
        settings = {"batch_size": batch, "shard_rows": size, "progress": False}
        run = _seconds(lambda: tfxai.explain_dataset(method, model, rows, f"{folder}/a", **settings))
        settings["keep_inputs"] = False
        less = _seconds(lambda: tfxai.explain_dataset(method, model, rows, f"{folder}/b", **settings))
        (Path(folder) / "b" / "finished.json").unlink()
        last = max(Path(folder, "b", "rows").glob("*.parquet"))
        last.unlink()
        rest = _seconds(lambda: tfxai.explain_dataset(method, model, rows, f"{folder}/b", **settings))
    return loop, bare, run / loop, less / loop, rest / loop


def _seconds(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def memory(most: int) -> Table:
    """Peak memory of a process for each number of rows."""
    shown = Table("rows", "number", "peak MB")
    for kind, largest in (("table", most), ("pictures", most // 10)):
        for count in (largest // 100, largest // 10, largest):
            command = [sys.executable, __file__, "--peak", kind, str(count)]
            found = subprocess.run(command, capture_output=True, text=True, check=True)
            shown.add_row(kind, str(count), found.stdout.split()[-1])
    return shown


def peak(kind: str, count: int) -> None:
    """Prints the largest number of megabytes that this process ever had."""
    model = table() if kind == "table" else pictures()
    shape = model.input_shape[1:]
    with tempfile.TemporaryDirectory() as folder:
        file, size = Path(folder, "rows"), int(np.prod(shape))
        generator = np.random.default_rng(0)
        with file.open("wb") as written:
            for _ in range(0, count, 1000):
                generator.normal(size=(1000, size)).astype("float32").tofile(written)

        def batches() -> Any:
            for i in range(0, count, 1000):
                yield np.fromfile(file, np.float32, 1000 * size, offset=4 * i * size).reshape(1000, *shape)

        tfxai.explain_dataset(
            tfxai.Gradient(), model, batches(), f"{folder}/run", batch_size=256, progress=False
        )
    status = Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) // 1024)


if __name__ == "__main__":
    main()
