"""What comes back: its picture, its file, its text."""

from __future__ import annotations

import dataclasses
import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfxai
from tfxai.results import Explanation, SampledExplanation

RNG = np.random.default_rng(0)


def explanation(values: Any, inputs: Any, targets: Any = (1, 2), **more: Any) -> Explanation:
    targets = np.asarray(targets, np.int64)
    return Explanation(values, inputs, targets, RNG.normal(size=targets.shape).astype(np.float32), **more)


def array(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


SHAPES = {
    # values, inputs, shape of the map; the channel axis is summed where there is one
    "images": ((2, 5, 6, 3), (2, 5, 6, 3), True),
    "grey images": ((2, 5, 6, 1), (2, 5, 6, 1), True),
    "images, two targets": ((2, 4, 5, 6, 3), (2, 5, 6, 3), True),
    "images by one channel": ((2, 5, 6, 1), (2, 5, 6, 3), True),
    "images by one channel, two targets": ((2, 4, 5, 6, 1), (2, 5, 6, 3), True),
    "series": ((2, 7, 3), (2, 7, 3), True),
    "series, two targets": ((2, 4, 7, 3), (2, 7, 3), True),
    "volumes": ((2, 4, 5, 6, 3), (2, 4, 5, 6, 3), True),
    "rows": ((2, 7), (2, 7), False),
    "rows, two targets": ((2, 4, 7), (2, 7), False),
    "tokens of ids": ((2, 9), (2, 9), False),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_heatmap_is_the_signed_sum_over_channels_of(name: str) -> None:
    shape, inputs, channels = SHAPES[name]
    values = array(*shape)
    targets = np.zeros((2, 4) if "targets" in name else 2, int)
    found = explanation(values, array(*inputs), targets).heatmap()
    np.testing.assert_allclose(found, values.sum(-1) if channels else values, rtol=1e-6)
    assert found.shape == targets.shape + (inputs[1:-1] if channels else inputs[1:])
    assert found.dtype == np.float32
    assert (found < 0).any()


@pytest.mark.parametrize("structure", [dict, list, tuple])
def test_of_several_inputs_the_first_explained_image_is_shown(structure: type) -> None:
    rows, hidden, image, other = array(2, 4), array(2, 5, 6, 3), array(2, 5, 6, 3), array(2, 5, 6, 3)
    values = [rows, None, image, other]
    inputs = [array(2, 4), hidden, array(2, 5, 6, 3), array(2, 5, 6, 3)]
    keys: list[Any] = list(range(4))
    if structure is dict:
        keys = ["rows", "hidden", "image", "other"]
        values, inputs = dict(zip(keys, values, strict=True)), dict(zip(keys, inputs, strict=True))
    else:
        values, inputs = structure(values), structure(inputs)
    both = explanation(values, inputs)
    np.testing.assert_array_equal(both.heatmap(), image.sum(-1))
    np.testing.assert_array_equal(both.heatmap(keys[3]), other.sum(-1))
    np.testing.assert_array_equal(both.heatmap(keys[0]), rows)


def test_without_an_image_the_first_explained_input_is_shown() -> None:
    series = array(2, 7, 3)
    found = explanation([None, series], [array(2, 4), array(2, 7, 3)]).heatmap()
    np.testing.assert_array_equal(found, series.sum(-1))


def test_there_is_no_heatmap_of_an_input_that_was_not_explained() -> None:
    result = explanation({"a": None, "b": array(2, 3)}, {"a": array(2, 4), "b": array(2, 3)})
    with pytest.raises(ValueError, match=r"'a'.*not explained"):
        result.heatmap("a")


# Files


def same(found: Any, wanted: Any) -> None:
    """Bit for bit, in the same structure."""
    assert type(found) is type(wanted)
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key in wanted:
            same(found[key], wanted[key])
    elif isinstance(wanted, (list, tuple)):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            same(one, other)
    elif isinstance(wanted, np.ndarray):
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        assert found.tobytes() == wanted.tobytes()
    elif isinstance(wanted, tfxai.Receipt):
        for field in dataclasses.fields(wanted):
            same(getattr(found, field.name), getattr(wanted, field.name))
    else:
        assert found == wanted


STRANGE = np.array([[0.0, -0.0, np.nan, np.inf, 1e-45, 3.4e38, 0.1]], np.float32)
SAVED: dict[str, Explanation] = {
    "an array": explanation(array(2, 5, 6, 3), array(2, 5, 6, 3), method="Gradient()", delta=array(2)),
    "strange numbers": explanation(STRANGE, STRANGE[:, ::-1].copy(), [3]),
    "a dict": explanation({"b": array(2, 3), "a": None}, {"b": array(2, 3), "a": array(2, 4, 4, 1)}),
    "a list": explanation([None, array(2, 3)], [array(2, 4), array(2, 3)]),
    "a tuple": explanation((array(2, 3), None), (array(2, 3), np.ones((2, 4), np.int32))),
    "two targets": explanation(array(2, 2, 3), array(2, 3), [[1, 0], [2, 1]], score="probability"),
    "ids": explanation(array(2, 3), np.array([[1, 2, 3]] * 2, np.int32), score="é <lambda>"),
    "no class": explanation(array(2, 3), array(2, 3), [-1, -1]),
    "an unusual order in memory": explanation(array(3, 2).T, np.asfortranarray(array(2, 3))),
    "a sample": SampledExplanation(
        array(2, 3), array(2, 3), np.array([0, 1]), array(2), standard_error={"a": array(2, 3), "b": None}
    ),
}


@pytest.mark.parametrize("name", SAVED)
def test_a_file_holds_every_bit_of(name: str, tmp_path: Path) -> None:
    path = tmp_path / "explanation.npz"
    assert SAVED[name].save(path) == path
    loaded = Explanation.load(path)
    assert type(loaded) is type(SAVED[name])
    for field in dataclasses.fields(SAVED[name]):
        same(getattr(loaded, field.name), getattr(SAVED[name], field.name))


def test_a_sampled_explanation_is_loaded_by_its_own_class_too(tmp_path: Path) -> None:
    path = SAVED["a sample"].save(tmp_path / "sample.npz")
    loaded = SampledExplanation.load(path)
    same(loaded.standard_error, SAVED["a sample"].standard_error)
    plain = SAVED["an array"].save(tmp_path / "plain.npz")
    same(SampledExplanation.load(plain).values, SAVED["an array"].values)


def test_what_a_method_found_is_loaded_as_it_was(tmp_path: Path) -> None:
    x = array(2, 3)
    for method in (tfxai.IntegratedGradients(steps=2), tfxai.ExpectedGradients([0 * x, x], samples=2)):
        found = method(lambda x: tf.stack([x[0][:, 0], x[1][:, 1] ** 2], 1), [x, 2 * x])
        loaded = tfxai.Explanation.load(found.save(str(tmp_path / "found.any")))
        assert type(loaded) is type(found)
        for field in dataclasses.fields(found):
            same(getattr(loaded, field.name), getattr(found, field.name))


def test_words_beside_an_image_are_saved_too(tmp_path: Path) -> None:
    """As of a model that reads a caption and an image: the caption is not explained, but it is kept."""
    words = np.array([["a cat"], ["ein Käse"]], object)
    result = explanation({"caption": None, "row": array(2, 3)}, {"caption": words, "row": array(2, 3)})
    loaded = Explanation.load(result.save(tmp_path / "words.npz"))
    assert loaded.inputs["caption"].tolist() == words.tolist()


def test_numpy_alone_reads_the_file(tmp_path: Path) -> None:
    path = SAVED["an array"].save(tmp_path / "explanation")
    assert path.name == "explanation"
    with np.load(path, allow_pickle=False) as file:
        assert any(np.array_equal(file[name], SAVED["an array"].values) for name in file.files)


class Trap:
    """Notes that it was unpickled."""

    sprung = False

    def __setstate__(self, state: Any) -> None:
        Trap.sprung = True

    def __getstate__(self) -> dict:
        return {"a": 1}


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps(Trap()))


def pickled_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([Trap()], object), allow_pickle=True)


def pickled_header(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, header=np.array([Trap()], object))


def pickled_field(path: Path) -> None:
    SAVED["an array"].save(path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    with path.open("wb") as file:
        np.savez(file, **{**arrays, "array_0": np.array([Trap()], object)})


@pytest.mark.parametrize("write", [pickled, pickled_array, pickled_header, pickled_field])
def test_nothing_in_a_file_is_executed(write: Any, tmp_path: Path) -> None:
    write(tmp_path / "trap.npz")
    with pytest.raises(ValueError, match=r"trap\.npz is not a saved explanation"):
        Explanation.load(tmp_path / "trap.npz")
    assert not Trap.sprung
    pickle.loads(pickle.dumps(Trap()))
    assert Trap.sprung  # it would have been seen
    Trap.sprung = False


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"a text"])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "other.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.npz is not a saved explanation"):
        Explanation.load(tmp_path / "other.npz")


def test_files_of_arrays_that_are_no_explanation_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "arrays.npz", values=array(2, 3))
    with pytest.raises(ValueError, match=r"arrays\.npz is not a saved explanation"):
        Explanation.load(tmp_path / "arrays.npz")


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Explanation.load(tmp_path / "nowhere.npz")


# Text


def test_a_changed_copy_leaves_the_original() -> None:
    one = SAVED["a sample"]
    other = dataclasses.replace(one, values=-one.values)
    assert type(other) is SampledExplanation
    np.testing.assert_array_equal(other.values, -one.values)
    assert other.standard_error is one.standard_error
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.values = other.values


def test_the_text_says_what_it_is_without_the_numbers() -> None:
    assert repr(SAVED["an array"]) == (
        "Explanation(Gradient() of the logit: values (2, 5, 6, 3), targets (2,))"
    )
    assert "[None, (2, 3)]" in repr(SAVED["a list"])
    assert "{'b': (2, 3), 'a': None}" in repr(SAVED["a dict"])
    assert repr(SAVED["a sample"]).startswith("SampledExplanation(unnamed method of the logit")
    assert "of the probability" in repr(SAVED["two targets"])


def test_it_shows_itself_in_a_notebook() -> None:
    picture = SAVED["an array"]._repr_png_()
    assert picture is not None
    assert picture.startswith(b"\x89PNG")


@pytest.mark.parametrize("name", SAVED)
def test_some_of_the_examples(name: str) -> None:
    whole = SAVED[name]
    count = len(whole)
    flat = [] if whole.values is None else tf.nest.flatten(whole.values)
    for rows in (slice(0, 1), [count - 1, 0], -1, np.arange(count) > 0):
        part = whole[rows]
        order = np.arange(count)[[rows] if isinstance(rows, int) else rows]
        assert type(part) is type(whole) and len(part) == len(order) and part.method == whole.method
        np.testing.assert_array_equal(part.targets, whole.targets[order])
        np.testing.assert_array_equal(part.scores, whole.scores[order])
        for mine, all_of in zip(tf.nest.flatten(part.values), flat, strict=True):
            if all_of is not None:
                np.testing.assert_array_equal(mine, all_of[order])
        for mine, all_of in zip(tf.nest.flatten(part.inputs), tf.nest.flatten(whole.inputs), strict=True):
            np.testing.assert_array_equal(mine, all_of[order])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (9, "no example 9"),
        (-4, "no example -4"),
        (None, "a list of numbers"),
        ("a", "a list of numbers"),
        ([0, 7], "no example 7"),
        ([True], "1 truths"),
    ],
)
def test_examples_that_are_not_there(rows, message) -> None:
    with pytest.raises(IndexError, match=message):
        SAVED["an array"][rows]


def test_no_examples_show_words_only() -> None:
    nothing = SAVED["an array"][:0]
    assert len(nothing) == 0
    assert "<img" not in nothing._repr_html_() and "Explanation(" in nothing._repr_html_()


# How sure it is


def sure(values: list, ends: list, **more: Any) -> Explanation:
    values, interval = np.array(values, np.float32), np.array(ends, np.float32)
    count = len(values)
    return Explanation(
        values, array(*values.shape), np.zeros(count, int), array(count), interval=interval, **more
    )


def test_an_order_is_certain_where_no_interval_reaches_the_others() -> None:
    """Three values at 3, 2, 1: apart; the first two meet; the last two meet; all alike."""
    values = [[3, 2, 1]] * 4
    ends = [
        [[2.6, 3.4], [1.6, 2.4], [0.6, 1.4]],
        [[2.2, 3.8], [1.9, 2.3], [0.6, 1.4]],
        [[2.6, 3.4], [1.2, 2.4], [0.6, 1.4]],
        [[0.0, 4.0], [0.0, 4.0], [0.0, 4.0]],
    ]
    found = sure(values, ends)
    assert found.certain(1).tolist() == [True, False, True, False]
    assert found.certain(2).tolist() == [True, True, False, False]
    assert found.certain(3).all() and found.certain(9).all()


def test_certain_needs_intervals_and_a_number() -> None:
    found = sure([[1, 2]], [[[0, 1], [2, 3]]])
    for wrong in (0, 1.5, True, "1"):
        with pytest.raises(ValueError, match="k is"):
            found.certain(wrong)
    with pytest.raises(ValueError, match=r"has no intervals\. Methods that sample give them"):
        dataclasses.replace(found, interval=None).certain(1)


def test_weights_have_the_ends_of_their_places() -> None:
    """Segments of an image, columns one by one, words; each part's end is that of any of its places."""
    x = np.random.default_rng(0).random((2, 12, 12, 3)).astype(np.float32)
    images = tfxai.KernelSHAP(segments=9, segmenter="grid", samples=60)(lambda x: np.asarray(x)[:, 3:7].mean((1, 2)) ** 2, x, [[0, 1], [1, 2]])  # fmt: skip
    spans = images.weights_interval
    assert spans.shape == (*images.weights.shape, 2)
    for row, part in itertools.product(range(2), range(9)):
        places = images.interval[row][:, images.segments[row] == part, 0]
        assert (places == spans[row][:, part][:, None]).all()
    columns = {"a": np.ones((2, 1)), "b": np.ones((2, 2))}
    rows = tfxai.KernelSHAP(background={"a": np.zeros((3, 1)), "b": np.zeros((3, 2))})(lambda c: c["a"][:, 0] + c["b"].prod(1), columns)  # fmt: skip
    np.testing.assert_allclose(rows.weights_interval, np.repeat(rows.weights[..., None], 2, -1), atol=1e-6)
    words = tfxai.KernelSHAP(samples=12)(lambda t: np.array([len(s) ** 1.5 for s in t]), ["a bb ccc dddd eeeee", "a"])  # fmt: skip
    assert words.weights_interval.shape == (2, 5, 2) and np.isnan(words.weights_interval[1, 1:]).all()
    assert (words.weights_interval[0, :, 0] <= words.weights[0]).all()
    assert words.certain(1).tolist() == [bool(words.weights_interval[0, 4, 0] > words.weights_interval[0, :4, 1].max()), True]  # fmt: skip


def test_uncertainty_is_saved_and_cut_with_the_rest(tmp_path: Path) -> None:
    found = tfxai.KernelSHAP(background=0.0, samples=20, tolerance=1e-9)(lambda x: np.sin(np.asarray(x)).prod(1), np.ones((3, 6)))  # fmt: skip
    loaded = Explanation.load(found.save(tmp_path / "x.npz"))[1:]
    for name in ("standard_error", "interval", "passes", "converged"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(found, name)[1:])
    assert len(loaded.passes) == 2
