"""`tfxai demo`: a first picture and a first page, without a model of one's own."""

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
    """Draws six photos as six methods explain them, writes a page of them beside the picture, and lists what the model sees in each.

    Raises ValueError if a file cannot be written, ImportError if the packages of the demo are missing.
    """
    out = output_file(arguments.out, PICTURES)
    assert out is not None
    page = output_file(str(out.with_suffix(".html")), (".html",))
    start_quietly()
    from tfxai.cli import demo_picture

    found = demo_picture.explained(progress=sys.stderr.isatty())
    write_files(
        (out, found.figure.savefig), (page, lambda file: file.write_text(found.page, encoding="utf-8"))
    )
    print_table(None, ("photo", "the model sees"), found.rows)
    print_files(Picture=out, Page=page)
