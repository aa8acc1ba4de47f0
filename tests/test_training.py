"""The callbacks: they see what is there, catch mistakes before the first epoch, and leave the training as it is."""

from __future__ import annotations

import functools
import re
import resource
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from covering import every
from kinds import seeded
from models import kind
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import tfxai
from tfxai.model import tracing
from tfxai.stats.correlation import ranks
from tfxai.training import films

L = keras.layers


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).uniform(size=shape).astype(np.float32)


X = images(64, 12, 12, 3)
Y = (X[:, :4, :4].mean(axis=(1, 2, 3)) > X[:, 8:, 8:].mean(axis=(1, 2, 3))).astype(int)
SEEN, ONE = X[:2], X[:1]
BOXES = np.array([[0, 0, 4, 4]] * 2)


def small(dropout: float = 0.3) -> keras.Model:
    """Compiled, with everything that draws random numbers while it trains."""
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            L.RandomTranslation(0.1, 0.1),
            L.GaussianNoise(0.1),
            L.Conv2D(6, 3, activation="relu", name="edges"),
            L.BatchNormalization(),
            L.Conv2D(6, 3, activation="relu", name="shapes"),
            L.GlobalAveragePooling2D(),
            L.Dropout(dropout),
            L.Dense(2, activation="softmax"),
        ]
    )
    return compiled(model)


def compiled(model: keras.Model, **more) -> keras.Model:
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"], **more
    )
    return model


def fit(
    model: keras.Model, *callbacks: keras.callbacks.Callback, epochs: int = 3, **more
) -> dict[str, list[float]]:
    return model.fit(X, Y, epochs=epochs, batch_size=16, verbose=0, callbacks=list(callbacks), **more).history


class Traces(keras.callbacks.Callback):
    """Functions traced for the model, after each epoch."""

    def on_train_begin(self, logs=None):
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(tracing.traces(self.model))


METHODS = {
    "grad_cam": tfxai.GradCAM(),
    "rise": tfxai.RISE(samples=600),  # so many passes that weights would be written into the trace
    "my_own": lambda model, inputs, targets: tfxai.Gradient()(model, inputs, targets),
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """One training under all eyes: model, history, callback, folder, traces."""
    folder = tmp_path_factory.mktemp("watched")
    model, traces = small(), Traces()
    callback = tfxai.ExplainCallback(
        METHODS, SEEN, [0, 1], log_dir=folder / "logs", directory=folder / "maps", regions=BOXES,
        metrics={"deletion": functools.partial(tfxai.metrics.deletion, step=6), "hits": "pointing_game"}, labels=["up", "down"],
    )  # fmt: skip
    return model, fit(model, callback, traces), callback, folder, traces.seen


def test_weights_are_those_of_a_training_without_it(watched):
    alone = small()
    history = fit(alone)
    for mine, theirs in zip(watched[0].get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for own, other in zip(watched[0].optimizer.variables, alone.optimizer.variables, strict=True):
        np.testing.assert_array_equal(own.numpy(), other.numpy())
    assert all(history[name] == watched[1][name] for name in history)
    assert any(
        not np.array_equal(a, b) for a, b in zip(alone.get_weights(), small().get_weights(), strict=True)
    )


def test_nothing_is_traced_after_the_first_epoch_begins(watched):
    assert len(set(watched[4])) == 1
    model = small()
    fit(model, tfxai.ExplainCallback(tfxai.GradCAM(), SEEN), epochs=1)
    assert tracing.traces(model) == 1  # one method, one trace


def test_the_last_file_is_the_explanation_of_the_trained_model(watched):
    model, _, callback, folder, _ = watched
    for name, method in METHODS.items():
        direct = method(model, SEEN, [0, 1])
        kept = tfxai.Explanation.load(folder / "maps" / name / "epoch_0003.npz")
        for found in (kept, callback.explanations[name]):
            np.testing.assert_allclose(found.values, direct.values, atol=1e-6)
            np.testing.assert_array_equal(found.targets, [0, 1])
            np.testing.assert_allclose(found.scores, direct.scores, atol=1e-6)


def test_numbers_are_those_of_the_files(watched):
    model, history, _, folder, _ = watched
    for name in METHODS:
        maps = [
            tfxai.Explanation.load(folder / "maps" / name / f"epoch_000{i}.npz").heatmap() for i in range(4)
        ]
        for epoch in (1, 2, 3):
            now, before = maps[epoch].reshape(2, -1), maps[epoch - 1].reshape(2, -1)
            drift = []
            for a, b in zip(now, before, strict=True):
                both = np.ptp(a) > 0 and np.ptp(b) > 0  # the rank correlation of a constant is not defined
                drift.append(1 - scipy.stats.spearmanr(a, b)[0] if both else float(not np.array_equal(a, b)))
            assert history[f"{name}_drift"][epoch - 1] == pytest.approx(np.mean(drift), abs=1e-6)
            spread = np.where(np.ptp(now, axis=1, keepdims=True) > 0, np.abs(now), 1).astype(
                float
            )  # an empty map: evenly
            entropy = scipy.stats.entropy(spread, axis=1).mean()
            assert history[f"{name}_entropy"][epoch - 1] == pytest.approx(entropy, abs=1e-5)
            evidence = np.maximum(maps[epoch], 0)
            share = evidence[:, :4, :4].sum(axis=(1, 2)) / np.maximum(evidence.sum(axis=(1, 2)), 1e-30)
            assert history[f"{name}_region"][epoch - 1] == pytest.approx(share.mean(), abs=1e-5)
        last = tfxai.Explanation.load(folder / "maps" / name / "epoch_0003.npz")
        assert history[f"{name}_deletion"][-1] == pytest.approx(
            tfxai.metrics.deletion(model, last, step=6).mean, abs=1e-6
        )
        assert history[f"{name}_hits"][-1] == tfxai.metrics.pointing_game(last, BOXES).mean
        assert len(history[f"{name}_drift"]) == 3
    assert sum(history[f"{name}_drift"][0] > 1e-3 for name in METHODS) >= 2  # the maps did change


def test_tensorboard_reads_the_same(watched):
    _, history, _, folder, _ = watched
    events = EventAccumulator(str(folder / "logs"), size_guidance={"tensors": 0})
    events.Reload()
    numbers = [name for name in history if name.startswith(tuple(METHODS))]
    assert len(numbers) == 5 * len(METHODS)
    assert set(events.Tags()["tensors"]) == {*numbers, *METHODS}
    for name in numbers:
        found = [(each.step, tf.make_ndarray(each.tensor_proto).item()) for each in events.Tensors(name)]
        assert found == [(i + 1, pytest.approx(value, rel=1e-6)) for i, value in enumerate(history[name])]
        plugin = events.SummaryMetadata(name).plugin_data.plugin_name
        assert plugin == "scalars"
    for name in METHODS:
        assert events.SummaryMetadata(name).plugin_data.plugin_name == "images"
        assert [each.step for each in events.Tensors(name)] == [0, 1, 2, 3]
        width, height, picture = tf.make_ndarray(events.Tensors(name)[-1].tensor_proto)
        drawn = tf.io.decode_png(picture).numpy()
        assert drawn.shape == (int(height), int(width), 3)
        with Image.open(folder / "maps" / name / "epoch_0003.png") as file:
            np.testing.assert_array_equal(np.asarray(file), drawn)


def test_folders_hold_a_picture_and_an_explanation_of_each_epoch_and_a_film_of_each_image(watched):
    folder = watched[3] / "maps"
    assert {path.name for path in folder.iterdir()} == set(METHODS)
    for name in METHODS:
        expected = {f"epoch_000{i}.{end}" for i in range(4) for end in ("png", "npz")}
        assert {p.name for p in (folder / name).iterdir()} == expected | {"image_0.gif", "image_1.gif"}
        with Image.open(folder / name / "image_1.gif") as film:
            assert film.n_frames == 4
            frames = []
            for i in range(4):
                film.seek(i)
                frames.append(np.asarray(film.convert("RGB"), float))
        assert len({frame.shape for frame in frames}) == 1
        for i, frame in enumerate(frames):  # each is the picture of that image in that epoch
            found = tfxai.Explanation.load(folder / name / f"epoch_000{i}.npz")[1]
            drawn = tfxai.plots.canvas.pixels(tfxai.plots.show(found, ["up", "down"])).astype(float)
            if drawn.shape == frame.shape:
                heading = 60  # where the epoch stands
                assert np.abs(drawn - frame)[heading:].mean() < 6
                assert np.abs(drawn - frame)[:heading, : drawn.shape[1] // 2].mean() > 0.5


# Every kind of training


def trained(model, x, y, callback, **more):
    return model.fit(x, y, epochs=2, verbose=0, callbacks=[callback], **more).history


def check(callback, history, model, method, targets=None):
    """The last explanation is that of the trained model, and it has changed since the start."""
    for name in callback.methods:
        values = tf.nest.flatten(callback.explanations[name].values)
        direct = tf.nest.flatten(method(model, callback.inputs, targets).values)
        for mine, theirs in zip(values, direct, strict=True):
            np.testing.assert_allclose(mine, theirs, atol=2e-5 * max(1, np.abs(theirs).max()))
        assert len(history[f"{name}_drift"]) == 2
        assert history[f"{name}_drift"][0] > 0


@every(2, how=("tf.data", "steps_per_execution", "run_eagerly", "jit_compile", "validation"))
def test_ways_of_feeding_and_running(how):
    method, model = tfxai.Gradient(), small()
    callback = tfxai.ExplainCallback(method, SEEN, 1)
    if how == "tf.data":
        data = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(64, seed=1).batch(16).repeat()
        history = trained(model, data, None, callback, steps_per_epoch=4)
    elif how == "validation":
        history = trained(model, X, Y, callback, validation_split=0.25)
        assert "val_loss" in history
    else:
        compiled(model, **{how: 3 if how == "steps_per_execution" else True})
        history = trained(model, X, Y, callback, batch_size=16)
    check(callback, history, model, method, 1)


@every(2, name=("compiled_subclassed", "series", "mixed_float16", "embedding"))
def test_kinds_of_models(name):
    found = kind(name)
    model = (
        keras.models.clone_model(found.model)
        if name in ("nested", "series", "embedding", "vit")
        else found.model
    )
    before = [weights.copy() for weights in model.get_weights()]
    try:
        method = tfxai.SmoothGrad(samples=2)
        callback = tfxai.ExplainCallback(method, found.inputs, 0)
        y = np.arange(len(found.flat[0])) % 2
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        history = trained(model, found.inputs, y, callback)
        check(callback, history, model, method, 0)
    finally:
        model.set_weights(before)


def two_in_two_out():
    keras.utils.set_random_seed(1)
    photo, row = keras.Input((8, 8, 1), name="photo"), keras.Input((3,), name="row")
    inner = L.Concatenate()([L.Flatten()(L.Conv2D(2, 3, activation="relu")(photo)), L.Dense(4)(row)])
    outputs = {
        "kind": L.Dense(3, activation="softmax", name="kind")(inner),
        "size": L.Dense(1, name="size")(inner),
    }
    model = keras.Model({"photo": photo, "row": row}, outputs)
    model.compile("adam", {"kind": "sparse_categorical_crossentropy", "size": "mse"})
    return model


def test_several_inputs_and_outputs():
    generator = np.random.default_rng(0)
    x = {"photo": images(32, 8, 8, 1), "row": generator.normal(size=(32, 3)).astype(np.float32)}
    y = {"kind": np.arange(32) % 3, "size": generator.normal(size=32).astype(np.float32)}
    few = {name: array[:3] for name, array in x.items()}
    model, score = two_in_two_out(), tfxai.scores.logit(output="kind")
    callback = tfxai.ExplainCallback(tfxai.InputXGradient(), few, [0, 1, 2], score=score)
    history = trained(model, x, y, callback)
    check(callback, history, model, functools.partial(tfxai.InputXGradient(), score=score), [0, 1, 2])
    assert list(callback.explanations) == ["input_x_gradient"]


def test_a_training_step_of_ones_own():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv, self.drop, self.dense = L.Conv2D(3, 3, activation="relu"), L.Dropout(0.3), L.Dense(2)

        def call(self, x):
            return self.dense(self.drop(keras.ops.mean(self.conv(x), axis=(1, 2))))

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(
                    keras.losses.sparse_categorical_crossentropy(y, self(x, training=True), True)
                )
            weights = self.trainable_weights
            self.optimizer.apply(tape.gradient(loss, weights), weights)
            return {"loss": loss}

    callback = tfxai.ExplainCallback(tfxai.Gradient(), SEEN, 0, regions=BOXES)
    models = []
    for watch in (callback, keras.callbacks.Callback()):
        keras.utils.set_random_seed(2)
        model = Own()  # which has no weights before it is fitted
        model.compile("adam")
        history = trained(model, X, Y, watch)
        models.append(model)
        if watch is callback:
            check(callback, history, model, tfxai.Gradient(), 0)
    for mine, theirs in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_tf_keras_trains_with_it_too():
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    model = tf_keras.Sequential([tf_keras.layers.Conv2D(3, 3, input_shape=(12, 12, 3)), tf_keras.layers.Flatten(),
                                 tf_keras.layers.Dense(2)])  # fmt: skip
    model.compile("adam", tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for on in ("epoch", "batch"):
        callback = tfxai.ExplainCallback(tfxai.Gradient(), SEEN, 0, on=on)
        check(callback, trained(model, X, Y, callback), model, tfxai.Gradient(), 0)


MIRRORED = """
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, tfxai
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
x = np.random.default_rng(0).random((32, 8, 8, 1)).astype("float32")
y = np.arange(32) % 2

def train(callbacks):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(3, 3), keras.layers.BatchNormalization(),
                                  keras.layers.ReLU(), keras.layers.Flatten(), keras.layers.Dropout(0.2), keras.layers.Dense(2)])
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model, model.fit(x, y, batch_size=16, epochs=2, verbose=0, callbacks=callbacks).history

alone, _ = train([])
method = tfxai.GradCAM()
watch = tfxai.ExplainCallback([method, tfxai.RISE(samples=600)], x[:3], 0, log_dir="logs", directory="maps")
model, history = train([watch])
assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), alone.get_weights()))
found = watch.explanations["grad_cam"].values
twin = keras.models.clone_model(model)
twin.set_weights(model.get_weights())
np.testing.assert_allclose(found, method(twin, x[:3], 0).values, atol=1e-5)
assert found.max() > 0 and history["grad_cam_drift"][0] > 0, history
print("both agree")
"""


@pytest.mark.slow
def test_under_a_mirrored_strategy(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", MIRRORED], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.strip().endswith("both agree"), done.stderr[-3000:]
    for method in ("grad_cam", "rise"):
        assert len(list((tmp_path / "maps" / method).glob("epoch_*.png"))) == 3


@pytest.mark.slow
def test_beside_other_callbacks(tmp_path):
    model = small()
    callback = tfxai.ExplainCallback(tfxai.Gradient(), SEEN, 0, log_dir=tmp_path, regions=BOXES)
    history = fit(
        model, callback,
        keras.callbacks.EarlyStopping(monitor="gradient_region", mode="max", min_delta=2.0, patience=2),
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}_{gradient_drift:.2f}.keras"),
        keras.callbacks.TensorBoard(tmp_path), keras.callbacks.CSVLogger(tmp_path / "log.csv"), epochs=9,
    )  # fmt: skip
    assert len(history["gradient_region"]) == len(history["loss"]) == 3  # one, and two without getting better
    assert len(list(tmp_path.glob("?_0.*.keras"))) == 3
    assert "gradient_entropy" in (tmp_path / "log.csv").read_text()
    again = keras.models.load_model(next(tmp_path.glob("3_*.keras")))
    np.testing.assert_allclose(
        tfxai.Gradient()(again, SEEN, 0).values, callback.explanations["gradient"].values, atol=1e-6
    )


# When


@pytest.mark.slow
def test_every_second_epoch_from_where_the_training_stands(tmp_path):
    callback = tfxai.ExplainCallback(tfxai.Gradient(), ONE, 0, every=2, directory=tmp_path)
    history = fit(small(), callback, epochs=7, initial_epoch=2)
    names = sorted(path.stem for path in (tmp_path / "gradient").glob("*.npz"))
    assert names == ["epoch_0002", "epoch_0004", "epoch_0006"]
    assert len(history["gradient_drift"]) == 2 and len(history["loss"]) == 5


@every(2, 1, together=("1", "2"))
def test_on_batches(tmp_path, together):
    """Four batches an epoch, looked at every third; where two run as one, at the end of those two."""
    steps = {"1": [0, 3, 6, 9, 12], "2": [0, 4, 6, 10, 12]}[together]
    model = compiled(small(), steps_per_execution=int(together))
    callback = tfxai.ExplainCallback(
        tfxai.Gradient(), ONE, 0, every=3, on="batch", log_dir=tmp_path / "logs", directory=tmp_path / "maps"
    )
    history = fit(model, callback)
    events = EventAccumulator(str(tmp_path / "logs"), size_guidance={"tensors": 0})
    events.Reload()
    assert [each.step for each in events.Tensors("gradient")] == steps
    drifts = {e.step: tf.make_ndarray(e.tensor_proto).item() for e in events.Tensors("gradient_drift")}
    assert list(drifts) == steps[1:]
    last = [max(step for step in steps[1:] if step <= 4 * epoch) for epoch in (1, 2, 3)]
    assert history["gradient_drift"] == pytest.approx([drifts[step] for step in last], rel=1e-6)
    assert {p.stem for p in (tmp_path / "maps" / "gradient").glob("*.png")} == {
        f"batch_{s:06d}" for s in steps
    }


@pytest.mark.slow
def test_it_starts_anew_with_each_training(tmp_path):
    callback = tfxai.ExplainCallback(tfxai.Gradient(), ONE, 0, directory=tmp_path)
    first, second = fit(small(), callback), fit(small(), callback)
    assert first == second
    with Image.open(tmp_path / "gradient" / "image_0.gif") as film:
        assert film.n_frames == 4


@pytest.mark.slow
def test_a_long_film_keeps_its_first_and_last_frame(tmp_path, monkeypatch):
    monkeypatch.setattr(films, "FRAMES", 3)
    callback = tfxai.ExplainCallback(tfxai.Gradient(), ONE, 0, directory=tmp_path)
    fit(small(), callback, epochs=6)
    with Image.open(tmp_path / "gradient" / "image_0.gif") as film:
        assert film.n_frames == 3
        for frame, epoch in enumerate((0, 3, 6)):
            film.seek(frame)
            found = tfxai.Explanation.load(tmp_path / "gradient" / f"epoch_{epoch:04d}.npz")
            drawn = tfxai.plots.canvas.pixels(tfxai.plots.show(found)).astype(float)
            assert np.abs(drawn - np.asarray(film.convert("RGB"), float))[60:].mean() < 6


# Mistakes


@pytest.fixture(scope="module")
def spoilt() -> keras.Model:
    """On which all mistakes are made, one after the other."""
    return small()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"methods": tfxai.GradCAM(layer="edge")}, "method 'grad_cam'.*edges"),
        ({"targets": 2}, "holds class 2"),
        ({"targets": [0, 1, 1]}, "targets"),
        ({"targets": [0, 5]}, "holds class 5"),
        ({"inputs": images(2, 9, 9, 3)}, "9, 9, 3"),
        ({"inputs": images(0, 12, 12, 3)}, "."),
        ({"regions": np.ones((2, 3, 3))}, "regions"),
        ({"regions": BOXES[:1]}, "regions"),
        ({"regions": BOXES + 9}, "box"),
        ({"regions": [0, 0, 4, 4]}, r"regions has shape \(4,\)"),
        ({"inputs": X[0]}, r"has shape \(12, 12, 3\).*inputs\[None\]"),
        ({"targets": np.eye(3, dtype=int)[[2, 0]]}, "one-hot"),
        ({"methods": lambda model, inputs: None}, "method 'lambda'|positional"),
        ({"methods": lambda model, inputs, targets: inputs}, "gives a tfxai.Explanation"),
        ({"metrics": [tfxai.metrics.max_sensitivity], "methods": lambda m, x, t: tfxai.Gradient()(m, x, 2)}, "class 2"),
        ({"labels": ["only one"], "directory": "maps", "targets": 1}, "labels has 1"),
    ],
)  # fmt: skip
def test_mistakes_are_told_before_the_first_epoch(spoilt, settings, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before, epochs = spoilt.get_weights(), Traces()
    epochs.seen = []
    arguments = {"methods": tfxai.Gradient(), "inputs": SEEN, "targets": 0, **settings}
    with pytest.raises(ValueError, match=message):
        fit(spoilt, tfxai.ExplainCallback(**arguments), epochs)
    assert epochs.seen == []
    for mine, theirs in zip(spoilt.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert np.isfinite(fit(spoilt, epochs=1)["loss"]).all()  # the model is as good as before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"on": "step"}, 'Give "epoch" or "batch"'),
        ({"every": 0}, "every is 0"),
        ({"every": 1.5}, "every is 1.5"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"log_dir": 3}, "log_dir is 3"),
        ({"methods": []}, "methods is empty"),
        ({"methods": tfxai.Gradient}, "Gradient()"),
        ({"methods": {"a/b": tfxai.Gradient()}, "directory": "maps"}, "name of a folder"),
        ({"metrics": "delete"}, "There is no metric 'delete'"),
        ({"metrics": ["pointing_game"]}, "needs regions="),
        ({"metrics": ["deletion", tfxai.metrics.deletion]}, "same name"),
        ({"metrics": {"drift": "sparseness"}}, "called 'drift'"),
        ({"methods": "grad_cam"}, "such as tfxai.GradCAM()"),
        ({"methods": keras.Sequential()}, "is a model, not a method"),
        ({"inputs": None}, "inputs is a NoneType"),
        ({"inputs": tf.data.Dataset.from_tensor_slices(SEEN)}, "next(iter(dataset))[0]"),
        ({"labels": 5}, "labels is a int"),
        ({"labels": "cat"}, "labels is a str"),
        ({"regions": [[0, 0, 1, 1], [0, 0]]}, "regions differ in size"),
    ],
)
def test_wrong_settings_are_told_at_once(settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        tfxai.ExplainCallback(**{"methods": tfxai.Gradient(), "inputs": SEEN, "targets": 0, **settings})


def test_without_tensorboard_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        tfxai.ExplainCallback(tfxai.Gradient(), SEEN, log_dir="logs")
    tfxai.ExplainCallback(tfxai.Gradient(), SEEN)


@every(2, 0, which=("directory", "log_dir"))
def test_a_place_that_cannot_be_written_costs_a_warning(which, tmp_path):
    (tmp_path / "taken").write_text("a file, where a folder should be")
    callback = tfxai.ExplainCallback(tfxai.Gradient(), SEEN, 0, **{which: tmp_path / "taken" / "deep"})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = fit(small(), callback)
    (message,) = [str(each.message) for each in caught if "training goes on" in str(each.message)]
    assert "taken/deep" in message
    assert len(history["gradient_drift"]) == 3
    assert (tmp_path / "taken").read_text() == "a file, where a folder should be"


@every(2, 1, which=("directory", "log_dir"))
def test_a_disk_that_is_full_costs_a_warning(which, tmp_path):
    """No file may grow beyond a limit that the pictures need: what the system says when a quota is reached."""
    callback = tfxai.ExplainCallback(tfxai.Gradient(), SEEN, 0, **{which: tmp_path / "place"})
    model = small()
    fit(model, epochs=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
        try:
            history = fit(model, callback)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    (message,) = [str(each.message) for each in caught if "training goes on" in str(each.message)]
    assert str(tmp_path / "place") in message
    assert len(history["gradient_drift"]) == 3
    assert list(tmp_path.rglob("*.png")) == list(tmp_path.rglob(".*")) == []  # nothing half written


class Breaks(keras.callbacks.Callback):
    """The weights become NaN before the second epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            self.model.set_weights([weights * np.nan for weights in self.model.get_weights()])


def warned(model, *callbacks, **more):
    """The history, and what was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = fit(model, *callbacks, **more)
    return history, [str(each.message) for each in caught if "training goes on" in str(each.message)]


@pytest.mark.slow
def test_a_model_that_becomes_nan_goes_on_training(tmp_path):
    methods = [tfxai.LIME(samples=20, segments=4, segmenter="grid"), tfxai.Gradient(), tfxai.GradCAM()]
    callback = tfxai.ExplainCallback(methods, SEEN, 0, regions=BOXES, directory=tmp_path)
    history, messages = warned(small(), Breaks(), callback, epochs=4)
    assert len(history["loss"]) == 4 and len(messages) == 3
    for name in ("lime", "gradient", "grad_cam"):
        for number in ("drift", "entropy", "region"):
            assert np.isfinite(history[f"{name}_{number}"]).tolist() == [True, False, False, False]
        # No old map under a new name.
        assert {p.name for p in (tmp_path / name).glob("*.npz")} == {"epoch_0000.npz", "epoch_0001.npz"}
        with Image.open(tmp_path / name / "image_0.gif") as film:
            assert film.n_frames == 2


@pytest.mark.slow
def test_what_cannot_be_drawn_later_costs_a_warning(tmp_path):
    """A class without a name comes up, and a file is damaged: neither may end a training that is done."""

    class Turns(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            dense = self.model.layers[-1]
            if epoch == 2:
                dense.bias.assign([0.0, 99.0])
                (tmp_path / "gradient" / "epoch_0001.npz").write_bytes(b"damaged")
            elif epoch == 0:
                dense.bias.assign([99.0, 0.0])

    model = small()
    model.layers[-1].bias.assign([99.0, 0.0])
    callback = tfxai.ExplainCallback(tfxai.Gradient(), SEEN, labels=["only one"], directory=tmp_path)
    history, messages = warned(model, Turns(), callback)
    assert len(history["gradient_drift"]) == 3
    assert [("labels has 1" in m or "not a saved explanation" in m) for m in messages] == [True, True]


def test_a_metric_that_fails_later_leaves_the_other_numbers():
    def moody(model, explanation):
        if (explanation.scores > before).any():
            raise RuntimeError("not today")
        return tfxai.metrics.sparseness(explanation)

    moody.higher_is_better = True
    model = small()
    before = tfxai.Gradient()(model, SEEN, 0).scores.max() + 1e-3
    history, messages = warned(
        model, tfxai.ExplainCallback(tfxai.Gradient(), SEEN, 0, metrics=[moody, "sparseness"]), epochs=5
    )
    assert np.isfinite(history["gradient_drift"] + history["gradient_sparseness"]).all()
    if not np.isfinite(history["gradient_moody"]).all():
        assert len(messages) == 1 and "not today" in messages[0]


def test_texts_of_different_length_and_a_metric_that_cannot_measure_them():
    words = ["good film", "a very good film indeed", "no"]

    def model_of(texts):
        return np.array([text.count("good") for text in texts], np.float32)

    callback = tfxai.ExplainCallback(tfxai.LIME(samples=30), words, 0, metrics=["sparseness"])
    callback.set_model(model_of)
    with pytest.raises(ValueError, match="Texts of different length"):
        callback.on_train_begin()
    callback = tfxai.ExplainCallback(tfxai.LIME(samples=30), words, 0)
    callback.set_model(model_of)
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    logs = {}
    callback.on_epoch_end(0, logs)
    shares = [np.abs(row[np.isfinite(row)]) for row in callback.explanations["lime"].values]
    assert logs["lime_entropy"] == pytest.approx(
        np.mean([scipy.stats.entropy(row) for row in shares[:2]] + [0]), abs=1e-5
    )
    assert logs["lime_drift"] == 0


@every(3, kind_of_state=("dropout that is always on", "noise from the global seed", "a counter"))
def test_a_model_without_weights_is_built_without_running_it(kind_of_state):
    class Odd(keras.Model):
        def __init__(self):
            super().__init__()
            self.drop, self.dense = L.Dropout(0.5), L.Dense(2)
            self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, x):
            x = keras.ops.reshape(x, (-1, 432))
            if kind_of_state.startswith("dropout"):
                x = self.drop(x, training=True)
            elif kind_of_state.startswith("noise"):
                x = x + keras.random.normal(keras.ops.shape(x))
            else:
                self.count.assign_add(1.0)
            return self.dense(x)

    found = []
    for watch in (tfxai.ExplainCallback(tfxai.Gradient(), SEEN, 0), keras.callbacks.Callback()):
        seeded(3)
        model = Odd()
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        fit(model, watch, epochs=2)
        found.append(model.get_weights())
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
def test_a_training_that_goes_on_counts_on(tmp_path):
    model = small()
    callback = tfxai.ExplainCallback(tfxai.Gradient(), ONE, 0, on="batch", every=4, directory=tmp_path)
    fit(model, callback, epochs=1)
    fit(model, callback, epochs=3, initial_epoch=1)
    names = sorted(path.stem for path in (tmp_path / "gradient").glob("*.npz"))
    assert names == ["batch_000000", "batch_000004", "batch_000008", "batch_000012"]


@pytest.mark.slow
def test_an_interrupted_training_can_have_its_films(tmp_path):
    class Stops(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    callback = tfxai.ExplainCallback(tfxai.Gradient(), ONE, 0, directory=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fit(small(), callback, Stops())
    assert not (tmp_path / "gradient" / "image_0.gif").exists()
    callback.films()
    with Image.open(tmp_path / "gradient" / "image_0.gif") as film:
        assert film.n_frames == 3
    assert len(fit(small(), callback)["gradient_drift"]) == 3


@pytest.mark.slow
def test_two_callbacks_with_one_name_are_told_apart_by_a_warning():
    both = [tfxai.ExplainCallback(tfxai.Gradient(), ONE, target) for target in (0, 1)]
    _, messages = warned(small(), *both)
    assert messages == []
    with pytest.warns(UserWarning, match="gradient_drift' already"):
        fit(small(), *both)
    other = tfxai.ExplainCallback({"other": tfxai.Gradient()}, ONE, 1)
    assert {"gradient_drift", "other_drift"} <= set(fit(small(), both[0], other))


# Numbers


@pytest.mark.slow
def test_an_empty_map_has_no_evidence_inside_and_does_not_drift():
    def nothing(model, inputs, targets):
        found = tfxai.Gradient()(model, inputs, targets)
        return tfxai.Explanation(found.values * 0, found.inputs, found.targets, found.scores)

    history = fit(small(), tfxai.ExplainCallback(nothing, SEEN, 0, regions=BOXES))
    assert history["nothing_region"] == [0, 0, 0]
    assert history["nothing_drift"] == [0, 0, 0]
    assert history["nothing_entropy"] == pytest.approx(
        [np.log(144)] * 3, rel=1e-6
    )  # no place more than another


@pytest.mark.slow
def test_several_classes_of_each_image():
    history = fit(small(), tfxai.ExplainCallback(tfxai.Gradient(), SEEN, tfxai.top(2), regions=BOXES))
    each = [
        fit(small(), tfxai.ExplainCallback(tfxai.Gradient(), SEEN, target, regions=BOXES))
        for target in (0, 1)
    ]
    both = np.mean([h["gradient_region"] for h in each], axis=0)
    np.testing.assert_allclose(history["gradient_region"], both, rtol=1e-5)


@pytest.mark.slow
def test_regions_of_masks_are_those_of_boxes():
    masks = np.zeros((2, 12, 12))
    masks[:, :4, :4] = 1
    histories = [
        fit(small(), tfxai.ExplainCallback(tfxai.Gradient(), SEEN, 0, regions=r)) for r in (masks, BOXES)
    ]
    assert histories[0] == histories[1]


@pytest.mark.parametrize("values", [
    np.random.default_rng(0).normal(size=500), np.random.default_rng(1).integers(-3, 3, 500), np.zeros(7), [2.0], [-0.0, 0.0, -1.0],
    [1e38, -1e38, 1e-45, -1e-45, 0], [np.inf, -np.inf, 0.5],
])  # fmt: skip
def test_ranks_are_those_of_scipy(values):
    for dtype in (np.float32, np.float64):
        array = np.asarray(values, dtype)
        np.testing.assert_array_equal(ranks(array), scipy.stats.rankdata(array))


# Concepts


def test_concepts_as_training_goes(tmp_path):
    """Class 1 is red. The net leans on red after a few epochs; on blue it does not, or against it."""
    generator = np.random.default_rng(0)

    def noise(count):
        return generator.uniform(0, 1, (count, 12, 12, 3)).astype(np.float32)

    x, y = noise(96), np.arange(96) % 2
    x[y == 1, :, :, 0] = x[y == 1, :, :, 0] * 0.3 + 0.7
    red, unrelated = noise(40), noise(200)
    red[..., 0] = red[..., 0] * 0.3 + 0.7
    tcav = tfxai.TCAV(["edges", "shapes"], random_runs=4, correction="none", classifier="mean_difference")
    model, traces = small(0.0), Traces()
    callback = tfxai.ConceptCallback(
        tcav,
        x[y == 1][:12],
        1,
        {"red": red},
        unrelated,
        log_dir=tmp_path / "logs",
        directory=tmp_path / "maps",
    )
    history = model.fit(x, y, epochs=6, verbose=0, callbacks=[callback, traces]).history
    again = tcav(model, x[y == 1][:12], 1, {"red": red}, unrelated)
    for row in again.table:
        name = f"tcav_red_{row['layer']}"
        assert history[name][-1] == pytest.approx(row["score"], abs=1e-6, nan_ok=True)
        assert history[f"{name}_p"][-1] == pytest.approx(row["p_value"], abs=1e-6, nan_ok=True)
    assert history["tcav_red_shapes"][-1] > 0.9
    assert len(set(traces.seen)) == 1
    assert sorted(callback.results) == list(range(7))
    events = EventAccumulator(str(tmp_path / "logs"), size_guidance={"tensors": 0})
    events.Reload()
    assert [e.step for e in events.Tensors("tcav")] == list(range(7))
    assert [e.step for e in events.Tensors("tcav_red_shapes")] == list(range(1, 7))
    kept = tfxai.TCAVResult.load(tmp_path / "maps" / "epoch_0006.npz")
    np.testing.assert_array_equal(kept.scores, callback.results[6].scores)
    assert (tmp_path / "maps" / "epoch_0000.png").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tcav": tfxai.GradCAM()}, "tcav is a GradCAM"),
        ({"tcav": tfxai.TCAV(["edge"], random_runs=2)}, "edge"),
        ({"targets": 9}, "9"),
        ({"concepts": {"few": X[:3]}}, "3 images"),
        ({"every": 0}, "every is 0"),
    ],
)
@pytest.mark.filterwarnings("ignore:TCAV got")
def test_concept_mistakes_are_told_before_the_first_epoch(change, message):
    arguments = {"tcav": tfxai.TCAV(["edges"], random_runs=2), "inputs": X[:12], "targets": 1, "concepts": {"a": X[:20]},
                 "random": X[20:60], **change}  # fmt: skip
    epochs = Traces()
    epochs.seen = []
    with pytest.raises(ValueError, match=message):
        fit(small(), tfxai.ConceptCallback(**arguments), epochs)
    assert epochs.seen == []
