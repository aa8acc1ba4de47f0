"""What a callback writes: event files for TensorBoard, files in folders of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.support import whole_file


class EventFile:
    """Numbers and pictures for TensorBoard; the folder and the file are made when something is written.

    folder: TensorBoard's `--logdir`, or a folder in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: Any = None  # a tf.summary.SummaryWriter, once there is something to write

    def write(
        self, step: int, numbers: Mapping[str, float], pictures: Mapping[str, NDArray[np.uint8]]
    ) -> None:
        """Adds scalars, and images (H, W, 3), by their names.

        Raises OSError, or tf.errors.OpError, if that cannot be written.
        """
        if self._writer is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._writer = tf.summary.create_file_writer(str(self.folder))
        before = self._bytes()
        with self._writer.as_default(step=step):
            for name, value in numbers.items():
                tf.summary.scalar(name, value)
            for name, picture in pictures.items():
                tf.summary.image(name, picture[None])
        self._writer.flush()
        if self._bytes() <= before:  # TensorFlow does not always say so
            raise OSError("the event file does not grow")

    def _bytes(self) -> int:
        return sum(file.stat().st_size for file in self.folder.glob("events.out.tfevents.*"))

    def close(self) -> None:
        """What is written after this goes into a new file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


def write_whole(path: Path, save: Callable[[Path], object]) -> None:
    """Saves to a file, written whole or not at all; its folder is made if there is none. Raises OSError if it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        save(part)
