"""`tfxai demo`: a first picture, without a model of one's own."""

from __future__ import annotations

import argparse
import sys

from tfxai.cli.output import output_file, print_files, print_table, write_files
from tfxai.cli.startup import start_quietly
from tfxai.support import PICTURES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `tfxai demo` takes."""
    parser.add_argument("--out", default="tfxai_demo.png", metavar="FILE.png", help="default: %(default)s")


def run(arguments: argparse.Namespace) -> None:
    """Draws six photos as six methods explain them, and lists what the model sees in each.

    Raises ValueError if the picture cannot be written, ImportError if the packages of the demo are missing.
    """
    out = output_file(arguments.out, PICTURES)
    start_quietly()
    from tfxai.cli import demo_picture

    figure, rows = demo_picture.explained(progress=sys.stderr.isatty())
    write_files((out, figure.savefig))
    print_table(None, ("photo", "the model sees"), rows)
    print_files(Picture=out)
