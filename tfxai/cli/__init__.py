"""The command line: `tfxai demo`, `predict`, `explain`, `sanity`, `tcav`, `evaluate`, `verify`, `gate`, `layers`, `methods` and `hub`.

TensorFlow, Keras and matplotlib are imported inside the commands, so that help and errors come at once.
"""

from __future__ import annotations

from tfxai.cli.main import main

__all__ = [
    "main",
]
