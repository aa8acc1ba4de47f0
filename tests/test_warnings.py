"""Every warning points at the user's own line, however deep in the package, in Keras or in TensorFlow it arises."""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfxai
from tfxai import concepts
from tfxai.support import warn

RNG = np.random.default_rng(0)
ROWS = np.ones((1, 5), np.float32)
FEW = tfxai.KernelSHAP(samples=3, background=0.0)
TOO_FEW = "3 samples are too few to tell 5 parts apart"
LINES = Path(__file__).read_text().splitlines()
MARK = "# this line"


def first(rows: Any) -> Any:
    return np.asarray(rows)[:, 0]


def places(call: Callable[[], Any], words: str) -> list[tuple[str, int]]:
    """File and line of each warning that has these words."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [(each.filename, each.lineno) for each in caught if re.search(words, str(each.message))]


def points_at(call: Callable[[], Any], words: str) -> None:
    """A call on one line, written as a lambda: all warnings point at that line."""
    found = places(call, words)
    assert found
    assert set(found) == {(__file__, call.__code__.co_firstlineno)}


def points_at_the_mark(call: Callable[[], Any], words: str, mark: str = MARK) -> None:
    """All warnings point at a line of this file that ends in the mark."""
    found = places(call, words)
    assert found
    for file, line in found:
        assert file == __file__
        assert LINES[line - 1].endswith(mark)


# Each place that warns


def test_an_operation_without_a_rule() -> None:
    def clipped(rows: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.nn.relu(tf.maximum(rows, rows[:, ::-1])), axis=1)

    for _ in range(2):  # when it is traced, and when the trace is there
        points_at(lambda: tfxai.DeepLIFT()(clipped, ROWS), "no rule for Maximum")


def test_a_tolerance_that_is_not_reached() -> None:
    def step(rows: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.cast(rows > 0.4, tf.float32) + 0 * rows, axis=1)

    method = tfxai.IntegratedGradients(steps=5, tolerance=0.01)
    points_at(lambda: method(step, ROWS), "did not reach tolerance=0.01")


def test_too_few_samples() -> None:
    points_at(lambda: FEW(first, ROWS), TOO_FEW)


def test_an_image_with_one_segment() -> None:
    image = np.ones((1, 20, 20, 3), np.float32)
    method = tfxai.LIME(samples=5, segments=4, segmenter="felzenszwalb")
    points_at(lambda: method(lambda x: tf.reduce_mean(x, (1, 2)), image, 0), "one segment only")


@pytest.fixture(scope="module")
def net() -> Any:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(3, 1, name="conv"), keras.layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input((4, 4, 3)), *layers, keras.layers.Dense(2)])


def images(count: int, size: float = 1.0) -> np.ndarray:
    return RNG.uniform(0, size, (count, 4, 4, 3)).astype(np.float32)


def test_few_random_images(net: Any) -> None:
    points_at(lambda: tfxai.TCAV("conv")(net, images(10), 0, {"a": images(20)}, images(60)), "60 random")


def test_images_of_different_size(net: Any) -> None:
    tcav, sets = tfxai.TCAV("conv", random_runs=4), [images(10) for _ in range(8)]
    points_at(lambda: tcav(net, images(10), 0, {"a": images(20, 255)}, sets), "very different size")


def test_few_images_of_the_class(net: Any) -> None:
    tcav, sets = tfxai.TCAV("conv", random_runs=4), [images(10) for _ in range(8)]
    points_at(lambda: tcav(net, images(3), 0, {"a": images(20)}, sets), "Class 0 has 3 images")


def test_files_that_are_not_pictures(tmp_path: Path) -> None:
    (tmp_path / "red").mkdir()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "red" / "a.png")
    (tmp_path / "red" / "notes.txt").write_text("not a picture")
    points_at(lambda: concepts.from_folder(tmp_path, 4), "notes.txt")
    points_at(lambda: concepts.images_from(tmp_path / "red", 4), "notes.txt")


def small() -> Any:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    return model


SEEN, WANTED = images(2), np.zeros((2, 2), np.float32)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, where a folder should be")
    for name in ("directory", "log_dir"):
        callback = tfxai.ExplainCallback(tfxai.Gradient(), SEEN, 0, **{name: tmp_path / "taken" / "deep"})
        model = small()
        points_at(lambda: model.fit(SEEN, WANTED, callbacks=[callback], verbose=0), "Nothing can be written")  # noqa: B023 called at once


def test_two_callbacks_of_one_name() -> None:
    both, model = [tfxai.ExplainCallback(tfxai.Gradient(), SEEN, target) for target in (0, 1)], small()
    points_at(lambda: model.fit(SEEN, WANTED, callbacks=both, verbose=0), "gradient_drift' already")


def test_a_model_that_has_become_nan(tmp_path: Path) -> None:
    class Breaks(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                self.model.set_weights([weights * np.nan for weights in self.model.get_weights()])

    model, explain = small(), tfxai.ExplainCallback(tfxai.Gradient(), SEEN, 0, directory=tmp_path)
    callbacks = [Breaks(), explain]
    points_at(lambda: model.fit(SEEN, WANTED, epochs=3, callbacks=callbacks, verbose=0), "goes on")


# From where it may be called


def test_inside_of_a_callback_of_the_users() -> None:
    class Looks(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            FEW(first, ROWS)  # this line

    points_at_the_mark(lambda: small().fit(SEEN, WANTED, callbacks=[Looks()], verbose=0), TOO_FEW)


def explained(rows: np.ndarray) -> tfxai.Explanation:
    return FEW(first, rows)  # this line


def test_a_helper_function_of_the_users() -> None:
    points_at_the_mark(lambda: explained(ROWS), TOO_FEW)
    points_at_the_mark(lambda: list(map(explained, [ROWS, ROWS])), TOO_FEW)


def test_a_partial_function() -> None:
    partial = functools.partial(FEW, first, ROWS)
    points_at(lambda: partial(), TOO_FEW)
    points_at(lambda: functools.partial(partial)(), TOO_FEW)


def test_through_another_part_of_the_package() -> None:
    """Metrics and sanity checks call methods; the line is the one that called the metric."""
    points_at(lambda: tfxai.stability(FEW, first, ROWS, seeds=2), TOO_FEW)
    points_at(lambda: tfxai.compare_methods({"few": FEW}, first, ROWS, metrics=["sparseness"]), TOO_FEW)


def test_without_a_frame_of_the_users_the_outermost_one_is_taken() -> None:
    frames = compile("warn('deep down')", str(Path(tfxai.__file__).parent / "made_up.py"), "exec")
    points_at(lambda: exec(frames, {"warn": warn}), "deep down")


def test_each_line_warns_once_as_python_has_it() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            FEW(first, ROWS)
        FEW(first, ROWS)
    assert len([each for each in caught if TOO_FEW in str(each.message)]) == 2
