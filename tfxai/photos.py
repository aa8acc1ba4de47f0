"""Pictures as people expect them: read upright and opaque, cropped, resized, scaled as in training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from tfxai.support import File, Setting, checked, nearest, number

# Modules of keras.applications that have a preprocess_input of their own.
APPLICATIONS = (
    *("convnext", "densenet", "efficientnet", "efficientnet_v2", "inception_resnet_v2", "inception_v3"),
    *("mobilenet", "mobilenet_v2", "mobilenet_v3", "nasnet", "resnet", "resnet50", "resnet_v2"),
    *("vgg16", "vgg19", "xception"),
)
Channels = Annotated[int, Setting(lambda value: value in (1, 3) and value is not True, "3 (RGB) or 1 (grey)")]
Crop = Annotated[float, number(above=0, most=1, noun="the part to keep,")]
SCALINGS = ("none", "0..1", "-1..1", *APPLICATIONS)


@checked
def read(path: File, channels: Channels = 3) -> NDArray[np.uint8]:
    """A picture file as uint8 (H, W, channels), upright, in the colours that a viewer shows on white paper.

    The camera's orientation is applied, transparent parts become white, 16-bit grey keeps its whole range,
    an animation gives its first frame. Embedded colour profiles are not applied.

    channels: 3 for RGB, 1 for grey.

    Raises ValueError if the file is missing, or is not a picture that can be read.
    """
    if not Path(path).exists():
        raise ValueError(f"There is no picture {path}.")
    try:
        with Image.open(path) as image:
            flat = _flat(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is not a picture, or in a format that Pillow does not know.") from error
    except Exception as error:  # damaged files make Pillow raise nearly anything
        raise ValueError(f"{path} cannot be read as a picture: {error}") from error
    pixels = np.asarray(flat.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels).copy()


def _flat(image: Image.Image) -> Image.Image:
    """8 bits a channel and opaque."""
    if image.mode[0] in "IF":  # 16-bit grey, also held as 32-bit; Pillow's own conversion clips at 255
        pixels = np.asarray(image)
        if image.mode == "F" or pixels.min() < 0 or pixels.max() > 65535:
            raise ValueError("its numbers have no known range, save it with 8 or 16 bits a channel")
        return Image.fromarray(np.rint(pixels / 257).astype("uint8"))
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


@checked
def fit(image: ArrayLike, size: tuple[int, int], crop: Crop = 1.0) -> NDArray[np.float32]:
    """The centre of a picture (H, W, C) as a model of that input size wants it: float32 (*size, C) in 0..255.

    It takes the largest centred region of the right shape, so nothing is distorted, and resizes it (bicubic,
    antialiased; whole numbers stay whole for a uint8 picture).

    size: (height, width).
    crop: part of the region's height and width to keep, above 0 and at most 1; 0.875 is usual on ImageNet.

    >>> tfxai.photos.fit(np.zeros((480, 640, 3), "uint8"), (224, 224)).shape
    (224, 224, 3)

    Raises ValueError if image is not a picture (H, W, C), or crop is out of range.
    """
    pixels = np.asarray(image)
    if pixels.ndim != 3 or 0 in pixels.shape:
        raise ValueError(f"image has shape {pixels.shape}. Give one picture (H, W, C).")
    height, width = size
    top, left, rows, columns = fitted(pixels.shape[:2], size, crop)
    region = pixels[top : top + rows, left : left + columns]
    if region.dtype != np.uint8:
        region = region.astype("float32")
    # One channel at a time: Pillow has no float RGB, and models may have any number of channels.
    planes = [Image.fromarray(region[..., i]) for i in range(region.shape[-1])]
    resized = [np.asarray(plane.resize((width, height), Image.Resampling.BICUBIC)) for plane in planes]
    return np.stack(resized, axis=-1).astype("float32").clip(0, 255)


def fitted(given: tuple[int, ...], size: tuple[int, int], crop: float = 1.0) -> tuple[int, int, int, int]:
    """Which part of a picture `fit` takes: its top, left, height and width, in pixels of the picture.

    given: (height, width) of the picture. size, crop: as for `fit`.
    """
    height, width = size
    zoom = crop * min(given[0] / height, given[1] / width)
    rows, columns = max(1, round(height * zoom)), max(1, round(width * zoom))
    return (given[0] - rows) // 2, (given[1] - columns) // 2, rows, columns


@checked
def scale(images: ArrayLike, name: str) -> NDArray[np.float32]:
    """Pictures (..., H, W, C) in 0..255 as a model was trained to see them, in a new float32 array.

    name: "none", "0..1", "-1..1", or the module in `keras.applications` whose `preprocess_input` is meant.

    >>> tfxai.photos.scale([[[[0, 255]]]], "-1..1").ravel().tolist()
    [-1.0, 1.0]

    Raises ValueError for any other name, and if a module scales RGB and there are not 3 channels.
    """
    if name not in SCALINGS:
        raise ValueError(
            f"There is no scaling {name!r}.{nearest(name, SCALINGS)} There are: {', '.join(SCALINGS)}."
        )
    pixels = np.array(images, dtype="float32")  # a copy: preprocess_input writes into its argument
    if name not in APPLICATIONS:
        return {"none": pixels, "0..1": pixels / 255, "-1..1": pixels / 127.5 - 1}[name]
    if pixels.shape[-1] != 3:
        raise ValueError(f"{name} scales RGB, but images has shape {pixels.shape}. Try 0..1 or -1..1.")
    import keras  # only here: reading pictures does not need it

    module = getattr(keras.applications, name)
    return np.asarray(module.preprocess_input(pixels, data_format="channels_last"), dtype="float32")
