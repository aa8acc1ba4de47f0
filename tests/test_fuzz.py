"""Thousands of calls with arguments of all kinds, drawn by a seed: what comes is an answer, a sentence or a warning.

Fails on any error but ValueError, TypeError, FileNotFoundError and what they hold; on maps with NaN that nobody was warned
of; and on a changed weight, random state, warnings filter, input or file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import random
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfxai
from tfxai import concepts, hub, metrics, plots, sanity
from tfxai.cli import main
from tfxai.results import Explanation, Stored

L = keras.layers
CALLS, CHUNKS = 1200, 12
EXPECTED = (ValueError, TypeError, FileNotFoundError)

pytestmark = pytest.mark.slow


# What can be drawn


def images_net(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            L.Conv2D(4, 3, name="conv"),
            L.ReLU(),
            L.GlobalAveragePooling2D(),
            L.Dense(3, "softmax"),
        ]
    )


def rows_net() -> keras.Model:
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((4,)), L.Dense(5, "tanh"), L.Dense(2)])


def tokens_net() -> keras.Model:
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [keras.Input((5,), dtype="int32"), L.Embedding(9, 4), L.GlobalAveragePooling1D(), L.Dense(2)]
    )


def two_net() -> keras.Model:
    keras.utils.set_random_seed(3)
    image, row = keras.Input((8, 8, 1), name="image"), keras.Input((3,), name="row")
    joined = L.Concatenate()([L.Flatten()(L.Conv2D(2, 3)(image)), row])
    return keras.Model({"image": image, "row": row}, L.Dense(3)(joined))


@dataclasses.dataclass(frozen=True)
class World:
    """Everything that calls are made of, and that must be as before after each of them."""

    models: dict[str, Any]
    inputs: dict[str, Any]
    explanations: list[Explanation]
    folder: Path

    @classmethod
    def made(cls, folder: Path) -> World:
        rng = np.random.default_rng(0)
        models = {"images": images_net(), "rows": rows_net(), "tokens": tokens_net(), "two": two_net()}
        inputs = {
            "images": rng.random((3, 8, 8, 3), np.float32),
            "rows": rng.normal(size=(3, 4)).astype(np.float32),
            "tokens": rng.integers(1, 9, (3, 5)),
            "two": {"image": rng.random((3, 8, 8, 1), np.float32), "row": rng.random((3, 3), np.float32)},
        }
        explanations = [tfxai.Gradient()(models[name], inputs[name]) for name in models]
        explanations.append(
            tfxai.LIME(segments=4, samples=20, segmenter="grid")(models["images"], inputs["images"])
        )
        models["images"].save(folder / "model.keras")
        (folder / "photos").mkdir()
        for name in "abc":
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), "uint8")).save(folder / "photos" / f"{name}.png")
        explanations[0].save(folder / "saved.npz")
        (folder / "words.txt").write_text("cat\ndog\nowl\n")
        return cls(models, inputs, explanations, folder)

    def state(self) -> list[Any]:
        """All that a call must leave alone, in a form that can be compared."""
        weights = [np.asarray(v).tobytes() for model in self.models.values() for v in model.variables]
        arrays = [np.asarray(a).tobytes() for x in self.inputs.values() for a in tf.nest.flatten(x)]
        files = {str(p): p.read_bytes() for p in sorted(self.folder.rglob("*")) if p.is_file()}
        generators = [random.getstate(), np.random.get_state()[1].tobytes(), np.random.get_state()[2]]
        return [weights, arrays, files, generators, list(warnings.filters), plt.get_fignums()]


ODD: list[Callable[[], Any]] = [
    *(lambda v=v: v for v in (None, 0, 1, -1, 2**70, 0.5, -0.5, float("nan"), float("inf"), 1j, True, "", "zz", b"x")),
    *(lambda: [], lambda: {}, lambda: (), lambda: [1, 2], lambda: {"a": 1}, lambda: {1, 2}, object, lambda: print),
    *(lambda: np.ones(3), lambda: np.array(1), lambda: np.array(["a"]), lambda: np.array([None])),
    *(lambda: tf.constant([1.0, 2.0]), lambda: (i for i in range(2)), lambda: dict, lambda: Path("none.npz")),
    *(lambda: np.zeros((0, 8, 8, 3)), lambda: np.full((2, 4), np.nan, np.float32), lambda: "photos/a.png"),
    lambda: tf.data.Dataset.range(3),
]  # fmt: skip

SMALL: dict[str, dict[str, Any]] = {
    **{name: {"samples": 3} for name in ("SmoothGrad", "SquareGrad", "VarGrad")},
    **{name: {"steps": 3} for name in ("IntegratedGradients", "BlurIG", "GuidedIG", "XRAI")},
    "ExpectedGradients": {"samples": 3},
    "KernelSHAP": {"samples": 20, "segments": 4, "segmenter": "grid"},
    "LIME": {"samples": 20, "segments": 4, "segmenter": "grid"},
    "ShapleyInteractions": {"samples": 20, "segments": 4, "segmenter": "grid"},
    "PartitionSHAP": {"evals": 10},
    "RISE": {"samples": 10},
}
GOOD: dict[str, list[Any]] = {
    "baseline": [None, 0.0, 1, tfxai.baselines.mean(), tfxai.baselines.blur(2), np.float32(0.3)],
    "background": [None, np.ones((4, 4), np.float32), np.zeros((3, 8, 8, 3), np.float32)],
    "input": [None, 0, "image", "row"],
    "layer": [None, "conv", 0, -1],
    "layers": ["conv", ["conv"]],
    "seed": [0, 7, 2**31 - 1],
    "rule": ["epsilon", "alpha_beta", "composite", "attention", "gauss_legendre", "midpoint", "trapezoid"],
    "tolerance": [None, 0.1],
    "step": [None, 1, 7],
    "score": [
        "logit",
        "probability",
        "output",
        tfxai.scores.regression(0),
        lambda o, t: o[:, 0],
        tfxai.scores.contrast(None, 1),
        tfxai.scores.similarity(np.ones(3, np.float32)),
        tfxai.scores.activation("conv", 1),
        tfxai.scores.detection(),
        tfxai.scores.expected([1, 2, 3]),
        tfxai.scores.click((2, 3)),
        tfxai.scores.reconstruction_error(),
    ],
    "targets": [
        None,
        0,
        1,
        [0, 1, 0],
        tfxai.top(2),
        [[0, 1]] * 3,
        tfxai.boxes(k=1),
        tfxai.boxes([1, 1, 4, 5], 0),
    ],
    "batch_size": [1, 2, 32],
    "progress": [False],
    "labels": [None, ["a", "b", "c"], {0: "a"}],
    "limit": [1, 16],
    "percentile": [99, 50],
    "true_labels": [None, [0, 1, 2]],
    "top": [1, 3],
}


class Draw:
    """Arguments for a call, by a seed: mostly fitting ones, one in ten or so of any kind."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.random = world, random.Random(seed)

    def odd(self, chance: float = 0.2) -> bool:
        return self.random.random() < chance

    def pick(self, choices: Any) -> Any:
        return self.random.choice(list(choices))

    def value(self, name: str, default: Any) -> Any:
        if self.odd(0.1):
            return self.pick(ODD)()
        return self.pick(GOOD.get(name, [default]))

    def settings(self, defaults: dict[str, Any]) -> dict[str, Any]:
        """Some of the settings, by name."""
        return {name: self.value(name, default) for name, default in defaults.items() if self.odd(0.3)}

    def model(self) -> tuple[str, Any]:
        name = self.pick(self.world.models)
        if self.odd(0.05):
            return name, self.pick(ODD)()
        model = self.world.models[name]
        return name, self.pick(
            [model, model, model, model.predict, lambda x: model(x), lambda x: np.asarray(model(x))]
        )

    def inputs(self, name: str) -> Any:
        if self.odd(0.06):
            return self.pick(ODD)()
        given = self.world.inputs[self.pick(self.world.inputs) if self.odd(0.08) else name]
        return given[: self.pick((1, 3))] if isinstance(given, np.ndarray) else given

    def explanation(self) -> Any:
        return self.pick(ODD)() if self.odd(0.08) else self.pick(self.world.explanations)


def defaults_of(function: Any) -> dict[str, Any]:
    import inspect

    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not parameter.empty
    }


def method(draw: Draw) -> Any:
    name = draw.pick(tfxai.methods.__all__)
    kind = getattr(tfxai, name)
    given = {**SMALL.get(name, {}), **draw.settings({**defaults_of(kind), **SMALL.get(name, {})})}
    if name == "ExpectedGradients":
        given["background"] = draw.value("background", None)
    return kind(**given)


def call_method(draw: Draw) -> Any:
    made, (name, model) = method(draw), draw.model()
    call = draw.settings({"score": None, "targets": None, "batch_size": 32, "progress": False})
    return made(model, draw.inputs(name), **call)


def call_metric(draw: Draw) -> Any:
    name = draw.pick(metrics.result.METRICS)
    function = metrics.result.METRICS[name]
    small = {"samples": 5} if "samples" in defaults_of(function) else {}
    given = {**small, **draw.settings({**defaults_of(function), **small})}
    if function.explains_again:
        kind, model = draw.model()
        made = draw.pick([tfxai.Gradient(), tfxai.InputXGradient(), "gradient", tfxai.Gradient])
        return function(made, model, draw.inputs(kind), **given)
    first = [draw.model()[1]] if function.reads_model else []
    if name == "consistency":
        return function([draw.explanation(), draw.explanation()], **given)
    regions = (
        [draw.pick([np.ones((3, 8, 8)), [[0, 0, 4, 4]] * 3, *[o() for o in ODD[:6]]])]
        if function.needs
        else []
    )
    return function(*first, draw.explanation(), *regions, **given)


def call_study(draw: Draw) -> Any:
    kind, model = draw.model()
    made = draw.pick(
        [tfxai.Gradient(), [tfxai.Gradient(), tfxai.GradCAM()], {"a": tfxai.Gradient()}, method(draw)]
    )
    study = draw.pick(["randomize_model", "efficient", "compare", "stability", "smooth"])
    if study == "compare":
        data = draw.inputs(kind)
        return tfxai.compare_methods(made, model, data, draw.pick([("deletion",), "sparseness", "zz", 3, []]))
    if study == "stability":
        return tfxai.stability(
            draw.pick([method(draw), 3, tfxai.Gradient()]), model, draw.inputs(kind), seeds=draw.value("", 2)
        )
    function = getattr(sanity, study)
    given = draw.settings({k: v for k, v in defaults_of(function).items() if k not in ("targets", "samples")})
    more = {"samples": 2} if study == "smooth" else {}
    return function(made, model, draw.inputs(kind), **{**more, **given})


def call_plot(draw: Draw) -> Any:
    name = draw.pick(plots.__all__)
    function = getattr(plots, name)
    if not callable(function) or isinstance(function, type):
        return None
    first = draw.pick(
        [draw.explanation(), {"a": draw.explanation(), "b": draw.explanation()}, [draw.explanation()]]
    )
    given = draw.settings({k: v for k, v in defaults_of(function).items() if k != "ax"})
    return function(first, **given)


def call_loader(draw: Draw) -> Any:
    folder = draw.world.folder
    where = draw.pick(
        [folder / "saved.npz", folder / "model.keras", folder, folder / "none", "words.txt", draw.pick(ODD)()]
    )
    kinds = (Explanation, Stored, sanity.SanityReport, concepts.TCAVResult)
    loader = draw.pick(
        [
            *(kind.load for kind in kinds),
            hub.load,
            concepts.images_from,
            concepts.from_folder,
            tfxai.photos.read,
        ]
    )
    if loader in (concepts.images_from, concepts.from_folder):
        return loader(
            where, draw.value("size", 8), **draw.settings({"crop": 1.0, "channels": 3, "scale": (0, 255)})
        )
    return loader(where)


def call_baseline(draw: Draw) -> Any:
    name = draw.pick(["blur", "mean", "noise", "several"])
    function = getattr(tfxai.baselines, name)
    made = function(
        *([draw.value("", 0)] if name == "several" else []), **draw.settings(defaults_of(function))
    )
    return tfxai.IntegratedGradients(steps=2, baseline=made)(
        draw.world.models["images"], draw.world.inputs["images"]
    )


def call_command(draw: Draw) -> Any:
    words = [
        draw.pick(["explain", "predict", "sanity", "evaluate", "tcav", "layers", "hub", "methods", "zz"])
    ]
    options = {
        "--model": ["model.keras", "none", "words.txt"],
        "--method": ["gradient", "grad_cam", "zz"],
        "--methods": ["gradient", "gradient,zz", ""],
        "--images": ["photos", "none"],
        "--target": ["0", "7", "cat", "-1"],
        "--labels": ["words.txt", "photos/a.png", "none"],
        "--out": ["o.png", "photos/a.png", "o.txt", "none/o.png", "o.csv"],
        "--set": ["steps=2", "x", "samples=a", "layer=conv"],
        "--layer": ["conv", "zz"],
        "--batch-size": ["2", "0", "x"],
        "--preprocess": ["none", "0..1", "-1..1", "zz"],
        "--crop": ["1", "0", "nan"],
        "--metrics": ["sparseness", "zz"],
        "--seed": ["0", "-1", "x"],
        "--top": ["1", "0"],
        "--class-images": ["photos"],
        "--concepts": ["photos", "."],
    }
    if words[0] in ("explain", "predict", "sanity"):
        words.append(draw.pick(["photos/a.png", "photos/b.png", "none.png", "words.txt"]))
    if words[0] == "hub":
        words.append(draw.pick(["model.keras", "photos", "none"]))
    for option, values in options.items():
        if draw.odd(0.9 if option == "--model" else 0.25):
            words += [option, draw.pick(values)]
    printed = io.StringIO()
    here, kept = Path.cwd(), random.getstate()
    os.chdir(draw.world.folder)
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            status = main(words)
    finally:
        os.chdir(here)
        random.setstate(
            kept
        )  # a command is a process of its own, in which Keras draws seeds while it loads a model
    for name in (
        "o.png",
        "o.csv",
        "sanity.png",
        "tcav.png",
        *(f"{p}_{m}.png" for p in "ab" for m in ("gradient", "grad_cam")),
    ):
        (draw.world.folder / name).unlink(missing_ok=True)
    assert status in (0, 2) and "Traceback" not in printed.getvalue(), (words, printed.getvalue()[-500:])
    return None


KINDS: dict[Callable[[Draw], Any], int] = {
    call_method: 40,
    call_metric: 20,
    call_study: 6,
    call_plot: 16,
    call_loader: 8,
    call_baseline: 4,
    call_command: 6,
}


def arrays_in(result: Any) -> Iterator[np.ndarray]:
    if isinstance(result, Explanation) and getattr(result, "tokens", None) is None:
        yield from (v for v in tf.nest.flatten(result.values) if v is not None)
        yield result.scores


# The calls


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.made(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_calls_of_all_kinds(world: World, chunk: int) -> None:
    outcomes: Counter[str] = Counter()
    before = world.state()
    for number in range(chunk * CALLS // CHUNKS, (chunk + 1) * CALLS // CHUNKS):
        draw = Draw(world, number)
        call = draw.random.choices(list(KINDS), list(KINDS.values()))[0]
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                result = call(draw)
                outcomes["answers"] += 1
            except EXPECTED as error:
                outcomes[type(error).__name__] += 1
                text, result = str(error), None
                assert text and len(text) < 1500, (number, text)
            except Exception as error:
                raise AssertionError(
                    f"call {number} ({call.__name__}): {type(error).__name__}: {error}"
                ) from error
        for array in arrays_in(result):
            silent = not np.isfinite(array).all() and not said
            assert not silent, f"call {number} ({call.__name__}): NaN or infinite numbers without a word"
        plt.close("all")
        changed = [i for i, (old, new) in enumerate(zip(before, world.state(), strict=True)) if old != new]
        assert not changed, f"call {number} ({call.__name__}) changed what is number {changed} of the state"
    print(f"chunk {chunk}: {dict(outcomes)}")
    assert outcomes["answers"] > 10 and outcomes["ValueError"] > 10


# Threads, interrupts, files


def test_eight_threads_give_the_same_bits(world: World) -> None:
    runs: list[tuple[Any, str]] = [
        (getattr(tfxai, name)(**SMALL.get(name, {})), kind)
        for name in ("Gradient", "SmoothGrad", "IntegratedGradients", "GradCAM", "LRP", "DeepLIFT", "Occlusion", "RISE", "LIME")
        for kind in ("images", "two")
    ]  # fmt: skip

    def run(made: Any, kind: str) -> list[bytes]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = made(world.models[kind], world.inputs[kind])
        return [np.asarray(v).tobytes() for v in tf.nest.flatten(found.values) if v is not None]

    alone = [run(*each) for each in runs]
    results: list[list[bytes] | None] = [None] * (4 * len(runs))
    turns = iter(range(len(results)))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = next(turns, None)
            if number is None:
                return
            results[number] = run(*runs[number % len(runs)])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found == alone[number % len(runs)] for number, found in enumerate(results))


class Interrupted(BaseException):
    """As a person's Ctrl-C, but not one that would end the test."""


@pytest.mark.parametrize("name", ["SmoothGrad", "GradCAM", "RISE", "LRP", "GuidedBackprop"])
def test_an_interrupt_at_any_moment_leaves_the_model_whole(world: World, name: str) -> None:
    model = images_net(5)
    made, x = getattr(tfxai, name)(**SMALL.get(name, {})), world.inputs["images"]
    wanted, before = made(model, x).values, [np.asarray(v).tobytes() for v in model.variables]
    moments = random.Random(name)
    calls = 0
    for _ in range(25):
        left = moments.randrange(1, 4000)

        def stop(frame: Any, event: str, argument: Any) -> None:
            nonlocal left
            left -= event == "call"
            if left == 0:
                raise Interrupted

        fresh = keras.models.clone_model(model)
        fresh.set_weights(model.get_weights())
        patched = [layer.call for layer in fresh.layers]
        import sys

        sys.setprofile(stop)
        try:
            made(fresh, x)
        except Interrupted:
            calls += 1
        finally:
            sys.setprofile(None)
        assert [layer.call for layer in fresh.layers] == patched
        np.testing.assert_allclose(made(fresh, x).values, wanted, rtol=1e-4, atol=1e-6)
    assert calls > 15
    assert [np.asarray(v).tobytes() for v in model.variables] == before


@pytest.mark.parametrize("chunk", range(4))
def test_mutated_files_are_refused_or_the_same(world: World, tmp_path: Path, chunk: int) -> None:
    whole = (world.folder / "saved.npz").read_bytes()
    wanted, draw = Explanation.load(world.folder / "saved.npz"), random.Random(chunk)
    outcomes, sentences = Counter[str](), list[str]()
    for _ in range(500):
        content = bytearray(whole)
        for _ in range(draw.randrange(1, 4)):
            kind, place = draw.randrange(4), draw.randrange(len(content))
            if kind == 0:
                content[place] ^= 1 << draw.randrange(8)
            elif kind == 1:
                del content[place : place + draw.randrange(1, 50)]
            elif kind == 2:
                content[place:place] = bytes(draw.randrange(256) for _ in range(draw.randrange(1, 20)))
            else:
                content = content[: max(place, 1)]
        (tmp_path / "o.npz").write_bytes(content)
        try:
            found = Explanation.load(tmp_path / "o.npz")
        except ValueError as error:
            outcomes["refused"] += 1
            sentences.append(str(error))
            continue
        outcomes["the same"] += 1
        np.testing.assert_array_equal(found.values, wanted.values)
        assert (found.method, found.score) == (wanted.method, wanted.score)
    print(f"mutated files {chunk}: {dict(outcomes)}")
    assert outcomes["refused"] > 300
    assert all(each.startswith(str(tmp_path)) and len(each) < 600 for each in sentences)


def test_the_fuzzer_finds_what_it_looks_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method whose maps are NaN without a word, and one that touches a weight, would both be seen."""
    silent = dataclasses.replace(world.explanations[0], values=world.explanations[0].values * np.nan)
    assert not all(np.isfinite(array).all() for array in arrays_in(silent))
    before = world.state()
    kernel = world.models["rows"].layers[0].kernel
    kept = kernel.numpy()
    kernel.assign(kept + 1)
    changed = world.state()
    kernel.assign(kept)
    assert before != changed and before == world.state()
    np.random.random()
    assert world.state() != before
