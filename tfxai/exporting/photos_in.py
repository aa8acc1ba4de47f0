"""Encoded photos in front of a model: bytes in, decoded, cropped and scaled in the graph as the command line does it."""

from __future__ import annotations

import dataclasses

import keras
import tensorflow as tf

from tfxai.exporting.signatures import Taking
from tfxai.photos import APPLICATIONS, SCALINGS
from tfxai.support import Tensor, nearest

NAME = "photos"  # of the input


@dataclasses.dataclass(frozen=True)
class PhotosIn:
    """JPEG, PNG, BMP or still GIF files as bytes (B,) -> what a model takes, and pixels (B, H, W, C) in 0..255.

    size: (height, width) of the model's input. channels: 1 or 3. scaling: as `tfxai.photos.scale` has them. crop: as of
    `tfxai.photos.fit`.
    """

    size: tuple[int, int]
    channels: int
    scaling: str
    crop: float = 1.0

    @classmethod
    def of(cls, taking: Taking, scaling: str, crop: float) -> PhotosIn:
        """Raises ValueError if there is no such scaling, or the model does not take one photo of a known size."""
        if scaling not in SCALINGS:
            raise ValueError(
                f"There is no preprocess {scaling!r}.{nearest(scaling, SCALINGS)} There are: {', '.join(SCALINGS)}. Or give a TensorFlow "
                "function of what comes."
            )
        shapes = [tuple(spec.shape) for spec in taking.specs]
        if len(shapes) != 1 or len(shapes[0]) != 4 or None in shapes[0][1:] or shapes[0][3] not in (1, 3):
            raise ValueError(
                f"preprocess={scaling!r} is for models that take photos of one size, (N, H, W, 1 or 3); this one takes {shapes}. Give "
                "inputs of such a shape, or a TensorFlow function as preprocess."
            )
        height, width, channels = (int(n or 0) for n in shapes[0][1:])
        return cls((height, width), channels, scaling, crop)

    def seen(self, photos: Tensor) -> tuple[Tensor, Tensor]:
        """What the model takes, and the same as pictures in 0..1."""
        pixels = self.pixels(photos)
        return self.scaled(pixels), pixels / 255

    def pixels(self, photos: Tensor) -> Tensor:
        """(B, H, W, C) float32 in 0..255, as `tfxai.photos.fit` has them but for the rounding of a level."""
        spec = tf.TensorSpec((*self.size, self.channels), tf.float32)
        return tf.map_fn(self._fitted, photos, fn_output_signature=spec)

    def _fitted(self, photo: Tensor) -> Tensor:
        # Any of the formats; and as exactly as Pillow decodes JPEG.
        image = tf.io.decode_jpeg(photo, channels=self.channels, dct_method="INTEGER_ACCURATE")
        shape = tf.cast(tf.shape(image), tf.float64)
        zoom = self.crop * tf.minimum(shape[0] / self.size[0], shape[1] / self.size[1])
        rows, columns = (tf.maximum(1, tf.cast(tf.round(side * zoom), tf.int32)) for side in self.size)
        top, left = (tf.shape(image)[0] - rows) // 2, (tf.shape(image)[1] - columns) // 2
        region = tf.cast(image[top : top + rows, left : left + columns], tf.float32)
        across = _whole(tf.image.resize(region, (rows, self.size[1]), "bicubic", antialias=True))
        down = _whole(tf.image.resize(across, self.size, "bicubic", antialias=True))
        return tf.ensure_shape(down, (*self.size, self.channels))

    def scaled(self, pixels: Tensor) -> Tensor:
        """What the model was trained to see."""
        if self.scaling not in APPLICATIONS:
            return {"none": pixels, "0..1": pixels / 255, "-1..1": pixels / 127.5 - 1}[self.scaling]
        module = getattr(keras.applications, self.scaling)
        return module.preprocess_input(pixels, data_format="channels_last")


def _whole(pixels: Tensor) -> Tensor:
    """As Pillow hands them on, after each of the two sides."""
    return tf.clip_by_value(tf.floor(pixels + 0.5), 0, 255)
