"""Settings as data: what a file can hold of a method, a score, targets, so that they can be made again from it.

None, truths, numbers, words, lists, tuples, arrays     as they are
{"class": "Blur", "settings": {"sigma": 10.0, ...}}     a dataclass of tfxai
{"dict": {name: ...}}                                   a dict
{"table": {column: array}}                              a pandas DataFrame
{"unkept": "the function my_score"}                     what no file can hold: a user's own code, a model, a large array
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from tfxai.results.digests import array_digest

LARGEST = 64 * 2**20  # bytes of an array that a receipt keeps
OWN = "tfxai."  # modules whose dataclasses can be made again by their name

Recipe: TypeAlias = Any
"""See the head of this file."""


def recipe(value: Any, path_of: Callable[[Any], str | None] = lambda value: None) -> Recipe:
    """What can be kept of a setting. path_of: the path of a layer of the model, None for anything else."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        items = [recipe(item, path_of) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: recipe(item, path_of) for key, item in value.items()}}
    if dataclasses.is_dataclass(value) and type(value).__module__.startswith(OWN):
        fields = [field.name for field in dataclasses.fields(value)]
        settings = {name: recipe(getattr(value, name), path_of) for name in fields}
        return {"class": type(value).__name__, "settings": settings}
    if hasattr(value, "iloc"):
        return _of_table(value)
    if isinstance(value, np.ndarray) or hasattr(value, "__array__"):
        return _of_array(np.asarray(value))
    path = path_of(value)
    return {"unkept": _words(value)} if path is None else path


def _of_table(table: Any) -> Recipe:
    columns = getattr(table, "columns", None)
    if columns is None or not all(isinstance(kind, np.dtype) for kind in table.dtypes):
        return {"unkept": f"a {type(table).__name__} with types of pandas' own"}
    return {"table": {str(name): _of_array(table[name].to_numpy()) for name in columns}}


def _of_array(array: np.ndarray) -> Recipe:
    if array.nbytes > LARGEST:
        return {"unkept": f"an array {array.shape}, larger than {LARGEST // 2**20} MB"}
    if array.dtype.kind == "O" and not all(_is_plain(item) for item in array.reshape(-1)):
        return {"unkept": f"an array {array.shape} of Python objects"}
    return array


def _is_plain(item: Any) -> bool:
    return item is None or isinstance(item, (bool, int, float, str, bytes))


def _words(value: Any) -> str:
    if name := getattr(value, "__name__", None):
        return f"the function {name}"
    return f"a {type(value).__name__} of your own"


def unkept(data: Recipe, name: str) -> list[str]:
    """What of a recipe was not kept, each in words: `baseline (the function my_blur)`."""
    if isinstance(data, dict) and "unkept" in data:
        return [f"{name} ({data['unkept']})"]
    if isinstance(data, dict):
        inner = data.get("settings", data.get("dict", data.get("table", {})))
        return [words for key, item in inner.items() for words in unkept(item, key)]
    if isinstance(data, (list, tuple)):
        return [words for item in data for words in unkept(item, name)]
    return []


def as_json(data: Any) -> Any:
    """The same in what JSON knows: arrays by their digests, numbers that are not finite as words."""
    if isinstance(data, dict):
        return {str(key): as_json(item) for key, item in data.items()}
    if isinstance(data, (list, tuple)):
        return [as_json(item) for item in data]
    if isinstance(data, np.ndarray):
        return {"array": array_digest(data)}
    if isinstance(data, np.generic):
        data = data.item()
    if isinstance(data, float) and not math.isfinite(data):
        return str(data)
    return data
