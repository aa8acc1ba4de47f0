"""Assertions about what a model looks at, for tests: their messages show numbers, and a picture lies beside the failure.

    def test_it_reads_the_strokes(model, images, strokes):
        tfxai.testing.assert_looks_at(model, images, strokes, share=0.6)

Pictures are written into the folder tfxai-failures, each by the name of its test. With pytest, the fixture `tfxai_reference` and
`pytest --tfxai-update` keep what a model looked at in a file beside the test.
"""

from __future__ import annotations

from tfxai.testing.looking import assert_ignores, assert_looks_at
from tfxai.testing.same import assert_same_reasons
from tfxai.testing.sane import assert_passes_sanity

__all__ = [
    "assert_ignores",
    "assert_looks_at",
    "assert_passes_sanity",
    "assert_same_reasons",
]
