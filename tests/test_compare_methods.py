"""One table over methods and metrics: its numbers are those of the parts, and a stream is read once."""

from __future__ import annotations

import csv
import dataclasses
import itertools
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

import tfxai
from tfxai import metrics, plots
from tfxai.cli import main

SIZE = 12
L = keras.layers
X = np.random.default_rng(0).uniform(0.2, 1, (7, SIZE, SIZE, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def net() -> keras.Model:
    """Class 1 reads one corner."""
    inputs = keras.Input((SIZE, SIZE, 3))
    corner = L.GlobalAveragePooling2D()(L.Conv2D(3, 1, name="maps")(L.Cropping2D(((0, 8), (0, 8)))(inputs)))
    model = keras.Model(inputs, L.Dense(2, activation="softmax")(corner))
    model.layers[2].set_weights([np.eye(3)[None, None], np.zeros(3)])
    model.layers[-1].set_weights([np.array([[0, 3.0], [0, 3], [0, 3]]), np.array([0.0, -5])])
    return model


METHODS = {"saliency": tfxai.Gradient(), "parts": tfxai.InputXGradient()}


def apart(figure: Any) -> None:
    """Nothing is cut off, and no two texts lie on each other."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer, (width, height) = canvas.get_renderer(), canvas.get_width_height()
    axes = [axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)]
    ticks = [(tick, *axis.get_view_interval()) for axis in axes for tick in axis.get_major_ticks()]
    spare = [tick.label1 for tick, low, high in ticks if not low <= tick.get_loc() <= high]  # never drawn
    words = [
        text
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text not in spare
    ]
    assert len(words) > 5
    boxes = [word.get_window_extent(renderer) for word in words]
    for box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


@pytest.fixture(scope="module")
def table(net: Any) -> tfxai.metrics.MethodTable:
    columns = [
        "deletion",
        "average_gain",
        "sparseness",
        "max_sensitivity",
        partial(metrics.mu_fidelity, grid=4),
    ]
    return tfxai.compare_methods(METHODS, net, X, columns, targets=1, batch_size=3)


def test_numbers_are_those_of_the_parts(net: Any, table: Any) -> None:
    assert table.methods == ["saliency", "parts", "random", "edges"]
    assert table.metrics == ["deletion", "average_gain", "sparseness", "max_sensitivity", "mu_fidelity"]
    for row, method in enumerate(METHODS.values()):
        explanation = method(net, X, 1)
        for name, function in {"deletion": metrics.deletion, "average_gain": metrics.average_gain}.items():
            np.testing.assert_allclose(
                table.values[name][row, :3], function(net, explanation).values[:3], atol=1e-5
            )
        np.testing.assert_allclose(
            table.values["sparseness"][row], metrics.sparseness(explanation).values, atol=1e-6
        )
    moved = metrics.max_sensitivity(METHODS["parts"], net, X[:3], 1)
    np.testing.assert_allclose(table.values["max_sensitivity"][1, :3], moved.values, rtol=1e-4)
    assert (table.values["max_sensitivity"][2] > 1).all()  # noise is another each time
    result = metrics.MetricResult("", table.values["deletion"][1], False)
    assert table.mean("parts", "deletion") == pytest.approx(result.mean)
    assert table.interval("parts", "deletion") == pytest.approx(result.interval)
    assert (table.seconds > 0).all() and table.seconds.shape == (4,)


def test_the_true_map_is_significantly_best_and_controls_are_not(table: Any) -> None:
    means = {name: table.mean(name, "mu_fidelity") for name in table.methods}
    assert min(means["parts"], means["saliency"]) > max(means["random"], means["edges"]) + 0.3
    assert table.best["mu_fidelity"] in ("parts", "saliency", None)
    alone = tfxai.compare_methods(
        tfxai.InputXGradient(), table_net(), X, partial(metrics.mu_fidelity, grid=4), 1
    )
    assert alone.best == {"mu_fidelity": "input_x_gradient"}


def table_net() -> Any:
    return net.__wrapped__()  # pyright: ignore[reportFunctionMemberAccess]


def test_streams_are_read_once_with_their_labels(net: Any) -> None:
    y = np.array([0, 1, 1, 0, 1, 0, 1])
    read = []

    def batches() -> Any:
        for start in range(0, 7, 2):
            read.append(start)
            yield X[start : start + 2], np.eye(2)[y[start : start + 2]].astype(np.float32)

    spec = (tf.TensorSpec((None, SIZE, SIZE, 3)), tf.TensorSpec((None, 2)))
    stream = tf.data.Dataset.from_generator(batches, output_signature=spec)
    columns = ["deletion", "average_drop"]
    found = tfxai.compare_methods(tfxai.Gradient(), net, stream, columns)
    assert read == [0, 2, 4, 6]
    wanted = tfxai.compare_methods(tfxai.Gradient(), net, X, columns, y, batch_size=2)
    for column in columns:
        np.testing.assert_allclose(found.values[column], wanted.values[column], atol=1e-6)
    plain = tfxai.compare_methods(
        tfxai.Gradient(), net, tf.data.Dataset.from_tensor_slices(X).batch(4), "deletion"
    )
    predicted = metrics.deletion(net, tfxai.Gradient()(net, X))
    np.testing.assert_allclose(plain.values["deletion"][0][:4], predicted.values[:4], atol=1e-5)


def test_a_table_and_two_inputs() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5,)), L.Dense(6, "tanh"), L.Dense(3)])
    rows = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    found = tfxai.compare_methods(
        [tfxai.Gradient(), tfxai.DeepLIFT()], model, rows, ["deletion", "infidelity"]
    )
    assert found.methods == ["gradient", "deep_lift", "random"]  # a row has no edges
    image, row = keras.Input((8, 8, 1), name="image"), keras.Input((5,), name="row")
    both = keras.Model([image, row], L.Dense(3)(L.Concatenate()([L.Flatten()(image), row])))
    data = [np.random.default_rng(1).random((4, 8, 8, 1)), rows[:4]]
    found = tfxai.compare_methods(tfxai.Gradient(), both, data, "average_drop", batch_size=3)
    assert (
        found.methods == ["gradient", "random", "edges"] and np.isfinite(found.values["average_drop"]).all()
    )


def test_written_and_printed(table: Any, tmp_path: Path) -> None:
    with table.to_csv(tmp_path / "table.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0][:4] == ["method", "deletion", "deletion_low", "deletion_high"] and rows[0][-1] == "seconds"
    assert [row[0] for row in rows[1:]] == table.methods
    assert float(rows[2][1]) == pytest.approx(table.mean("parts", "deletion"), rel=1e-4)
    lines = table.to_markdown().splitlines()
    assert len(lines) == 6 and all(line.count("|") == 8 for line in lines)
    assert "deletion ↓" in lines[0] and "mu_fidelity ↑" in lines[0]
    assert repr(table).splitlines()[1].startswith("saliency") and "7 examples" in repr(table)
    figure = plots.leaderboard(table)
    assert len(figure.axes) == 5
    for ax, metric in zip(figure.axes, table.metrics, strict=True):
        names = [label.get_text() for label in ax.get_yticklabels()]
        assert sorted(names) == sorted(table.methods)
        assert ax.get_title(loc="left") == metric.replace("_", " ")


def test_curves_are_drawn(net: Any) -> None:
    results = {name: metrics.deletion(net, method(net, X, 1)) for name, method in METHODS.items()}
    (ax,) = plots.curves(results).axes
    assert [line.get_label().split()[0] for line in ax.lines] == list(METHODS)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), results["saliency"].curves.mean(axis=0), rtol=1e-5)
    (ax,) = plots.curves(results["parts"], example=2).axes
    np.testing.assert_allclose(ax.lines[0].get_ydata(), results["parts"].curves[2], rtol=1e-5)
    with pytest.raises(ValueError, match="of one metric"):
        plots.curves({"a": results["parts"], "b": metrics.insertion(net, METHODS["parts"](net, X, 1))})
    with pytest.raises(ValueError, match="example is 9"):
        plots.curves(results, example=9)
    with pytest.raises(ValueError, match="needs results with curves"):
        plots.curves(metrics.sparseness(METHODS["parts"](net, X, 1)))


@pytest.mark.parametrize("example", [None, 2])
@pytest.mark.parametrize("count", [1, 3, 21])
def test_both_curves_of_road_are_drawn(net: Any, count: int, example: int | None) -> None:
    found = [metrics.road(net, method(net, X, 1)) for method in METHODS.values()]
    results = {f"IntegratedGradients {i}": found[i % 2] for i in range(count)}
    figure = plots.curves(results, example=example)
    (ax,) = figure.axes
    assert [line.get_linestyle() for line in ax.lines] == ["-", "--"] * count
    for i, result in enumerate(results.values()):
        solid, dashed = ax.lines[2 * i : 2 * i + 2]
        assert solid.get_color() == dashed.get_color()
        for line, scores in ((solid, result.morf), (dashed, result.lerf)):
            wanted = scores.mean(axis=0) if example is None else scores[example]
            np.testing.assert_allclose(line.get_xdata(), result.fractions)
            np.testing.assert_allclose(line.get_ydata(), wanted, rtol=1e-5)
        value = result.mean if example is None else result.values[example]
        assert float(solid.get_label().split()[-1].replace("\N{MINUS SIGN}", "-")) == pytest.approx(
            value, abs=6e-4
        )
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in ax.lines}
    assert len(looks) == 2 * min(count, 11)
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(words) == count + 3 and words[-2:] == ["most relevant first", "least relevant first"]
    keys = ax.get_legend().get_lines()
    assert [key.get_linestyle() for key in keys[-2:]] == ["-", "--"]
    apart(figure)


def test_wrong_use(net: Any) -> None:
    gradient = tfxai.Gradient()
    wrong: list[tuple[str, tuple]] = [
        ("no metric 'deletio'", (gradient, net, X, "deletio")),
        ("data has no examples", (gradient, net, X[:0])),
        ("metrics is empty", (gradient, net, X, [])),
        ("methods is empty", ([], net, X)),
        ("needs regions", (gradient, net, X, "localisation")),
        ("needs explanations", (gradient, net, X, "consistency")),
        ("higher_is_better", (gradient, net, X, {"mine": lambda model, explanation: 1})),
        ("same name", (gradient, net, X, ["deletion", partial(metrics.deletion, step=3)])),
        ("called 'random'", ({"random": gradient}, net, X)),
        (r"targets has shape \(3,\)", (gradient, net, X, "deletion", [0, 1, 0])),
        (
            "targets of a stream",
            (gradient, net, tf.data.Dataset.from_tensor_slices(X).batch(4), "deletion", [0] * 7),
        ),
        (
            "repeats without end",
            (gradient, net, tf.data.Dataset.from_tensor_slices(X).batch(4).repeat(), "deletion"),
        ),
        (
            "neither classes nor one-hot",
            (gradient, net, tf.data.Dataset.from_tensors((X, np.full(7, 0.4))), "deletion"),
        ),
        (
            "neither classes nor one-hot",
            (gradient, net, tf.data.Dataset.from_tensors((X, np.ones((7, 2)))), "deletion"),
        ),
        ("settings that do not exist", (gradient, net, X, partial(metrics.deletion, stp=3))),
        ("one value for each", (gradient, net, X, {"mine": _short})),
        ("no examples", (gradient, net, tf.data.Dataset.from_tensor_slices(X).batch(4).take(0), "deletion")),
    ]
    for message, call in wrong:
        with pytest.raises(ValueError, match=message):
            tfxai.compare_methods(*call)


@pytest.mark.parametrize("asked", ["deletio", []])
def test_names_that_are_offered_can_be_used(net: Any, asked: Any) -> None:
    with pytest.raises(ValueError, match="metric") as error:
        tfxai.compare_methods(tfxai.Gradient(), net, X[:2], asked)
    offered = str(error.value).rstrip(".").split(": ")[-1].split(", ")
    assert not {"pointing_game", "localisation", "consistency"} & {*offered}
    found = tfxai.compare_methods(tfxai.Gradient(), net, X[:2], offered)
    assert found.metrics == offered and len(offered) == 15
    assert all(found.values[name].shape == (3, 2) for name in offered)


def test_regions_are_set_by_partial(net: Any) -> None:
    boxes = [[0, 0, 4, 4]] * 7
    columns = [partial(function, regions=boxes) for function in (metrics.localisation, metrics.pointing_game)]
    found = tfxai.compare_methods(tfxai.InputXGradient(), net, X, columns, 1)
    wanted = metrics.localisation(tfxai.InputXGradient()(net, X, 1), boxes)
    np.testing.assert_allclose(found.values["localisation"][0], wanted.values, atol=1e-6)
    assert found.mean("input_x_gradient", "pointing_game") == 1 > found.mean("random", "pointing_game")


def _short(model: Any, explanation: Any) -> Any:
    return metrics.MetricResult("short", np.zeros(2), True)


_short.higher_is_better = True


def test_a_star_goes_to_the_better_one() -> None:
    """Over all that it has, A is better; on the examples that both have, B is."""
    values = np.array([[5, 5, 1, 1, 1.1, 1], [np.nan, np.nan, 1.2, 1.2, 1.3, 1.21]], np.float32)
    table = metrics.MethodTable(["A|x", "B"], ["m|n"], {"m|n": True}, {"m|n": values}, np.ones(2))
    assert table.best == {"m|n": None}
    assert table.to_markdown().splitlines()[0].startswith("| method | m\\|n ↑ |")
    clear = metrics.MethodTable(
        ["A", "B"], ["m"], {"m": False}, {"m": np.array([[1, 2, 3, 4], [2, 3.1, 4, 5.0]])}, np.ones(2)
    )
    assert (
        clear.best == {"m": "A"} and "| **2.5" in clear.to_markdown() and " *" in repr(clear).splitlines()[1]
    )


def test_the_command(net: Any, tmp_path: Path, capsys: Any) -> None:
    net.save(tmp_path / "net.keras")
    (tmp_path / "photos").mkdir()
    for i, image in enumerate(X):
        Image.fromarray((image * 255).astype(np.uint8)).save(tmp_path / "photos" / f"{i}.png")
    command = f"evaluate --model {tmp_path}/net.keras --images {tmp_path}/photos --preprocess 0..1 --methods gradient,grad_cam"
    out = f" --metrics deletion,average_drop --out {tmp_path}/table.csv --picture {tmp_path}/chart.png"
    assert main((command + out).split()) == 0
    printed = capsys.readouterr().out
    assert "grad_cam" in printed and "deletion ↓" in printed and "from 0.2" in printed
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows] == ["method", "gradient", "grad_cam", "random", "edges"]
    assert Image.open(tmp_path / "chart.png").width > 300
    for more, message in (
        ("--metrics delet", "no metric 'delet'"),
        ("--out table.txt", ".csv"),
        ("--images nowhere", "no folder"),
    ):
        assert main([*command.split(), *more.split()]) == 2
        assert message in capsys.readouterr().err


def noisy(means: list[float], examples: int, seed: int, spread: float = 1.0) -> metrics.MethodTable:
    """Methods whose values share most of their spread, as those of the same images do."""
    generator = np.random.default_rng(seed)
    shared = 3 * generator.normal(size=examples)
    values = np.array(means)[:, None] + shared + spread * generator.normal(size=(len(means), examples))
    names = [f"method {i}" for i in range(len(means))]
    return metrics.MethodTable(
        names, ["m"], {"m": True}, {"m": values.astype(np.float32)}, np.ones(len(means))
    )


def test_ranks_are_as_sure_as_paired_differences() -> None:
    """One far ahead, two alike, one behind; told though every single method is spread three times as far."""
    table = noisy([3, 1, 1.01, -1], 40, 0)
    assert table.ranks("m") == {
        "method 0": (1, 1),
        "method 1": (2, 3),
        "method 2": (2, 3),
        "method 3": (4, 4),
    }
    assert table.best == {"m": "method 0"}
    lower = dataclasses.replace(table, higher_is_better={"m": False})
    assert lower.ranks("m")["method 0"] == (4, 4) and lower.best == {"m": "method 3"}
    assert noisy([0.2, 0, 0.1], 5, 0).ranks("m") == dict.fromkeys(
        ["method 0", "method 1", "method 2"], (1, 3)
    )
    with pytest.raises(ValueError, match="no row 'method 0' or column 'x'"):
        table.ranks("x")


def test_many_methods_that_are_alike_are_seldom_told_apart() -> None:
    """Ten of them, 300 tables: a rank is claimed in at most 1 of 20 (24 of 300 by chance of 1 in 100); uncorrected in most."""
    false = sum(set(noisy([0.0] * 10, 20, seed).ranks("m").values()) != {(1, 10)} for seed in range(300))
    assert false <= 24
