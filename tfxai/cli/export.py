"""`tfxai export`: a model with explaining signatures, for programs that have no tfxai."""

from __future__ import annotations

import argparse

from tfxai.cli.inspect import print_signatures
from tfxai.cli.options import add_batch_size, add_model, add_settings, names
from tfxai.cli.output import print_files, print_table
from tfxai.cli.startup import start_quietly


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `tfxai export` takes."""
    add_model(parser)
    parser.add_argument(
        "--method",
        required=True,
        type=names,
        metavar="A,B,...",
        help="such as grad_cam,integrated_gradients: a signature for each, of its name; see: tfxai methods",
    )
    add_settings(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write; it must be new")
    parser.add_argument(
        "--format",
        choices=("saved_model", "onnx", "litert"),
        default="saved_model",
        help="default: %(default)s",
    )
    parser.add_argument(
        "--target",
        default="top",
        metavar="K",
        help="class to explain: top, the predicted one (the default); given, one with each row; a number or a name",
    )
    parser.add_argument(
        "--preprocess",
        metavar="NAME",
        help="photos come in as files (JPEG, PNG ...), and are decoded and scaled in the graph: none (0..255), 0..1, -1..1, or a module of "
        "keras.applications; unless given, arrays come in as the model takes them",
    )
    parser.add_argument("--crop", type=float, metavar="F", help="part of a photo to keep; see: tfxai explain")
    parser.add_argument(
        "--labels", metavar="FILE", help="class names, which signatures tell; see: tfxai explain"
    )
    parser.add_argument(
        "--render", action="store_true", help="signatures also draw the map over its picture, as PNG"
    )
    add_batch_size(parser, 32, "points of a path, or perturbed inputs, at once (default: 32)")


def run(arguments: argparse.Namespace) -> None:
    """Writes the folder, and lists its signatures.

    Raises ValueError if an argument does not fit, or a method cannot be exported.
    """
    start_quietly()
    from tfxai.cli import model_files
    from tfxai.exporting import export
    from tfxai.methods import configured_all

    methods = configured_all(arguments.method, arguments.set)
    loaded = model_files.load(arguments.model, arguments.unsafe, arguments.signature)
    labels = loaded.labels if arguments.labels is None else model_files.read_labels(arguments.labels)
    target = arguments.target if arguments.target in ("top", "given") else loaded.target(arguments.target)
    batch_size = 32 if arguments.batch_size == "auto" else arguments.batch_size
    usual = 1.0 if arguments.preprocess is None else loaded.crop
    crop = usual if arguments.crop is None else arguments.crop
    path = export(
        loaded.model,
        arguments.out,
        methods,
        format=arguments.format,
        targets=target,
        preprocess=arguments.preprocess,
        crop=crop,
        labels=labels,
        render=arguments.render,
        batch_size=batch_size,
    )
    if arguments.format == "saved_model":
        print_signatures(path)
    else:
        print_table(
            None,
            ("file", "kB"),
            [(file.name, file.stat().st_size // 1000) for file in sorted(path.iterdir())],
        )
    print_files(Folder=path)
