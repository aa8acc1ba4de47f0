"""`tfxai layers`, `tfxai methods` and `tfxai hub`: what is there to choose from?"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfxai.cli.method_list import listed_methods
from tfxai.cli.options import add_model, add_unsafe, names
from tfxai.cli.output import print_table
from tfxai.cli.startup import start_quietly

if TYPE_CHECKING:
    import tensorflow as tf

    from tfxai.support import Variable


def add_layers_arguments(parser: argparse.ArgumentParser) -> None:
    """What `tfxai layers` takes."""
    add_model(parser)


def layers(arguments: argparse.Namespace) -> None:
    """Lists the layers of a model that --layer can name.

    Raises ValueError if there is no such model.
    """
    start_quietly()
    from tfxai.cli import model_files
    from tfxai.model import layers as layers_of

    loaded = model_files.load(arguments.model, arguments.unsafe, arguments.signature)
    print(layers_of(loaded.model, loaded.sample))


def add_methods_arguments(parser: argparse.ArgumentParser) -> None:
    """What `tfxai methods` takes: nothing."""


def methods(arguments: argparse.Namespace) -> None:
    """Lists the methods by the names that --method takes, each with its question and its settings."""
    print_table(None, ("method", "tells", "settings"), listed_methods())


def add_hub_arguments(parser: argparse.ArgumentParser) -> None:
    """What `tfxai hub` takes."""
    parser.add_argument("path", metavar="PATH", help="folder, .pb file, or TF-Hub handle")
    parser.add_argument("--signature", metavar="NAME", help="another than the one that is chosen")
    parser.add_argument("--tags", type=names, metavar="TAG,TAG", help="of another variant, such as train")
    add_unsafe(parser)


def hub(arguments: argparse.Namespace) -> None:
    """Lists the signatures, inputs, outputs, endpoints and variables of a module.

    Raises ValueError if there is no such module, signature or variant.
    """
    start_quietly()
    from tfxai import hub
    from tfxai.cli.model_files import as_command_line

    with as_command_line():
        module = hub.load(
            arguments.path, signature=arguments.signature, tags=arguments.tags, trusted=arguments.unsafe
        )
    print(f"Module: {module.source}")
    for each in module.outside:
        print(f"Does more than compute: {each}")
    signatures = [f"{name} (chosen)" if name == module.signature else name for name in module.signatures]
    print(f"Signatures: {', '.join(signatures) or 'none, a frozen graph'}")
    if len(signatures) > 1 and Path(arguments.path).is_dir():
        print()
        print_signatures(arguments.path, arguments.tags)
    _print_specs("input", module.inputs)
    _print_specs("output", module.outputs)
    _print_specs("endpoint", module.endpoints)
    _print_specs("variable", module.variables)


def print_signatures(path: str | Path, tags: Sequence[str] | None = None) -> None:
    """A row for each signature of a SavedModel: what it takes and gives."""
    from tfxai.hub import signatures_of

    rows = [
        (name, *(_specs_text(specs) for specs in (each.inputs, each.outputs)))
        for name, each in signatures_of(path, tags).items()
    ]
    print_table(None, ("signature", "takes", "gives"), rows)


def _specs_text(specs: Mapping[str, tf.TensorSpec]) -> str:
    return "\n".join(f"{name} {_shape_text(spec.shape)} {spec.dtype.name}" for name, spec in specs.items())


def _print_specs(what: str, specs: Mapping[str, tf.TensorSpec | Variable]) -> None:
    """A row for each named tensor: its shape and type."""
    rows = [(name, _shape_text(spec.shape), spec.dtype.name) for name, spec in specs.items()]
    print()
    print_table(None, (what, "shape", "type"), rows)


def _shape_text(shape: tf.TensorShape) -> str:
    return "any" if shape.rank is None else f"({', '.join('any' if n is None else str(n) for n in shape)})"
