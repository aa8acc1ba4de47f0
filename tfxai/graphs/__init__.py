"""TensorFlow graphs as data: names, functions laid out in place of their calls, one operation done again."""

from __future__ import annotations

from tfxai.graphs.apart import apart
from tfxai.graphs.called import CALLS, Called, redone
from tfxai.graphs.gradients import (
    AS_IT_IS,
    CAPTURED,
    OWN,
    SAVED,
    changes_the_derivative,
    registered,
)
from tfxai.graphs.inlining import inlined
from tfxai.graphs.library import carry_library, fresh, functions_of
from tfxai.graphs.relaid import Relaid
from tfxai.graphs.saved_gradients import registered_gradients
from tfxai.graphs.sizes import bytes_of_a_row
from tfxai.graphs.stripping import strip, wait_for_nothing
from tfxai.graphs.tensor_names import full, op_name, without_calls

__all__ = [
    "bytes_of_a_row",
    "AS_IT_IS",
    "CALLS",
    "CAPTURED",
    "OWN",
    "SAVED",
    "Called",
    "Relaid",
    "apart",
    "carry_library",
    "changes_the_derivative",
    "fresh",
    "full",
    "functions_of",
    "inlined",
    "op_name",
    "redone",
    "registered",
    "registered_gradients",
    "strip",
    "wait_for_nothing",
    "without_calls",
]
