"""When to look at a model in training, and where to put what is seen."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from tfxai.model import thawed
from tfxai.plots import Labels, pixels
from tfxai.support import warn, whole_file


@dataclasses.dataclass(frozen=True)
class Look:
    """What was seen at one moment.

    numbers: by the names under which history and TensorBoard keep them; NaN for what failed.
    results: what can be drawn and kept, by name; without what failed.
    """

    numbers: Mapping[str, float]
    results: Mapping[str, Any]


class Monitor(keras.callbacks.Callback):
    """When to look at a model in training, and where to put what is seen. Its children say what to look at.

    Looks are counted from 1, as Keras prints epochs; number 0 is the untrained model.
    """

    def __init__(
        self,
        every: int,
        on: Literal["epoch", "batch"],
        log_dir: str | Path | None,
        directory: str | Path | None,
        labels: Labels | None,
        batch_size: int,
    ) -> None:
        super().__init__()
        if on not in ("epoch", "batch"):
            raise ValueError(f'on is {on!r}. Give "epoch" or "batch".')
        for name, value in (("every", every), ("batch_size", batch_size)):
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} is {value!r}. Give a whole number, 1 or more.")
        for name, value in (("log_dir", log_dir), ("directory", directory)):
            if value is not None and not isinstance(value, (str, Path)):
                raise ValueError(f"{name} is a {type(value).__name__}. Give the path of a folder, or None.")
        if labels is not None and not isinstance(labels, (list, tuple, np.ndarray, Mapping)):
            raise ValueError(
                f"labels is a {type(labels).__name__}. Give a list of names, or a dict class -> name."
            )
        if log_dir is not None and importlib.util.find_spec("tensorboard") is None:
            raise ImportError("log_dir needs TensorBoard, which is not installed: pip install tensorboard")
        self.every, self.on, self.batch_size, self.labels = int(every), on, int(batch_size), labels
        self.log_dir = None if log_dir is None else Path(log_dir)
        self.directory = None if directory is None else Path(directory)
        self.async_safe = on == "epoch"  # nothing happens after a batch, so Keras need not wait for it
        self._untrained: Look | None = None  # until its number is known, which is the first epoch's
        self._of_this_epoch: Mapping[str, float] = {}
        self._batches = self._batches_before = 0
        self._warned: set[str] = set()
        self._writer: Any = None

    # What a study does

    def begin(self) -> Look:
        """Tries everything on the untrained model. Raises ValueError if something cannot work."""
        raise NotImplementedError

    def look(self) -> Look:
        """At the model as it is now. Raises nothing."""
        raise NotImplementedError

    def note(self, look: Look, number: int) -> None:
        """Remembers a look."""

    def draw(self, result: Any) -> Figure:
        """The picture of one of a look's results."""
        raise NotImplementedError

    def file(self, name: str, look: str) -> Path:
        """Where a result is kept, without ending. look: such as `epoch_0003`."""
        raise NotImplementedError

    def named(self, number: int) -> str:
        """A look in the names of files: `epoch_0003`, `batch_000120`."""
        return f"{self.on}_{number:0{4 if self.on == 'epoch' else 6}d}"

    def end(self) -> None:
        """Writes what tells of the whole training."""

    # When; tf_keras asks which hooks there are, by these names

    def _implements_train_batch_hooks(self) -> bool:
        return self.on == "batch"

    def _implements_test_batch_hooks(self) -> bool:
        return False

    def _implements_predict_batch_hooks(self) -> bool:
        return False

    def on_train_begin(self, logs: Any = None) -> None:
        self._warned = set()
        self._close()
        with thawed():
            self._untrained = self.begin()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._of_this_epoch = {}
        if self._untrained is not None:
            self._batches = epoch * ((self.params or {}).get("steps") or 0)  # of a training that goes on
            look, self._untrained = self._untrained, None
            self._keep(look, epoch if self.on == "epoch" else self._batches)
        self._batches_before = self._batches

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.on == "epoch":
            return
        # Several steps may come as one: then once for all of them.
        before, self._batches = self._batches, self._batches_before + batch + 1
        if self._batches // self.every > before // self.every:
            self._look(self._batches)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.on == "epoch" and (epoch + 1) % self.every == 0:
            self._look(epoch + 1)
        if logs is None:
            return
        if taken := [name for name in self._of_this_epoch if name in logs]:
            self.warn("name", f"The history has a number {taken[0]!r} already, from another callback: it is overwritten. "
                      "Give methods of the same kind different names: {name: method}.")  # fmt: skip
        logs.update(self._of_this_epoch)

    def on_train_end(self, logs: Any = None) -> None:
        with self._going_on("draw its films"):
            self.end()
        self._close()

    def _look(self, number: int) -> None:
        with thawed():
            look = self.look()
        self._of_this_epoch = look.numbers
        with self._going_on("draw"):
            self._keep(look, number)

    # Where

    def _keep(self, look: Look, number: int) -> None:
        self.note(look, number)
        if self.log_dir is None and self.directory is None:
            return
        name = self.named(number)
        pictures = {key: pixels(self.draw(result)) for key, result in look.results.items()}
        self._log(number, look.numbers, pictures)
        for key, result in look.results.items():
            if self.directory is not None:
                self._write(self.file(key, name).with_suffix(".npz"), result.save)
                self._write(self.file(key, name).with_suffix(".png"), Image.fromarray(pictures[key]).save)

    def _log(
        self, number: int, numbers: Mapping[str, float], pictures: Mapping[str, NDArray[np.uint8]]
    ) -> None:
        if self.log_dir is None:
            return
        with self._forgiving(self.log_dir):
            if self._writer is None:
                self.log_dir.mkdir(parents=True, exist_ok=True)
                self._writer = tf.summary.create_file_writer(str(self.log_dir))
            before = _bytes_of_events(self.log_dir)
            with self._writer.as_default(step=number):
                for name, value in numbers.items():
                    tf.summary.scalar(name, value)
                for name, image in pictures.items():
                    tf.summary.image(name, image[None])
            self._writer.flush()
            if _bytes_of_events(self.log_dir) <= before:  # TensorFlow does not always say so
                raise OSError("the event file does not grow")

    def _write(self, path: Path, save: Callable[[Path], Any]) -> None:
        with self._forgiving(self.directory):
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as part:
                save(part)

    @contextlib.contextmanager
    def _forgiving(self, place: Path | None) -> Iterator[None]:
        """A disk that fails costs its files, and not the training; one warning for each place says so."""
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            reason = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
            self.warn(
                str(place),
                f"Nothing can be written to {place} ({reason}). The training goes on; look for another place.",
            )

    @contextlib.contextmanager
    def _going_on(self, what: str) -> Iterator[None]:
        """Whatever it is, it must not end a training."""
        try:
            yield
        except Exception as error:
            self.warn(what, f"{type(self).__name__} could not {what}: {error} The training goes on.")

    def warn(self, key: str, text: str) -> None:
        """Once in a training."""
        if key not in self._warned:
            self._warned.add(key)
            warn(text)

    def _close(self) -> None:
        with self._forgiving(self.log_dir):
            if self._writer is not None:
                self._writer.close()
        self._writer = None


FRAMES = 30  # of a film, spread evenly over the training


def _bytes_of_events(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("events.out.tfevents.*"))
