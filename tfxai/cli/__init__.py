"""The command line: `tfxai demo`, `predict`, `explain`, `layers`, `methods`, `hub`, `sanity`,
`tcav` and `evaluate`.

TensorFlow is imported inside the commands, so that help and errors come at once.
"""

from __future__ import annotations

from tfxai.cli.main import main

__all__ = [
    "main",
]
