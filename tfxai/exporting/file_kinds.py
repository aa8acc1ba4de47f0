"""The kinds of files that an exported model can be, and what each can hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import tensorflow as tf

from tfxai.engines import Method
from tfxai.exporting.calls import Refused
from tfxai.exporting.litert import write_litert
from tfxai.exporting.onnx import write_onnx
from tfxai.exporting.saved_model import write_saved_model
from tfxai.exporting.signatures import TARGET, Signature, Taking


@dataclasses.dataclass(frozen=True)
class FileKind:
    """format, quantize: as of `tfxai.export`."""

    format: Literal["saved_model", "onnx", "litert"]
    quantize: Literal["float16", "int8"] | None = None

    @property
    def apart(self) -> bool:
        """Whether another engine than TensorFlow runs the files."""
        return self.format != "saved_model"

    def check(self, preprocess: Any, render: bool, methods: Mapping[str, Method]) -> None:
        """Raises ValueError for what such files cannot hold."""
        if self.quantize is not None and self.format != "litert":
            raise ValueError(f'quantize={self.quantize!r} is for format="litert". Leave it out.')
        if self.apart and (isinstance(preprocess, str) or render):
            given = "render=True" if render else f"preprocess={preprocess!r}"
            raise ValueError(
                f"{given} reads or writes pictures as files, which {self.format} cannot. Do it around the model, or give "
                'format="saved_model".'
            )
        if self.apart and (
            hiding := [
                name
                for name, method in methods.items()
                if not method.needs.gradients and not method.needs.layers
            ]
        ):
            raise ValueError(
                f"methods[{hiding[0]!r}] shows the model many inputs, in a loop of loops that {self.format} files do not hold. Give a method "
                'that uses gradients or layers, or format="saved_model".'
            )

    def taking(self, taking: Taking) -> Taking:
        """What signatures take: LiteRT wants a number of rows, which is one unless it was said."""
        if self.format != "litert" or taking.rows is not None:
            return taking
        return dataclasses.replace(
            taking, specs=tuple(tf.TensorSpec([1, *spec.shape[1:]], spec.dtype) for spec in taking.specs)
        )

    def write(
        self,
        folder: Path,
        signatures: Sequence[Signature],
        owners: Sequence[Any],
        labels: Sequence[str] | None,
    ) -> None:
        """Writes the folder; names of classes beside the files, where these cannot hold them."""
        if not self.apart:
            write_saved_model(folder, signatures, owners)
            return
        for signature in signatures:
            if self.format == "onnx":
                _write_onnx(signature, folder / f"{signature.name}.onnx")
            else:
                write_litert(signature.concrete, folder / f"{signature.name}.tflite", self.quantize)
        if labels is not None:
            (folder / "labels.txt").write_text("\n".join(map(str, labels)) + "\n", encoding="utf-8")


def _write_onnx(signature: Signature, path: Path) -> None:
    try:
        write_onnx(signature.concrete, path)
    except Refused as error:
        specs = list(signature.inputs.values())
        if specs[0].shape[0] is not None:
            raise
        fixed = ", ".join(
            f"tf.TensorSpec({(1, *spec.shape[1:])}, ...)"
            for key, spec in signature.inputs.items()
            if key != TARGET
        )
        raise Refused(
            f"{error} With a fixed number of rows more can be written: inputs of {fixed}."
        ) from error
