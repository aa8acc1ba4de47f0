"""`tfxai run`: every picture of a folder, or every row of a Parquet file, explained into a directory."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfxai.cli.options import add_batch_size, add_data_reading, add_model, add_settings, names
from tfxai.cli.output import print_table, printable
from tfxai.cli.startup import start_quietly

if TYPE_CHECKING:
    from tfxai.cli.model_files import Loaded
    from tfxai.data import Ray, Results

SHOWN = 10  # rows that failed, of which the reasons are printed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `tfxai run` takes."""
    add_model(parser)
    parser.add_argument(
        "--data",
        required=True,
        metavar="PATH",
        help="a folder of pictures, a Parquet file or a folder of them",
    )
    parser.add_argument(
        "--method",
        required=True,
        type=names,
        metavar="NAME[,NAME]",
        help="such as grad_cam; of several, all explain each row; see: tfxai methods",
    )
    add_settings(parser)
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="where the run lies; given again, it goes on"
    )
    parser.add_argument(
        "--target",
        metavar="K",
        help="class to explain, or label: that of each row (default: the predicted one)",
    )
    parser.add_argument(
        "--keep",
        choices=("values", "heatmap", "summary"),
        default="values",
        help="what is written of each map (default: %(default)s)",
    )
    parser.add_argument("--no-inputs", action="store_true", help="do not write the inputs beside the values")
    parser.add_argument("--float16", action="store_true", help="write values in half precision")
    add_data_reading(parser)
    parser.add_argument("--id", metavar="COLUMN", help="column of a table by which rows are known")
    parser.add_argument("--label", metavar="COLUMN", help="column of a table with the true class")
    add_batch_size(parser, "auto", "rows at once (default: as many as fit into 1 GB)")
    parser.add_argument(
        "--ray",
        action="store_true",
        help="by workers of Ray, on this machine or on the cluster of RAY_ADDRESS",
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="of Ray (default: as many as there is room for)"
    )
    parser.add_argument("--shard-rows", type=int, metavar="N", help="rows of a file (default: about 32 MB)")


def run(arguments: argparse.Namespace) -> None:
    """Explains what is not explained yet, and tells how much there is.

    Raises ValueError if an argument does not fit, or the directory holds another run.
    """
    if not Path(arguments.data).exists():  # before the model is loaded, which takes longer
        raise ValueError(f"There is no file or folder {arguments.data}.")
    start_quietly()
    from tfxai.cli import model_files
    from tfxai.data import explain_dataset
    from tfxai.methods import configured

    if arguments.set and len(arguments.method) > 1:
        raise ValueError(
            "--set is for one method. Run the others with settings of their own into another directory."
        )
    methods = [configured(name, arguments.set) for name in arguments.method]
    loaded = model_files.load(arguments.model, arguments.unsafe, arguments.signature)
    results = explain_dataset(
        methods,
        loaded.model,
        _data(arguments, loaded),
        arguments.out,
        targets=_target(arguments.target, loaded),
        keep=arguments.keep,
        keep_inputs=not arguments.no_inputs,
        float16=arguments.float16,
        batch_size=arguments.batch_size,
        shard_rows=arguments.shard_rows,
        progress=sys.stderr.isatty(),
        engine=_engine(arguments),
    )
    _tell(results)


def _engine(arguments: argparse.Namespace) -> Ray | None:
    from tfxai.data import Ray

    if arguments.workers is not None and not arguments.ray:
        raise ValueError("--workers are those of Ray: add --ray.")
    return Ray(workers=arguments.workers) if arguments.ray else None


def _data(arguments: argparse.Namespace, loaded: Loaded) -> Any:
    """The folder of pictures or the table that --data names. Raises ValueError if options of the other are given."""
    from tfxai.data import Folder, Table

    path = Path(arguments.data)
    of_tables = {name: getattr(arguments, name) for name in ("columns", "id", "label")}
    if path.is_file() or any(path.glob("*.parquet")):
        return Table(path, **of_tables)
    if given := [name for name, value in of_tables.items() if value is not None]:
        raise ValueError(f"--{given[0]} is for tables, and {path} is a folder of pictures.")
    crop = loaded.crop if arguments.crop is None else arguments.crop
    return Folder(path, preprocess=arguments.preprocess, crop=crop)


def _target(text: str | None, loaded: Loaded) -> Any:
    return text if text in (None, "label") else loaded.target(text)


def _tell(results: Results) -> None:
    """What was written, and which rows failed."""
    failed = results.failures()
    print(printable(f"{len(results)} rows in {results.directory}, {len(failed)} failed."))
    if failed:
        rows = [*failed.items()][:SHOWN]
        print_table(None, ("row", "why"), rows)
        if len(failed) > SHOWN:
            print(f"and {len(failed) - SHOWN} more")
    print(printable(f"Read them with tfxai.open_results({str(results.directory)!r})."))
