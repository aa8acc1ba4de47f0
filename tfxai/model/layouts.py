"""Where the entries of a tensor lie in an input: which axis of the one runs along which axis of the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Along:
    """Index k of an axis lies at `start + step * k` on an axis of the input, counted in its pixels.

    axis:  of the input; 0 is the batch.
    moved: something was cut off or put in front on the way, or the order was turned, beside what windows do.
    """

    axis: int
    start: float = 0.0
    step: float = 1.0
    moved: bool = False

    def shifted(self, cells: float, moved: bool = True) -> Along:
        """The axis without its first cells (of more, with some in front)."""
        return dataclasses.replace(self, start=self.start + self.step * cells, moved=self.moved or moved)

    def scaled(self, factor: float) -> Along:
        """Each cell in the middle of so many of before, or a part of one."""
        middle = self.step * (factor - 1) / 2
        return dataclasses.replace(self, start=self.start + middle, step=self.step * factor)


@dataclasses.dataclass(frozen=True)
class Atom:
    """A part of an axis that cannot be split further: its length, and where it lies; None for channels and the like."""

    size: int | None
    along: Along | None = None

    @property
    def is_batch(self) -> bool:
        """Whether it counts examples."""
        return self.along is not None and self.along.axis == 0


@dataclasses.dataclass(frozen=True)
class Dim:
    """One axis of a tensor: atoms that were merged into it, the slowest first, between entries of something else.

    front, behind: how many entries of something else, such as class tokens.
    turned:        the tensor of lengths up to which each row was turned around: until it is turned back, its entries
                   have no place that all rows share.
    """

    atoms: tuple[Atom, ...] = ()
    front: int = 0
    behind: int = 0
    turned: str | None = None

    @classmethod
    def of(cls, size: int | None, along: Along | None = None) -> Dim:
        """An axis of one atom."""
        return cls((Atom(size, along),))

    @property
    def along(self) -> Along | None:
        """Where it lies, if it lies along a single axis, and nothing else is in it."""
        plain = len(self.atoms) == 1 and not self.front and not self.behind and self.turned is None
        return self.atoms[0].along if plain else None

    @property
    def places(self) -> bool:
        """Whether any of it lies along an axis of the input."""
        return self.turned is None and any(atom.along is not None for atom in self.atoms)

    @property
    def is_batch(self) -> bool:
        """Whether it counts the examples, all of them in their order."""
        return self.along is not None and (self.along.axis, self.along.start, self.along.step) == (
            0,
            0.0,
            1.0,
        )


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where a tensor's entries lie.

    dims:  its axes; None if it is not known.
    fixed: (axis of the input, where on it the whole tensor lies), such as a frame of a video.
    """

    dims: tuple[Dim, ...] | None
    fixed: tuple[tuple[int, float], ...] = ()

    def with_dims(self, dims: Sequence[Dim]) -> Layout:
        """The same with other axes."""
        return dataclasses.replace(self, dims=tuple(dims))

    def fixing(self, dim: Dim, index: float = 0.0) -> Layout:
        """The layout after one entry of an axis was taken out."""
        along = dim.along
        if along is None or along.axis == 0:
            return self
        return dataclasses.replace(self, fixed=(*self.fixed, (along.axis, along.start + along.step * index)))


UNKNOWN = Layout(None)


def joined(layouts: Sequence[Layout], shape: Sequence[int | None]) -> Layout:
    """The layout of a tensor of some shape, made entry by entry of others that are broadcast to it."""
    known = [layout for layout in layouts if layout.dims is not None]
    if not known:
        return UNKNOWN
    dims: list[Dim] = []
    for i, size in enumerate(shape):
        behind = len(shape) - i
        given = [layout.dims[-behind] for layout in known if layout.dims and len(layout.dims) >= behind]
        dims.append(_one_of([dim for dim in given if dim.places], size))
    return Layout(tuple(dims), common_places(known))


def _one_of(dims: Sequence[Dim], size: int | None) -> Dim:
    """The axis that all agree on, up to a cell; one without a place where they do not."""
    if not dims:
        return Dim.of(size)
    first, *others = dims
    return first if all(_agree(first, other) for other in others) else Dim.of(size)


def _agree(one: Dim, other: Dim) -> bool:
    if (one.front, one.behind, len(one.atoms)) != (other.front, other.behind, len(other.atoms)):
        return False
    return all(_agree_along(a.along, b.along) for a, b in zip(one.atoms, other.atoms, strict=True))


def _agree_along(one: Along | None, other: Along | None) -> bool:
    if one is None or other is None:
        return one is other
    return (
        one.axis == other.axis
        and abs(one.step - other.step) < 1e-6 * abs(one.step)
        and abs(one.start - other.start) <= abs(one.step)
    )


def common_places(layouts: Sequence[Layout]) -> tuple[tuple[int, float], ...]:
    """What all layouts fix at the same place."""
    first, *others = [dict(layout.fixed) for layout in layouts]
    return tuple((axis, at) for axis, at in first.items() if all(other.get(axis) == at for other in others))


def reshaped(layout: Layout, shape: Sequence[int | None]) -> Layout:
    """The layout after a reshape: axes merge, and come apart again where they were merged, or in even blocks."""
    assert layout.dims is not None
    if any(dim.front or dim.behind for dim in layout.dims):
        return _kept_sizes(layout, shape)
    atoms = [atom for dim in layout.dims for atom in dim.atoms if atom.size != 1 or atom.is_batch]
    dropped = [
        Dim((atom,)) for dim in layout.dims for atom in dim.atoms if atom.size == 1 and not atom.is_batch
    ]
    for dim in dropped:
        layout = layout.fixing(dim)
    dims: list[Dim] = []
    for i in range(len(shape) - 1, -1, -1):
        taken = _taken(atoms, shape[i], is_first=i == 0)
        if taken is None:
            return UNKNOWN
        dims.append(Dim(taken) if taken else Dim.of(1))
    return layout.with_dims(dims[::-1]) if not atoms else UNKNOWN


def _kept_sizes(layout: Layout, shape: Sequence[int | None]) -> Layout:
    """A reshape that only adds or drops axes of length 1, of a tensor with entries of something else."""
    assert layout.dims is not None
    long = [dim for dim in layout.dims if len(dim.atoms) != 1 or dim.atoms[0].size != 1]
    if len(long) != sum(size != 1 for size in shape):
        return UNKNOWN
    rest = iter(long)
    return layout.with_dims([Dim.of(1) if size == 1 else next(rest) for size in shape])


def _taken(atoms: list[Atom], size: int | None, is_first: bool) -> tuple[Atom, ...] | None:
    """Takes the atoms of an axis of some length from the end of a list; None if they do not fit."""
    if is_first:  # whatever is left: its length is not always known
        taken, atoms[:] = tuple(atoms), []
        return _merged(taken)
    parts: list[Atom] = []
    while size != 1:
        if not atoms:
            return None
        atom = atoms.pop()
        if size is None or atom.size is None:
            if size is not None or atom.size is not None or parts:
                return None
            parts, size = [atom], 1
        elif size % atom.size == 0:
            parts.insert(0, atom)
            size //= atom.size
        elif atom.size % size == 0:  # in even blocks: the slow part are the blocks
            blocks = None if atom.along is None else atom.along.scaled(size)
            atoms.append(Atom(atom.size // size, blocks))
            parts.insert(0, Atom(size))
            size = 1
        else:
            return None
    return _merged(tuple(parts))


def _merged(atoms: tuple[Atom, ...]) -> tuple[Atom, ...]:
    """Atoms of nothing at the end as one; cells with nothing but copies, or channels, in each are parts of cells."""
    while len(atoms) > 1 and atoms[-1].along is None and atoms[-2].along is None:
        atoms = (*atoms[:-2], Atom(_times(atoms[-2].size, atoms[-1].size)))
    if len(atoms) == 2 and atoms[-1].along is None and atoms[-1].size and not atoms[0].is_batch:
        (slow, fast), along = atoms, atoms[0].along
        return (
            Atom(_times(slow.size, fast.size), None if along is None else along.scaled(1 / atoms[-1].size)),
        )
    return atoms


def _times(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one * other
