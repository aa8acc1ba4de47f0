"""The layer that is read, as it was named or by default, and its maps, lined up with the input."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from tfxai.hub import Endpoint
from tfxai.model.answers import answers_of, heads_of, source_of
from tfxai.model.forward_pass import ForwardPass
from tfxai.model.grids import Cells, Grid, grid_of_layout
from tfxai.model.layer_call import LayerCall
from tfxai.model.named_layers import LayerChoice, class_of, first_tensor, listed, named_call
from tfxai.model.network import Network
from tfxai.model.operations import operations_behind
from tfxai.model.own_gradients import has_own_gradient
from tfxai.model.tracing import TraceRecord
from tfxai.support import Operation, Tensor


@dataclasses.dataclass(frozen=True)
class MapPiece:
    """The maps that one call of a layer puts out, lined up with the input, or the part of one, that they explain.

    path:   of the layer.
    call:   position of the layer in Network.layers, and which of its calls.
    tensor: the activations as the layer puts them out.
    """

    path: str
    call: tuple[int, int]
    tensor: Tensor
    grid: Grid

    @property
    def which(self) -> int:
        """Number of the input that the maps line up with."""
        return self.grid.which

    def spread(self, tensor: Tensor) -> Tensor:
        """Activations, or their gradients, as float32 maps (B, h, w ..., channels)."""
        return self.grid.spread(tensor)


def activation_maps(
    network: Network,
    forward: ForwardPass,
    score: Tensor,
    layer: LayerChoice,
    method: str,
    record: TraceRecord,
) -> list[MapPiece]:
    """Inside a trace: the named layer's maps, or those of the last spatial layers that the score depends on.

    A layer that is called several times (twins, frames, levels of a pyramid) has maps of each call that does not lie
    behind another, and a call that sees several inputs has some for each.

    record: gets a warning if where the maps lie is only guessed.

    Raises ValueError, with the layers that there are, if the layer does not exist or has no spatial maps.
    """
    if layer is None:
        calls = default_calls(network, forward, [score])
    else:
        named = named_call(network.adapter, forward, layer)
        calls = _parallel(
            [call for call in forward.calls if call.layer is named.layer and call.path], [score]
        )
        calls = calls or [named]
        _check_gradient(named, forward, score, method)
    if not calls:
        raise ValueError(
            f"{method} needs a layer with spatial maps, such as (N, h, w, channels), between the inputs and the score. "
            f"It has: {listed(forward)}."
        )
    pieces = [piece for call in calls for piece in _pieces(network, forward, call)]
    if not pieces:
        call = calls[-1]
        raise ValueError(
            f"Layer {call.path!r} puts out {tuple(first_tensor(call.output).shape)}, {_why_not(network, forward, call)}. "
            f"{method} can read: {listed(forward, lambda t: bool(grids_of(network, forward, t)))}."
        )
    if guessed := sorted({piece.path for piece in pieces if piece.grid.guessed}):
        record.warnings.append(
            f"{method}: between the input and layer {', '.join(guessed)} lies an operation of which it is not known what it "
            "does to places, and which has no gradient that tells. Its maps are laid over the input as they are; if the model "
            "turns, cuts or moves something there, they lie wrong. A layer before it, as layer=NAME, is sure."
        )
    if network.is_any_size:  # of a smaller input maps may be a single point, which another layer is read for
        for piece in pieces:
            tf.debugging.Assert(tf.reduce_prod(tf.shape(piece.tensor)[1:-1]) > 1, [piece.path])
    return pieces


def _pieces(network: Network, forward: ForwardPass, call: LayerCall) -> list[MapPiece]:
    tensor = first_tensor(call.output)
    position = next(i for i, (_, candidate) in enumerate(network.layers) if candidate is call.layer)
    number = [each for each in forward.calls if each.layer is call.layer].index(call)
    return [
        MapPiece(call.path, (position, number), tensor, grid) for grid in grids_of(network, forward, tensor)
    ]


def _why_not(network: Network, forward: ForwardPass, call: LayerCall) -> str:
    """Why a layer has no maps, as the end of a sentence."""
    tensor = first_tensor(call.output)
    if getattr(call.layer, "data_format", None) in ("channels_first", "NCHW"):
        return "which puts its channels first; maps are read with channels last"
    layouts = [forward.alignment(which).of(tensor) for which in range(len(network.arrays))]
    if any(layout is not None and layout.dims and not layout.dims[0].is_batch for layout in layouts):
        return "whose first axis does not count the examples"
    return "which has no spatial maps that line up with an input"


def _check_gradient(call: LayerCall, forward: ForwardPass, score: Tensor, method: str) -> None:
    """Raises ValueError for a layer inside of a function with a gradient of its own, which passes it by."""
    tensor = first_tensor(call.output)
    if tensor.op in operations_behind([score]) and tensor.op not in operations_behind(
        [score], differentiable=True
    ):
        own = [op for op in operations_behind([score], differentiable=True) if has_own_gradient(op)]
        if any(tensor.op in operations_behind([op.inputs[0]]) for op in own):
            raise ValueError(
                f"Layer {call.path!r} lies inside a function with a gradient of its own (tf.custom_gradient), which passes "
                f"it by: {method} cannot see it. Name a layer outside of it. The model has: {listed(forward)}."
            )


def default_calls(network: Network, forward: ForwardPass, scores: Sequence[Tensor]) -> list[LayerCall]:
    """The last layers with spatial maps that a score depends on, and those before each head of a detector.

    None lies behind another, but for levels of a detector that are made of each other.

    Pooling is passed over, since it only makes maps coarser, and so are the model's outputs themselves, and what is only
    resized to become one: their maps are the answer, not its grounds. Where the score reads a class token, its last layer
    sees no grid: then the one before the last attention.
    """
    behind = operations_behind(scores, differentiable=True)
    answers = answers_of(forward)
    attention = _attention_paths(forward)
    # A model, and a dropout at rest, put out the tensor of a layer inside or before.
    sources: set[str] = set()
    candidates: list[LayerCall] = []
    for call in forward.calls:
        tensor = first_tensor(call.output)
        if not call.path or not tf.is_tensor(tensor) or _is_inside(call, attention):
            continue
        source = source_of(tensor)
        if source.name in sources:
            continue
        sources.add(source.name)
        is_wanted = source.op in behind and "Pool" not in class_of(call.layer) and source.name not in answers
        if is_wanted and grids_of(network, forward, tensor):
            candidates.append(call)
    last = grids_of(network, forward, first_tensor(candidates[-1].output)) if candidates and attention else []
    if any(grid.extra for grid in last):
        candidates = _before(attention[-1], candidates, forward) or candidates
    # Each level of a detector has a last layer, also where another level is made of it.
    heads = [head for head in heads_of(answers) if head.op in behind]
    levels = [_parallel(candidates, scores), *(_parallel(candidates, [head]) for head in heads)]
    chosen = {id(call) for level in levels for call in level}
    return [call for call in candidates if id(call) in chosen]


def _parallel(calls: Sequence[LayerCall], scores: Sequence[Tensor]) -> list[LayerCall]:
    """The calls that the scores depend on and that do not lie behind another one of them."""
    of_scores = operations_behind(scores, differentiable=True)
    covered: set[Operation] = set()
    last: list[LayerCall] = []
    for call in reversed(calls):
        tensor = first_tensor(call.output)
        if not tf.is_tensor(tensor):
            continue
        source = source_of(tensor)
        if source.op in of_scores and source.op not in covered:
            covered |= operations_behind([source], differentiable=True)
            last.insert(0, call)
    return last


def _is_inside(call: LayerCall, paths: Sequence[str]) -> bool:
    return any(call.path.startswith(path + "/") for path in paths)


def _before(path: str, candidates: Sequence[LayerCall], forward: ForwardPass) -> list[LayerCall]:
    """The candidates that ran before a layer, and what is inside it, began to."""
    inside = [call.path == path or call.path.startswith(path + "/") for call in forward.calls]
    earlier = {id(call) for call in forward.calls[: inside.index(True)]}
    return [call for call in candidates if id(call) in earlier]


def grids_of(network: Network, forward: ForwardPass, tensor: Tensor) -> list[Grid]:
    """How an activation lines up with each input that it depends on; none of those with which it does not."""
    shape = tensor.shape
    if not tensor.dtype.is_floating or shape.rank is None or shape.rank < 3 or shape[-1] is None:
        return []
    grids = []
    for which, array in enumerate(network.arrays):
        layout = forward.alignment(which).of(tensor)
        if layout is None or array.dtype == object:
            continue
        space = forward.space(which)
        if layout.dims is not None:
            grid = grid_of_layout(which, layout, list(shape), space)
        elif shape[0] == forward.fed[which].shape[0]:
            grid = _guessed_grid(which, tensor, space)
        else:
            grid = None  # its first axis does not count the examples
        if grid is None:
            continue
        if network.is_any_size and (grid.guessed or any(cells.along is not None for cells in grid.cells)):
            raise ValueError("Where these maps lie depends on the sizes of the inputs.")
        grids.append(grid)
    return grids


def _guessed_grid(which: int, tensor: Tensor, space: Sequence[int | None]) -> Grid | None:
    """By the number of axes alone, where the way from the input to the tensor cannot be followed."""
    sides = list(tensor.shape[1:-1])
    if len(sides) == len(space) and space and any(n is None or n > 1 for n in sides):
        cells = tuple(Cells(i, n) for i, n in enumerate(sides))
        return Grid(which, cells, tuple(space), tuple(range(len(sides))), guessed=True)
    if len(space) == 2 and len(sides) == 1 and sides[0] is not None and None not in space:
        return _guessed_grid_of_tokens(which, sides[0], *(n or 1 for n in space))
    return None


def _guessed_grid_of_tokens(which: int, tokens: int, height: int, width: int) -> Grid | None:
    """The grid of an image's tokens, with up to two further tokens in front of it."""
    for extra in (0, 1, 2):
        rows = round(((tokens - extra) * height / width) ** 0.5) if tokens > extra else 0
        columns = (tokens - extra) // rows if rows else 0
        if rows * columns == tokens - extra > 1 and rows * width == columns * height:
            cells = (Cells(0, rows), Cells(1, columns))
            edges = ((extra, 0),) if extra else ()
            return Grid(which, cells, (height, width), (0, 1), (rows, columns), edges, guessed=True)
    return None


def _attention_paths(forward: ForwardPass) -> list[str]:
    """Paths of attention layers, by their class, or in a module by their name, in order."""
    paths: dict[str, None] = {}
    for call in forward.calls:
        if not isinstance(call.layer, Endpoint):
            paths |= {call.path: None} if "Attention" in type(call.layer).__name__ else {}
            continue
        scopes = call.path.split("/")[:-1]
        depths = [i for i, scope in enumerate(scopes, 1) if "attention" in scope.lower()]
        paths |= {"/".join(scopes[: depths[-1]]): None} if depths else {}
    return list(paths)
