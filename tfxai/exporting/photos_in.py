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
    """JPEG, PNG or still GIF files as bytes (B,) -> what a model takes, and pixels (B, H, W, C) in 0..255.

    As `tfxai.photos.read` does it: upright, as the camera's orientation says, and on white where a PNG is transparent.

    size: (height, width) of the model's input. channels: 1 or 3. scaling: as `tfxai.photos.scale` has them. crop: as of
    `tfxai.photos.fit`.
    """

    size: tuple[int, int]
    channels: int
    scaling: str
    crop: float = 1.0
    dtype: tf.DType = tf.float32

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
        if taking.specs[0].dtype.is_integer and scaling != "none":
            raise ValueError(
                f'preprocess={scaling!r} makes fractions, and the model takes {taking.specs[0].dtype.name}. Give "none".'
            )
        height, width, channels = (int(n or 0) for n in shapes[0][1:])
        return cls((height, width), channels, scaling, crop, taking.specs[0].dtype)

    def seen(self, photos: Tensor) -> tuple[Tensor, Tensor]:
        """What the model takes, and the same as pictures in 0..1."""
        pixels = self.pixels(photos)
        return tf.cast(self.scaled(pixels), self.dtype), pixels / 255

    def pixels(self, photos: Tensor) -> Tensor:
        """(B, H, W, C) float32 in 0..255, as `tfxai.photos.fit` has them but for the rounding of a level."""
        spec = tf.TensorSpec((*self.size, self.channels), tf.float32)
        return tf.map_fn(self._fitted, photos, fn_output_signature=spec)

    def _fitted(self, photo: Tensor) -> Tensor:
        image = upright(_decoded(photo, self.channels), photo)
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


def _decoded(photo: Tensor, channels: int) -> Tensor:
    """(H, W, C) uint8 of any of the formats, as exactly as Pillow decodes them."""

    def png() -> Tensor:
        depth_and_kind = tf.strings.substr(
            photo, 24, 2
        )  # bits of a channel; 3 is a palette, 4 and 6 have an opacity
        seen_through = tf.strings.regex_full_match(depth_and_kind, r"[\x08\x10][\x04\x06]|\x08\x03")
        pixels = tf.cond(seen_through, on_white, lambda: levels(3))
        grey = tf.round(tf.image.rgb_to_grayscale(pixels)) if channels == 1 else pixels
        return tf.cast(grey, tf.uint8)

    def levels(count: int) -> Tensor:
        """(H, W, count) in 0..255, of 8 or 16 bits."""
        return tf.cond(
            tf.equal(tf.strings.substr(photo, 24, 1), b"\x10"),
            lambda: tf.round(
                tf.cast(tf.io.decode_png(photo, channels=count, dtype=tf.uint16), tf.float32) / 257
            ),
            lambda: tf.cast(tf.io.decode_png(photo, channels=count), tf.float32),
        )

    def on_white() -> Tensor:
        colours, opacity = tf.split(levels(4), [3, 1], -1)
        return tf.round(colours * opacity / 255 + 255 - opacity)

    def other() -> Tensor:
        return tf.io.decode_jpeg(photo, channels=channels, dct_method="INTEGER_ACCURATE")

    is_png = tf.equal(tf.strings.substr(photo, 0, 4), tf.constant(b"\x89PNG"))
    return tf.ensure_shape(tf.cond(is_png, png, other), (None, None, channels))


# The entry for the orientation, 0x0112, as one short number: in files whose numbers begin with the largest byte, or end with it.
ORIENTATION = r"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x%02x", r"\x12\x01\x03\x00\x01\x00\x00\x00\x%02x\x00"
HEAD = 65536  # bytes, in which it stands


def upright(image: Tensor, photo: Tensor) -> Tensor:
    """An image (H, W, C) as the camera's orientation says. photo: the file that it was decoded from."""
    head = tf.strings.substr(photo, 0, HEAD)

    def is_one_of(*numbers: int) -> Tensor:
        entries = "|".join(entry % number for entry in ORIENTATION for number in numbers)
        return tf.strings.regex_full_match(head, rf"\C*(?:{entries})\C*")

    image = tf.cond(is_one_of(5, 6, 7, 8), lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    image = tf.cond(is_one_of(2, 3, 6, 7), lambda: tf.reverse(image, [1]), lambda: image)
    return tf.cond(is_one_of(3, 4, 7, 8), lambda: tf.reverse(image, [0]), lambda: image)


def _whole(pixels: Tensor) -> Tensor:
    """As Pillow hands them on, after each of the two sides."""
    return tf.clip_by_value(tf.floor(pixels + 0.5), 0, 255)
