"""Models and class names from files, as commands name them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import keras

from tfxai import hub, zoo
from tfxai.cli.output import printable
from tfxai.model import sample_inputs
from tfxai.support import Inputs, Model, nearest

ENDINGS = (".keras", ".h5", ".hdf5")  # of what Keras itself saves
EXPECTED = "a .keras or .h5 file, a SavedModel folder, a frozen graph (.pb), a TF-Hub handle, or demo"


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A model, and what is known of it.

    sample: zeros of the shape and in the structure that it takes, one example.
    labels: class names, where they are known.
    crop:   part of a photo's height and width that it was trained to see.
    """

    name: str
    model: Model
    sample: Inputs
    labels: list[str] | None = None
    crop: float = 1.0

    def label(self, target: int) -> str:
        """The name of a class; empty where names are not known, or a score needs no class (-1)."""
        return self.labels[target] if self.labels is not None and target >= 0 else ""

    def target(self, text: str) -> int:
        """The class that a text means: its number, or its name where names are known, in upper or lower case.

        Raises ValueError if no class, or more than one, has that name.
        """
        with contextlib.suppress(ValueError):
            return int(text)
        labels = [label.lower() for label in self.labels or ()]
        if labels.count(text.lower()) == 1:
            return labels.index(text.lower())
        hint = nearest(text, labels) or " Give its number."
        raise ValueError(f"No single class is called {text!r}.{hint}")

    def check_labels(self, classes: int) -> None:
        """Raises ValueError if names are known, but not one for each of so many classes."""
        if self.labels is not None and len(self.labels) != classes:
            raise ValueError(
                f"--labels has {len(self.labels)} names, the model has {classes} classes. Give one per class."
            )

    def photo_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the photos that it takes; 224 x 224 where it takes any size.

        Raises ValueError if it does not take photos (N, H, W, 1 or 3).
        """
        if not hasattr(self.sample, "shape"):
            wanted = f"{len(self.sample)} inputs"
        elif self.sample.ndim == 4 and self.sample.shape[-1] in (1, 3):
            return self.sample.shape[1:]
        else:
            wanted = f"arrays of shape (N, {', '.join(map(str, self.sample.shape[1:]))})"
        raise ValueError(f"{self.name} takes {wanted}, not photos (N, H, W, 1 or 3). Explain it from Python.")


def load(name: str, unsafe: bool = False, signature: str | None = None) -> Loaded:
    """Loads `demo` (EfficientNet-Lite0), a .keras or .h5 file, or what `tfxai.hub.load` takes.

    unsafe:    lets a Keras file run Python code that it carries (Lambda layers), and a SavedModel or graph read and write
               files or call Python. Only for files whose author you trust.
    signature: of a SavedModel or module folder.

    Raises ValueError if there is no model or it does not load, ImportError if the packages of the demo are missing.
    """
    path = Path(name)
    if name == "demo":
        model = zoo.efficientnet_lite0()
        return Loaded(name, model, sample_inputs(model), zoo.imagenet_labels(), crop=0.875)
    if not path.exists() and ("://" not in name or path.suffix.lower() in ENDINGS):
        raise ValueError(f"There is no model {name}. Give {EXPECTED}.")
    if path.is_file() and path.suffix.lower() in ENDINGS:
        if signature is not None:
            raise ValueError(f"{name} is a Keras file, which has no signatures.")
        model = _keras_model(path, unsafe)
    elif path.is_file() and path.suffix.lower() != ".pb":
        raise ValueError(f"{name} is not a model: expected {EXPECTED}.")
    else:
        with as_command_line():
            model = hub.load(name, signature=signature, trusted=unsafe)
    return Loaded(name, model, sample_inputs(model))


@contextlib.contextmanager
def as_command_line() -> Iterator[None]:
    """Errors about trust name the option of a command in the place of the argument in Python."""
    try:
        yield
    except ValueError as error:
        raise ValueError(str(error).replace("say trusted=True", "add --unsafe")) from error


def _keras_model(path: Path, unsafe: bool) -> Model:
    if path.suffix.lower() == ".keras" and not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path} does not load as a Keras model: the file is damaged, or was made by something else."
        )
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=not unsafe)
    except Exception as error:  # damaged files, missing custom classes and unsafe ones raise nearly anything
        hint = ""
        if "safe_mode" in str(error):
            hint = " If you trust its author, add --unsafe."
        elif "Could not locate" in str(error):
            hint = " Load it in Python, where its author's code is known, and explain it there."
        raise ValueError(f"{path} does not load as a Keras model: {_reason(error)}{hint}") from error


def read_labels(path: str | Path) -> list[str]:
    """Class names from a file: one a line, a JSON list, or a JSON dict from class index to name.

    The values of the dict may also be [id, name], as in the class index of `keras.applications`.

    Raises ValueError if the file is missing, or holds something else.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() != ".json":
            return [printable(line.strip()) for line in text.rstrip().splitlines()]
        names = json.loads(text)
        if isinstance(names, dict):
            names = [names[str(i)] for i in range(len(names))]
        return [printable(name if isinstance(name, str) else str(name[-1])) for name in names]
    except KeyError as error:
        raise ValueError(f"{path} names no class {error}. Give the indices 0, 1, 2 ... as keys.") from None
    except (OSError, TypeError, LookupError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as class names: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """The first sentence of the innermost of Keras' nested messages."""
    text = " ".join(str(error).split("Exception encountered:")[-1].split()) or type(error).__name__
    return text.split(". ")[0].rstrip(".")[:300] + "."
