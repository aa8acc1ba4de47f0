"""`tfxai evaluate`: which methods are faithful on a model and pictures?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tfxai.cli.feeding import how_fed, model_and_feeding, target_of
from tfxai.cli.options import add_feeding, names
from tfxai.cli.output import output_file, print_files, write_files
from tfxai.cli.startup import start_quietly
from tfxai.support import PICTURES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `tfxai evaluate` takes."""
    add_feeding(parser)
    parser.add_argument("--images", required=True, metavar="DIR", help="a folder of pictures")
    parser.add_argument(
        "--methods",
        type=names,
        required=True,
        metavar="NAME,NAME",
        help="such as gradient,grad_cam,occlusion",
    )
    parser.add_argument(
        "--metrics",
        type=names,
        default="deletion,insertion,average_drop,average_increase",
        metavar="NAME,NAME",
        help="of tfxai.metrics (default: %(default)s)",
    )
    parser.add_argument("--target", metavar="K", help="class to explain (default: the predicted ones)")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the control with noise (default: 0)"
    )
    parser.add_argument("--out", metavar="FILE.csv", help="table to write")
    parser.add_argument("--picture", metavar="FILE.png", help="chart to write")


def run(arguments: argparse.Namespace) -> None:
    """Prints the table of methods and metrics, and writes it as a table or a chart where these are asked for.

    Raises ValueError if an argument does not fit.
    """
    start_quietly()
    from tfxai import plots
    from tfxai.methods import configured
    from tfxai.metrics import checked_metrics, compare_methods

    methods = [configured(name) for name in arguments.methods]
    checked_metrics(arguments.metrics)
    if not Path(arguments.images).is_dir():
        raise ValueError(f"There is no folder {arguments.images}.")
    inputs = (arguments.images, arguments.model, arguments.labels)
    out = output_file(arguments.out, (".csv",), inputs)
    picture = output_file(arguments.picture, PICTURES, inputs)
    loaded, feeding = model_and_feeding(arguments)
    fed = feeding.scaled(feeding.folder(arguments.images))
    table = compare_methods(
        methods,
        loaded.model,
        fed,
        arguments.metrics,
        target_of(arguments, loaded),
        seed=arguments.seed,
        batch_size=arguments.batch_size,
        progress=sys.stderr.isatty(),
    )
    write_files((out, table.to_csv), (picture, lambda file: plots.leaderboard(table).savefig(file)))
    print(table)
    print(how_fed(fed, arguments.preprocess))
    print_files(Table=out, Picture=picture)
