"""The same run by workers of Ray: the same bytes, however many there are, and whoever of them dies."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from data_runs import METHODS, content, images, network, run, shards_in

import tfxai
from tfxai.data import Ray

ray = pytest.importorskip("ray")
CAM = tfxai.GradCAM()
pytestmark = pytest.mark.slow  # workers import TensorFlow, each by itself


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One for all tests of this file, as a user has who called ray.init."""
    found = {"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}}  # for the layer below
    ray.init(
        num_cpus=2, log_to_driver=False, include_dashboard=False, logging_level="error", runtime_env=found
    )
    yield
    ray.shutdown()


def on_ray(model: Any, data: Any, directory: Path, method: Any = CAM, **settings: Any) -> Any:
    settings = {"engine": Ray(workers=2), "progress": False, "shard_rows": 8, **settings}
    return tfxai.explain_dataset(method, model, data, directory, **settings)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("ray"), engine=Ray(workers=1)).directory


def processes() -> list[int]:
    """The processes of workers."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"ray::_Worker" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def test_rows_are_those_of_one_process(tmp_path: Path) -> None:
    data = images(40)
    data[[3, 17]] = np.nan
    ours, theirs = (
        on_ray(network(), data, tmp_path / name, METHODS, engine=engine)
        for name, engine in (("ray", Ray(workers=2)), ("here", None))
    )
    assert ours.finished and ours.failures() == theirs.failures() and set(ours.failures()) == {3, 17}
    np.testing.assert_array_equal(ours.ids, theirs.ids)
    for name in METHODS:
        for field in ("values", "scores", "targets"):
            one, other = ours.array(field, name), theirs.array(field, name)
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)  # other threads, other last digits
    with pytest.raises(ValueError, match="7"):
        on_ray(network(), data, tmp_path / "other", targets=7)
    assert not (tmp_path / "other" / "run.json").exists()


def test_bytes_do_not_depend_on_workers_and_survive_them(undisturbed: Path, tmp_path: Path) -> None:
    """A worker is killed at five moments of one run."""
    generator, killed = np.random.default_rng(0), 0

    def kill() -> None:
        nonlocal killed
        while killed < 5:
            there, more = shards_in(tmp_path), int(generator.integers(2, 8))
            while shards_in(tmp_path) < min(there + more, 49):
                time.sleep(0.002)
            time.sleep(generator.uniform(0, 0.05))
            for process in processes()[:1]:
                os.kill(process, signal.SIGKILL)
                killed += 1

    before = threading.Thread(target=kill, daemon=True)
    before.start()
    run(tmp_path, engine=Ray(workers=2))
    before.join(timeout=1)
    assert killed == 5
    assert content(tmp_path) == content(undisturbed)


def test_interrupted_it_goes_on_with_another_number_of_workers(undisturbed: Path, tmp_path: Path) -> None:
    def interrupt() -> None:
        while shards_in(tmp_path) < 5:
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt, match="The same call goes on"):
        run(tmp_path, engine=Ray(workers=2))
    thread.join()
    assert 5 <= shards_in(tmp_path) < 50
    run(tmp_path, engine=Ray(workers=1))
    assert content(tmp_path) == content(undisturbed)


def test_the_whole_killed_goes_on(undisturbed: Path, tmp_path: Path) -> None:
    """A process that had a cluster of its own is killed; what it leaves of workers does no harm."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from data_runs import run\nfrom tfxai.data import Ray\n"
        f"run({str(tmp_path)!r}, engine=Ray(workers=2, address='local'))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    while shards_in(tmp_path) < 7:
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait()
    run(tmp_path, engine=Ray(workers=2))
    assert content(tmp_path) == content(undisturbed)


@keras.saving.register_keras_serializable("tests_of_ray")
class Halved(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return x / 2


def test_models_of_every_kind_reach_the_workers(tmp_path: Path) -> None:
    data = images(16)
    inputs = keras.Input((8, 8, 3))
    own = keras.Sequential([inputs, Halved(), keras.layers.Flatten(), keras.layers.Dense(3)])
    import tensorflow as tf
    import tf_keras

    legacy = tf_keras.Sequential(
        [tf_keras.Input((8, 8, 3)), tf_keras.layers.Flatten(), tf_keras.layers.Dense(3)]
    )
    network().export(tmp_path / "saved", verbose=False)
    weights = np.random.default_rng(0).normal(size=(192, 4)).astype("float32")
    for name, model in {
        "own": own,
        "legacy": legacy,
        "hub": tfxai.hub.load(tmp_path / "saved"),
        "function": lambda x: tf.reshape(x, (-1, 192)) @ weights,
    }.items():
        ours = on_ray(model, data, tmp_path / name, tfxai.Gradient())
        np.testing.assert_allclose(
            ours.array(), tfxai.Gradient()(model, data).values, rtol=1e-5, atol=1e-6, err_msg=name
        )


def test_a_class_of_the_script_goes_with_its_model(tmp_path: Path) -> None:
    """A subclassed model whose class stands in the script that was started, where no worker could import it."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "run")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


SCRIPT = """
import sys
import keras, numpy as np, tfxai

class Own(keras.Model):
    def __init__(self, **more):
        super().__init__(**more)
        self.hidden, self.out = keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(3)

    def call(self, x):
        return self.out(self.hidden(x))

model, data = Own(), np.random.default_rng(0).normal(size=(20, 5)).astype("float32")
model(data)
ray = tfxai.data.Ray(workers=1, address="local")
run = tfxai.explain_dataset(tfxai.Gradient(), model, data, sys.argv[1], shard_rows=8, progress=False, engine=ray)
np.testing.assert_allclose(run.array(), tfxai.Gradient()(model, data).values, rtol=1e-5, atol=1e-6)
"""


def test_what_does_not_fit_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="has 2 CPUs and 0 GPUs, room for 2 workers"):
        on_ray(network(), images(8), tmp_path / "a", engine=Ray(workers=3))
    with pytest.raises(ValueError, match="room for 0 workers"):
        on_ray(network(), images(8), tmp_path / "b", engine=Ray(gpus=1))
    with pytest.raises(ValueError, match="engine"):
        on_ray(network(), images(8), tmp_path / "c", engine="spark")
    there = types.ModuleType("known_here_alone")
    identity = eval("lambda x: x", there.__dict__)
    there.__dict__["identity"] = identity
    identity.__module__, identity.__qualname__ = "known_here_alone", "identity"
    monkeypatch.setitem(sys.modules, "known_here_alone", there)
    with pytest.raises(
        ValueError, match="cannot unpack the model or the methods: No module named 'known_here"
    ):
        on_ray(identity, images(8)[:, 0, 0], tmp_path / "f", tfxai.Gradient())
    on_ray(network(), images(16), tmp_path / "d")
    (tmp_path / "d" / "rows" / "shard-000001.parquet").unlink()
    with pytest.warns(UserWarning, match="begun elsewhere: intra_op_threads"):
        on_ray(network(), images(16), tmp_path / "d", engine=None)
