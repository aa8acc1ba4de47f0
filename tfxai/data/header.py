"""What a run was begun with, and how another one differs: `run.json` in its directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfxai.engines import environment
from tfxai.inputs import flatten, pack
from tfxai.model import UNKNOWN, Network, build, rows_at_once, snapshot
from tfxai.receipts import of_environments, of_settings, of_weights
from tfxai.results import as_json, recipe
from tfxai.support import Inputs, Model, warn, whole_file

FORMAT = 2
FILE = "run.json"
HALF_WRITTEN = (
    "rows/.shard-*.[0-9]*.parquet",
    ".run.[0-9]*.json",
    ".finished.[0-9]*.json",
    ".*.receipt.[0-9]*.npz",
)  # files that a run renames when they are whole


def header_of(methods: Mapping[str, Any], model: Model, first: Inputs, **settings: Any) -> dict[str, Any]:
    """A run as JSON. first: inputs of one row."""
    build(model, first)
    now = snapshot(model)
    return as_json(
        {
            "format": FORMAT,
            "methods": {name: recipe(method) for name, method in methods.items()},
            "model": {"structure": now.structure, "weights": now.weights},
            "settings": {name: recipe(value) for name, value in settings.items()},
            "environment": environment(),
        }
    )


def batch_size_of(
    directory: Path, batch_size: int | str, methods: Mapping[str, Any], model: Model, first: Inputs
) -> int:
    """Rows at once of a run: as it was begun with; of a new one as many as there is room for with each of its methods.

    first: inputs of one row.
    """
    if not isinstance(batch_size, str):
        return batch_size
    if (saved := read(directory)) is not None:
        return int(saved["settings"]["batch_size"])
    arrays = [array if array.dtype == object else np.zeros_like(array) for array in flatten(first)[0]]
    nothing, needed = pack(first, arrays), {method.needs for method in methods.values()}
    try:
        return min(rows_at_once(Network(model, nothing, needs, "explain_dataset")) for needs in needed)
    except ValueError:  # what is wrong is told when rows are explained
        return UNKNOWN


def read(directory: Path) -> dict[str, Any] | None:
    """The header of a directory; None if there is no run in it.

    Raises ValueError if it cannot be read, or a newer version wrote it.
    """
    file = directory / FILE
    if not file.exists():
        return None
    try:
        held = json.loads(file.read_text())
        known = held["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file} is not the head of a run ({error}). It is written once, before the first shard: bring back a copy, or begin in "
            "another directory."
        ) from None
    if known != FORMAT:
        raise ValueError(f"{file} has format {known}, and this version of tfxai reads {FORMAT}.")
    return held


def tidy(directory: Path) -> None:
    """Takes away files of this run that a process left half-written when it died; no others."""
    for pattern in HALF_WRITTEN:
        for part in directory.glob(pattern):
            part.unlink(missing_ok=True)


def write(directory: Path, header: Mapping[str, Any]) -> None:
    """Writes it, whole or not at all."""
    with whole_file(directory / FILE, sync=True) as part:
        part.write_text(json.dumps(header, indent=1, allow_nan=False))


def check_same(saved: Mapping[str, Any], now: Mapping[str, Any], directory: Path) -> None:
    """Raises ValueError, with the first difference, if a directory holds another run. Warns of another environment."""
    words = (
        _other_names(saved["methods"], now["methods"])
        or of_settings(saved["methods"], now["methods"], "methods")
        or of_weights(saved["model"]["weights"], now["model"]["weights"])
        or of_settings(saved["settings"], now["settings"], "settings")
    )
    if not words and saved["model"]["structure"] != now["model"]["structure"]:
        words = "the model's configuration is another one"
    if words:
        raise ValueError(
            f"{directory} holds another run: {words}. Give another directory, or what that run was begun with."
        )
    if elsewhere := of_environments(saved["environment"], now["environment"]):
        warn(
            f"The run in {directory} was begun elsewhere: {'; '.join(elsewhere)}. Last digits of what comes now may differ from what "
            "an undisturbed run would give."
        )


def _other_names(saved: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    if list(saved) == list(now):
        return ""
    return f"its methods are {', '.join(saved)}, and these are {', '.join(now)}"
