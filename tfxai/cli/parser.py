"""What the command line takes: its commands. The arguments of each are declared beside it."""

from __future__ import annotations

import argparse
from typing import NoReturn

from tfxai.cli import (
    demo,
    evaluate,
    explain,
    export,
    gate,
    inspect,
    predict,
    report,
    run,
    sanity,
    tcav,
    verify,
)
from tfxai.version import __version__

# Name, what it tells, the function that declares its arguments, the function that runs it.
COMMANDS = (
    (
        "demo",
        "Explain six photos with six methods: a first picture, without a model of your own.",
        demo.add_arguments,
        demo.run,
    ),
    ("predict", "List the classes that a model sees in photos.", predict.add_arguments, predict.run),
    ("explain", "Draw what a model looked at in photos.", explain.add_arguments, explain.run),
    (
        "report",
        "Explain photos by several methods, as one HTML page to be shown to a colleague.",
        report.add_arguments,
        report.run,
    ),
    (
        "run",
        "Explain every picture of a folder, or every row of a Parquet file, into a directory; goes on after whatever ended it.",
        run.add_arguments,
        run.run,
    ),
    (
        "sanity",
        "Do explanations change when the model's weights are destroyed, layer by layer?",
        sanity.add_arguments,
        sanity.run,
    ),
    (
        "tcav",
        "Which concepts does a class lean on, in which layers? Concepts are folders of pictures.",
        tcav.add_arguments,
        tcav.run,
    ),
    (
        "evaluate",
        "Which methods are faithful on your model and pictures? A table of metrics.",
        evaluate.add_arguments,
        evaluate.run,
    ),
    (
        "verify",
        "Does a model still give a saved explanation, to the bit? Exits with 0 if so, 1 if not, 2 where another environment "
        "moves the last digits, and 3 where nothing can be compared.",
        verify.add_arguments,
        verify.run,
    ),
    (
        "gate",
        "Does a new model look at something else than the old one, by more than training again changes? Exits with 0 if not, 1 if so, "
        "and 2 where nothing can be compared.",
        gate.add_arguments,
        gate.run,
    ),
    (
        "export",
        "Write a model that explains by itself, for TensorFlow Serving and other programs that have no tfxai.",
        export.add_arguments,
        export.run,
    ),
    (
        "layers",
        "List the layers of a model that --layer can name.",
        inspect.add_layers_arguments,
        inspect.layers,
    ),
    ("methods", "List the methods and their settings.", inspect.add_methods_arguments, inspect.methods),
    (
        "hub",
        "List what is inside a SavedModel, TF-Hub module or frozen graph.",
        inspect.add_hub_arguments,
        inspect.hub,
    ),
)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, like every other error."""

    def error(self, message: str) -> NoReturn:
        """Raises ValueError, where argparse would print its usage and end the process."""
        raise ValueError(f"{message}. See: {self.prog} --help")


def parser() -> Parser:
    """The parser of the whole command line; the namespace that it gives has the command's function as `command`."""
    parser = Parser(prog="tfxai", description="What did a Keras model look at?")
    parser.add_argument("--version", action="version", version=f"tfxai {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, text, add_arguments, start in COMMANDS:
        command = commands.add_parser(name, help=text, description=text)
        add_arguments(command)
        command.set_defaults(command=start)
    return parser
