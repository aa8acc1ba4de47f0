"""The command line: `tfxai demo`, `predict`, `explain`, `layers`, `methods`, `hub`, `sanity`,
`tcav` and `evaluate`.

TensorFlow is imported inside the commands, so that help and errors come at once.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import difflib
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tfxai.files import PICTURES, whole, writable
from tfxai.quiet import start_quietly
from tfxai.version import __version__

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tfxai.explanation import Explanation
    from tfxai.models import Loaded

DEMO_PICTURE = "tfxai_demo.png"
DRAWN = 100  # photos in one picture; a longer one is more than most programs show


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Returns the exit status: 0, 2 for what the user can mend, 130 if interrupted."""
    try:
        arguments = _parser().parse_args(_joined(sys.argv[1:] if argv is None else argv))
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            arguments.command(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has seen enough, as in `tfxai layers ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, ImportError, OSError) as error:
        print(f"tfxai: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tfxai: interrupted", file=sys.stderr)
        return 130
    return 0


def _joined(words: Sequence[str]) -> list[str]:
    """`--preprocess -1..1` as one word, because argparse takes the value for an option."""
    joined: list[str] = []
    for word in words:
        if joined[-1:] == ["--preprocess"] and word.startswith("-1"):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, like every other error."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}. See: {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="tfxai", description="What did a Keras model look at?")
    parser.add_argument("--version", action="version", version=f"tfxai {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=command)
        return added

    demo = add(
        "demo", _demo, "Explain six photos with six methods: a first picture, without a model of your own."
    )
    demo.add_argument("--out", default=DEMO_PICTURE, metavar="FILE.png", help="default: %(default)s")

    predict = add("predict", _predict, "List the classes that a model sees in photos.")
    _add_photos(predict)
    predict.add_argument("--top", type=int, default=5, metavar="K", help="classes to list (default: 5)")

    explain = add("explain", _explain, "Draw what a model looked at in photos.")
    _add_photos(explain)
    explain.add_argument(
        "--method", required=True, metavar="NAME", help="such as grad_cam; see: tfxai methods"
    )
    explain.add_argument("--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE",
                         help="settings of the method, such as steps=50")  # fmt: skip
    which = explain.add_mutually_exclusive_group()
    which.add_argument(
        "--target", metavar="K", help="class to explain, by number or name (default: the predicted one)"
    )
    which.add_argument("--top", type=int, metavar="K", help="explain the K best ranked classes")
    explain.add_argument("--layer", metavar="PATH", help="layer that the method reads; see: tfxai layers")
    explain.add_argument("--highlight", type=int, metavar="N",
                         help="draw only the N segments that speak most for the class (lime, kernel_shap)")  # fmt: skip
    explain.add_argument(
        "--out", metavar="FILE.png", help="picture to write (default: PHOTO_METHOD.png, unless --save)"
    )
    explain.add_argument("--save", metavar="FILE.npz", help="values to write, for tfxai.Explanation.load")

    sanity = add(
        "sanity", _sanity, "Do explanations change when the model's weights are destroyed, layer by layer?"
    )
    _add_photos(sanity)
    sanity.add_argument(
        "--methods", required=True, metavar="NAME,NAME", help="such as gradient,guided_backprop,grad_cam"
    )
    sanity.add_argument("--target", metavar="K", help="class to explain (default: the predicted ones)")
    sanity.add_argument(
        "--layers", metavar="NAME,NAME", help="parts of the model to destroy (default: every layer)"
    )
    sanity.add_argument("--mode", choices=("cascading", "independent"), default="cascading",
                        help="destroy one more layer at each step (default), or one at a time")  # fmt: skip
    sanity.add_argument("--seed", type=int, default=0, metavar="N", help="of the new weights (default: 0)")
    sanity.add_argument("--out", default="sanity.png", metavar="FILE.png", help="default: %(default)s")
    sanity.add_argument(
        "--save", metavar="FILE.npz", help="report to write, for tfxai.sanity.SanityReport.load"
    )

    tcav = add(
        "tcav",
        _tcav,
        "Which concepts does a class lean on, in which layers? Concepts are folders of pictures.",
    )
    _add_feeding(tcav)
    tcav.add_argument(
        "--layer", required=True, metavar="PATH,PATH", help="layers to look into; see: tfxai layers"
    )
    tcav.add_argument("--target", required=True, metavar="K", help="class, by number or name")
    tcav.add_argument("--concepts", required=True, metavar="DIR",
                      help="a folder with one sub-folder of pictures for each concept; those called random... are random sets")  # fmt: skip
    tcav.add_argument(
        "--class-images", required=True, metavar="DIR", help="a folder with pictures of the class"
    )
    tcav.add_argument(
        "--random", metavar="DIR", help="a folder of unrelated pictures, or of sub-folders with them"
    )
    tcav.add_argument(
        "--runs", type=int, default=10, metavar="N", help="each wants two random sets (default: 10)"
    )
    tcav.add_argument("--classifier", default="logistic", metavar="NAME",
                      help="logistic (default), sgd, svm or mean_difference")  # fmt: skip
    tcav.add_argument("--cache", metavar="DIR", help="folder that keeps activations for the next call")
    tcav.add_argument("--seed", type=int, default=0, metavar="N", help="of all that is drawn (default: 0)")
    tcav.add_argument("--out", default="tcav.png", metavar="FILE.png", help="default: %(default)s")
    tcav.add_argument("--save", metavar="FILE.npz", help="result to write, for tfxai.TCAVResult.load")

    evaluate = add(
        "evaluate", _evaluate, "Which methods are faithful on your model and pictures? A table of metrics."
    )
    _add_feeding(evaluate)
    evaluate.add_argument("--images", required=True, metavar="DIR", help="a folder of pictures")
    evaluate.add_argument(
        "--methods", required=True, metavar="NAME,NAME", help="such as gradient,grad_cam,occlusion"
    )
    evaluate.add_argument("--metrics", default="deletion,insertion,average_drop,average_increase", metavar="NAME,NAME",
                          help="of tfxai.metrics (default: %(default)s)")  # fmt: skip
    evaluate.add_argument("--target", metavar="K", help="class to explain (default: the predicted ones)")
    evaluate.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the control with noise (default: 0)"
    )
    evaluate.add_argument("--out", metavar="FILE.csv", help="table to write")
    evaluate.add_argument("--picture", metavar="FILE.png", help="chart to write")

    layers = add("layers", _layers, "List the layers of a model that --layer can name.")
    _add_model(layers)
    add("methods", _methods, "List the methods and their settings.")
    module = add("hub", _hub, "List what is inside a SavedModel, TF-Hub module or frozen graph.")
    module.add_argument("path", metavar="PATH", help="folder, .pb file, or TF-Hub handle")
    module.add_argument("--signature", metavar="NAME", help="another than the one that is chosen")
    module.add_argument("--tags", metavar="TAG,TAG", help="of another variant, such as train")
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        required=True,
        metavar="M",
        help=".keras or .h5 file, SavedModel or module folder, frozen graph (.pb), TF-Hub handle, or demo",
    )
    parser.add_argument("--signature", metavar="NAME", help="of a SavedModel or module; see: tfxai hub")
    parser.add_argument(
        "--unsafe", action="store_true", help="let a Keras file run Python code that it carries"
    )


def _add_photos(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    _add_feeding(parser)


def _add_feeding(parser: argparse.ArgumentParser) -> None:
    """The model, and how it takes photos."""
    _add_model(parser)
    parser.add_argument("--labels", metavar="FILE", help="class names: one a line, or a JSON list or dict")
    parser.add_argument("--preprocess", default="none", metavar="NAME",
                        help="how the model takes pixels: none (0..255, the default), 0..1, -1..1, or a module of "
                        "keras.applications such as resnet50")  # fmt: skip
    parser.add_argument("--crop", type=float, metavar="F",
                        help="part of the photo's height and width to keep (default: 1; demo: 0.875)")  # fmt: skip
    parser.add_argument(
        "--batch-size", type=int, default=32, metavar="N", help="photos at once (default: 32)"
    )


# Commands. ----------------------------------------------------------------------------------------------------------


def _demo(arguments: argparse.Namespace) -> None:
    out = writable(arguments.out, PICTURES)
    start_quietly()
    from tfxai import demo

    figure, rows = demo.explained(progress=sys.stderr.isatty())
    with whole(out) as file:
        figure.savefig(file)
    _print_table(None, ("photo", "the model sees"), rows)
    print(f"Picture: {out}")


def _predict(arguments: argparse.Namespace) -> None:
    if arguments.top < 1:
        raise ValueError(f"--top is {arguments.top}. Give the number of classes to list, 1 or more.")
    start_quietly()
    from tfxai.predictions import probabilities

    loaded, _, fed = _model_and_photos(arguments)
    found = probabilities(loaded.model, fed, batch_size=arguments.batch_size, progress=sys.stderr.isatty())
    _check_labels(loaded, found.shape[1])
    for name, row in zip(arguments.images, found, strict=True):
        best = (-row).argsort(kind="stable")[: arguments.top]
        _print_table(
            name, ("class", "name", "probability"), [(k, _label(loaded, k), f"{row[k]:.2%}") for k in best]
        )
    print(_how_fed(fed, arguments.preprocess))


def _explain(arguments: argparse.Namespace) -> None:
    start_quietly()
    from tfxai import names, plots, predictions

    layer = [] if arguments.layer is None else [f"layer={arguments.layer}"]
    method = names.configured(arguments.method, [*arguments.set, *layer])
    _check_highlight(arguments, method)
    out, save = _outputs(arguments, names.snake_case(type(method).__name__))
    loaded, photos, fed = _model_and_photos(arguments)
    if loaded.labels is not None:
        _check_labels(loaded, predictions.probabilities(loaded.model, fed[:1]).shape[1])
    explanation = method(
        loaded.model,
        fed,
        _targets(arguments, loaded),
        batch_size=arguments.batch_size,
        progress=sys.stderr.isatty(),
    )
    with contextlib.ExitStack() as files:  # none is put in its place before all are written
        if out:
            # On the picture that people know, whatever the model was fed.
            seen = dataclasses.replace(explanation, inputs=photos / 255)
            if arguments.highlight is None:
                figure = plots.show(seen, loaded.labels, limit=DRAWN)
            else:
                figure = plots.segments(seen, arguments.highlight, loaded.labels, limit=DRAWN)
            figure.savefig(files.enter_context(whole(out)))
        if save:
            explanation.save(files.enter_context(whole(save)))
    _print_explained(arguments.images, explanation, loaded)
    print(_how_fed(fed, arguments.preprocess))
    for what, path in (("Picture", out), ("Values", save)):
        if path:
            print(f"{what}: {path}")


def _sanity(arguments: argparse.Namespace) -> None:
    start_quietly()
    from tfxai import names, plots, sanity

    methods = [names.configured(name) for name in _listed(arguments.methods)]
    out = _writable_beside(arguments, arguments.out, PICTURES)
    save = arguments.save and _writable_beside(arguments, arguments.save, (".npz",))
    loaded, photos, fed = _model_and_photos(arguments)
    report = sanity.randomize_model(
        methods,
        loaded.model,
        fed,
        _targets(arguments, loaded),
        mode=arguments.mode,
        layers=_listed(arguments.layers) or None,
        explanations=True,
        seed=arguments.seed,
        batch_size=arguments.batch_size,
        progress=sys.stderr.isatty(),
    )
    with contextlib.ExitStack() as files:
        seen = dataclasses.replace(
            report,
            explanations={
                name: [dataclasses.replace(each, inputs=photos / 255) for each in all_of]
                for name, all_of in (report.explanations or {}).items()
            },
        )
        plots.sanity(seen, loaded.labels).savefig(files.enter_context(whole(out)))
        if save:
            report.save(files.enter_context(whole(save)))
    rows = [
        (name, layer, f"{score:.2%}", *(f"{value:.2f}" for value in alike))
        for name, layer, score, alike in zip(
            ["", *map(str, range(1, len(report.layers) + 1))],
            ["trained", *report.layers],
            report.scores.mean(axis=1),
            report.similarity["spearman_abs"].mean(axis=2).T,
            strict=True,
        )
    ]
    _print_table(
        "Rank correlation with the trained model's map", ("", "layer", "probability", *report.methods), rows
    )
    for name, passes in report.verdict().items():
        print(f"{name}: {'depends on the weights' if passes else 'FAILS, its maps outlive the weights'}")
    print(_how_fed(fed, arguments.preprocess))
    for what, path in (("Picture", out), ("Report", save)):
        if path:
            print(f"{what}: {path}")


def _tcav(arguments: argparse.Namespace) -> None:
    start_quietly()
    from tfxai import concept_images, concepts, photos, plots, predictions

    tcav = concepts.TCAV(
        _listed(arguments.layer),
        classifier=arguments.classifier,
        random_runs=arguments.runs,
        cache_dir=arguments.cache,
        seed=arguments.seed,
    )
    folders = [arguments.concepts, arguments.class_images, arguments.random]
    if missing := [folder for folder in folders if folder is not None and not Path(folder).is_dir()]:
        raise ValueError(f"There is no folder {missing[0]}.")
    out = writable(arguments.out, PICTURES)
    save = arguments.save and writable(arguments.save, (".npz",))
    loaded = _model(arguments)
    height, width, channels = loaded.photo_shape()
    how = {"crop": _crop(arguments, loaded), "channels": channels}

    def fed(pictures: Any) -> Any:
        return photos.scale(pictures, arguments.preprocess)

    def sets(folder: str) -> dict[str, Any]:
        return {
            name: fed(each) for name, each in concepts.from_folder(folder, (height, width), **how).items()
        }

    found = sets(arguments.concepts)
    random: Any = {name: found.pop(name) for name in [*found] if name.startswith("random")}
    if arguments.random is not None:
        inner = any(each.is_dir() and each.name[0] != "." for each in Path(arguments.random).iterdir())
        random = (
            sets(arguments.random)
            if inner
            else fed(concept_images.images_from(arguments.random, (height, width), **how))
        )
    elif len(random) == 1:  # one folder of all
        (random,) = random.values()
    if not len(random):
        raise ValueError(
            f"{arguments.concepts} has no sub-folders random500_0, random500_1 ... of unrelated pictures. Add them, or give "
            "--random DIR."
        )
    images = fed(concept_images.images_from(arguments.class_images, (height, width), **how))
    if loaded.labels is not None:
        _check_labels(loaded, predictions.probabilities(loaded.model, images[:1]).shape[1])
    result = tcav(
        loaded.model,
        images,
        _targets(arguments, loaded),
        found,
        random,
        batch_size=arguments.batch_size,
        progress=sys.stderr.isatty(),
    )
    with contextlib.ExitStack() as files:
        plots.tcav(result, loaded.labels).savefig(files.enter_context(whole(out)))
        if save:
            result.save(files.enter_context(whole(save)))
    _print_table(
        f"{len(images)} pictures of class {result.targets[0]} {_label(loaded, result.targets[0])}".rstrip(),
        *_of_tcav(result),
    )
    print(_how_fed(images, arguments.preprocess))
    for what, path in (("Picture", out), ("Result", save)):
        if path:
            print(f"{what}: {path}")


def _evaluate(arguments: argparse.Namespace) -> None:
    start_quietly()
    from tfxai import concept_images, metrics, names, photos, plots
    from tfxai.metrics.compare import checked_metrics

    methods = [names.configured(name) for name in _listed(arguments.methods)]
    columns = _listed(arguments.metrics)
    checked_metrics(columns)
    out = arguments.out and writable(arguments.out, (".csv",))
    picture = arguments.picture and writable(arguments.picture, PICTURES)
    if not Path(arguments.images).is_dir():
        raise ValueError(f"There is no folder {arguments.images}.")
    loaded = _model(arguments)
    height, width, channels = loaded.photo_shape()
    seen = concept_images.images_from(
        arguments.images, (height, width), crop=_crop(arguments, loaded), channels=channels
    )
    fed = photos.scale(seen, arguments.preprocess)
    table = metrics.compare_methods(
        methods,
        loaded.model,
        fed,
        columns,
        _targets(arguments, loaded),
        seed=arguments.seed,
        batch_size=arguments.batch_size,
        progress=sys.stderr.isatty(),
    )
    with contextlib.ExitStack() as files:
        if out:
            table.to_csv(files.enter_context(whole(out)))
        if picture:
            plots.leaderboard(table).savefig(files.enter_context(whole(picture)))
    print(table)
    print(_how_fed(fed, arguments.preprocess))
    for what, path in (("Table", out), ("Picture", picture)):
        if path:
            print(f"{what}: {path}")


def _of_tcav(result: Any) -> tuple[Sequence[str], list[Sequence[str]]]:
    columns = ("layer", "concept", "score", "std", "p", "accuracy", "")
    return columns, [
        (
            row["layer"],
            row["concept"],
            *(
                (f"{row['score']:.2f}", f"{row['std']:.2f}", f"{row['p_value']:.2g}")
                if row["learned"]
                else ("", "", "")
            ),
            f"{row['accuracy']:.2f}",
            "not learned in this layer"
            if not row["learned"]
            else "significant"
            if row["significant"]
            else "not significant",
        )
        for row in result.table
    ]


def _listed(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _layers(arguments: argparse.Namespace) -> None:
    start_quietly()
    from tfxai import activations, models

    loaded = models.load(arguments.model, arguments.unsafe, arguments.signature)
    print(activations.layers(loaded.model, loaded.sample))


def _hub(arguments: argparse.Namespace) -> None:
    start_quietly()
    from tfxai import hub

    tags = None if arguments.tags is None else [tag for tag in arguments.tags.split(",") if tag]
    module = hub.load(arguments.path, signature=arguments.signature, tags=tags)
    print(f"Module: {module.source}")
    chosen = [f"{name} (chosen)" if name == module.signature else name for name in module.signatures]
    print(f"Signatures: {', '.join(chosen) or 'none, a frozen graph'}")
    tables = {"input": module.inputs, "output": module.outputs, "endpoint": module.endpoints}
    for what, specs in tables.items():
        rows = [(name, _shape(spec.shape), spec.dtype.name) for name, spec in specs.items()]
        _print_table(None, (what, "shape", "type"), rows)
        print()
    rows = [(name, _shape(v.shape), v.dtype.name) for name, v in module.variables.items()]
    _print_table(None, ("variable", "shape", "type"), rows)


def _methods(arguments: argparse.Namespace) -> None:
    start_quietly()
    from tfxai import methods, names

    rows = []
    for name in sorted(methods.__all__, key=names.snake_case):
        kind = getattr(methods, name)
        question = (kind.__doc__ or "").strip().splitlines()[0]
        rows.append((names.snake_case(name), question, "  ".join(names.described_settings(kind))))
    _print_table(None, ("method", "tells", "settings"), rows)


# What goes in. ------------------------------------------------------------------------------------------------------


def _model_and_photos(arguments: argparse.Namespace) -> tuple[Loaded, NDArray, NDArray]:
    """The model, the photos as it sees them in 0..255 for the eye, and as it is fed with them: (N, H, W, C)."""
    import numpy as np

    from tfxai import photos

    missing = [name for name in arguments.images if not Path(name).exists()]
    if missing:  # before the model is loaded, which takes longer
        raise ValueError(f"There is no picture {missing[0]}.")
    loaded = _model(arguments)
    crop = _crop(arguments, loaded)
    height, width, channels = loaded.photo_shape()
    size = height, width
    seen = np.stack([photos.fit(photos.read(name, channels), size, crop) for name in arguments.images])
    return loaded, seen, photos.scale(seen, arguments.preprocess)


def _model(arguments: argparse.Namespace) -> Loaded:
    from tfxai import models

    loaded = models.load(arguments.model, arguments.unsafe, arguments.signature)
    if arguments.labels is not None:
        loaded = dataclasses.replace(loaded, labels=models.read_labels(arguments.labels))
    return loaded


def _crop(arguments: argparse.Namespace, loaded: Loaded) -> float:
    return loaded.crop if arguments.crop is None else arguments.crop


def _targets(arguments: argparse.Namespace, loaded: Loaded) -> Any:
    """What --top or --target asks for: a class by its number, or by its name where names are known."""
    from tfxai import scores

    if getattr(arguments, "top", None) is not None:
        return scores.top(arguments.top)
    if arguments.target is None:
        return None
    with contextlib.suppress(ValueError):
        return int(arguments.target)
    labels, name = [label.lower() for label in loaded.labels or ()], arguments.target.lower()
    if labels.count(name) == 1:
        return labels.index(name)
    near = difflib.get_close_matches(name, labels)
    hint = f" Did you mean {' or '.join(near)}?" if near else " Give its number."
    raise ValueError(f"No single class is called {arguments.target!r}.{hint}")


def _check_labels(loaded: Loaded, classes: int) -> None:
    if loaded.labels is not None and len(loaded.labels) != classes:
        raise ValueError(
            f"--labels has {len(loaded.labels)} names, the model has {classes} classes. Give one per class."
        )


def _check_highlight(arguments: argparse.Namespace, method: Any) -> None:
    """Before the work: which methods cut photos into segments is known by their settings."""
    if arguments.highlight is None:
        return
    if arguments.highlight < 1:
        raise ValueError(
            f"--highlight is {arguments.highlight}. Give the number of segments to draw, 1 or more."
        )
    if not hasattr(method, "segmenter"):
        raise ValueError(
            f"--highlight: {type(method).__name__} has no segments. Take --method lime or kernel_shap."
        )


# What comes out. ----------------------------------------------------------------------------------------------------


def _outputs(arguments: argparse.Namespace, method: str) -> tuple[Path | None, Path | None]:
    """Where the picture and the values go, checked before the work."""
    out, save = arguments.out, arguments.save
    if out is None and (save is None or arguments.highlight is not None):
        more = f"_and_{len(arguments.images) - 1}_more" if len(arguments.images) > 1 else ""
        out = f"{Path(arguments.images[0]).stem}{more}_{method}.png"
    return (
        None if not out else _writable_beside(arguments, out, PICTURES),
        None if not save else _writable_beside(arguments, save, (".npz",)),
    )


def _writable_beside(arguments: argparse.Namespace, name: str, endings: Sequence[str]) -> Path:
    """A file to write that is none of those to read."""
    path = writable(name, endings)
    if path.resolve() in [Path(taken).resolve() for taken in (*arguments.images, arguments.model)]:
        raise ValueError(f"{path} is an input of this command. Name another file to write.")
    return path


def _print_explained(images: Sequence[str], explanation: Explanation, loaded: Loaded) -> None:
    numbers = {explanation.score: explanation.scores}
    if explanation.delta is not None:
        numbers["delta"] = explanation.delta
    each = explanation.targets.size // len(images)
    rows = [
        (
            "" if i % each else images[i // each],
            target,
            _label(loaded, target),
            *(f"{n.flat[i]:.4g}" for n in numbers.values()),
        )
        for i, target in enumerate(explanation.targets.flat)
    ]
    _print_table(None, ("photo", "class", "name", *numbers), rows)


def _shape(shape: Any) -> str:
    return "any" if shape.rank is None else f"({', '.join('any' if n is None else str(n) for n in shape)})"


def _print_table(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for row in rows:
        table.add_row(*map(str, row))
    # File and class names may look like markup.
    console = Console(markup=False, highlight=False, emoji=False, width=None if sys.stdout.isatty() else 160)
    console.print(table)


def _label(loaded: Loaded, target: int) -> str:
    return loaded.labels[target] if loaded.labels is not None and target >= 0 else ""


def _how_fed(fed: NDArray, preprocess: str) -> str:
    pixels = ", pixels as they are" if preprocess == "none" else ""
    return f"The model was fed numbers from {fed.min():.4g} to {fed.max():.4g} (--preprocess {preprocess}{pixels})."


def _show_warning(message: Warning | str, *_: Any) -> None:
    print(f"tfxai: warning: {' '.join(str(message).split())}", file=sys.stderr)
