import json
import re
import subprocess
import sys

import keras
import matplotlib.image
import numpy as np
import pytest
from covering import every
from PIL import Image

import tfxai
from tfxai import photos
from tfxai.cli import main

LABELS = ["cat", "dog", "owl", "frog", "newt"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model in three formats, a grey one, and photos of its size or larger."""
    folder = tmp_path_factory.mktemp("cli")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((24, 32, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(6, 3, activation="relu", name="edges"),
            keras.layers.MaxPooling2D(name="pool"),
            keras.layers.Conv2D(8, 3, activation="relu", name="parts"),
            keras.layers.GlobalAveragePooling2D(name="mean"),
            keras.layers.Dense(5, activation="softmax", name="classes"),
        ]
    )
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    model.export(folder / "saved", verbose=False)
    grey = keras.Sequential(
        [keras.Input((None, None, 1)), keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(2, name="out")]
    )
    grey.save(folder / "grey.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 60, 80, 3), dtype="uint8")
    for name, one in zip(("a.png", "b.png"), pixels, strict=True):
        Image.fromarray(one).save(folder / name)
    Image.new("RGB", (32, 24), (255, 0, 0)).save(folder / "red.png")
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n")
    return folder


@pytest.fixture
def here(folder, tmp_path, monkeypatch):
    """An empty working folder; models and photos are in the one above it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model(folder):
    return keras.saving.load_model(folder / "model.keras")


def seen(folder, *names, size=(24, 32)):
    return np.stack([photos.fit(photos.read(folder / name), size) for name in names])


def ran(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert (status, err) == (0, "")
    return out


# explain


@pytest.mark.parametrize("file", ["model.keras", pytest.param("model.h5", marks=pytest.mark.slow), "saved"])
def test_saved_values_are_those_of_the_python_call(folder, here, capsys, model, file):
    ran(capsys, "explain", folder / "a.png", folder / "b.png", "--model", folder / file, "--method", "integrated_gradients",
        "--set", "steps=7", "rule=midpoint", "--set", "tolerance=none", "--target", "3", "--preprocess", "0..1",
        "--batch-size", "3", "--save", "v.npz")  # fmt: skip
    found = tfxai.Explanation.load(here / "v.npz")
    method = tfxai.IntegratedGradients(steps=7, rule="midpoint")
    expected = method(model, seen(folder, "a.png", "b.png") / 255, targets=3, batch_size=3)
    for name in ("values", "inputs", "targets", "scores", "delta"):
        # Bit for bit; a SavedModel is another graph, whose operations TensorFlow may fuse otherwise.
        tolerance = 1e-6 if file == "saved" else 0
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=tolerance, atol=tolerance
        )
    assert found.method == expected.method
    assert [path.name for path in here.iterdir()] == ["v.npz"]


def test_top_explains_the_best_ranked_classes_and_layer_names_what_is_read(folder, here, capsys, model):
    out = ran(capsys, "explain", folder / "a.png", "--model", folder / "model.keras", "--method", "LayerCAM",
              "--top", "2", "--layer", "edges", "--save", "v.npz", "--labels", folder / "labels.txt")  # fmt: skip
    found = tfxai.Explanation.load(here / "v.npz")
    expected = tfxai.LayerCAM(layer="edges")(model, seen(folder, "a.png"), targets=tfxai.top(2))
    np.testing.assert_array_equal(found.values, expected.values)
    for target, score in zip(expected.targets[0], expected.scores[0], strict=True):
        assert f"{LABELS[target]}" in out
        assert f"{score:.4g}" in out


def test_crop_and_baseline_reach_photo_and_method(folder, here, capsys, model):
    ran(capsys, "explain", folder / "a.png", "--model", folder / "model.keras", "--method", "deep_lift",
        "--set", "baseline=mean", "--crop", "0.5", "--save", "v.npz")  # fmt: skip
    inputs = photos.fit(photos.read(folder / "a.png"), (24, 32), crop=0.5)[None]
    expected = tfxai.DeepLIFT(baseline=tfxai.baselines.mean())(model, inputs)
    np.testing.assert_array_equal(tfxai.Explanation.load("v.npz").values, expected.values)


def test_a_target_may_be_a_name(folder, here, capsys):
    ran(capsys, "explain", folder / "a.png", "--model", folder / "model.keras", "--method", "gradient",
        "--labels", folder / "labels.txt", "--target", "Frog", "--save", "v.npz")  # fmt: skip
    np.testing.assert_array_equal(tfxai.Explanation.load("v.npz").targets, [3])


def test_the_picture_is_named_after_photo_and_method_unless_it_is_told(folder, here, capsys):
    arguments = ["--model", folder / "model.keras", "--method", "GRADCAM"]
    assert "Picture: a_grad_cam.png" in ran(capsys, "explain", folder / "a.png", *arguments)
    ran(capsys, "explain", folder / "a.png", folder / "b.png", *arguments)
    ran(capsys, "explain", folder / "a.png", *arguments, "--out", "mine.pdf", "--save", "mine.npz")
    names = sorted(path.name for path in here.iterdir())
    assert names == ["a_and_1_more_grad_cam.png", "a_grad_cam.png", "mine.npz", "mine.pdf"]
    assert (here / "mine.pdf").read_bytes().startswith(b"%PDF")
    assert matplotlib.image.imread(here / "a_grad_cam.png").std() > 0.05


def test_the_picture_shows_the_photo_in_its_own_colours_whatever_the_model_was_fed(folder, here, capsys):
    out = ran(capsys, "explain", folder / "red.png", "--model", folder / "model.keras", "--method", "gradient",
              "--preprocess", "resnet50")  # fmt: skip
    picture = np.asarray(Image.open("red_gradient.png").convert("RGB")).reshape(-1, 3)
    assert (picture == (255, 0, 0)).all(axis=1).mean() > 0.1
    assert (
        "numbers from -116.8 to 131.3 (--preprocess resnet50)" in out
    )  # red less its mean, green less its mean


def test_highlight_draws_the_segments_that_speak_most_for_the_class(folder, here, capsys, monkeypatch):
    figures, segments = [], tfxai.plots.segments
    monkeypatch.setattr(
        tfxai.plots, "segments", lambda *a, **k: figures.append(segments(*a, **k)) or figures[0]
    )
    ran(capsys, "explain", folder / "a.png", "--model", folder / "model.keras", "--method", "lime", "--target", "3",
        "--set", "segments=6", "samples=30", "segmenter=grid", "--highlight", "2", "--save", "v.npz")  # fmt: skip
    found = tfxai.Explanation.load("v.npz")
    best = (-found.weights[0]).argsort()[:2]
    best = best[found.weights[0][best] > 0]
    (photo, shown) = (np.asarray(ax.images[0].get_array()) for ax in figures[0].axes)
    kept = np.isin(found.segments[0], best)
    np.testing.assert_array_equal(shown[kept], photo[kept])
    assert np.ptp(shown[~kept], axis=-1).max() < 1e-6
    assert (here / "a_lime.png").exists()


@every(
    4,
    settings=(
        "lime samples=9 segmenter=watershed hide=blur",
        "kernel_shap segments=4 samples=16 segmenter=grid background=mean",
        "partition_shap evals=9 masker=noise",
        "occlusion window=8 stride=6 baseline=blur",
        "partition_shap evals=9 masker=blur(16,16)",
        "rise samples=9",
        "score_cam channels=3",
        "ablation_cam",
    ),
)
def test_methods_that_hide_parts_take_their_settings_as_text(folder, here, capsys, settings):
    method, *given = settings.split()
    given = ["--set", *given] if given else []
    ran(capsys, "explain", folder / "a.png", "--model", folder / "model.keras", "--method", method, *given,
        "--out", "o.png")  # fmt: skip
    assert (here / "o.png").stat().st_size > 1000


def test_warnings_are_one_line_on_stderr(folder, here, capsys):
    arguments = ["explain", folder / "a.png", "--model", folder / "grey.keras", "--method", "guided_backprop"]
    assert main([*map(str, arguments), "--save", "v.npz"]) == 0
    err = capsys.readouterr().err
    assert err.startswith("tfxai: warning: GuidedBackprop")
    assert err.count("\n") == 1


# hub


def test_hub_lists_what_is_inside(folder, capsys, model):
    out = ran(capsys, "hub", folder / "saved")
    assert "Signatures: " in out
    assert "serving_default (chosen)" in out
    table = {words[0]: words[1:] for line in out.splitlines() if len(words := line.split()) > 2}
    height, width, channels = model.get_layer("edges").output.shape[1:]
    assert " ".join(table["edges"]) == f"(any, {height}, {width}, {channels}) float32"
    shape = model.get_layer("edges").kernel.shape
    (kernel,) = (words for name, words in table.items() if name.endswith("edges/kernel"))
    assert " ".join(kernel) == f"({', '.join(map(str, shape))}) float32"
    out = ran(capsys, "hub", folder / "saved", "--signature", "serve")
    assert "serve (chosen)" in out


# predict


@pytest.mark.parametrize("file", ["model.keras", "model.h5", "saved"])
def test_predict_lists_the_best_classes_with_their_probabilities(folder, here, capsys, model, file):
    out = ran(capsys, "predict", folder / "a.png", folder / "b.png", "--model", folder / file, "--top", "3",
              "--labels", folder / "labels.txt")  # fmt: skip
    expected = model.predict(seen(folder, "a.png", "b.png"), verbose=0)
    rows = [line.split() for line in out.splitlines() if "%" in line]
    best = [(row, k) for row in range(2) for k in (-expected[row]).argsort()[:3]]
    assert [row[:2] for row in rows] == [[str(k), LABELS[k]] for _, k in best]
    np.testing.assert_allclose(
        [float(row[2][:-1]) / 100 for row in rows], [expected[i] for i in best], atol=6e-5
    )
    assert "a.png" in out
    assert "b.png" in out


@pytest.mark.parametrize(
    ("name", "numbers"), [("none", "0 to 255"), ("-1..1", "-1 to 1"), ("0..1", "0 to 1")]
)
def test_predict_says_which_numbers_the_model_was_fed(folder, here, capsys, name, numbers):
    Image.fromarray(np.tile(np.arange(256, dtype="uint8"), (192, 1))).save("ramp.png")
    # The grey model takes any size and gets 224 pixels: the ramp keeps nearly its ends.
    out = ran(capsys, "predict", "ramp.png", "--model", folder / "grey.keras", "--preprocess", name)
    low, high = (float(number) for number in out.split("numbers from ")[1].split(" (")[0].split(" to "))
    expected = [float(number) for number in numbers.split(" to ")]
    np.testing.assert_allclose([low, high], expected, atol=0.08 * (expected[1] - expected[0]) * 2)
    assert f"--preprocess {name}" in out


def test_a_model_without_softmax_gets_one(folder, here, capsys):
    out = ran(capsys, "predict", folder / "red.png", "--model", folder / "grey.keras")
    shares = [float(line.split()[-1][:-1]) for line in out.splitlines() if "%" in line]
    assert sum(shares) == pytest.approx(100, abs=0.02)
    grey = keras.saving.load_model(folder / "grey.keras")
    logits = grey(photos.fit(photos.read(folder / "red.png", 1), (224, 224))[None]).numpy()[0].astype(float)
    assert shares[0] == pytest.approx(100 / (1 + np.exp(-abs(logits[0] - logits[1]))), abs=0.01)


# layers, methods, help


def test_layers_prints_the_table_of_python(folder, here, capsys, model):
    out = ran(capsys, "layers", "--model", folder / "model.keras")
    assert out == f"{tfxai.layers(model)!r}\n"
    assert "* parts" in out


def test_layers_takes_models_of_anything(traps, here, capsys):
    assert "(N, 2)" in ran(capsys, "layers", "--model", traps / "rows.keras")
    assert "concatenate" in ran(capsys, "layers", "--model", traps / "pair.keras")


def test_methods_lists_each_with_its_question_and_settings(capsys):
    lines = ran(capsys, "methods").splitlines()
    first = {line.split()[0]: line for line in lines if line[:1].strip()}
    assert {name.lower() for name in tfxai.methods.__all__} == {key.replace("_", "") for key in first} - {
        "method"
    }
    assert "Which values, changed a little, change the score most?" in first["gradient"]
    assert "samples=50" in first["smooth_grad"]
    assert "noise=0.15" in first["smooth_grad"]


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["explain", "--help"]])
def test_help_and_version_end_well(capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    assert "tfxai" in capsys.readouterr().out


@pytest.mark.slow
def test_the_module_runs_as_a_command_and_tensorflow_keeps_quiet(folder):
    command = [sys.executable, "-m", "tfxai", "layers", "--model", str(folder / "model.keras")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "* parts" in done.stdout


# Errors

EXPLAIN = "explain {f}/a.png --model {f}/model.keras --method grad_cam --out o.png"
PREDICT = "predict {f}/a.png --model {f}/model.keras"
ERRORS = {
    "explain {f}/no.png --model {f}/model.keras --method grad_cam": "There is no picture .*no.png",
    "predict {f}/labels.txt --model {f}/model.keras": "labels.txt is not a picture",
    "predict {f}/a.png --model {f}/no.keras": "There is no model .*no.keras. Give a .keras",
    "predict {f}/a.png --model {f}/b.png": "b.png is not a model",
    "predict {f}/a.png --model {f}/broken.keras": "broken.keras does not load as a Keras model: ",
    "predict {f}/a.png --model {f}/lambda.keras": "does not load .* If you trust its author, add --unsafe",
    "predict {f}/a.png --model {f}/lambda.h5": "does not load .* If you trust its author, add --unsafe",
    "predict {f}/a.png --model {f}/pair.keras": "pair.keras takes 2 inputs, not photos",
    "predict {f}/a.png --model {f}/rows.keras": r"rows.keras takes arrays of shape \(N, 7\)",
    "predict {f}/a.png --model {f}": "is not a SavedModel: it has no saved_model.pb",
    f"{PREDICT} --top 0": "--top is 0",
    f"{PREDICT} --labels {{f}}/no.txt": "no.txt cannot be read as class names",
    f"{PREDICT} --labels {{f}}/four.json": "has 4 names, the model has 5 classes",
    f"{PREDICT} --preprocess resnet5": "no scaling 'resnet5'. Did you mean resnet",
    f"{PREDICT} --crop 1.5": "crop is 1.5",
    f"{PREDICT} --batch-size 0": "batch_size is 0",
    f"{EXPLAIN} --method grad_cma": "no method 'grad_cma'. Did you mean .*grad_cam.* There are: .*deep_lift",
    f"{EXPLAIN} --method smooth_grad --set sample=3": "no setting 'sample'. Did you mean samples.* It has: samples=50, noise",
    f"{EXPLAIN} --method smooth_grad --set samples=few": "samples=few: samples takes a whole number",
    f"{EXPLAIN} --method smooth_grad --set samples=0": "samples is 0",
    f"{EXPLAIN} --method smooth_grad --set samples": "'samples' has no value",
    f"{EXPLAIN} --method gradient --layer parts": "Gradient has no setting 'layer'",
    f"{EXPLAIN} --highlight 5": "--highlight: GradCAM has no segments. Take --method lime or kernel_shap",
    f"{EXPLAIN} --method lime --highlight 0": "--highlight is 0",
    f"{EXPLAIN} --layer part": r"Layer 'part' does not exist. Nearest: parts. The model has: .*edges \(None, 22, 30, 6\)",
    f"{EXPLAIN} --layer classes": "which has no spatial maps .* can read: .*edges",
    f"{EXPLAIN} --target 5": r"holds class 5, the model has 5 \(0 to 4\)",
    f"{EXPLAIN} --target -1": "holds class -1",
    f"{EXPLAIN} --target cat": "No single class is called 'cat'. Give its number",
    f"{EXPLAIN} --labels {{f}}/labels.txt --target forg": "Did you mean frog",
    f"{EXPLAIN} --top 6": "asks for more classes than the model has",
    f"{EXPLAIN} --top 2 --target 1": "not allowed with",
    f"{EXPLAIN} --labels {{f}}/four.json": "has 4 names, the model has 5 classes",
    f"{EXPLAIN} --out no/o.png": "no/o.png cannot be written: there is no folder no",
    f"{EXPLAIN} --out {{f}}/a.png": "a.png is an input of this command",
    f"{EXPLAIN} --out o.gif": "o.gif cannot be written: give a file name that ends in .png",
    f"{EXPLAIN} --save o.txt": "o.txt cannot be written: give a file name that ends in .npz",
    "explain {f}/a.png --model {f}/saved --method grad_cam --layer part --out o.png": "no endpoint 'part'. Nearest: parts",
    f"{PREDICT} --signature serve": "is a Keras file, which has no signatures",
    "predict {f}/a.png --model {f}/saved --signature serv": "no signature 'serv'. Nearest: serve",
    "hub {f}/no": "There is no model .*no. Give a SavedModel",
    "hub {f}/model.keras": "model.keras is a Keras file. Load it with keras",
    "demo --out no/o.png": "there is no folder no",
    "explian": "invalid choice: 'explian'",
    "": "required: COMMAND",
}


@pytest.fixture(scope="module")
def traps(folder):
    """Files that do not fit, beside those that do."""
    (folder / "broken.keras").write_bytes((folder / "model.keras").read_bytes()[:500])
    (folder / "four.json").write_text(json.dumps(LABELS[:4]))
    double = [
        keras.Input((24, 32, 3)),
        keras.layers.Lambda(lambda x: 2 * x),
        keras.layers.GlobalMaxPooling2D(),
    ]
    for ending in ("keras", "h5"):
        keras.Sequential(double).save(folder / f"lambda.{ending}")
    photo, row = keras.Input((24, 32, 3)), keras.Input((7,))
    flat = keras.layers.Dense(2)(row)
    keras.Model(row, flat).save(folder / "rows.keras")
    both = keras.layers.Concatenate()([keras.layers.GlobalMaxPooling2D()(photo), flat])
    keras.Model([photo, row], both).save(folder / "pair.keras")
    return folder


@pytest.mark.parametrize("command", ERRORS)
def test_errors_are_one_sentence_and_status_2_and_leave_nothing(traps, here, capsys, command):
    before = sorted(traps.rglob("*"))
    assert main(command.format(f=traps).split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("tfxai: ")
    assert err.count("\n") == 1
    assert re.search(ERRORS[command], err), err
    assert list(here.iterdir()) == []
    assert sorted(traps.rglob("*")) == before


def test_unsafe_lets_a_model_run_the_code_that_it_carries(traps, here, capsys):
    out = ran(
        capsys, "predict", traps / "red.png", "--model", traps / "lambda.keras", "--unsafe", "--top", "1"
    )
    assert "100.00%" in out  # the softmax of 510, 0, 0


def test_a_file_that_was_there_survives_an_error(folder, here, capsys):
    (here / "o.png").write_text("precious")
    arguments = (
        f"explain {folder}/a.png --model {folder}/model.keras --method grad_cam --out o.png --layer nowhere"
    )
    assert main(arguments.split()) == 2
    assert (here / "o.png").read_text() == "precious"
    assert [path.name for path in here.iterdir()] == ["o.png"]


def test_an_interrupt_ends_with_130(folder, here, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(tfxai.plots, "show", interrupted)
    arguments = f"explain {folder}/a.png --model {folder}/model.keras --method grad_cam --out o.png"
    assert main(arguments.split()) == 130
    assert capsys.readouterr().err == "tfxai: interrupted\n"
    assert list(here.iterdir()) == []


def test_help_comes_without_the_libraries_that_take_seconds_to_load():
    code = "import sys, tfxai.cli; print(*{'tensorflow', 'keras', 'matplotlib', 'rich'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
