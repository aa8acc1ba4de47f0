"""The layers of a Keras model, however deep, by their paths."""

from __future__ import annotations

from tfxai.hub import ModuleLayer
from tfxai.support import Layer, Model


def named_layers(model: Model) -> list[tuple[str, Layer]]:
    """Every layer inside a Keras model, however deep, with its path: `backbone/block_1/conv`."""
    layers: list[tuple[str, Layer]] = []
    taken: set[str] = set()

    def walk(parent: Layer, prefix: str) -> None:
        # A functional model also runs operations that are no layers, such as the + of a residual sum. Other models
        # list their layers, and other layers keep their children where only this method looks.
        children = getattr(parent, "operations", None) or getattr(parent, "layers", None)
        if not isinstance(children, (list, tuple)):
            if not hasattr(parent, "_flatten_layers"):
                return
            children = list(parent._flatten_layers(include_self=False, recursive=False))
        for child in children:
            path, count = prefix + child.name, 2
            while path in taken:
                path, count = f"{prefix}{child.name}#{count}", count + 1
            taken.add(path)
            layers.append((path, child))
            if isinstance(child, ModuleLayer):
                layers.extend((f"{path}/{name}", endpoint) for name, endpoint in child.inner)
            walk(child, path + "/")

    walk(model, "")
    return layers
