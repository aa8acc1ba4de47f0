"""What each command does."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import difflib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfxai.cli.startup import start_quietly
from tfxai.support import PICTURES, whole_file, writable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tfxai.cli.model_files import Loaded
    from tfxai.results import Explanation

DRAWN = 100  # photos in one picture; a longer one is more than most programs show


def demo(arguments: argparse.Namespace) -> None:
    out = writable(arguments.out, PICTURES)
    start_quietly()
    from tfxai.cli.demo import explained

    figure, rows = explained(progress=sys.stderr.isatty())
    with whole_file(out) as file:
        figure.savefig(file)
    _print_table(None, ("photo", "the model sees"), rows)
    print(f"Picture: {out}")


def predict(arguments: argparse.Namespace) -> None:
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


def explain(arguments: argparse.Namespace) -> None:
    start_quietly()
    from tfxai import plots, predictions
    from tfxai.methods import registry

    layer = [] if arguments.layer is None else [f"layer={arguments.layer}"]
    method = registry.configured(arguments.method, [*arguments.set, *layer])
    _check_highlight(arguments, method)
    out, save = _outputs(arguments, registry.snake_case(type(method).__name__))
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
            figure.savefig(files.enter_context(whole_file(out)))
        if save:
            explanation.save(files.enter_context(whole_file(save)))
    _print_explained(arguments.images, explanation, loaded)
    print(_how_fed(fed, arguments.preprocess))
    for what, path in (("Picture", out), ("Values", save)):
        if path:
            print(f"{what}: {path}")


def sanity(arguments: argparse.Namespace) -> None:
    start_quietly()
    from tfxai import plots, sanity
    from tfxai.methods import registry

    methods = [registry.configured(name) for name in _listed(arguments.methods)]
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
        plots.sanity(seen, loaded.labels).savefig(files.enter_context(whole_file(out)))
        if save:
            report.save(files.enter_context(whole_file(save)))
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


def tcav(arguments: argparse.Namespace) -> None:
    start_quietly()
    from tfxai import concepts, photos, plots, predictions

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
            else fed(concepts.images_from(arguments.random, (height, width), **how))
        )
    elif len(random) == 1:  # one folder of all
        (random,) = random.values()
    if not len(random):
        raise ValueError(
            f"{arguments.concepts} has no sub-folders random500_0, random500_1 ... of unrelated pictures. Add them, or give "
            "--random DIR."
        )
    images = fed(concepts.images_from(arguments.class_images, (height, width), **how))
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
        plots.tcav(result, loaded.labels).savefig(files.enter_context(whole_file(out)))
        if save:
            result.save(files.enter_context(whole_file(save)))
    _print_table(
        f"{len(images)} pictures of class {result.targets[0]} {_label(loaded, result.targets[0])}".rstrip(),
        *_of_tcav(result),
    )
    print(_how_fed(images, arguments.preprocess))
    for what, path in (("Picture", out), ("Result", save)):
        if path:
            print(f"{what}: {path}")


def evaluate(arguments: argparse.Namespace) -> None:
    start_quietly()
    from tfxai import concepts, metrics, photos, plots
    from tfxai.methods import registry
    from tfxai.metrics import checked_metrics

    methods = [registry.configured(name) for name in _listed(arguments.methods)]
    columns = _listed(arguments.metrics)
    checked_metrics(columns)
    out = arguments.out and writable(arguments.out, (".csv",))
    picture = arguments.picture and writable(arguments.picture, PICTURES)
    if not Path(arguments.images).is_dir():
        raise ValueError(f"There is no folder {arguments.images}.")
    loaded = _model(arguments)
    height, width, channels = loaded.photo_shape()
    seen = concepts.images_from(
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
            table.to_csv(files.enter_context(whole_file(out)))
        if picture:
            plots.leaderboard(table).savefig(files.enter_context(whole_file(picture)))
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


def layers(arguments: argparse.Namespace) -> None:
    start_quietly()
    from tfxai.cli import model_files
    from tfxai.model import layers as layers_of

    loaded = model_files.load(arguments.model, arguments.unsafe, arguments.signature)
    print(layers_of(loaded.model, loaded.sample))


def hub(arguments: argparse.Namespace) -> None:
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


def methods(arguments: argparse.Namespace) -> None:
    start_quietly()
    from tfxai import methods
    from tfxai.methods import registry

    rows = []
    for name in sorted(methods.__all__, key=registry.snake_case):
        kind = getattr(methods, name)
        request = (kind.__doc__ or "").strip().splitlines()[0]
        rows.append((registry.snake_case(name), request, "  ".join(registry.described_settings(kind))))
    _print_table(None, ("method", "tells", "settings"), rows)


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
    from tfxai.cli import model_files

    loaded = model_files.load(arguments.model, arguments.unsafe, arguments.signature)
    if arguments.labels is not None:
        loaded = dataclasses.replace(loaded, labels=model_files.read_labels(arguments.labels))
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
