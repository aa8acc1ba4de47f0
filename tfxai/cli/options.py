"""Options that several commands take. What they mean is in feeding.py."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError


def add_photos(parser: ArgumentParser) -> None:
    """Photo files, and the options of a model that is fed with them."""
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    add_feeding(parser)


def add_feeding(parser: ArgumentParser) -> None:
    """The options of a model, and of how it takes photos."""
    add_model(parser)
    parser.add_argument("--labels", metavar="FILE", help="class names: one a line, or a JSON list or dict")
    parser.add_argument(
        "--preprocess",
        default="none",
        metavar="NAME",
        help="how the model takes pixels: none (0..255, the default), 0..1, -1..1, or a module of "
        "keras.applications such as resnet50",
    )
    parser.add_argument(
        "--crop",
        type=float,
        metavar="F",
        help="part of the photo's height and width to keep (default: 1; demo: 0.875)",
    )
    add_batch_size(parser, 32, "photos at once, or auto: as many as fit into 1 GB (default: 32)")


def add_data_reading(parser: ArgumentParser) -> None:
    """How a folder of pictures, or a table, becomes what the model takes."""
    parser.add_argument(
        "--preprocess", default="none", metavar="NAME", help="of pictures; see: tfxai explain"
    )
    parser.add_argument(
        "--crop", type=float, metavar="F", help="part of a picture to keep; see: tfxai explain"
    )
    parser.add_argument(
        "--columns", type=names, metavar="A,B,...", help="columns of a table that the model takes"
    )


def add_batch_size(parser: ArgumentParser, default: int | str, words: str) -> None:
    """The option of rows at once. words: its help."""
    parser.add_argument("--batch-size", type=_batch_size, default=default, metavar="N", help=words)


def _batch_size(text: str) -> int | str:
    if text != "auto" and not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is neither a whole number nor auto")
    return text if text == "auto" else int(text)


def add_model(parser: ArgumentParser) -> None:
    """The options that name a model."""
    parser.add_argument(
        "--model",
        required=True,
        metavar="M",
        help=".keras or .h5 file, SavedModel or module folder, frozen graph (.pb), TF-Hub handle, or demo",
    )
    parser.add_argument("--signature", metavar="NAME", help="of a SavedModel or module; see: tfxai hub")
    add_unsafe(parser)


def add_settings(parser: ArgumentParser) -> None:
    """The option that gives settings of a method."""
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="settings of the method, such as steps=50",
    )


def add_unsafe(parser: ArgumentParser) -> None:
    """The option that trusts a file."""
    parser.add_argument(
        "--unsafe",
        action="store_true",
        help="let the model's file run Python code that it carries, and read and write other files",
    )


def names(text: str) -> list[str]:
    """As the `type` of an option: the names in a text such as "gradient, grad_cam"."""
    return [name for part in text.split(",") if (name := part.strip())]
