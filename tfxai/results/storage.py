"""Results in files: one compressed .npz each, which NumPy alone can read, and of which nothing is ever executed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

FORMAT = 1  # of the .npz file
KINDS: dict[str, type[Stored]] = {}  # every kind of result that files can hold, by the name of its class
Kind = TypeVar("Kind", bound="Stored")


class Stored:
    """A dataclass whose fields are arrays, words, numbers, other results, and lists, tuples and dicts of them.

    A subclass is known to `load` by its name. called: what errors call it.
    """

    called: ClassVar[str] = "result"

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        KINDS[cls.__name__] = cls

    def save(self, path: str | Path) -> Path:
        """Writes one compressed .npz file, readable by NumPy alone, and returns its path."""
        path = Path(path)
        arrays: dict[str, NDArray] = {}
        header = {"format": FORMAT, **_packed_result(self, arrays)}
        arrays["header"] = np.array(json.dumps(header))
        with path.open("wb") as file:  # a file object: NumPy would add .npz to other names
            np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]
        return path

    @classmethod
    def load(cls: type[Kind], path: str | Path) -> Kind:
        """Reads what `save` wrote; nothing in the file is ever executed (no pickle).

        Raises ValueError if the file is no such result, or holds a kind or a field that this version does not know.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            header = json.loads(str(arrays["header"]))
            result = _unpacked_result(header, arrays)
        except FileNotFoundError:
            raise
        except Exception as error:
            raise ValueError(
                f"{path} is not a saved {cls.called} ({error}). Give a file written by save()."
            ) from error
        if not isinstance(result, cls) and not issubclass(cls, type(result)):
            raise ValueError(
                f"{path} is not a saved {cls.called}, but a saved {result.called}. Read it with "
                f"{type(result).__name__}.load."
            )
        return result  # pyright: ignore[reportReturnType]


def packed(value: Any, arrays: dict[str, NDArray]) -> Any:
    """JSON that mirrors a structure. Arrays are put into `arrays`, and the JSON holds their names in it."""
    if isinstance(value, Stored):
        return {"result": _packed_result(value, arrays)}
    if isinstance(value, (np.ndarray, np.generic)):
        name, array = f"array_{len(arrays)}", np.asarray(value)
        words = array.dtype == object
        arrays[name] = array.astype(str) if words else array
        return {"words" if words else "array": name}
    if isinstance(value, dict):
        return {"dict": [[key, packed(item, arrays)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [packed(item, arrays) for item in value]}
    return {"plain": value}


def unpacked(value: Any, arrays: Mapping[str, NDArray]) -> Any:
    """What `packed` was given."""
    ((kind, content),) = value.items()
    if kind == "result":
        return _unpacked_result(content, arrays)
    if kind == "array":
        return arrays[content]
    if kind == "words":
        return arrays[content].astype(object)
    if kind == "dict":
        # JSON has no tuples: a key that was one comes back as a list.
        return {tuple(k) if isinstance(k, list) else k: unpacked(item, arrays) for k, item in content}
    if kind in ("list", "tuple"):
        items = [unpacked(item, arrays) for item in content]
        return items if kind == "list" else tuple(items)
    return content


def _packed_result(result: Any, arrays: dict[str, NDArray]) -> dict[str, Any]:
    fields = {field.name: packed(getattr(result, field.name), arrays) for field in dataclasses.fields(result)}
    return {"type": type(result).__name__, "fields": fields}


def _unpacked_result(header: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> Any:
    name, fields = header["type"], header["fields"]
    if name not in KINDS:
        raise ValueError(
            f"it holds a {name}, and this version knows {', '.join(sorted(KINDS))}: a newer one wrote it"
        )
    known = {field.name for field in dataclasses.fields(KINDS[name])}  # pyright: ignore[reportArgumentType]
    if unknown := [field for field in fields if field not in known]:
        raise ValueError(f"its {name} has the fields {unknown}, which this version does not know")
    return KINDS[name](**{field: unpacked(value, arrays) for field, value in fields.items()})
