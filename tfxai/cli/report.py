"""`tfxai report`: photos explained by several methods, as one page that can be shown to a colleague."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tfxai.cli.feeding import check_labels, how_fed, model_and_photos, target_of
from tfxai.cli.options import add_photos, names
from tfxai.cli.output import output_file, print_files, write_files
from tfxai.cli.startup import start_quietly


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `tfxai report` takes."""
    add_photos(parser)
    parser.add_argument(
        "--methods",
        type=names,
        default=["grad_cam", "integrated_gradients", "lrp"],
        metavar="A,B,...",
        help="tabs of the page (default: grad_cam,integrated_gradients,lrp); see: tfxai methods",
    )
    parser.add_argument(
        "--target", metavar="K", help="class to explain, by number or name (default: the predicted one)"
    )
    parser.add_argument(
        "--title", default="What did the model look at?", metavar="WORDS", help="over the page"
    )
    parser.add_argument("--out", default="report.html", metavar="FILE.html", help="default: %(default)s")


def run(arguments: argparse.Namespace) -> None:
    """Explains photos by each method, and writes a page.

    Raises ValueError if an argument does not fit, ImportError if a page's packages are missing.
    """
    start_quietly()
    from tfxai.methods import configured, snake_case
    from tfxai.reporting import report

    methods = [configured(name) for name in arguments.methods]
    inputs = (*arguments.images, arguments.model, arguments.labels)
    out = output_file(arguments.out, (".html",), inputs)
    loaded, seen, fed = model_and_photos(arguments)
    check_labels(loaded, fed)
    targets = target_of(arguments, loaded)
    call = {"batch_size": arguments.batch_size, "progress": sys.stderr.isatty()}
    found = {
        snake_case(type(method).__name__).replace("_", " "): method(loaded.model, fed, targets, **call)
        for method in methods
    }
    words = how_fed(fed, arguments.preprocess)
    page = report(
        None,
        arguments.title,
        words,
        found,
        model=loaded.model,
        labels=loaded.labels,
        names=[Path(name).name for name in arguments.images],
        photos=seen / 255,
        limit=len(fed),
    )
    write_files((out, lambda file: file.write_text(page.html, encoding="utf-8")))
    print(words)
    print_files(Page=out)
