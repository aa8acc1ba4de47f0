"""What `tfxai explain` is asked about, beside a class: boxes, and clicked points, in pixels of the photo files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tfxai.cli.model_files import Loaded


def add_places(parser: argparse.ArgumentParser, which: Any) -> None:
    """The options. which: the group of those that exclude each other."""
    which.add_argument("--top-boxes", type=int, metavar="K", help="of a detector: explain the K surest boxes")
    parser.add_argument(
        "--box",
        action="append",
        metavar="X0,Y0,X1,Y1",
        type=_numbers(4),
        help="of a detector: explain this box, in pixels of the photo; several times for several boxes",
    )
    parser.add_argument(
        "--click",
        metavar="X,Y",
        type=_numbers(2),
        help="of a segmenter: explain this pixel of the photo (as --target, or the class that is seen there)",
    )


def _numbers(count: int) -> Any:
    """As the `type` of an option: so many numbers, with commas between."""

    def numbers(text: str) -> list[float]:
        try:
            found = [float(part) for part in text.split(",")]
        except ValueError:
            found = []
        if len(found) != count:
            raise argparse.ArgumentTypeError(f"{text!r} is not {count} numbers with commas between.")
        return found

    return numbers


def targets_and_score(arguments: argparse.Namespace, loaded: Loaded, classes: Any) -> tuple[Any, Any]:
    """The targets and the score of the call. classes: targets that are classes, None for the predicted ones.

    Raises ValueError if options do not fit each other, or a place lies outside of what the model sees of a photo.
    """
    from tfxai import scores

    if arguments.click is not None:
        if arguments.box or arguments.top_boxes is not None or arguments.top is not None:
            raise ValueError("--click is about one pixel. Leave out --box, --top-boxes and --top.")
        return classes, scores.click(_points(arguments, loaded))
    if arguments.top_boxes is not None:
        if arguments.box:
            raise ValueError("--box and --top-boxes both say which boxes. Give one of the two.")
        return scores.boxes(k=arguments.top_boxes), scores.detection()
    if arguments.box:
        if arguments.top is not None:
            raise ValueError("--top ranks classes of a photo. With --box, give --target or neither.")
        return scores.boxes(_corners(arguments, loaded), classes), scores.detection()
    return classes, None


def _corners(arguments: argparse.Namespace, loaded: Loaded) -> NDArray[np.float32]:
    """The boxes (N, K, 4) as y0, x0, y1, x1 in pixels of what the model sees."""
    import numpy as np

    corners = []
    for name in arguments.images:
        ends = [_seen(name, arguments, loaded, [box[:2], box[2:]]) for box in arguments.box]
        corners.append([[*first, *last] for first, last in ends])
    return np.asarray(corners, np.float32)


def _points(arguments: argparse.Namespace, loaded: Loaded) -> NDArray[np.int64]:
    """The clicked pixel of each photo (N, 2) as y, x, in pixels of what the model sees."""
    import numpy as np

    height, width, _ = loaded.photo_shape()
    points = [_seen(name, arguments, loaded, [arguments.click])[0] for name in arguments.images]
    return np.minimum(np.floor(points), [height - 1, width - 1]).astype(np.int64)


def _seen(
    name: str, arguments: argparse.Namespace, loaded: Loaded, points: Sequence[Sequence[float]]
) -> list[tuple[float, float]]:
    """Points (x, y) of a photo as (y, x) of what the model sees of it."""
    from tfxai import photos

    height, width, channels = loaded.photo_shape()
    given = photos.read(name, channels).shape[:2]
    crop = loaded.crop if arguments.crop is None else arguments.crop
    top, left, rows, columns = photos.fitted(given, (height, width), crop)
    found = []
    for x, y in points:
        if not (left <= x <= left + columns and top <= y <= top + rows):
            raise ValueError(
                f"({x:g}, {y:g}) lies outside of what the model sees of {name}: x from {left} to {left + columns}, y from {top} "
                f"to {top + rows} (see --crop)."
            )
        found.append(((y - top) * height / rows, (x - left) * width / columns))
    return found
