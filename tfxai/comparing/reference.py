"""What a model looked at when all was well, and how far training again moves that: kept in a file, for later models."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfxai.comparing.looking import Looks, likeness, looks_of
from tfxai.inputs import flatten
from tfxai.results import Stored, array_digest
from tfxai.sanity import fixed_targets
from tfxai.scores import Targets
from tfxai.support import BatchSize, Explainer, Inputs, Model, checked, progress_bar


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ModelReference(Stored):
    """A model's maps of N examples, and how like them those of its K twins are: all that a later model is compared with.

    maps:             float32 (N, ...), of the model itself.
    targets:          int (N,): explained classes; -1 where there are none.
    predictions:      int (K + 1, N): of the model and of its twins; -1 where there are no classes.
    twin_similarity:  float32 (K, N): share of the evidence that a twin's map and the model's have in common, 0 to 1.
    inside:           float64 (K + 1, N): share of the positive evidence inside of the regions, of the model and of its twins;
                      None where none were given.
    regions:          what was given as regions; None where none were.
    digest:           of the inputs, so that others are not taken for them.
    method:           the method with its settings, as text.
    """

    called = "reference"

    maps: NDArray[np.float32]
    targets: NDArray[np.int64]
    predictions: NDArray[np.int64]
    twin_similarity: NDArray[np.float32]
    inside: NDArray[np.float64] | None
    regions: NDArray | None
    digest: list[str]
    method: str

    def problem(self) -> str:
        """See `Stored.problem`: every array is of the same twins and examples."""
        twins, count = np.shape(self.twin_similarity)[0], len(self.maps)
        wanted = {
            "targets": (count,),
            "predictions": (twins + 1, count),
            "twin_similarity": (twins, count),
            **({} if self.inside is None else {"inside": (twins + 1, count)}),
        }
        for name, shape in wanted.items():
            if np.shape(getattr(self, name)) != shape:
                return f"{name} has the shape {np.shape(getattr(self, name))}, where {shape} is expected"
        return ""

    def __repr__(self) -> str:
        alike = f", {self.twin_similarity.mean():.2f} alike" if len(self.twin_similarity) else ""
        return f"ModelReference({len(self.maps)} maps of {self.method}, {len(self.twin_similarity)} twins{alike})"

    def check(self, inputs: Inputs) -> None:
        """Raises ValueError if these are not the inputs that it is of."""
        if digest_of(inputs) != self.digest:
            raise ValueError(
                f"The reference is of {len(self.maps)} other inputs. Give those it was made of, or make it again from these."
            )


@checked
def reference(
    model: Model,
    inputs: Inputs,
    method: Explainer,
    targets: Targets = None,
    *,
    twins: Sequence[Model] = (),
    regions: ArrayLike | None = None,
    batch_size: BatchSize = 32,
    progress: bool = False,
) -> ModelReference:
    """What does a model look at while all is well, and how far does training again move that? For `tfxai.compare_models`.

    It takes the place of the old model and its twins, which need not be kept: `.save(path)` writes it, `ModelReference.load` reads it.

    model, inputs, method, targets, twins, regions: as `old` and so on of `tfxai.compare_models`.

    Raises ValueError if a model cannot be explained, regions do not fit, or maps of the models have different sizes.
    Cost: K + 1 times the method's own for K twins, and as many forward passes; memory holds one map for each example.
    """
    with progress_bar(progress, "reference", len(twins) + 1) as advance:
        classes = fixed_targets(model, inputs, targets, batch_size)
        own = looks_of(model, inputs, method, classes, regions, batch_size)
        advance(1)
        alike, predictions, inside = [], [own.predictions], [own.inside]
        for twin in twins:
            looks = looks_of(twin, inputs, method, classes, regions, batch_size)
            alike.append(likeness(own.maps, looks.maps))
            predictions.append(looks.predictions)
            inside.append(looks.inside)
            advance(1)
    return ModelReference(
        own.maps,
        own.targets,
        np.stack(predictions),
        np.array(alike, np.float32).reshape(len(twins), len(own.maps)),
        None if regions is None else np.stack([each for each in inside if each is not None]),
        None if regions is None else np.asarray(regions),
        digest_of(inputs),
        own.method,
    )


def digest_of(inputs: Inputs) -> list[str]:
    """SHA-256 of each array of the inputs, as float32 where they are numbers: pixels in 8 or 64 bits are the same inputs."""
    arrays = [np.asarray(each) for each in flatten(inputs)[0]]
    return [
        array_digest(each.astype(np.float32) if each.dtype.kind in "biuf" else each)["sha256"]
        for each in arrays
    ]


def same_targets(known: ModelReference, targets: Targets, new: Looks) -> None:
    """Raises ValueError if other classes are asked for than the reference has, or maps come from another method."""
    if targets is not None and not np.array_equal(
        np.broadcast_to(np.asarray(targets), len(known.maps)), known.targets
    ):
        raise ValueError(
            "targets are others than those of the reference. Leave them out, or make the reference again."
        )
    if new.method != known.method:
        raise ValueError(
            f"The reference is of {known.method}, and the method is {new.method}. Give the same, or make the reference again."
        )
