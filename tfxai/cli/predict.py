"""`tfxai predict`: which classes does a model see in photos?"""

from __future__ import annotations

import argparse
import sys

from tfxai.cli.feeding import how_fed, model_and_photos
from tfxai.cli.options import add_photos
from tfxai.cli.output import print_table
from tfxai.cli.startup import start_quietly


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `tfxai predict` takes."""
    add_photos(parser)
    parser.add_argument("--top", type=int, default=5, metavar="K", help="classes to list (default: 5)")


def run(arguments: argparse.Namespace) -> None:
    """Lists the most probable classes of each photo.

    Raises ValueError if an argument does not fit.
    """
    if arguments.top < 1:
        raise ValueError(f"--top is {arguments.top}. Give the number of classes to list, 1 or more.")
    start_quietly()
    from tfxai.predictions import probabilities

    loaded, _, fed = model_and_photos(arguments)
    shares = probabilities(loaded.model, fed, batch_size=arguments.batch_size, progress=sys.stderr.isatty())
    loaded.check_labels(shares.shape[1])
    if shares.size and shares.max() != shares.max():
        raise ValueError(
            f"{loaded.name} gives probabilities that are not a number (NaN). See whether its weights are."
        )
    for name, row in zip(arguments.images, shares, strict=True):
        best = (-row).argsort(kind="stable")[: arguments.top]
        rows = [(k, loaded.label(k), f"{row[k]:.2%}") for k in best]
        print_table(name, ("class", "name", "probability"), rows)
    print(how_fed(fed, arguments.preprocess))
