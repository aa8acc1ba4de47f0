"""Nothing is silent: models that have broken, scores along the wrong axis, things that are no inputs, files that are traps."""

from __future__ import annotations

import json
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from covering import OF_ATTENTION, every
from PIL import Image

import tfxai
from tfxai import hub, metrics, sanity
from tfxai.cli import main
from tfxai.cli.method_list import listed_methods
from tfxai.methods import described_settings, snake_case
from tfxai.results import Explanation

L = keras.layers
X = np.random.default_rng(0).random((3, 8, 8, 3)).astype(np.float32)
METHODS = {
    name: getattr(tfxai, name)(**({"background": X} if name == "ExpectedGradients" else {}))
    for name in tfxai.methods.__all__
}


def net(bias: float = 0.0, seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), L.Conv2D(4, 3), L.ReLU(), L.GlobalAveragePooling2D(), L.Dense(3)]
    )
    model.layers[0].bias.assign(np.full(4, bias))
    return model


# NaN is no answer


@pytest.fixture(scope="module")
def broken() -> dict[str, keras.Model]:
    models = {"NaN": net(), "infinite": net()}
    models["NaN"].layers[-1].kernel.assign(np.full((4, 3), np.nan))
    models["infinite"].layers[0].kernel.assign(np.full((3, 3, 3, 4), np.inf))
    return models


@every(9, name=[name for name in METHODS if name not in OF_ATTENTION])
@pytest.mark.parametrize("kind", ["NaN", "infinite"])
def test_a_model_with_broken_weights_is_refused(broken: dict[str, keras.Model], name: str, kind: str) -> None:
    """Infinite numbers of both signs make NaN where they meet; of one sign they are a score that says nothing."""
    if kind == "infinite":
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                METHODS[name](broken[kind], X)
            except ValueError as error:
                said = [*said, error]
        assert any(word in str(each) for each in said for word in ("infinite", "not a number"))
        return
    with pytest.raises(ValueError, match=rf"{name}: the score is not a number \(NaN\) for 3 of 3 .*weights"):
        METHODS[name](broken[kind], X)


def test_studies_and_commands_refuse_it_too(
    broken: dict[str, keras.Model], tmp_path: Path, capsys: Any
) -> None:
    model = broken["NaN"]
    good = tfxai.Gradient()(net(), X)
    with pytest.raises(ValueError, match="not a number"):
        sanity.randomize_model(tfxai.Gradient(), model, X)
    with pytest.raises(ValueError, match="not a number"):
        metrics.deletion(model, good)
    with pytest.raises(ValueError, match="not a number"):
        tfxai.compare_methods(tfxai.Gradient(), model, X)
    model.save(tmp_path / "nan.keras")
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "red.png")
    words = ["--model", str(tmp_path / "nan.keras"), str(tmp_path / "red.png")]
    assert main(["explain", *words, "--method", "gradient", "--out", str(tmp_path / "o.png")]) == 2
    assert main(["predict", *words]) == 2
    assert "not a number" in capsys.readouterr().err
    assert not (tmp_path / "o.png").exists()


def test_maps_of_a_function_of_ones_own_that_are_nan_are_no_study() -> None:
    def method(model: Any, inputs: Any, targets: Any = None) -> Explanation:
        found = tfxai.Gradient()(model, inputs, targets)
        return Explanation(found.values * np.nan, found.inputs, found.targets, found.scores)

    with pytest.raises(ValueError, match="maps of 'method' hold NaN"):
        sanity.randomize_model(method, net(), X)


def test_a_gradient_that_is_nan_is_warned_of_with_its_likely_cause() -> None:
    with pytest.warns(UserWarning, match=r"4 of 8 values are no numbers .* 2 of 2 maps.*root"):
        tfxai.Gradient()(lambda x: tf.sqrt(x), np.array([[0.0, 0, 1, 2]] * 2, np.float32), 0, score=total)


def total(outputs: Any, targets: Any) -> Any:
    return tf.reduce_sum(outputs, axis=-1)


def test_maps_without_anything_in_them_are_said() -> None:
    dark = net(bias=-100.0)
    for method in (tfxai.Gradient(), tfxai.GradCAM(), tfxai.Occlusion()):
        with pytest.warns(UserWarning, match=f"{type(method).__name__}: every value of every map is 0"):
            assert not method(dark, X, 0).values.any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tfxai.Gradient()(net(bias=1.0), X, 0)


# Scores along the wrong axis


WRONG_SCORES: dict[str, Callable[..., Any]] = {
    "sum over examples": lambda o, t: tf.reduce_sum(o, axis=0),
    "all in one row": lambda o, t: tf.reshape(o, [-1]),
    "of the first three": lambda o, t: o[:3, 0],
    "turned": lambda o, t: tf.transpose(o)[0][:3] if False else tf.linalg.diag_part(o[:3, :3]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_SCORES)
def test_a_score_that_is_not_one_for_each_example_is_refused(name: str) -> None:
    """Three examples of three classes: as many numbers come as there should."""
    for method in (tfxai.Gradient(), tfxai.Occlusion()):
        with pytest.raises(ValueError, match=r"returns \d+ numbers when it is tried on .*axis=-1"):
            method(net(), X, 0, score=WRONG_SCORES[name])


def test_scores_that_hold_variables_or_numbers_of_these_examples_are_taken() -> None:
    weights, own = tf.Variable([1.0, 2.0, 3.0]), np.ones((3, 3), np.float32)
    for score in (
        lambda o, t: tf.linalg.matvec(o, weights),
        lambda o, t: tf.reduce_sum(o * own, axis=-1),
        lambda o, t: tf.gather(o, t, axis=1, batch_dims=1),
        lambda o, t: tf.map_fn(lambda row: row[0], o),
        lambda o, t: tf.reduce_max(o, axis=1),
    ):
        assert tfxai.Gradient()(net(), X, 0, score=score).scores.shape == (3,)


# Things that are no inputs and no models


WRONG_INPUTS: dict[str, tuple[Callable[[], Any], str]] = {
    "a dataset": (lambda: tf.data.Dataset.from_tensor_slices(X), "TensorSliceDataset.*next"),
    "a generator": (lambda: (row for row in X), "a generator.*np.stack"),
    "nothing": (lambda: None, "inputs is None"),
    "a list of images": (lambda: [X[0], X[1]], r"list of 2 examples \(8, 8, 3\).*np.stack"),
    "an object": (object, "inputs is an object"),
    "a set": (lambda: {1, 2}, "inputs"),
    "a model": (net, "inputs is a Sequential"),
}


@pytest.mark.parametrize("name", WRONG_INPUTS)
def test_what_came_as_inputs_is_said(name: str) -> None:
    make, message = WRONG_INPUTS[name]
    for method in (tfxai.Gradient(), tfxai.LIME()):
        with pytest.raises(ValueError, match=message):
            method(net(), make())


def test_a_class_and_a_path_are_no_models() -> None:
    with pytest.raises(ValueError, match="model is the class Sequential"):
        tfxai.Gradient()(keras.Sequential, X)
    with pytest.raises(ValueError, match=r"model is the name .model\.keras.\. Load the file first"):
        tfxai.Gradient()("model.keras", X)


def test_a_models_own_method_is_the_model(capsys: Any) -> None:
    model = net()
    wanted = tfxai.Gradient()(model, X, 0).values
    for own in (model.predict, model.call, model.__call__, model.predict_on_batch):
        np.testing.assert_array_equal(tfxai.Gradient()(own, X, 0).values, wanted)
    lime = tfxai.LIME(samples=20, segments=4, segmenter="grid")
    found = lime(lambda x: model.predict(x), X, 0)
    np.testing.assert_allclose(found.values, lime(model, X, 0).values, rtol=1e-4, atol=1e-6)
    assert capsys.readouterr().out == ""  # no progress bar of Keras at every call
    assert keras.config.is_interactive_logging_enabled()


@pytest.mark.parametrize("input", ["zz", 1, 7])
def test_an_input_that_there_is_not_is_not_ignored(input: Any) -> None:
    model, found = net(), tfxai.Gradient()(net(), X, 0)
    for call in (
        lambda: found.heatmap(input),
        lambda: metrics.deletion(model, found, input=input),
        lambda: tfxai.plots.show(found, input=input),
        lambda: tfxai.Occlusion(input=input)(model, X),
    ):
        with pytest.raises(ValueError, match="input"):
            call()
    np.testing.assert_array_equal(found.heatmap(0), found.heatmap())


def test_layers_that_are_named_twice_and_folders_without_a_name() -> None:
    for where in ("layers", "order"):
        with pytest.raises(ValueError, match=rf"{where} names 'dense.*' more than once"):
            sanity.randomize_model(tfxai.Gradient(), net(), X, **{where: [net().layers[-1].name] * 2})
    with pytest.raises(ValueError, match=r"directory is ''\. Give a path"):
        tfxai.ExplainCallback(tfxai.Gradient(), X, directory="")


def test_more_classes_than_memory_holds_are_refused_before_it_is_filled() -> None:
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"top\(100000000\)"):
        tfxai.Gradient()(net(), X, tfxai.top(10**8))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6


# Random states and numbers out of range


def test_tcav_leaves_the_random_state_of_numpy_alone() -> None:
    rng = np.random.default_rng(0)
    sets = {"red": rng.random((12, 8, 8, 3)).astype(np.float32)}
    random, model = [rng.random((12, 8, 8, 3)).astype(np.float32) for _ in range(4)], named()
    for classifier in ("logistic", "sgd", "svm", "mean_difference"):
        np.random.seed(3)
        before = np.random.get_state()[1].copy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tfxai.TCAV("conv2d", classifier=classifier, random_runs=2)(model, X, 0, sets, random)
        np.testing.assert_array_equal(np.random.get_state()[1], before)


def named() -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = [keras.Input((8, 8, 3)), L.Conv2D(4, 3, name="conv2d"), L.ReLU(), L.Flatten(), L.Dense(3)]
    return keras.Sequential(layers)


@pytest.mark.parametrize("factor", [1e-25, 1.0, 1e20])
def test_the_first_component_of_numbers_of_any_size(factor: float) -> None:
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), L.Conv2D(4, 3, use_bias=False), L.Flatten(), L.Dense(2)]
    )
    usual = tfxai.EigenCAM()(model, X, 0).values
    found = tfxai.EigenCAM()(model, X * np.float32(factor), 0).values
    np.testing.assert_allclose(found / factor, usual, rtol=1e-3, atol=1e-5 * np.abs(usual).max())


# Files that are traps


def saved(path: Path) -> Path:
    return tfxai.Gradient()(net(), X, 0).save(path)


def packed(path: Path, header: dict[str, Any], **members: bytes) -> Path:
    """An .npz file whose members are any bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        with file.open("header.npy", "w") as member:
            np.lib.format.write_array(member, np.array(json.dumps(header)))
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def array_bytes(shape: str, content: bytes) -> bytes:
    """An .npy file that says to be of that shape, whatever it holds."""
    said = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(said).to_bytes(2, "little") + said + content


def header_of(path: Path) -> dict[str, Any]:
    with np.load(path) as file:
        return json.loads(str(file["header"]))


def test_what_a_header_does_not_name_is_never_unpacked(tmp_path: Path) -> None:
    path = saved(tmp_path / "o.npz")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb.npy", bytes(300_000_000))
    tracemalloc.start()
    found = Explanation.load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.values.shape == (3, 8, 8, 3) and peak < 20e6


@pytest.mark.parametrize("shape", ["(2,)", "(10,)", "(1000000000,)"])
def test_an_array_is_as_large_as_it_says(tmp_path: Path, shape: str) -> None:
    header = header_of(saved(tmp_path / "o.npz"))
    names = {name: array_bytes(shape, bytes(4 * 5)) for name in ("array_0", "array_1", "array_2", "array_3")}
    with pytest.raises(ValueError, match=r"o\.npz is not a saved explanation .*another number of bytes"):
        Explanation.load(packed(tmp_path / "o.npz", header, **names))


def test_a_header_that_unpacks_to_nothing_is_not_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "o.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("header.npy", bytes(200_000_000))
    with pytest.raises(ValueError, match=r"header unpacks to 0\.2 GiB"):
        Explanation.load(tmp_path / "o.npz")


def test_python_objects_are_never_read_and_no_advice_is_given_to_read_them(tmp_path: Path) -> None:
    header = header_of(saved(tmp_path / "o.npz"))
    np.savez(tmp_path / "o.npz", header=np.array(json.dumps(header)), array_0=np.array([print], object))
    with pytest.raises(ValueError, match="Python objects") as caught:
        Explanation.load(tmp_path / "o.npz")
    assert "pickle" not in str(caught.value)


def test_fields_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "o.npz")
    header = header_of(path)
    fields = header["fields"]
    for name, other in (("scores", "values"), ("delta", "values"), ("targets", "scores")):
        changed = {**header, "fields": {**fields, name: fields[other]}}
        with np.load(path) as file:
            arrays = {key: file[key] for key in file.files if key != "header"}
        np.savez(tmp_path / "changed.npz", header=np.array(json.dumps(changed)), **arrays)
        with pytest.raises(ValueError, match="does not fit together"):
            Explanation.load(tmp_path / "changed.npz")
    for number in (0, -1, 1.5, True, "2", None):
        changed = {**header, "format": number}
        np.savez(tmp_path / "changed.npz", header=np.array(json.dumps(changed)), **arrays)
        with pytest.raises(ValueError, match="its format is"):
            Explanation.load(tmp_path / "changed.npz")


# Files that are programs


class Program(tf.Module):
    """Writes what it is given into a file, when it is called."""

    def __init__(self, path: str, table: str | None = None) -> None:
        super().__init__()
        self.path, self.weights = path, tf.Variable(np.ones((3, 2), np.float32))

    @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32)])
    def serve(self, x: Any) -> dict[str, Any]:
        write = tf.io.write_file(self.path, tf.strings.as_string(tf.reduce_sum(x)))
        with tf.control_dependencies([write]):
            return {"scores": tf.identity(x @ self.weights)}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    made = Program(str(tmp_path / "written.txt"))
    tf.saved_model.save(made, str(tmp_path / "program"), signatures=made.serve)
    return tmp_path / "program"


ROWS = np.ones((2, 3), np.float32)


def test_a_program_in_a_file_is_told_before_it_runs(program: Path, tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(ValueError, match=r"WriteFile in .*\(writes files\).*not loaded.*trusted=True"):
        hub.load(program, trusted=False)
    with pytest.warns(UserWarning, match=r"does more than compute.*WriteFile"):
        module = hub.load(program)
    assert len(module.outside) == 1 and "WriteFile" in module.outside[0]
    assert not (tmp_path / "written.txt").exists()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert hub.load(program, trusted=True).outside == module.outside
    assert main(["hub", str(program)]) == 2
    assert "add --unsafe" in capsys.readouterr().err
    assert main(["hub", str(program), "--unsafe"]) == 0
    assert "Does more than compute: WriteFile" in capsys.readouterr().out
    assert main(["layers", "--model", str(program)]) == 2
    assert not (tmp_path / "written.txt").exists()


def test_a_frozen_program_is_told_too(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, (None, 3), name="x")
        with tf.control_dependencies([tf.print(x, output_stream=f"file://{tmp_path}/log.txt")]):
            tf.identity(x * 2 + tf.strings.to_number(tf.io.read_file("/etc/hostname"), name="n"), name="y")
    (tmp_path / "graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    with pytest.raises(
        ValueError, match=r"PrintV2 \(writes files\), ReadFile \(reads files\)|ReadFile.*PrintV2"
    ):
        hub.load(tmp_path / "graph.pb", trusted=False)


class Words(tf.Module):
    """A vocabulary in a file, which the SavedModel takes along."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(file, tf.string, 0, tf.int64, 1, delimiter=" "), -1
        )

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def serve(self, words: Any) -> dict[str, Any]:
        return {"scores": tf.one_hot(self.table.lookup(words), 3)}


def test_what_every_model_does_is_not_told(tmp_path: Path) -> None:
    """Its own variables and vocabularies; printing."""
    (tmp_path / "words.txt").write_text("a 0\nb 1\n")
    words = Words(str(tmp_path / "words.txt"))
    tf.saved_model.save(words, str(tmp_path / "words"), signatures=words.serve)
    net().export(tmp_path / "net", verbose=False)
    for name in ("words", "net"):
        assert hub.load(tmp_path / name, trusted=False).outside == ()


# The command line


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        pixels = np.random.default_rng(ord(name)).integers(0, 256, (8, 8, 3), "uint8")
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{name}.png")
    net(bias=1.0).save(tmp_path / "model.keras")
    (tmp_path / "labels.csv").write_text("cat\ndog\nowl\n")
    return tmp_path


OVERWRITING = {
    "a photo in a folder": ["evaluate", "--images", "photos", "--methods", "gradient", "--picture", "photos/a.png"],
    "the labels": ["evaluate", "--images", "photos", "--methods", "gradient", "--labels", "labels.csv", "--out", "labels.csv"],
    "a photo by a link": ["explain", "photos/a.png", "--method", "gradient", "--out", "link.png"],
    "a photo of a class": ["tcav", "--concepts", "sets", "--class-images", "photos", "--layer", "conv2d", "--target", "0", "--out", "photos/b.png"],
    "a photo of a concept": ["tcav", "--concepts", "sets", "--class-images", "photos", "--layer", "conv2d", "--target", "0", "--out", "sets/red/a.png"],
}  # fmt: skip


@pytest.mark.parametrize("name", OVERWRITING)
def test_no_output_is_an_input(name: str, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(photos)
    (photos / "sets" / "red").mkdir(parents=True)
    (photos / "sets" / "red" / "a.png").write_bytes((photos / "photos" / "a.png").read_bytes())
    (photos / "link.png").hardlink_to(photos / "photos" / "a.png")
    before = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    assert main([*OVERWRITING[name], "--model", "model.keras"]) == 2
    assert "is an input of this command" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()} == before


def test_names_cannot_steer_a_terminal(photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(photos)
    (photos / "labels.txt").write_text("\x1b[31mred\x1b[0m\n\x1b]0;title\x07dog\n\x9b2Jo\x07wl\n")
    (photos / "labels.json").write_text("[" * 100_000)
    words = ["predict", "photos/a.png", "--model", "model.keras"]
    assert main([*words, "--labels", "labels.txt"]) == 0
    out = capsys.readouterr().out
    assert "red" in out and "dog" in out and not any(sign in out for sign in "\x1b\x07\x9b")
    assert main([*words, "--labels", "labels.json"]) == 2
    assert main([*words, "--labels", "no\x1b[31m.txt"]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 2 and "\x1b" not in error


def test_numbers_that_no_seed_can_be(photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(photos)
    words = ["explain", "photos/a.png", "--model", "model.keras", "--method", "smooth_grad", "--set"]
    for value in (str(2**70), "-1", "1.5", "x"):
        assert main([*words, f"seed={value}"]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_what_is_not_the_users_fault_is_said_to_be_ours(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def fails() -> None:
        raise LookupError("nobody thought of this")

    monkeypatch.setattr("tfxai.cli.inspect.listed_methods", fails)
    assert main(["methods"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "our mistake" in line and "nobody thought of this" in line
    report = Path(line.split("with ")[-1].rstrip("."))
    assert "Traceback" in report.read_text() and "nobody thought of this" in report.read_text()
    report.unlink()


def test_the_list_of_methods_is_that_of_the_classes() -> None:
    rows = [
        (snake_case(name), METHODS[name].__doc__.strip().splitlines()[0], "  ".join(described_settings(type(METHODS[name]))))
        for name in METHODS
    ]  # fmt: skip
    assert listed_methods() == sorted(rows)
