"""Results in files: one compressed .npz each, which NumPy alone can read, and of which nothing is ever executed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from tfxai.results.members import Members
from tfxai.support import PICTURES, whole_file

FORMAT = 2  # of the .npz file; 1 had no tags "scalar", "objects" and "bytes"
KINDS: dict[str, type[Stored]] = {}  # every kind of result that files can hold, by the name of its class
Kind = TypeVar("Kind", bound="Stored")


class Stored:
    """A dataclass whose fields are arrays, words, numbers, None, other results, and lists, tuples and dicts of them.

    A subclass is known to `load` by its name. called: what errors call it.
    """

    called: ClassVar[str] = "result"

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        known = KINDS.setdefault(cls.__name__, cls)
        if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(
                f"There is a kind of result named {cls.__name__} already, in {known.__module__}. Give the class "
                "another name: files tell kinds by their names."
            )
        KINDS[cls.__name__] = cls  # the same class once more, as a notebook defines it again

    def problem(self) -> str:
        """What does not fit together in the fields, such as shapes; empty if nothing is wrong. Files are checked by it."""
        return ""

    def report(self, path: str | Path | None, title: str = "", **settings: Any) -> Any:
        """A page of this alone, see `tfxai.report`; its title is what it is called unless given."""
        import tfxai  # pages stand on a higher floor, and are made when they are asked for

        return tfxai.report(path, title or self.called.capitalize(), self, **settings)

    def save(self, path: str | Path) -> Path:
        """Writes one compressed .npz file, readable by NumPy alone, and returns its path.

        An older file of this name is replaced at the end, so it is still there if anything fails.

        Raises ValueError if a field holds what a file cannot, such as a function, or the name is that of a picture.
        """
        path, arrays = Path(path), {}
        if path.suffix.lower() in PICTURES:
            raise ValueError(
                f"{path.name} is the name of a picture, and save writes numbers. Give a name in .npz; "
                "tfxai.plots.show(...).savefig(...) writes a picture."
            )
        header = {"format": FORMAT, **_packed_result(self, arrays)}
        arrays["header"] = np.array(json.dumps(header))
        with whole_file(path) as part, part.open("wb") as file:  # NumPy would add .npz to other names
            np.savez_compressed(file, **arrays)
        return path

    @classmethod
    def load(cls: type[Kind], path: str | Path) -> Kind:
        """Reads what `save` wrote; nothing in the file is ever executed (no pickle).

        Raises ValueError if the file is not a saved result of this kind, or holds a kind or a field that this version
        does not know.
        """
        try:
            result = _read(path)
        except FileNotFoundError:
            raise
        except UnknownContentError as error:
            raise ValueError(f"{path} {error}") from None
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


class UnknownContentError(ValueError):
    """A file that was written by `save`, with content that this version does not know."""


def _read(path: str | Path) -> Stored:
    with Members(path) as arrays:
        return _of_header(json.loads(arrays.header()), arrays)


def _of_header(header: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> Stored:
    if type(header["format"]) is not int or header["format"] < 1:
        raise ValueError(f"its format is {header['format']!r}")
    if header["format"] > FORMAT:
        raise UnknownContentError(
            f"has format {header['format']}, and this version of tfxai reads up to {FORMAT}. Read it with a newer one."
        )
    if header["format"] == 1 and "type" not in header:
        raise UnknownContentError(
            "was written by an older version of tfxai, which named no kind. Save the result again."
        )
    return _unpacked_result(header, arrays)


def _packed_result(result: Stored, arrays: dict[str, NDArray]) -> dict[str, Any]:
    """The name of a result's kind, and its fields as JSON."""
    packed_fields = {}
    for field in dataclasses.fields(result):  # pyright: ignore[reportArgumentType]
        try:
            packed_fields[field.name] = packed(getattr(result, field.name), arrays)
        except TypeError as error:
            raise ValueError(
                f"The {result.called} cannot be saved: its {field.name} holds {error}, and files hold arrays, words, "
                "numbers, None, and lists, tuples and dicts of them."
            ) from None
    return {"type": type(result).__name__, "fields": packed_fields}


def packed(value: object, arrays: dict[str, NDArray]) -> Any:
    """JSON that mirrors a structure. Arrays are put into `arrays`, and the JSON holds their names in it.

    Raises TypeError if there is something in it that files do not hold.
    """
    if isinstance(value, Stored):
        return {"result": _packed_result(value, arrays)}
    if isinstance(value, (np.ndarray, np.generic)):
        return _packed_array(value, arrays)
    if isinstance(value, dict):
        return {"dict": [[packed(key, arrays), packed(item, arrays)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [packed(item, arrays) for item in value]}
    if isinstance(value, bytes):
        return {"bytes": value.decode("latin-1")}
    if value is None or isinstance(value, (bool, int, float, str)):
        return {"plain": value}
    raise TypeError(f"a {type(value).__name__}")


def _packed_array(value: NDArray | np.generic, arrays: dict[str, NDArray]) -> Any:
    array, name = np.asarray(value), f"array_{len(arrays)}"
    if array.dtype != object:
        if array.dtype.hasobject:  # NumPy would pickle it
            raise TypeError(f"an array of {array.dtype}")
        arrays[name] = array
        return {"scalar" if isinstance(value, np.generic) else "array": name}
    items = array.reshape(-1).tolist()
    # As an array, words lose zeros at their end.
    if items and all(type(item) is str and item[-1:] != "\0" for item in items):
        arrays[name] = array.astype(str)
        return {"words": name}
    return {"objects": [list(array.shape), [packed(item, arrays) for item in items]]}


def _unpacked_result(header: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> Stored:
    """The result of which `_packed_result` made this."""
    name, content = header["type"], header["fields"]
    if name not in KINDS:
        raise UnknownContentError(
            f"holds a {name}, and this version of tfxai knows {', '.join(sorted(KINDS))}. Read it with the version "
            "that wrote it, or with the class itself: its own load()."
        )
    fields = {field.name: field for field in dataclasses.fields(KINDS[name])}  # pyright: ignore[reportArgumentType]
    if unknown := [field for field in content if field not in fields]:
        raise UnknownContentError(
            f"holds a {name} with the fields {', '.join(unknown)}, which this version of tfxai does not know. Read it "
            "with a newer one."
        )
    if missing := [field for field in fields if field not in content and _is_required(fields[field])]:
        raise UnknownContentError(
            f"holds a {name} without {', '.join(missing)}. Read it with the version of tfxai that wrote it."
        )
    result = KINDS[name](**{field: unpacked(value, arrays) for field, value in content.items()})
    if problem := result.problem():
        raise ValueError(f"the {result.called} in it does not fit together: {problem}")
    return result


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def unpacked(value: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> Any:
    """What `packed` was given."""
    ((kind, content),) = value.items()
    match kind:
        case "result":
            return _unpacked_result(content, arrays)
        case "array":
            return arrays[content]
        case "scalar":
            return arrays[content][()]
        case "words":
            return arrays[content].astype(object)
        case "objects":
            shape, items = content
            return _object_array(shape, items, arrays)
        case "dict":
            return {_unpacked_key(key, arrays): unpacked(item, arrays) for key, item in content}
        case "list":
            return [unpacked(item, arrays) for item in content]
        case "tuple":
            return tuple(unpacked(item, arrays) for item in content)
        case "bytes":
            return content.encode("latin-1")
        case "plain":
            return content
    raise UnknownContentError(
        f"holds a {kind}, which this version of tfxai does not know. Read it with a newer one."
    )


def _object_array(shape: list[int], items: list[Any], arrays: Mapping[str, NDArray]) -> NDArray:
    array = np.empty(len(items), object)
    for i, item in enumerate(items):  # one by one: NumPy would make axes of lists
        array[i] = unpacked(item, arrays)
    return array.reshape(shape)


def _unpacked_key(key: Any, arrays: Mapping[str, NDArray]) -> Any:
    """In format 1 keys were plain JSON, where a tuple is a list."""
    if isinstance(key, dict):
        return unpacked(key, arrays)
    return tuple(key) if isinstance(key, list) else key
