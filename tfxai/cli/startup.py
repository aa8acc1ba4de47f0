"""TensorFlow's start without its chatter, for commands whose words a person reads."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


def start_quietly() -> None:
    """Imports TensorFlow, unless that is done, and lets it show errors only.

    Some of its first messages heed no setting (TensorFlow 2.21): they are written to the file descriptor, which is
    shut while TensorFlow is imported.
    """
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with _shut(2):
            import tensorflow as tf

        tf.get_logger().setLevel("ERROR")


@contextlib.contextmanager
def _shut(descriptor: int) -> Iterator[None]:
    kept, nothing = os.dup(descriptor), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(nothing)
