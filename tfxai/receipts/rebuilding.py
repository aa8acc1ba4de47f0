"""What a receipt holds as data, made again. Nothing is made but dataclasses of tfxai: a file may come from anyone."""

from __future__ import annotations

import dataclasses
import functools
import sys
from typing import Any

from tfxai import baselines, scores
from tfxai.methods import catalogue
from tfxai.results import Recipe

HOMES = (baselines.__name__, scores.__name__, "tfxai.methods")  # modules, and folders of them


@functools.cache
def known_classes() -> dict[str, type]:
    """Every class that a receipt may name: methods, baselines, scores and kinds of targets."""
    found = {name: getattr(catalogue, name) for name in catalogue.__all__}
    for name, module in sorted(sys.modules.items()):
        if name in HOMES or name.startswith(tuple(f"{home}." for home in HOMES)):
            for kind in vars(module).values():
                if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__ == name:
                    found.setdefault(kind.__name__, kind)
    return found


def rebuilt(data: Recipe) -> Any:
    """What `tfxai.results.recipe` was given.

    Raises ValueError if something was not kept, or this version knows no such class or setting.
    """
    if isinstance(data, (list, tuple)):
        return type(data)(map(rebuilt, data))
    if not isinstance(data, dict):
        return data
    if "class" in data:
        return _made(data["class"], {name: rebuilt(value) for name, value in data["settings"].items()})
    if "dict" in data:
        return {name: rebuilt(value) for name, value in data["dict"].items()}
    if "table" in data:
        import pandas  # only whoever gave a table has it

        return pandas.DataFrame(data["table"])
    raise ValueError(f"The receipt holds {', '.join(data)}, which cannot be made again.")


def _made(name: str, settings: dict[str, Any]) -> Any:
    kind = known_classes().get(name)
    if kind is None:
        raise ValueError(
            f"The receipt names {name}, which this version of tfxai does not know. Verify it with the version that wrote it."
        )
    known = {field.name for field in dataclasses.fields(kind)}
    if unknown := [key for key in settings if key not in known]:
        raise ValueError(
            f"The receipt gives {name} the settings {', '.join(unknown)}, which this version of tfxai does not know. Verify it "
            "with the version that wrote it."
        )
    return kind(**settings)
