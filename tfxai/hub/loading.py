"""Which kind of file a path or handle is, and the module in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tfxai.hub.frozen_graph import frozen_module
from tfxai.hub.messages import first_sentence
from tfxai.hub.module import Module
from tfxai.hub.saved_model import saved_module
from tfxai.support import check_arguments


def load(
    source: str | Path,
    *,
    signature: str | None = None,
    tags: Sequence[str] | str | None = None,
    inputs: str | Sequence[str] | None = None,
    outputs: str | Sequence[str] | None = None,
    trusted: bool | None = None,
) -> Module:
    """Loads a TF-Hub handle, a SavedModel or TF1-format module folder, or a frozen graph (.pb).

    source:    a folder, a `.pb` file, or a handle (https://...) that tensorflow-hub resolves.
    signature: unless given, the only one, else `serving_default`, `image_classification` or `default`.
    tags:      of the variant to load, where there are several; unless given, the one for inference.
    inputs:    tensor names, with or without `:0`, where a frozen graph has several placeholders, or to start inside.
    outputs:   tensor names, where several tensors of a frozen graph are read by nothing, or to end inside.

    trusted:   whether the file may do more than compute. A SavedModel or graph is a program: its operations can read and
               write files and call Python, when it is loaded or when it is called. Unless told, such a file is loaded
               with a warning that names them; False refuses it, True says nothing. `module.outside` lists them.

    A frozen graph names its inner tensors by their operations, numbers included: where Keras wrote `conv_1/Relu` for the
    layer `conv`, nothing in the file tells. `layer="conv"` finds it nevertheless, where it can mean no other.

    Raises ValueError if there is no such model, signature, variant or tensor; it lists those that there are; and if the
    file is not trusted.
    """
    check_arguments(load, {"trusted": trusted})
    how = {"source": source, "signature": signature, "tags": tags, "inputs": inputs, "outputs": outputs}
    _check(**how)
    how["source"] = str(source)
    path = _resolved(source)
    if path.is_dir():
        if inputs is not None or outputs is not None:
            raise ValueError(
                f"{path} is a SavedModel, which names its inputs and outputs. Choose with signature=."
            )
        return saved_module(path, signature, tags, trusted, how)
    if signature is not None or tags is not None:
        raise ValueError(
            f"{path} is a frozen graph, without signatures and tags. Give inputs= and outputs=, tensor names."
        )
    return frozen_module(path, inputs, outputs, trusted, how)


def _check(source: object, **names: object) -> None:
    """Raises ValueError if the source is not a path, or a name is neither a string nor, for most, a list of strings."""
    if not isinstance(source, (str, Path)):
        raise ValueError(
            f"source is a {type(source).__name__}. Give the path of a folder or file, or a handle (https://...)."
        )
    for name, value in names.items():
        if value is None or isinstance(value, str):
            continue
        many = name != "signature"
        listed = isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)
        if not (many and listed and (value or name == "tags")):
            raise ValueError(f"{name} is {value!r}. Give a name{' or a list of names' if many else ''}.")


def _resolved(source: str | Path) -> Path:
    """The folder or file of a model, after a handle is fetched."""
    path = Path(str(source).removeprefix("file://")).expanduser()
    if path.name == "saved_model.pb" and path.exists():
        return path.parent
    if path.is_file() and path.suffix.lower() in (".keras", ".h5", ".hdf5"):
        raise ValueError(
            f"{path} is a Keras file. Load it with keras.models.load_model: every method takes the model."
        )
    if path.exists():
        return path
    if "://" not in str(source):
        raise ValueError(
            f"There is no model {source}. Give a SavedModel or module folder, a frozen graph (.pb), or a handle "
            "(https://...)."
        )
    return _fetched(str(source))


def _fetched(handle: str) -> Path:
    try:
        import tensorflow_hub  # only here: nothing else needs it
    except ImportError as error:
        raise ValueError(
            f"{handle} is a handle, for which tensorflow-hub is needed: {error}. With setuptools 82 or later it does not "
            "load: pip install 'setuptools<82'."
        ) from error
    try:
        return Path(tensorflow_hub.resolve(handle))
    except Exception as error:
        raise ValueError(f"tensorflow-hub cannot get {handle}: {first_sentence(error)}") from error
