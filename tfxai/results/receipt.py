"""What proves a result, and lets it be made again: method, model, inputs, environment."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.results.digests import text_digest
from tfxai.results.recipes import Recipe, as_json, unkept
from tfxai.results.storage import Stored

VERSION = 1  # of the JSON form
LATE = ("weights", "inputs")  # fields that take time, and so are only found when they are asked for
SHOWN = 16  # digits of a digest in the text


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Receipt(Stored):
    """How a result came about: `print(explanation.receipt)`, `explanation.receipt.json()`; `tfxai.verify` repeats it.

    weights:     every weight of the model at the time of the call, in order: {"path", "shape", "dtype", "sha256"}; None
                 where the model does not tell, as a plain function.
    inputs:      name -> {"shape", "dtype", "sha256"} of each input array of the whole call; of a single one "inputs".
    structure:   SHA-256 of the model's configuration without the names of its layers; None where there is none.
    method:      {"class", "settings"}; see tfxai.results.recipes for what a setting looks like.
    score, targets, at, batch_size, jit_compile: as they were asked for.
    given:       "arrays", or what a file cannot give back: "Text" with functions of its own, "DataFrame".
    environment: versions, processor, device, threads, and what else decides the last bits.
    warnings:    what the call warned about.
    passes:      how many rows went through the model for each map, added up, where the method counts them.
    rows:        of a part of an explanation, the numbers of its examples in the whole call; None: all.
    """

    called = "receipt"

    weights: list[dict[str, Any]] | None
    inputs: dict[str, dict[str, Any]]
    structure: str | None
    method: Recipe
    score: Recipe
    targets: Recipe
    at: Recipe
    batch_size: int
    jit_compile: bool
    given: str
    environment: dict[str, Any]
    warnings: list[str]
    passes: int | None = None
    rows: NDArray[np.int64] | None = None

    @classmethod
    def later(cls, find: Callable[[], dict[str, Any]], **fields: Any) -> Receipt:
        """A receipt whose `weights` and `inputs` are found when they are first asked for, by a function that gives both."""
        receipt = cls(None, {}, **fields)
        for name in LATE:
            object.__delattr__(receipt, name)
        object.__setattr__(receipt, "_find", find)
        return receipt

    def __getattr__(self, name: str) -> Any:
        """Python asks here for what is not there yet."""
        find = vars(self).get("_find")
        if name in vars(self):  # another thread has just found it
            return vars(self)[name]
        if name not in LATE or find is None:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        for late, value in find().items():
            object.__setattr__(self, late, value)
        vars(self).pop("_find", None)
        return getattr(self, name)

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @property
    def seed(self) -> int | None:
        """Of what the method draws; None where it draws nothing."""
        return self.method["settings"].get("seed") if "settings" in self.method else None

    def lacks(self, name: str) -> list[str]:
        """What could not be kept of "method", "score", "targets" or "at", in words: `["baseline (the function black)"]`."""
        return unkept(getattr(self, name), name)

    def of_rows(self, order: NDArray) -> Receipt:
        """The receipt of a part, which tells which examples of the whole call it holds."""
        before = np.arange(self.examples) if self.rows is None else self.rows
        return dataclasses.replace(self, rows=before[order])

    @property
    def examples(self) -> int:
        """How many examples the whole call explained."""
        return next(iter(self.inputs.values()))["shape"][0]

    def json(self) -> str:
        """The receipt as JSON; its form is documented in the guide. Arrays are told by their digests."""
        return json.dumps(self._data(), indent=1, allow_nan=False)

    def _data(self) -> dict[str, Any]:
        call = ("score", "targets", "at", "batch_size", "jit_compile")
        return as_json(
            {
                "receipt": VERSION,
                "method": self.method,
                "seed": self.seed,
                "call": {name: getattr(self, name) for name in call},
                "model": {"structure": self.structure, "weights": self.weights},
                "inputs": {"given": self.given, "arrays": self.inputs},
                "rows": None if self.rows is None else self.rows.tolist(),
                "environment": self.environment,
                "passes": self.passes,
                "warnings": self.warnings,
            }
        )

    def __repr__(self) -> str:
        rows = "all" if self.rows is None else f"{self.rows.tolist()} of {self.examples}"
        call = {name: _short(getattr(self, name)) for name in ("score", "targets", "at", "batch_size")}
        lines = {
            "method": _short(self.method),
            **call,
            "jit_compile": self.jit_compile,
            "weights": _of_weights(self.weights),
            "structure": "not known" if self.structure is None else self.structure[:SHOWN],
            "inputs": "; ".join(f"{name} {_of_array(told)}" for name, told in self.inputs.items()),
            "rows": rows,
            "environment": ", ".join(f"{name} {value}" for name, value in self.environment.items()),
            "passes": "not counted" if self.passes is None else self.passes,
            "warnings": " / ".join(self.warnings) or "none",
        }
        return "\n".join(f"{name:<12} {value}" for name, value in lines.items())


def _of_weights(weights: list[dict[str, Any]] | None) -> str:
    if weights is None:
        return "not known"
    whole = text_digest("".join(weight["sha256"] for weight in weights))
    return f"{len(weights)} arrays, {whole[:SHOWN]} together"


def _of_array(told: dict[str, Any]) -> str:
    return f"{tuple(told['shape'])} {told['dtype']} {told['sha256'][:SHOWN]}"


def _short(data: Recipe) -> str:
    """A recipe in one line."""
    if isinstance(data, dict) and "class" in data:
        settings = ", ".join(f"{name}={_short(value)}" for name, value in data["settings"].items())
        return f"{data['class']}({settings})"
    if isinstance(data, dict) and "unkept" in data:
        return f"<not kept: {data['unkept']}>"
    if isinstance(data, dict):
        return "{" + ", ".join(f"{name}: {_short(value)}" for name, value in data.items()) + "}"
    if isinstance(data, (list, tuple)):
        return f"[{', '.join(map(_short, data))}]"
    return f"<array {data.shape}>" if isinstance(data, np.ndarray) else repr(data)
