"""Whatever a person gives in the place of a setting: one sentence, before any work, whichever class or function it is."""

from __future__ import annotations

import dataclasses
import enum
import fractions
import inspect
import pathlib
import typing
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from covering import every

import tfxai
from tfxai import (
    baselines,
    comparing,
    concepts,
    metrics,
    plots,
    predictions,
    sanity,
    scores,
    testing,
    training,
)
from tfxai.concepts import TCAV
from tfxai.support import Count
from tfxai.support.settings import Setting, _settings_of, in_short


class Colour(enum.Enum):
    red = 1


WRONG: dict[str, Any] = {
    "none": None,
    "text": "zz",
    "digits": "5",
    "empty": "",
    "bytes": b"5",
    "true": True,
    "minus": -1,
    "zero": 0,
    "half": 0.5,
    "nan": float("nan"),
    "inf": float("inf"),
    "huge": 2**70,
    "complex": 1j,
    "fraction": fractions.Fraction(1, 3),
    "list": [1],
    "nothing": [],
    "tuple": (1, 2),
    "dict": {"a": 1},
    "set": {1},
    "array": np.ones(3),
    "scalar": np.array(3),
    "tensor": tf.constant(3),
    "class": dict,
    "object": object(),
    "function": print,
    "enum": Colour.red,
    "path": pathlib.Path("x"),
    "generator": (i for i in range(3)),
}

METHODS = {name: getattr(tfxai.methods, name) for name in tfxai.methods.__all__}
CLASSES = {**METHODS, "TCAV": TCAV}
MODULES = (
    metrics,
    sanity,
    plots,
    baselines,
    scores,
    concepts,
    predictions,
    training,
    comparing,
    testing,
    tfxai.photos,
)
FUNCTIONS = {
    f"{module.__name__}.{name}": function
    for module in MODULES
    for name, function in vars(module).items()
    if not name.startswith("_") and hasattr(function, "__wrapped__") and inspect.isfunction(function)
}
FUNCTIONS |= {
    "Method.__call__": tfxai.Gradient.__call__,
    "TCAV.__call__": TCAV.__call__,
    "ExplainCallback": tfxai.ExplainCallback.__init__,
    "ConceptCallback": tfxai.ConceptCallback.__init__,
}
REQUIRED: dict[str, dict[str, Any]] = {
    "ExpectedGradients": {"background": np.ones((3, 2), np.float32)},
    "TCAV": {"layers": "conv"},
}


def is_wrong(default: Any, what: str, setting: Setting) -> bool:
    """What no number, and no truth, can be; of others what the setting itself says."""
    if type(default) is bool:
        return what != "true"
    if type(default) in (int, float) and what not in ("none", "zero", "half", "minus", "huge"):
        return True
    return not setting.fits(WRONG[what])


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_refuses_every_wrong_kind(name: str) -> None:
    kind = CLASSES[name]
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    for field, setting in _settings_of(kind).items():
        for what, value in WRONG.items():
            if is_wrong(defaults[field], what, setting):
                with pytest.raises(ValueError, match=rf"{name}: {field} is .* Give ") as caught:
                    kind(**{**REQUIRED.get(name, {}), field: value})
                assert in_short(value) in (message := str(caught.value))
                assert len(message) < 250 and "\n" not in message


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_refuses_every_wrong_kind_before_it_does_anything(name: str) -> None:
    function = FUNCTIONS[name]
    parameters = inspect.signature(function).parameters
    # What is required is None, of which nothing could be made.
    required = {n: None for n, p in parameters.items() if p.default is p.empty and p.kind not in (2, 4)}
    for parameter, setting in _settings_of(function).items():
        for what, value in WRONG.items():
            if is_wrong(parameters[parameter].default, what, setting):
                with pytest.raises(ValueError, match=r"is .*\. Give "):
                    function(**{**required, parameter: value})


NOT_CHECKED = (
    "Any", "ArrayLike", "Baseline", "Classes", "Explainers", "Inputs", "Labels", "Metrics", "Model", "NDArray", "Score",
    "Segmenter", "Sequence", "Targets", "Unit", "Values", "Axes", "Mapping", "Iterable", "tuple", "Structure", "Tensor", "Callable",
)  # fmt: skip
"""Types of things that are looked at where they are used: arrays, models, what is one of several kinds."""


@pytest.mark.parametrize("name", [*CLASSES, *FUNCTIONS])
def test_every_number_truth_choice_and_text_is_declared(name: str) -> None:
    owner = CLASSES.get(name) or inspect.unwrap(FUNCTIONS[name])
    declared = _settings_of(owner)
    annotations = inspect.get_annotations(owner)
    if dataclasses.is_dataclass(owner):
        annotations = {field.name: field.type for field in dataclasses.fields(owner)}
    for parameter, annotation in annotations.items():
        if parameter != "return" and parameter not in declared:
            assert any(word in str(annotation) for word in NOT_CHECKED), (parameter, annotation)
    for setting in declared.values():
        assert isinstance(setting, Setting) and setting.wanted


def test_numbers_of_numpy_are_numbers() -> None:
    method = tfxai.SmoothGrad(np.int64(3), np.float32(0.5), np.uint8(2))
    assert (method.samples, method.noise, method.seed) == (3, 0.5, 2)
    assert tfxai.IntegratedGradients(tolerance=np.float64(0.1)).tolerance == 0.1


def test_a_method_of_ones_own_is_checked_by_its_annotations() -> None:
    @dataclasses.dataclass(frozen=True)
    class Own(tfxai.Gradient):
        often: Count = 1
        word: typing.Literal["a", "b"] = "a"

    assert Own(3, "b").often == 3
    with pytest.raises(ValueError, match="often is 0"):
        Own(0)
    with pytest.raises(ValueError, match=r'word is .*Give "a" or "b"'):
        Own(word="c")  # pyright: ignore[reportArgumentType]


@every(3, what=WRONG)
def test_the_call_of_a_method_refuses_before_it_looks_at_the_model(what: str) -> None:
    for name in ("batch_size", "progress", "jit_compile"):
        if not _settings_of(inspect.unwrap(tfxai.Gradient.__call__))[name].fits(WRONG[what]):
            with pytest.raises(ValueError, match=f"{name} is .*Give"):
                tfxai.Gradient()(None, None, **{name: WRONG[what]})
