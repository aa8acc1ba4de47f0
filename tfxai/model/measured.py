"""Where a tensor lies, measured: for operations of which no rule knows what they do to places.

The part of the graph between the last tensors whose layout is known and the tensor runs apart, on random numbers, and
the gradient of some of its cells tells what they see. If their middles move evenly along the axes of the input, the
tensor lies so; if they do not, its cells have no place. Where cells see all that comes before them, as in recurrent
layers, the last that they see takes the middle's part.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.graphs import apart
from tfxai.model.layouts import Along, Dim, Layout
from tfxai.model.operations import OF_SHAPE
from tfxai.support import Tensor

LOOKS = 7  # cells along each axis
ROWS = 2
SEEN = 1e-6  # of a cell's largest slope: below it there may be nothing but rounding


def measured(tensor: Tensor, layouts: Mapping[str, Layout]) -> Layout | None:
    """The layout of a tensor (N, ...) of which no rule knows it; None if it cannot be measured.

    layouts: of all tensors before it that depend on the input, by name. Cost: some dozens of passes through what stands
             between, for two examples of random numbers.
    """
    sources = _sources(tensor, layouts)
    if not tensor.dtype.is_floating or tensor.shape.rank in (None, 0, 1) or not sources:
        return None
    known = [layouts[source.name] for source in sources]
    axes = sorted({axis for layout in known for axis in _axes_of(layout)})
    dims = [Dim.of(tensor.shape[0], Along(0)), *(Dim.of(size) for size in tensor.shape[1:])]
    if not axes:
        return Layout(tuple(dims))
    try:
        look = _Looking(tensor, sources)
        rows, *shape = look.shape()
        if rows != look.rows:  # its first axis does not count the examples
            return None
        where = _looked_at(look, shape, known, axes)
    except Exception:  # what stands between cannot run alone, or has no gradient
        return None
    lying = [Dim.of(dim.atoms[0].size, along) for dim, along in zip(dims[1:], where, strict=True)]
    return Layout((dims[0], *lying))


def _looked_at(
    look: _Looking, shape: list[int], layouts: Sequence[Layout], axes: Sequence[int]
) -> list[Along | None]:
    """Along which axis of the input each axis of a tensor lies.

    Raises ValueError if nothing is seen, or rows see other examples than their own.
    """
    # Channels may each see another place, such as the pixels of patches: then what all of them see.
    for cells in (shape, shape[:-1]):
        found = [_sight(place, look(place), layouts, axes) for place in _places(cells)]
        seen = [sight for sight in found if sight is not None]
        if not seen or max(sight.elsewhere for sight in seen) > 1e-3:
            raise ValueError("Nothing is seen, or other examples.")
        where = _even_steps(seen, axes, cells)
        if where is not None or len(shape) == 1:
            break
    return [*(where or [None] * len(cells)), *[None] * (len(shape) - len(cells))]


@dataclasses.dataclass(frozen=True)
class _Sight:
    """What one cell sees of the input.

    place:     of the cell, without the batch.
    middle:    on each of the input's axes; NaN where it sees none.
    first:     the first place that it sees on each of them, and
    last:      the last.
    elsewhere: the part of the gradient that lies in another example.
    """

    place: tuple[int, ...]
    middle: NDArray
    first: NDArray
    last: NDArray
    elsewhere: float


def _sight(
    place: tuple[int, ...], slopes: Sequence[NDArray], layouts: Sequence[Layout], axes: Sequence[int]
) -> _Sight | None:
    total = sum(slope.sum() for slope in slopes)
    own = [slope[0] for slope in slopes]
    inside = sum(slope.sum() for slope in own)
    if not np.isfinite(total) or total <= 1e-12:
        return None
    moments, masses = np.zeros(len(axes)), np.zeros(len(axes))
    first, last = np.full(len(axes), np.inf), np.full(len(axes), -np.inf)
    least = SEEN * max(slope.max(initial=0) for slope in own)
    for slope, layout in zip(own, layouts, strict=True):
        where = _coordinates(layout, slope.shape)
        for i, axis in enumerate(axes):
            if axis in where:
                at = np.broadcast_to(where[axis], slope.shape)
                there = np.isfinite(at)
                moments[i] += (slope[there] * at[there]).sum()
                masses[i] += slope[there].sum()
                seen = at[there & (slope > least)]
                first[i], last[i] = seen.min(initial=first[i]), seen.max(initial=last[i])
    middle = np.divide(moments, masses, out=np.full(len(axes), np.nan), where=masses > 0)
    return _Sight(place, middle, first, last, 1 - inside / total)


def _axes_of(layout: Layout) -> set[int]:
    """The axes of the input, but for the batch, along which a tensor lies."""
    atoms = [atom for dim in layout.dims or () for atom in dim.atoms]
    return ({atom.along.axis for atom in atoms if atom.along} | {axis for axis, _ in layout.fixed}) - {0}


def _coordinates(layout: Layout, shape: tuple[int, ...]) -> dict[int, NDArray]:
    """For each axis of the input where the entries of one example lie on it, of a shape that broadcasts to theirs."""
    found: dict[int, NDArray] = {axis: np.asarray(at) for axis, at in layout.fixed}
    for position, dim in enumerate((layout.dims or ())[1:]):
        sizes = [atom.size for atom in dim.atoms]
        count = shape[position] - dim.front - dim.behind
        if len(sizes) == 1:
            sizes = [count]
        if None in sizes or int(np.prod([size or 1 for size in sizes])) != count:
            continue
        numbers = np.unravel_index(np.arange(count), [size or 1 for size in sizes])
        for atom, number in zip(dim.atoms, numbers, strict=True):
            if atom.along is not None and atom.along.axis:
                line = np.full(shape[position], np.nan)
                line[dim.front : dim.front + count] = atom.along.start + atom.along.step * number
                found[atom.along.axis] = line.reshape([-1, *[1] * (len(shape) - position - 1)])
    return found


def _even_steps(
    seen: Sequence[_Sight], axes: Sequence[int], shape: Sequence[int]
) -> list[Along | None] | None:
    """Along which axis of the input each axis of a tensor lies; None if the middles do not move evenly."""
    found: list[Along | None] = [None] * len(shape)
    places, middles = np.array([sight.place for sight in seen]), _middles(seen)
    for i, axis in enumerate(axes):
        there = np.isfinite(middles[:, i])
        if there.sum() <= len(shape) + 1:
            continue
        design = np.column_stack([places[there], np.ones(there.sum())])
        *steps, start = np.linalg.lstsq(design, middles[there, i], rcond=None)[0]
        reach = np.abs(steps) * (np.array(shape) - 1)
        main = int(reach.argmax())
        rest = np.delete(reach, main)
        missed = np.abs(design @ [*steps, start] - middles[there, i]).max()
        if missed > max(1.0, 0.75 * abs(steps[main])) or (rest > max(0.5, 0.05 * reach[main])).any():
            return None
        if reach[main] > 0.5:
            if found[main] is not None:
                return None
            found[main] = Along(axis, _neat(start), _neat(steps[main]), moved=True)
    return found


def _middles(seen: Sequence[_Sight]) -> NDArray:
    """Where each cell lies on each axis (cells, axes): the middle of what it sees, or the end of it that moves."""
    middles, firsts, lasts = (
        np.array([getattr(sight, name) for sight in seen]) for name in ("middle", "first", "last")
    )
    with np.errstate(invalid="ignore"):  # ends of an axis of which no cell sees anything are infinite
        first_moves, last_moves = (np.ptp(ends, axis=0) > 0.5 for ends in (firsts, lasts))
    return np.where(first_moves == last_moves, middles, np.where(last_moves, lasts, firsts))


def _neat(number: float) -> float:
    """A whole number, a half, a third ... if it is one up to rounding."""
    near = round(number * 24) / 24
    return near if abs(number - near) < 1e-3 else float(number)


def _sources(tensor: Tensor, layouts: Mapping[str, Layout]) -> list[Tensor]:
    """The last tensors (N, ...) of numbers before one whose layout is known."""
    waiting, sources, done = list(tensor.op.inputs), {}, set()
    while waiting:
        each = waiting.pop()
        layout = layouts.get(each.name)
        if layout is None or each.name in done or each.op.type in OF_SHAPE:
            continue
        done.add(each.name)
        if layout.dims and layout.dims[0].is_batch and each.dtype.is_floating and None not in each.shape[1:]:
            sources[each.name] = each
        else:
            waiting += each.op.inputs
    return list(sources.values())


def _places(shape: Sequence[int]) -> list[tuple[int, ...]]:
    """Cells to look from: evenly spread along each axis, twice, and anywhere on the others."""
    generator = np.random.default_rng(0)
    places = []
    for axis, size in enumerate(shape):
        for index in [*np.linspace(0, size - 1, LOOKS).round().astype(int)] * 2:
            place = [int(generator.integers(n)) for n in shape]
            place[axis] = int(index)
            places.append(tuple(place))
    return places


class _Looking:
    """What a cell sees: called with one of the first row, it gives the size of its gradient at each source (rows, ...)."""

    def __init__(self, tensor: Tensor, sources: Sequence[Tensor]) -> None:
        self._tensor, self._sources = tensor, sources
        self._given, self._part = apart(tensor, {source.name for source in sources}, ROWS)
        self.rows = next((source.shape[0] for source in sources if source.shape[0] is not None), ROWS)
        generator = np.random.default_rng(1)
        shapes = [[self.rows, *source.shape[1:]] for source in sources]
        with tf.init_scope():
            self._values = [
                tf.constant(generator.uniform(0.1, 1, shape), source.dtype)
                for shape, source in zip(shapes, sources, strict=True)
            ]
            # Concrete at once: TensorFlow would warn of functions that are traced for every look.
            self._shape = tf.function(
                lambda *values: tf.shape(self._found(values)), autograph=False
            ).get_concrete_function(*self._values)
            self._slopes: dict[int, Any] = {}

    def shape(self) -> list[int]:
        """That of the tensor."""
        with tf.init_scope():
            return self._shape(*self._values).numpy().tolist()

    def __call__(self, place: tuple[int, ...]) -> list[NDArray]:
        with tf.init_scope():
            at = tf.constant([0, *place], tf.int32)
            if len(place) not in self._slopes:
                slopes_of = tf.function(self._sizes_of_slopes, autograph=False)
                self._slopes[len(place)] = slopes_of.get_concrete_function(
                    tf.TensorSpec((len(place) + 1,), tf.int32), *self._values
                )
            slopes = self._slopes[len(place)](at, *self._values)
        return [np.asarray(slope, np.float64) for slope in slopes]

    def _found(self, values: Sequence[Tensor]) -> Tensor:
        graph: Any = tf.compat.v1.get_default_graph()
        mapped = {name: graph.capture(value) for name, value in self._given.items()}
        mapped |= {source.name: value for source, value in zip(self._sources, values, strict=True)}
        (found,) = tf.graph_util.import_graph_def(
            self._part, input_map=mapped, return_elements=[self._tensor.name], name="measured"
        )
        return found

    def _sizes_of_slopes(self, place: Tensor, *values: Tensor) -> list[Tensor]:
        gradients = tf.gradients(tf.gather_nd(self._found(values), place[None]), list(values))
        return [
            tf.zeros_like(value) if gradient is None else tf.abs(tf.convert_to_tensor(gradient))
            for gradient, value in zip(gradients, values, strict=True)
        ]
