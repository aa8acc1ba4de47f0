"""When to look at a model in training, and where to put what is seen."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Generic, Literal, TypeVar

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from PIL import Image

from tfxai.model import thawed
from tfxai.plots import Labels, pixels
from tfxai.results import Stored
from tfxai.support import BatchSize, warn
from tfxai.training.disk import EventFile, write_whole

Result = TypeVar("Result", bound=Stored)
"""What one look gives for each name: a tfxai.Explanation, or a tfxai.TCAVResult."""


@dataclasses.dataclass(frozen=True)
class Look(Generic[Result]):
    """What was seen at one moment.

    numbers: by the names under which history and TensorBoard keep them; NaN for what failed.
    results: what can be drawn and kept, by name; without what failed.
    """

    numbers: Mapping[str, float]
    results: Mapping[str, Result]


class Monitor(keras.callbacks.Callback, abc.ABC, Generic[Result]):
    """When to look at a model in training, and where to put what is seen. Its children say what to look at.

    Looks are counted from 1, as Keras prints epochs; number 0 is the untrained model. Nothing that goes wrong after the
    first epoch has begun ends the training: neither a full disk nor a model that has become NaN.
    """

    def __init__(
        self,
        every: int,
        on: Literal["epoch", "batch"],
        log_dir: str | Path | None,
        directory: str | Path | None,
        labels: Labels | None,
        batch_size: BatchSize,
    ) -> None:
        super().__init__()
        self.every, self.on = every, on
        self.batch_size: BatchSize = batch_size
        self.log_dir, self.directory = _folder("log_dir", log_dir), _folder("directory", directory)
        if labels is not None and not isinstance(labels, (list, tuple, np.ndarray, Mapping)):
            raise ValueError(
                f"labels is a {type(labels).__name__}. Give a list of names, or a dict class -> name."
            )
        if log_dir is not None and importlib.util.find_spec("tensorboard") is None:
            raise ImportError("log_dir needs TensorBoard, which is not installed: pip install tensorboard")
        self.labels = labels
        self.async_safe = on == "epoch"  # nothing happens after a batch, so Keras need not wait for it
        self._untrained: Look[Result] | None = None  # until its number is known, which is the first epoch's
        self._of_this_epoch: Mapping[str, float] = {}
        self._batches = self._batches_before = 0
        self._warned: set[str] = set()
        self._events = None if self.log_dir is None else EventFile(self.log_dir)

    # What to look at

    @abc.abstractmethod
    def begin(self) -> Look[Result]:
        """Tries everything on the untrained model. Raises ValueError if something cannot work."""

    @abc.abstractmethod
    def look(self) -> Look[Result]:
        """At the model as it is now. Raises nothing."""

    @abc.abstractmethod
    def draw(self, result: Result) -> Figure:
        """The picture of one of a look's results."""

    @abc.abstractmethod
    def file(self, name: str, look: str) -> Path:
        """Where a result is kept, without ending. look: such as `epoch_0003`."""

    def note(self, look: Look[Result], number: int) -> None:
        """Remembers a look; number: epochs, or batches, since the untrained model."""

    def end(self) -> None:
        """Writes what tells of the whole training."""

    # When

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Looks at the untrained model. Raises ValueError if something cannot work."""
        self._warned = set()
        self._close()
        with thawed():
            self._untrained = self.begin()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keeps what was seen of the untrained model, whose number is known now."""
        self._of_this_epoch = {}
        if self._untrained is not None:
            self._batches = epoch * ((self.params or {}).get("steps") or 0)  # of a training that goes on
            look, self._untrained = self._untrained, None
            self._keep(look, epoch if self.on == "epoch" else self._batches)
        self._batches_before = self._batches

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Looks after every so many batches, if that is asked for."""
        if self.on == "epoch":
            return
        # Several steps may come as one: then once for all of them.
        before, self._batches = self._batches, self._batches_before + batch + 1
        if self._batches // self.every > before // self.every:
            self._look(self._batches)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Looks after every so many epochs, and gives the last numbers to the history."""
        if self.on == "epoch" and (epoch + 1) % self.every == 0:
            self._look(epoch + 1)
        if logs is None:
            return
        if taken := [name for name in self._of_this_epoch if name in logs]:
            self._warn_once(
                "name",
                f"The history has a number {taken[0]!r} already, from another callback: it is overwritten. "
                "Give methods of the same kind different names: {name: method}.",
            )
        logs.update(self._of_this_epoch)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Writes what tells of the whole training."""
        with self._going_on("draw its films"):
            self.end()
        self._close()

    # tf_keras asks by these names which hooks there are.

    def _implements_train_batch_hooks(self) -> bool:
        return self.on == "batch"

    def _implements_test_batch_hooks(self) -> bool:
        return False

    def _implements_predict_batch_hooks(self) -> bool:
        return False

    def _look(self, number: int) -> None:
        with thawed():
            look = self.look()
        self._of_this_epoch = look.numbers
        with self._going_on("draw"):
            self._keep(look, number)

    # Where

    def named(self, number: int) -> str:
        """A look in the names of files: `epoch_0003`, `batch_000120`."""
        return f"{self.on}_{number:0{4 if self.on == 'epoch' else 6}d}"

    def _keep(self, look: Look[Result], number: int) -> None:
        self.note(look, number)
        if self.log_dir is None and self.directory is None:
            return
        pictures = {name: pixels(self.draw(result)) for name, result in look.results.items()}
        if self._events is not None:
            with self._forgiving(self.log_dir):
                self._events.write(number, look.numbers, pictures)
        if self.directory is None:
            return
        for name, result in look.results.items():
            file = self.file(name, self.named(number))
            with self._forgiving(self.directory):
                write_whole(file.with_suffix(".npz"), result.save)
            with self._forgiving(self.directory):
                write_whole(file.with_suffix(".png"), Image.fromarray(pictures[name]).save)

    def _close(self) -> None:
        if self._events is not None:
            with self._forgiving(self.log_dir):
                self._events.close()

    # Whatever goes wrong

    @contextlib.contextmanager
    def _forgiving(self, place: Path | None) -> Iterator[None]:
        """A disk that fails costs its files, and not the training; one warning for each place says so."""
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            reason = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
            self._warn_once(
                str(place),
                f"Nothing can be written to {place} ({reason}). The training goes on; look for another place.",
            )

    @contextlib.contextmanager
    def _going_on(self, what: str) -> Iterator[None]:
        """Whatever it is, it must not end a training."""
        try:
            yield
        except Exception as error:
            self._warn_once(what, f"{type(self).__name__} could not {what}: {error} The training goes on.")

    def _warn_once(self, key: str, text: str) -> None:
        """Once in a training for each key."""
        if key not in self._warned:
            self._warned.add(key)
            warn(text)


def _folder(name: str, path: str | Path | None) -> Path | None:
    if path is not None and not isinstance(path, (str, Path)):
        raise ValueError(f"{name} is a {type(path).__name__}. Give the path of a folder, or None.")
    return None if path is None else Path(path)
