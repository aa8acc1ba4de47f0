"""How the activations of a layer become maps that line up with an input."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from tfxai.model.layouts import Along, Layout
from tfxai.support import Tensor

# Cells between the middle of what a cell sees and where a map lies that is stretched over the whole input, as is the
# custom: where windows alone shift it, and where something was cut off or put in front.
STRETCHED, STRETCHED_MOVED = 1.5, 0.5


@dataclasses.dataclass(frozen=True)
class Cells:
    """How the cells of a map lie along one axis of the input.

    axis:  of the input's space, counted from 0. count: how many cells there are; None if tracing does not tell.
    along: where they lie; None: evenly spread over the whole input.
    """

    axis: int
    count: int | None
    along: Along | None = None

    @property
    def covers_a_part(self) -> bool:
        """Whether the input has places that no cell stands for: these were cut off."""
        return self.along is not None and self.along.moved


@dataclasses.dataclass(frozen=True)
class Grid:
    """How a tensor of activations (B, ..., channels) lines up with an input.

    which: number of the input.
    cells: of the maps, one for each axis of the input's space that they have, in its order.
    space: sizes of the input's space, None where tracing does not tell.
    order: axes of the reshaped tensor in the order of the cells.
    sizes: what the tensor's axes between the first and the last are reshaped to; None: they stay.
    edges: for each axis between the first and the last, before the reshape: how many entries of something else lie in front
           and behind.
    fixed: (axis of the space, place) of what the whole tensor belongs to, such as a frame.
    guessed: only the number of axes tells, since what the model does on the way is not known.
    """

    which: int
    cells: tuple[Cells, ...]
    space: tuple[int | None, ...]
    order: tuple[int, ...]
    sizes: tuple[int, ...] | None = None
    edges: tuple[tuple[int, int], ...] = ()
    fixed: tuple[tuple[int, int], ...] = ()
    guessed: bool = False

    @property
    def extra(self) -> int:
        """How many entries of something else, such as class tokens, lie in front."""
        return sum(front for front, _ in self.edges)

    def spread(self, tensor: Tensor) -> Tensor:
        """Activations, or their gradients, as float32 maps (B, h, w ..., channels)."""
        maps = tf.cast(tensor, tf.float32)
        for axis, (front, behind) in enumerate(self.edges, start=1):
            if front or behind:
                cut = [slice(None)] * axis + [slice(front, -behind or None)]
                maps = maps[tuple(cut)]
        if self.sizes is not None:
            maps = tf.reshape(maps, (-1, *self.sizes, maps.shape[-1]))
        if self.order == tuple(range(len(self.order))):
            return maps
        return tf.transpose(maps, (0, *(i + 1 for i in self.order), maps.shape.rank - 1))


def grid_of_layout(
    which: int, layout: Layout, shape: Sequence[int | None], space: Sequence[int | None]
) -> Grid | None:
    """The grid of a tensor (B, ..., channels) with this layout and shape; None if its axes do not line up.

    space: sizes of the input's space. Layouts count the batch as axis 0, and the space from 1.
    """
    dims = layout.dims
    if dims is None or len(dims) != len(shape) or not dims[0].is_batch:
        return None
    inside = range(1, len(space) + 1)
    if any(atom.along is not None and atom.along.axis in inside for atom in dims[-1].atoms):
        return None  # places lie where channels should
    atoms = [atom for dim in dims[1:-1] for atom in dim.atoms if atom.size != 1 or atom.along is not None]
    if any(atom.along is None or atom.along.axis not in inside for atom in atoms):
        return None
    axes = [atom.along.axis - 1 for atom in atoms if atom.along is not None]
    fixed = tuple(
        (axis - 1, round(at)) for axis, at in layout.fixed if axis in inside and axis - 1 not in axes
    )
    if (
        len(set(axes)) < len(axes)
        or {*axes, *(axis for axis, _ in fixed)} != {*range(len(space))}
        or not axes
    ):
        return None
    order = tuple(sorted(range(len(axes)), key=axes.__getitem__))
    cells = [
        Cells(axes[i], atoms[i].size, _unless_stretched(atoms[i].along, atoms[i].size, space[axes[i]]))
        for i in order
    ]
    if all(each.count == 1 for each in cells):
        return None
    whole = all(
        len(dim.atoms) == 1 and dim.atoms[0].size == n for dim, n in zip(dims[1:-1], shape[1:-1], strict=True)
    )
    sizes = None if whole and len(atoms) == len(dims) - 2 else tuple(atom.size or -1 for atom in atoms)
    if sizes is not None and sizes.count(-1) > 0:
        return None
    edges = tuple((dim.front, dim.behind) for dim in dims[1:-1])
    return Grid(which, tuple(cells), tuple(space), order, sizes, edges if any(map(any, edges)) else (), fixed)


def _unless_stretched(along: Along | None, count: int | None, size: int | None) -> Along | None:
    """Where cells lie, unless stretching the map over the whole input puts each where it belongs, or nearly so."""
    if along is None:
        return None
    allowed = abs(along.step) * (STRETCHED_MOVED if along.moved else STRETCHED) + 1e-6
    if (
        count is None or size is None
    ):  # about as many cells as there is room for, unless something was cut or turned
        near = along.step > 0 and abs(along.start - (along.step - 1) / 2) <= allowed
        return None if near and not along.moved else along
    scale = size / count
    ends = [(k, (k + 0.5) * scale - 0.5) for k in (0, count - 1)]
    near = all(abs(along.start + along.step * k - stretched) <= allowed for k, stretched in ends)
    return None if near else along
