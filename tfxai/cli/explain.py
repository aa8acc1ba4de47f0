"""`tfxai explain`: what did a model look at in photos?"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfxai.cli.asked import add_places, targets_and_score
from tfxai.cli.feeding import check_labels, how_fed, model_and_photos, target_of
from tfxai.cli.options import add_photos, add_settings
from tfxai.cli.output import output_file, print_files, print_table, write_files
from tfxai.cli.startup import start_quietly
from tfxai.support import PICTURES

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from tfxai.cli.model_files import Loaded
    from tfxai.engines import Method
    from tfxai.results import Explanation

DRAWN = 100  # photos in one picture; a longer one is more than most programs show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `tfxai explain` takes."""
    add_photos(parser)
    parser.add_argument(
        "--method", required=True, metavar="NAME", help="such as grad_cam; see: tfxai methods"
    )
    add_settings(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--target", metavar="K", help="class to explain, by number or name (default: the predicted one)"
    )
    which.add_argument("--top", type=int, metavar="K", help="explain the K best ranked classes")
    add_places(parser, which)
    parser.add_argument("--layer", metavar="PATH", help="layer that the method reads; see: tfxai layers")
    parser.add_argument(
        "--at",
        metavar="PATH",
        help="layer whose output is explained instead of the photo, by methods that use gradients",
    )
    parser.add_argument(
        "--highlight",
        type=int,
        metavar="N",
        help="draw only the N segments that speak most for the class (lime, kernel_shap)",
    )
    parser.add_argument(
        "--out", metavar="FILE.png", help="picture to write (default: PHOTO_METHOD.png, unless --save)"
    )
    parser.add_argument("--save", metavar="FILE.npz", help="values to write, for tfxai.Explanation.load")


def run(arguments: argparse.Namespace) -> None:
    """Explains photos: writes a picture, the values, or both, and lists the explained classes.

    Raises ValueError if an argument does not fit.
    """
    start_quietly()
    from tfxai.methods import configured, snake_case
    from tfxai.scores import top

    layer = [] if arguments.layer is None else [f"layer={arguments.layer}"]
    method = configured(arguments.method, [*arguments.set, *layer])
    _check_highlight(arguments.highlight, method)
    out, save = _output_files(arguments, snake_case(type(method).__name__))
    loaded, seen, fed = model_and_photos(arguments)
    classes = target_of(arguments, loaded) if arguments.top is None else top(arguments.top)
    targets, score = targets_and_score(arguments, loaded, classes)
    if score is None:
        check_labels(loaded, fed)
    explanation = method(
        loaded.model,
        fed,
        targets,
        score=score,
        batch_size=arguments.batch_size,
        progress=sys.stderr.isatty(),
        at=arguments.at,
    )
    write_files(
        (out, lambda file: _picture(explanation, seen, loaded, arguments.highlight).savefig(file)),
        (save, explanation.save),
    )
    _print_explained(arguments.images, explanation, loaded)
    print(how_fed(fed, arguments.preprocess))
    print_files(Picture=out, Values=save)


def _check_highlight(highlight: int | None, method: Method) -> None:
    """Before the work: which methods cut photos into segments is known by their settings."""
    if highlight is None:
        return
    if highlight < 1:
        raise ValueError(f"--highlight is {highlight}. Give the number of segments to draw, 1 or more.")
    if not hasattr(method, "segmenter"):
        raise ValueError(
            f"--highlight: {type(method).__name__} has no segments. Take --method lime or kernel_shap."
        )


def _output_files(arguments: argparse.Namespace, method: str) -> tuple[Path | None, Path | None]:
    """Where the picture and the values go. Without --save there is a picture in any case."""
    out, inputs = arguments.out, (*arguments.images, arguments.model, arguments.labels)
    if out is None and (arguments.save is None or arguments.highlight is not None):
        more = f"_and_{len(arguments.images) - 1}_more" if len(arguments.images) > 1 else ""
        out = f"{Path(arguments.images[0]).stem}{more}_{method}.png"
    return output_file(out, PICTURES, inputs), output_file(arguments.save, (".npz",), inputs)


def _picture(
    explanation: Explanation, seen: NDArray[np.float32], loaded: Loaded, highlight: int | None
) -> Figure:
    """The maps on the photos that people know, whatever the model was fed. seen: (N, H, W, C) in 0..255."""
    from tfxai import plots

    explanation = dataclasses.replace(explanation, inputs=seen / 255)
    if highlight is None:
        return plots.show(explanation, loaded.labels, limit=DRAWN)
    return plots.segments(explanation, highlight, loaded.labels, limit=DRAWN)


def _print_explained(images: Sequence[str], explanation: Explanation, loaded: Loaded) -> None:
    """A row for each photo and explained class: its score, and the method's error where it has one."""
    numbers = {explanation.score: explanation.scores}
    if explanation.delta is not None:
        numbers["delta"] = explanation.delta
    classes = explanation.targets.size // len(images)  # of each photo
    rows = [
        (
            "" if i % classes else images[i // classes],
            target,
            loaded.label(target),
            *(f"{values.flat[i]:.4g}" for values in numbers.values()),
        )
        for i, target in enumerate(explanation.targets.flat)
    ]
    print_table(None, ("photo", "class", "name", *numbers), rows)
