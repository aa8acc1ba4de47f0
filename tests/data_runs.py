"""Runs for the tests of data sets: a small model, and a process of its own that can be killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

import tfxai
from tfxai.data import Results

L = keras.layers


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    maps = L.Conv2D(4, 3, activation="relu", name="edges")(inputs)
    return keras.Model(inputs, L.Dense(5, name="classes")(L.GlobalAveragePooling2D()(maps)))


def images(count: int = 100, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 8, 8, 3)).astype("float32")


METHODS = {
    "cam": tfxai.GradCAM(),
    "smooth": tfxai.SmoothGrad(samples=4),
    "rise": tfxai.RISE(samples=16, cells=3),
}


def run(directory: Path | str, data: Any = None, **settings: Any) -> Results:
    """The run that is killed, and the one that is not."""
    data = images(400) if data is None else data
    settings = {"shard_rows": 8, "progress": False, **settings}
    return tfxai.explain_dataset(METHODS, network(), data, directory, **settings)


def content(directory: Path) -> dict[str, bytes]:
    """Every file of a run."""
    return {
        path.name: path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def shards_in(directory: Path) -> int:
    return len(list(directory.glob("rows/shard-*.parquet")))


def killed(directory: Path, generator: np.random.Generator) -> bool:
    """Starts the run in a process, and kills it at a random moment; whether it had time to finish."""
    process = _CONTEXT.Process(target=run, args=(str(directory),))
    process.start()
    before, more = shards_in(directory), int(generator.integers(0, 4))
    while process.is_alive() and shards_in(directory) < before + more:
        time.sleep(0.001)
    time.sleep(generator.uniform(0, 0.1) if more else generator.uniform(0, 3))
    alive = process.is_alive()
    if alive:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return not alive


_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["data_runs"])
