"""`tfxai verify`: does a model still give a saved explanation, to the bit?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tfxai.cli.array_files import arrays_in
from tfxai.cli.options import add_model
from tfxai.cli.output import printable
from tfxai.cli.startup import start_quietly

if TYPE_CHECKING:
    from tfxai.support import Inputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `tfxai verify` takes."""
    parser.add_argument("explanation", metavar="FILE.npz", help="written by --save, or by save()")
    add_model(parser)
    parser.add_argument(
        "--inputs",
        metavar="FILE",
        help="the inputs, .npy or .npz: to compare them with those explained, or where the file holds only a part of them",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1e-4,
        metavar="T",
        help="how far values may be apart in another environment, of the largest value (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Explains again, or asks a signature of an exported folder, and prints what differs first.

    Returns 0 if all is equal to the bit, 1 if something differs, 2 if only the last digits do and the environment is another.
    Raises ValueError if there is nothing to compare.
    """
    start_quietly()
    from tfxai.cli import model_files
    from tfxai.receipts import verify, verify_exported
    from tfxai.results import Explanation

    explanation = Explanation.load(arguments.explanation)
    if _is_exported(arguments.model):
        found = verify_exported(
            explanation, arguments.model, arguments.signature, tolerance=arguments.tolerance
        )
        print(printable(str(found)))
        return found.status
    inputs = None if arguments.inputs is None else _inputs(arguments.inputs, explanation.inputs)
    loaded = model_files.load(arguments.model, arguments.unsafe, arguments.signature)
    found = verify(explanation, loaded.model, inputs, tolerance=arguments.tolerance)
    print(printable(str(found)))
    return found.status


def _is_exported(model: str) -> bool:
    """Whether it is a folder with signatures that explain."""
    from tfxai.hub import signatures_of

    if not (Path(model) / "saved_model.pb").exists():
        return False
    return any(key.startswith("values") for each in signatures_of(model).values() for key in each.outputs)


def _inputs(name: str, like: Inputs) -> Inputs:
    """The arrays in a file, in the structure of other inputs; one alone as it is. Raises ValueError if there are none."""
    arrays = arrays_in(name, "--inputs")
    if not isinstance(arrays, dict) or isinstance(like, dict):
        return arrays
    if isinstance(like, (list, tuple)):
        return type(like)(arrays.values())
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays
