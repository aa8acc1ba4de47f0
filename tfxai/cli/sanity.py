"""`tfxai sanity`: do explanations change when the model's weights are destroyed?"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import TYPE_CHECKING

from tfxai.cli.feeding import check_labels, how_fed, model_and_photos, target_of
from tfxai.cli.options import add_photos, names
from tfxai.cli.output import output_file, print_files, print_table, write_files
from tfxai.cli.startup import start_quietly
from tfxai.support import PICTURES

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from tfxai.plots import Labels
    from tfxai.sanity import SanityReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `tfxai sanity` takes."""
    add_photos(parser)
    parser.add_argument(
        "--methods",
        type=names,
        required=True,
        metavar="NAME,NAME",
        help="such as gradient,guided_backprop,grad_cam",
    )
    parser.add_argument("--target", metavar="K", help="class to explain (default: the predicted ones)")
    parser.add_argument(
        "--layers",
        type=names,
        metavar="NAME,NAME",
        help="parts of the model to destroy (default: every layer)",
    )
    parser.add_argument(
        "--mode",
        choices=("cascading", "independent"),
        default="cascading",
        help="destroy one more layer at each step (default), or one at a time",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the new weights (default: 0)")
    parser.add_argument("--out", default="sanity.png", metavar="FILE.png", help="default: %(default)s")
    parser.add_argument(
        "--save", metavar="FILE.npz", help="report to write, for tfxai.sanity.SanityReport.load"
    )


def run(arguments: argparse.Namespace) -> None:
    """Destroys the weights step by step; writes the picture of all maps, and says which methods pass.

    Raises ValueError if an argument does not fit.
    """
    start_quietly()
    from tfxai import sanity
    from tfxai.methods import configured

    methods = [configured(name) for name in arguments.methods]
    inputs = (*arguments.images, arguments.model, arguments.labels)
    out = output_file(arguments.out, PICTURES, inputs)
    save = output_file(arguments.save, (".npz",), inputs)
    loaded, seen, fed = model_and_photos(arguments)
    check_labels(loaded, fed)
    report = sanity.randomize_model(
        methods,
        loaded.model,
        fed,
        target_of(arguments, loaded),
        mode=arguments.mode,
        layers=arguments.layers or None,
        explanations=True,
        seed=arguments.seed,
        batch_size=arguments.batch_size,
        progress=sys.stderr.isatty(),
    )
    write_files((out, _picture(report, seen, loaded.labels).savefig), (save, report.save))
    _print_report(report)
    print(how_fed(fed, arguments.preprocess))
    print_files(Picture=out, Report=save)


def _picture(report: SanityReport, seen: NDArray[np.float32], labels: Labels | None) -> Figure:
    """The maps on the photos that people know, whatever the model was fed. seen: (N, H, W, C) in 0..255."""
    from tfxai import plots

    explanations = {
        name: [dataclasses.replace(each, inputs=seen / 255) for each in steps]
        for name, steps in (report.explanations or {}).items()
    }
    return plots.sanity(dataclasses.replace(report, explanations=explanations), labels)


def _print_report(report: SanityReport) -> None:
    """A row for each step, means over the photos; then the verdict on each method."""
    rows = [
        (step or "", layer, f"{score:.2%}", *(f"{value:.2f}" for value in alike))
        for step, (layer, score, alike) in enumerate(
            zip(
                ["trained", *report.layers],
                report.scores.mean(axis=1),
                report.similarity["spearman_abs"].mean(axis=2).T,
                strict=True,
            )
        )
    ]
    columns = ("", "layer", "probability", *report.methods)
    print_table("Rank correlation with the trained model's map", columns, rows)
    for name, passes in report.verdict().items():
        print(f"{name}: {'depends on the weights' if passes else 'FAILS, its maps outlive the weights'}")
