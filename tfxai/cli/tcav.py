"""`tfxai tcav`: which concepts does a class lean on?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfxai.cli.feeding import Feeding, check_labels, how_fed, model_and_feeding
from tfxai.cli.options import add_feeding, names
from tfxai.cli.output import output_file, print_files, print_table, write_files
from tfxai.cli.startup import start_quietly
from tfxai.support import PICTURES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tfxai.cli.model_files import Loaded
    from tfxai.concepts import TCAVResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `tfxai tcav` takes."""
    add_feeding(parser)
    parser.add_argument("--target", required=True, metavar="K", help="class, by number or name")
    _add_pictures(parser)
    _add_settings(parser)
    parser.add_argument("--out", default="tcav.png", metavar="FILE.png", help="default: %(default)s")
    parser.add_argument("--save", metavar="FILE.npz", help="result to write, for tfxai.TCAVResult.load")


def _add_pictures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--concepts",
        required=True,
        metavar="DIR",
        help="a folder with one sub-folder of pictures for each concept; those called random... are random sets",
    )
    parser.add_argument(
        "--class-images", required=True, metavar="DIR", help="a folder with pictures of the class"
    )
    parser.add_argument(
        "--random", metavar="DIR", help="a folder of unrelated pictures, or of sub-folders with them"
    )


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--layer",
        type=names,
        required=True,
        metavar="PATH,PATH",
        help="layers to look into; see: tfxai layers",
    )
    parser.add_argument(
        "--runs", type=int, default=10, metavar="N", help="each wants two random sets (default: 10)"
    )
    parser.add_argument(
        "--classifier",
        default="logistic",
        metavar="NAME",
        help="logistic (default), sgd, svm or mean_difference",
    )
    parser.add_argument("--cache", metavar="DIR", help="folder that keeps activations for the next call")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all that is drawn (default: 0)")


def run(arguments: argparse.Namespace) -> None:
    """Tests concepts: writes the chart of their scores, and lists these with their significance.

    Raises ValueError if an argument does not fit.
    """
    start_quietly()
    from tfxai import plots
    from tfxai.concepts import TCAV

    test = TCAV(
        arguments.layer,
        classifier=arguments.classifier,
        random_runs=arguments.runs,
        cache_dir=arguments.cache,
        seed=arguments.seed,
    )
    folders = [arguments.concepts, arguments.class_images, arguments.random]
    if missing := [folder for folder in folders if folder is not None and not Path(folder).is_dir()]:
        raise ValueError(f"There is no folder {missing[0]}.")
    inputs = (*folders, arguments.model, arguments.labels, arguments.cache)
    out = output_file(arguments.out, PICTURES, inputs)
    save = output_file(arguments.save, (".npz",), inputs)
    loaded, feeding = model_and_feeding(arguments)
    concepts, random = _concepts_and_random(arguments, feeding)
    images = feeding.scaled(feeding.folder(arguments.class_images))
    check_labels(loaded, images)
    result = test(
        loaded.model,
        images,
        loaded.target(arguments.target),
        concepts,
        random,
        batch_size=arguments.batch_size,
        progress=sys.stderr.isatty(),
    )
    write_files((out, plots.tcav(result, loaded.labels).savefig), (save, result.save))
    _print_scores(result, len(images), loaded)
    print(how_fed(images, arguments.preprocess))
    print_files(Picture=out, Result=save)


def _concepts_and_random(
    arguments: argparse.Namespace, feeding: Feeding
) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]] | NDArray[np.float32]]:
    """Concepts by name, each (N, H, W, C), and what they are told from: random sets by name, or one pool of pictures.

    Raises ValueError if there are no random pictures.
    """
    concepts = _scaled_sets(arguments.concepts, feeding)
    random = {name: concepts.pop(name) for name in [*concepts] if name.startswith("random")}
    if arguments.random is not None:
        if any(inner.is_dir() and inner.name[0] != "." for inner in Path(arguments.random).iterdir()):
            return concepts, _scaled_sets(arguments.random, feeding)
        return concepts, feeding.scaled(feeding.folder(arguments.random))
    if not random:
        raise ValueError(
            f"{arguments.concepts} has no sub-folders random500_0, random500_1 ... of unrelated pictures. Add them, or give "
            "--random DIR."
        )
    (first, *more) = random.values()
    return concepts, random if more else first  # one folder of all is a pool


def _scaled_sets(folder: str, feeding: Feeding) -> dict[str, NDArray[np.float32]]:
    return {name: feeding.scaled(pictures) for name, pictures in feeding.sub_folders(folder).items()}


def _print_scores(result: TCAVResult, images: int, loaded: Loaded) -> None:
    """A row for each layer and concept. images: how many there are of the class."""
    target = result.targets[0]
    title = f"{images} pictures of class {target} {loaded.label(target)}".rstrip()
    columns = ("layer", "concept", "score", "std", "p", "accuracy", "")
    print_table(title, columns, [_score_row(row) for row in result.table])


def _score_row(row: Mapping[str, Any]) -> Sequence[str]:
    """One row of `TCAVResult.table` as text; a concept that is not learned in a layer has no score there."""
    accuracy = f"{row['accuracy']:.2f}"
    if not row["learned"]:
        return row["layer"], row["concept"], "", "", "", accuracy, "not learned in this layer"
    score, std, p_value = f"{row['score']:.2f}", f"{row['std']:.2f}", f"{row['p_value']:.2g}"
    verdict = "significant" if row["significant"] else "not significant"
    return row["layer"], row["concept"], score, std, p_value, accuracy, verdict
