"""Settings that a person gives: kind and range are declared beside the type, and checked in one place.

    @checked
    def deletion(..., *, step: Count = 1, share: Annotated[float, number(above=0, most=1)] = 0.2): ...

A dataclass calls `check_settings(self)` in `__post_init__`, as every method does. What is checked: annotations with a
`Setting`, whole numbers, numbers, truths, texts and choices (`Literal`); of a union each of its parts. Types that say nothing
here, such as those of arrays, are left to who uses them.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import fractions
import functools
import inspect
import math
import numbers
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@dataclasses.dataclass(frozen=True)
class Setting:
    """What fits, and the same in words, as the end of "Give ..."."""

    fits: Callable[[Any], bool]
    wanted: str


def whole(least: int, most: int | None = None, noun: str = "a whole number") -> Setting:
    """A whole number of a range, ends included. noun: what it is, in words."""
    words = f"{noun}, {least} or more" if most is None else f"{noun} from {least} to {most}"
    return Setting(
        lambda value: _is_whole(value) and least <= value and (most is None or value <= most), words
    )


def number(
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    noun: str = "a number",
) -> Setting:
    """A finite number of a range: `least` and `most` belong to it, `above` and `below` do not. noun: what it is, in words."""

    def fits(value: Any) -> bool:
        return (
            _is_real(value)
            and math.isfinite(value)
            and (least is None or value >= least)
            and (above is None or value > above)
            and (most is None or value <= most)
            and (below is None or value < below)
        )

    return Setting(fits, _range_in_words(noun, least, above, most, below))


def _range_in_words(
    noun: str, least: float | None, above: float | None, most: float | None, below: float | None
) -> str:
    match least, above, most, below:
        case float() | int(), None, None, None:
            return f"{noun}, {least:g} or more"
        case None, float() | int(), None, float() | int():
            return f"{noun} between {above:g} and {below:g}"
        case float() | int(), None, float() | int(), None:
            return f"{noun} from {least:g} to {most:g}"
    parts = [
        f"{words} {value:g}"
        for words, value in (("above", above), ("at least", least), ("below", below), ("up to", most))
        if value is not None
    ]
    return f"{noun} {', '.join(parts)}" if parts else f"{noun} that is finite"


Count = Annotated[int, whole(1)]
"""How many."""

BatchSize = Count | Literal["auto"]
"""How many rows at once; "auto": as many as fit into a budget of memory."""

Seed = Annotated[int, whole(0, 2**31 - 1)]
"""Of random numbers, for NumPy and TensorFlow alike."""


def _is_tolerance(value: Any) -> bool:
    if isinstance(value, str):
        return re.fullmatch(SHARE, value) is not None and float(value.rstrip(" %")) > 0
    return value is None or (_is_real(value) and 0 < value < math.inf)


SHARE = r"\d+(\.\d+)? ?%"
Tolerance = Annotated[
    float | str | None,
    Setting(
        _is_tolerance,
        'a number above 0, in units of the score, a share of the largest value, such as "1%", or None',
    ),
]
"""How far each value may be from what infinitely many samples would give."""

Confidence = Annotated[float, number(above=0, below=1, noun="a probability")]
"""With which all values of one explanation lie in their intervals."""


def _is_key(value: Any) -> bool:
    return value is None or isinstance(value, str) or _is_whole(value)


InputKey = Annotated[str | int | None, Setting(_is_key, "the name or the position of an input, or None")]
"""Which of several inputs."""

OutputKey = Annotated[str | int | None, Setting(_is_key, "the name or the position of an output, or None")]
"""Which of several outputs."""

File = Annotated[
    str | Path,
    Setting(lambda value: isinstance(value, (str, Path)) and str(value) != "", "a path"),
]

Explainer = Annotated[
    Callable[..., Any],
    Setting(
        lambda value: (
            callable(value) and not isinstance(value, type) and not hasattr(value, "trainable_weights")
        ),
        "a method, such as tfxai.GradCAM(), or a function that is called like one",
    ),
]
"""method(model, inputs, targets) -> Explanation."""


def _are_numbers(value: Any) -> bool:
    import numpy as np  # only here: the command line checks its words without it

    if not isinstance(value, (list, tuple)) and not hasattr(value, "__array__"):
        return _is_real(value)
    try:
        return np.asarray(value).dtype.kind in "biuf"
    except (TypeError, ValueError):
        return False


Numbers = Annotated[Any, Setting(_are_numbers, "an array of numbers")]
"""What NumPy makes an array of numbers of."""


def check_settings(owner: object) -> None:
    """Raises ValueError if a field of a dataclass does not fit what its annotation declares."""
    for name, setting in _settings_of(type(owner)).items():
        value = getattr(owner, name)
        if not setting.fits(value):
            raise ValueError(f"{type(owner).__name__}: {name} is {in_short(value)}. Give {setting.wanted}.")


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """The function; it raises ValueError, before anything else, if an argument does not fit what its annotation declares."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checking(*positional: P.args, **named: P.kwargs) -> R:
        try:
            given = signature.bind(*positional, **named).arguments
        except TypeError:  # Python says it best, and calls the function by its name
            return function(*positional, **named)
        check_arguments(function, given)
        return function(*positional, **named)

    return checking


def check_arguments(function: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Raises ValueError if one of the arguments, by name, does not fit what a function's annotations declare."""
    settings = _settings_of(function)
    for name, value in given.items():
        if name in settings and not settings[name].fits(value):
            raise ValueError(f"{name} is {in_short(value)}. Give {settings[name].wanted}.")


def in_short(value: Any) -> str:
    """A value as an error shows it: short ones as they are, of others what they are."""
    name = type(value).__name__
    kind = f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if value is None or isinstance(value, (str, bytes, int, float, complex)):
        shown = repr(value)
        return shown if len(shown) <= 60 else f"{shown[:50]}... ({name})"
    if isinstance(value, (list, tuple, dict, set)):
        shown = repr(value)
        return shown if len(shown) <= 60 else f"{kind} of {len(value)}"
    shape = getattr(value, "shape", None)
    try:
        return f"{kind} {tuple(shape)}"  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):  # no shape, or one that is not known
        return kind


@functools.cache
def _settings_of(owner: Callable[..., Any]) -> dict[str, Setting]:
    """Name of each field or parameter that can be checked -> what fits."""
    found = {}
    for each in reversed(owner.__mro__) if isinstance(owner, type) else (owner,):
        space = vars(sys.modules[each.__module__]) if each.__module__ in sys.modules else {}
        for name, annotation in inspect.get_annotations(each).items():
            found[name] = _setting_of(_resolved(annotation, space))
    if dataclasses.is_dataclass(owner):
        fields = {field.name for field in dataclasses.fields(owner)}
        found = {name: setting for name, setting in found.items() if name in fields}
    return {name: setting for name, setting in found.items() if setting is not None and name != "return"}


def _resolved(annotation: Any, space: dict[str, Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, space)
    except NameError:  # imported for type checkers alone, so no setting
        return Any


def _setting_of(annotation: Any) -> Setting | None:
    """What fits an annotation; None if it does not say."""
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return next((each for each in arguments[1:] if isinstance(each, Setting)), _setting_of(arguments[0]))
    if origin is Literal:
        return _one_of(arguments)
    if origin in (typing.Union, types.UnionType):
        parts = [_setting_of(part) for part in arguments]
        return None if any(part is None for part in parts) else _any_of([part for part in parts if part])
    if origin is collections.abc.Callable:
        return Setting(callable, "a function")
    if origin in (collections.abc.Mapping, collections.abc.Sequence) and (
        inner := _of_class(arguments[-1]) if _is_ours(arguments[-1]) else None
    ):
        return _of_each(origin, inner)
    return _of_class(annotation) if _is_ours(annotation) else None


def _is_ours(annotation: Any) -> bool:
    return isinstance(annotation, type) and annotation.__module__.startswith("tfxai.")


def _of_each(kind: type, inner: Setting) -> Setting:
    """A dict, or a list, of what fits."""
    if kind is collections.abc.Mapping:
        return Setting(
            lambda value: isinstance(value, Mapping) and all(map(inner.fits, value.values())),
            f"a dict of names, and for each {inner.wanted}",
        )
    return Setting(
        lambda value: isinstance(value, (list, tuple)) and all(map(inner.fits, value)),
        f"a list, each entry {inner.wanted}",
    )


def _of_class(kind: type) -> Setting:
    """An instance of a class of ours; for a protocol, anything with its members."""
    if not getattr(kind, "_is_protocol", False):
        return Setting(lambda value: isinstance(value, kind), f"a tfxai.{kind.__name__}")
    members = [name for name in vars(kind) if not name.startswith("_")]
    meant = re.search(r"as of `([\w.]+)`", kind.__doc__ or "")
    # Not by hasattr, which would compute what properties only promise.
    return Setting(
        lambda value: all(
            hasattr(type(value), name) or name in getattr(value, "__dict__", ()) for name in members
        ),
        f"a {meant[1]}, or what has its fields" if meant else f"a {kind.__name__}",
    )


def _one_of(choices: tuple[Any, ...]) -> Setting:
    shown = [f'"{choice}"' if isinstance(choice, str) else repr(choice) for choice in choices]
    words = f"{', '.join(shown[:-1])} or {shown[-1]}" if len(shown) > 1 else shown[0]
    return Setting(
        lambda value: any(type(value) is type(choice) and value == choice for choice in choices), words
    )


def _any_of(parts: list[Setting]) -> Setting:
    words = [part.wanted for part in parts]
    last = ", or " if len(words) == 2 and "," in words[0] else " or "
    return Setting(
        lambda value: any(part.fits(value) for part in parts), f"{', '.join(words[:-1])}{last}{words[-1]}"
    )


def _is_whole(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_real(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, fractions.Fraction))


_PLAIN: dict[Any, Setting] = {
    int: Setting(_is_whole, "a whole number"),
    float: Setting(lambda value: _is_real(value) and not math.isnan(value), "a number"),
    bool: Setting(lambda value: type(value).__name__ in ("bool", "bool_"), "True or False"),
    str: Setting(lambda value: isinstance(value, str), "a text"),
    type(None): Setting(lambda value: value is None, "None"),
    None: Setting(lambda value: value is None, "None"),
}
