"""Methods and their settings by name, as the command line and tables give them."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from tfxai import baselines
from tfxai.engines import Method
from tfxai.methods import catalogue
from tfxai.results import Explanation
from tfxai.scores import Targets
from tfxai.support import BatchSize, Inputs, Model, nearest, snake_case

Explainer: TypeAlias = Callable[..., Explanation]
"""A method, or a function that is called as method(model, inputs, targets) and gives an Explanation."""

Explainers: TypeAlias = Explainer | Sequence[Explainer] | Mapping[str, Explainer]
"""One, a list of them, or a dict name -> method."""

BASELINES = ("blur", "mean", "noise")  # those of tfxai.baselines that need no argument
WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "none"}
# "mean" is a word of these settings themselves.
HIDING = {
    "hide": ("blur", "noise"),
    "masker": ("blur", "noise"),
    "background": BASELINES,
}


def named_methods(methods: Explainers) -> dict[str, Explainer]:
    """Methods by name: a dict as it is; one, or a list of them, by the names that text gives them.

    Raises ValueError if there is none, or one cannot be called.
    """
    if isinstance(methods, str):
        raise ValueError(
            f"methods is the text {methods!r}. Give the method itself, such as tfxai.{_class_name(methods)}()."
        )
    if isinstance(methods, Mapping):
        named = {str(name): method for name, method in methods.items()}
    else:
        named = {}
        for method in methods if isinstance(methods, (list, tuple)) else [methods]:
            inner = method
            while isinstance(inner, functools.partial):
                inner = inner.func
            kind = inner if isinstance(inner, types.FunctionType) else type(inner)
            name = own = snake_case(kind.__name__)
            number = 2
            while name in named:
                name, number = f"{own}_{number}", number + 1
            named[name] = method
    if not named:
        raise ValueError("methods is empty. Give a method, such as tfxai.Gradient(), or a list of them.")
    for name, method in named.items():
        if hasattr(method, "trainable_weights"):
            raise ValueError(f"{name!r} is a model, not a method. Give methods such as tfxai.GradCAM().")
        if not callable(method) or isinstance(method, type):
            hint = f" Give {method.__name__}(), with its settings." if isinstance(method, type) else ""
            raise ValueError(f"The method {name!r} cannot be called as method(model, inputs, targets).{hint}")
    return named


def _class_name(text: str) -> str:
    """The method that a text means, or an example."""
    try:
        return method_class(text).__name__
    except ValueError:
        return "GradCAM"


def method_class(name: str) -> type[Method]:
    """The method of that name; case, underscores and hyphens do not matter.

    Raises ValueError, with the nearest names and all others, if there is none.
    """
    by_letters = {name.lower(): name for name in catalogue.__all__}
    class_name = by_letters.get(re.sub(r"[_\-\s]", "", name).lower())
    if class_name is None:
        known = sorted(snake_case(method) for method in catalogue.__all__)
        raise ValueError(f"There is no method {name!r}.{nearest(name, known)} There are: {', '.join(known)}.")
    return getattr(catalogue, class_name)


def configured(name: str, settings: Sequence[str] = ()) -> Method:
    """The method of that name, with settings as text: `configured("smooth_grad", ["samples=20"])`.

    A `baseline` is a number, or the name of a function in tfxai.baselines: blur, mean, noise; `hide`, `masker` and
    `background` take these names too.

    Raises ValueError if there is no such method or setting, or if a value is none that the setting takes.
    """
    kind = method_class(name)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # pyright: ignore[reportArgumentType]
    hints = typing.get_type_hints(kind)
    values = {}
    for text in settings:
        key, separator, value = text.partition("=")
        if not separator:
            raise ValueError(f"The setting {text!r} has no value. Give NAME=VALUE, such as steps=50.")
        if key not in fields:
            listed = ", ".join(described_settings(kind)) or "none"
            raise ValueError(
                f"{kind.__name__} has no setting {key!r}.{nearest(key, fields)} It has: {listed}."
            )
        if key == "baseline" or (value in HIDING.get(key, ()) and not _required(fields[key])):
            values[key] = _baseline(value)
        else:
            values[key] = _value(key, value, hints[key])
    missing = [field.name for field in fields.values() if _required(field) and field.name not in values]
    if missing:
        raise ValueError(
            f"{kind.__name__} needs {', '.join(missing)}, which are arrays: call it from Python."
        )
    return kind(**values)


def configured_all(names: Sequence[str], settings: Sequence[str]) -> dict[str, Method]:
    """Several methods by their names in snake case, each with those of the settings that it has: `["steps=50"]`.

    Raises ValueError as `configured` does, and if none of them has a setting.
    """
    kinds = [method_class(name) for name in names]
    having = {kind: {field.name for field in dataclasses.fields(kind)} for kind in kinds}  # pyright: ignore[reportArgumentType]
    for text in settings:
        key = text.partition("=")[0]
        if not any(key in known for known in having.values()):
            raise ValueError(
                f"None of {', '.join(kind.__name__ for kind in kinds)} has a setting {key!r}.{nearest(key, set().union(*having.values()))}"
            )
    return {
        snake_case(kind.__name__): configured(
            kind.__name__, [text for text in settings if text.partition("=")[0] in having[kind]]
        )
        for kind in kinds
    }


def described_settings(kind: type[Method]) -> list[str]:
    """Each setting with its default: `["steps=50", "rule=midpoint"]`."""
    return [
        field.name if _required(field) else f"{field.name}={field.default}"
        for field in dataclasses.fields(kind)  # pyright: ignore[reportArgumentType]
    ]


def _required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _baseline(text: str) -> Any:
    try:
        return _number(text)
    except ValueError:
        if text in BASELINES:
            return getattr(baselines, text)()
    raise ValueError(f"baseline={text} is neither a number nor one of: {', '.join(BASELINES)}.")


def _value(key: str, text: str, hint: Any) -> Any:
    """The text as the first of the hinted types that it can be, other than a text, or as that."""
    kinds = _kinds(hint)
    for kind in sorted(kinds, key=lambda kind: kind is str):
        try:
            return _as(kind, text)
        except ValueError:
            pass
    wanted = " or ".join(WORDS.get(kind, repr(kind)) for kind in kinds)
    raise ValueError(f"{key}={text}: {key} takes {wanted}.")


def _kinds(hint: Any) -> list[Any]:
    """int | None -> int, None; Literal["a", "b"] -> "a", "b". No type at all: a number or a text."""
    if hint is Any:
        return [int, float, str]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [kind for inner in typing.get_args(hint) for kind in _kinds(inner)]
    return list(typing.get_args(hint)) if typing.get_origin(hint) is typing.Literal else [hint]


def _as(kind: Any, text: str) -> Any:
    if kind is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind is type(None) and text.lower() == "none":
        return None
    if kind is int or kind is str:
        return kind(text)
    if kind is float:
        return _number(text)
    if text == str(kind) and not isinstance(kind, type):  # one of the values of a Literal
        return kind
    raise ValueError(text)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def called(
    method: Explainer, model: Model, inputs: Inputs, targets: Targets, batch_size: BatchSize
) -> Explanation:
    """What a method, or a user's function in the place of one, gives.

    Raises ValueError if that is not an explanation.
    """
    options = {"batch_size": batch_size} if _takes_batch_size(method) else {}
    explanation = method(model, inputs, targets, **options)
    if not isinstance(explanation, Explanation):
        raise ValueError(f"{method} gave a {type(explanation).__name__}. A method gives a tfxai.Explanation.")
    return explanation


def _takes_batch_size(method: Explainer) -> bool:
    """Methods do; a user's function does if its signature names it. (One of `**kwargs` may hand them on to one that does not.)"""
    if isinstance(method, Method):
        return True
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):  # written in C
        return False
    return any(each.name == "batch_size" for each in parameters)
