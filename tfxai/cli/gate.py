"""`tfxai gate`: does a new model look at something else than the old one?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfxai.cli.array_files import ENDINGS, arrays_in
from tfxai.cli.options import add_batch_size, add_data_reading, add_settings, add_unsafe
from tfxai.cli.output import output_file, print_files, printable, write_files
from tfxai.cli.startup import start_quietly
from tfxai.support import PICTURES

if TYPE_CHECKING:
    from tfxai.cli.model_files import Loaded
    from tfxai.comparing import ModelComparison, ModelReference
    from tfxai.support import Inputs

TWINS = 3  # at least, as tfxai.comparing has it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `tfxai gate` takes."""
    parser.add_argument("--new", metavar="B", help="the model that is to take its place (file or folder)")
    parser.add_argument("--old", metavar="A", help="the model that is trusted (file or folder)")
    parser.add_argument(
        "--twin",
        action="append",
        default=[],
        metavar="T",
        help=f"the old model trained again with another seed; {TWINS} times or more: they tell what training again changes",
    )
    parser.add_argument(
        "--reference",
        metavar="FILE.npz",
        help="in the place of --old and --twin: what --save-reference wrote",
    )
    parser.add_argument(
        "--save-reference",
        metavar="FILE.npz",
        help="write what is known of the old model and its twins; without --new nothing else is done",
    )
    parser.add_argument(
        "--data",
        required=True,
        metavar="PATH",
        help="examples: a folder of pictures, a .npy, .npz or Parquet file, a folder of these",
    )
    parser.add_argument(
        "--method", required=True, metavar="NAME", help="such as grad_cam; see: tfxai methods"
    )
    add_settings(parser)
    _add_reading(parser)
    parser.add_argument(
        "--regions",
        metavar="FILE",
        help="masks (N, H, W) or boxes (N, 4) as .npy: also compare how much of the evidence lies inside",
    )
    parser.add_argument("--json", metavar="FILE.json", help="numbers to write, for a build server")
    parser.add_argument("--out", metavar="FILE", help="picture (.png ...) or page (.html) to write")


def _add_reading(parser: argparse.ArgumentParser) -> None:
    """How the models and the data are read."""
    parser.add_argument(
        "--target", metavar="K", help="class to explain (default: the ones that the old model predicts)"
    )
    parser.add_argument("--labels", metavar="FILE", help="class names, for the picture; see: tfxai explain")
    add_data_reading(parser)
    add_unsafe(parser)
    add_batch_size(parser, 32, "rows at once, or auto (default: 32)")


def run(arguments: argparse.Namespace) -> int:
    """Compares, prints what was found, and writes the files that are asked for.

    Returns 0 if nothing changed by more than training again changes, 1 if something did.
    Raises ValueError if nothing can be compared.
    """
    _check(arguments)
    start_quietly()
    from tfxai import comparing
    from tfxai.cli import model_files
    from tfxai.methods import configured

    method = configured(arguments.method, arguments.set)
    inputs = (
        arguments.data,
        arguments.old,
        arguments.new,
        arguments.reference,
        arguments.regions,
        *arguments.twin,
    )
    out = output_file(arguments.out, (*PICTURES, ".html"), inputs)
    numbers = output_file(arguments.json, (".json",), inputs)
    kept = output_file(arguments.save_reference, (".npz",), inputs)
    loaded = model_files.load(arguments.old or arguments.new, arguments.unsafe)
    examples = _examples(arguments, loaded)
    options: dict[str, Any] = {"batch_size": arguments.batch_size, "progress": sys.stderr.isatty()}
    known = _known(arguments, loaded, examples, method, options)
    if arguments.new is None:
        write_files((kept, known.save))
        print(printable(repr(known)))
        print_files(Reference=kept)
        return 0
    new = loaded.model if arguments.old is None else model_files.load(arguments.new, arguments.unsafe).model
    found = comparing.compare_models(known, new, examples, method, **options)
    write_files(
        (kept, known.save),
        (numbers, lambda file: _write_json(found, file)),
        (out, _drawing(arguments, found)),
    )
    print(printable(repr(found)))
    print_files(Reference=kept, Numbers=numbers, Picture=out)
    return int(bool(found.changed))


def _check(arguments: argparse.Namespace) -> None:
    """Raises ValueError, before TensorFlow starts, if options do not fit each other or files are missing."""
    if arguments.reference is not None and (arguments.old is not None or arguments.twin or arguments.regions):
        raise ValueError(
            "--reference holds the old model's maps, its twins' and regions. Leave out --old, --twin and --regions."
        )
    if arguments.reference is None and (arguments.old is None or len(arguments.twin) < TWINS):
        raise ValueError(
            f"{len(arguments.twin)} twins came{'' if arguments.old else ' and no old model'}. Without {TWINS} nobody knows what training "
            "again changes: give --old and the old model trained again with other seeds, --twin for each, or --reference."
        )
    if arguments.new is None and (arguments.save_reference is None or arguments.reference is not None):
        raise ValueError(
            "There is no --new model to compare. Give one, or --old, --twin and --save-reference."
        )
    for name in filter(None, (arguments.data, arguments.reference, arguments.regions)):
        if not Path(name).exists():
            raise ValueError(f"There is no file or folder {name}.")


def _examples(arguments: argparse.Namespace, loaded: Loaded) -> Inputs:
    """The inputs, all in memory. Raises ValueError if options for other data are given."""
    from tfxai.data import Folder, Table, all_rows

    path = Path(arguments.data)
    tables = path.suffix.lower() == ".parquet" or any(path.glob("*.parquet"))
    if arguments.columns is not None and not tables:
        raise ValueError(f"--columns is for tables, and {path} is none.")
    data: Any
    if path.suffix.lower() in ENDINGS:
        data = arrays_in(arguments.data, "--data")
    elif tables:
        data = Table(path, columns=arguments.columns)
    else:
        crop = loaded.crop if arguments.crop is None else arguments.crop
        data = Folder(path, preprocess=arguments.preprocess, crop=crop)
    return all_rows(data, loaded.model).inputs


def _known(
    arguments: argparse.Namespace, old: Loaded, examples: Inputs, method: Any, options: dict[str, Any]
) -> ModelReference:
    """What the file holds, or the old model and its twins give. Raises ValueError if there are fewer than 3 twins."""
    from tfxai import comparing
    from tfxai.cli import model_files

    if arguments.reference is not None:
        known = comparing.ModelReference.load(arguments.reference)
        if len(known.twin_similarity) < TWINS:
            raise ValueError(
                f"{arguments.reference} was made with {len(known.twin_similarity)} twins. Make it with {TWINS} or more."
            )
        return known
    twins = [model_files.load(name, arguments.unsafe).model for name in arguments.twin]
    regions = None
    if arguments.regions is not None:
        held = arrays_in(arguments.regions, "--regions")
        regions = next(iter(held.values())) if isinstance(held, dict) else held
    target = None if arguments.target is None else _named(arguments, old).target(arguments.target)
    return comparing.reference(old.model, examples, method, target, twins=twins, regions=regions, **options)


def _named(arguments: argparse.Namespace, loaded: Loaded) -> Loaded:
    """With the names of classes that --labels gives."""
    import dataclasses

    from tfxai.cli import model_files

    if arguments.labels is None:
        return loaded
    return dataclasses.replace(loaded, labels=model_files.read_labels(arguments.labels))


def _write_json(found: ModelComparison, file: Path) -> None:
    file.write_text(json.dumps(found.to_dict(), indent=2) + "\n", encoding="utf-8")


def _drawing(arguments: argparse.Namespace, found: ModelComparison) -> Any:
    """A function that writes the picture, or the page."""
    from tfxai import plots
    from tfxai.cli import model_files
    from tfxai.reporting import report

    labels = None if arguments.labels is None else model_files.read_labels(arguments.labels)
    if str(arguments.out).lower().endswith(".html"):
        title = f"{Path(arguments.new).name} beside {Path(arguments.old or arguments.reference).name}"
        return lambda file: report(file, title, found, labels=labels)
    return lambda file: plots.compare_models(found, labels).savefig(file)
