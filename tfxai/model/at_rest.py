"""A model at rest: while it is traced it draws the same numbers every time, and writes nothing.

Dropout that stays on, noise layers and samplers draw numbers for a whole batch. Explained is one draw of one row, the same
for every row, pass and batch size, as a seed says. What a model writes into its own variables on the way (the state of a
recurrent layer, a counter) would change what the next pass explains.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from tfxai.graphs import functions_of
from tfxai.model.operations import SEALED, operations_behind, read_instead
from tfxai.support import Operation, Tensor

ONE_DRAW = (
    "The model draws random numbers while it is called, such as dropout that stays on. One draw is explained, the same for "
    "every input and batch size; a method's seed chooses it. For the mean, average explanations of several seeds "
    "(SmoothGrad(samples=1, noise=0, seed=...) is the gradient)."
)
ANOTHER_DRAW = (
    "The model draws random numbers in a way that cannot be fixed from outside (in a compiled function or loop, or of a kind "
    "without a seed), so that every pass may see others and values change from call to call. Average explanations of "
    "several calls, or give a model that draws nothing."
)


@contextlib.contextmanager
def at_rest(inputs: Sequence[Tensor], seed: Tensor, size: int | None = None) -> Iterator[list[Operation]]:
    """Changes the operations that are made inside so that they draw by the seed, and write nothing.

    inputs: what the model is called on, (N, ...) each. size: their number of rows, where it is fixed.
    Gives a list that holds these operations in the end.

    What is done inside compiled functions and loops is out of reach.
    """
    graph = tf.compat.v1.get_default_graph()
    before = len(graph.get_operations())
    made: list[Operation] = []
    yield made
    made += graph.get_operations()[before:]
    draws = _Draws(tf.shape(inputs[0])[0] if inputs else tf.constant(1), size, seed)
    for op in [op for op in made if op.type in WRITES]:
        op._update_input(*WRITES[op.type](op))
    for number, op in enumerate(op for op in made if op.type in DRAWS):
        read_instead(op.outputs[0], draws.again(op, number))


def drawing(made: Sequence[Operation], outputs: Sequence[Tensor]) -> tuple[list[str], bool]:
    """The types of operations that draw numbers between a model's operations and outputs; and whether any follows no seed.

    Inside of the functions that are called, too: what is drawn there follows no seed.
    """
    own = [op for op in made if op.type in DRAWS or op.type in OTHER_DRAWS]
    inside = {op: kinds for op in made if op.type in SEALED and (kinds := _inside(op))}
    if not own and not inside:
        return [], False
    behind = operations_behind([tensor for tensor in outputs if tf.is_symbolic_tensor(tensor)])
    # What is drawn has been put in the place of the operations that were made.
    types = {op.type for op in behind if op.type in DRAWS or op.type in OTHER_DRAWS}
    sealed = {kind for op, kinds in inside.items() if op in behind for kind in kinds}
    return sorted(types | sealed), bool(sealed or types & OTHER_DRAWS)


@dataclasses.dataclass(frozen=True)
class _Draws:
    """What replaces the draws of a batch.

    rows: of the batch. size: the same where it is fixed. seed: of all draws.
    """

    rows: Tensor
    size: int | None
    seed: Tensor

    def again(self, op: Operation, number: int) -> Tensor:
        """The draw of an operation: that of one row, again and again. number: of the draw among those of the model."""
        seed, output = tf.stack([self.seed, tf.constant(number)]), op.outputs[0]
        if op.type in OF_CHANCES:
            return self._chosen(op, seed)
        shape = op.inputs[OF_SHAPED[op.type]]
        first = tf.get_static_value(shape)
        is_batch = first is None or (self.size is not None and len(first) > 0 and first[0] == self.size)
        if is_batch and first is None:
            static = output.shape
            is_batch = static.rank != 0 and (static.rank is None or static[0] in (None, self.size))
        if not is_batch:
            return tf.ensure_shape(_drawn(op, shape, seed), output.shape)
        # Some layers draw for rows and places at once, (N * T, ...): what belongs to one row are the first T.
        each = tf.maximum(tf.cast(shape[0], tf.int32) // self.rows, 1)
        one = _drawn(op, tf.concat([tf.cast(each, shape.dtype)[None], shape[1:]], 0), seed)
        repeated = tf.gather(one, tf.range(tf.cast(shape[0], tf.int32)) % each)
        repeated.set_shape(output.shape)
        return repeated

    def _chosen(self, op: Operation, seed: Tensor) -> Tensor:
        """Classes (N, samples) drawn by their logits (N, C): the largest after noise that is one for all rows."""
        logits, samples = op.inputs[0], op.inputs[1]
        noise = tf.random.stateless_uniform(
            tf.stack([samples, tf.shape(logits)[1]]), seed, 1e-20, 1.0, logits.dtype
        )
        chosen = tf.argmax(logits[:, None] - tf.math.log(-tf.math.log(noise)), -1)
        return tf.cast(chosen, op.outputs[0].dtype)


def _drawn(op: Operation, shape: Tensor, seed: Tensor) -> Tensor:
    kind = op.type
    dtype = op.outputs[0].dtype
    if "Int" in kind:
        low, high = list(op.inputs)[-2:]
        return tf.random.stateless_uniform(shape, seed, low, high, dtype)
    if "Truncated" in kind:
        return tf.random.stateless_truncated_normal(shape, seed, dtype=dtype)
    draw: Callable[..., Any] = tf.random.stateless_normal if "Normal" in kind else tf.random.stateless_uniform
    return draw(shape, seed, dtype=dtype)


# Operations that draw numbers -> which of their inputs is the shape.
OF_SHAPED = {
    "RandomUniform": 0, "RandomUniformInt": 0, "RandomStandardNormal": 0, "TruncatedNormal": 0, "StatelessRandomUniform": 0,
    "StatelessRandomUniformInt": 0, "StatelessRandomNormal": 0, "StatelessTruncatedNormal": 0,
    "StatelessRandomUniformV2": 0, "StatelessRandomUniformIntV2": 0, "StatelessRandomNormalV2": 0,
    "StatelessTruncatedNormalV2": 0, "StatefulUniform": 2, "StatefulUniformInt": 2, "StatefulStandardNormalV2": 2,
    "StatefulTruncatedNormal": 2,
}  # fmt: skip

OF_CHANCES = ("Multinomial", "StatelessMultinomial")  # classes, by their logits

DRAWS = {*OF_SHAPED, *OF_CHANCES}

# Others that draw: what they draw stays as it is, and follows no seed of ours.
OTHER_DRAWS = {
    "RandomGamma", "RandomPoisson", "RandomPoissonV2", "RandomShuffle", "StatelessRandomBinomial", "StatefulRandomBinomial",
    "StatelessRandomGammaV2", "StatelessRandomGammaV3", "StatelessRandomPoisson", "StatelessShuffle", "ParameterizedTruncatedNormal",
}  # fmt: skip


def _elsewhere(op: Operation) -> tuple[int, Tensor]:
    """A variable that nobody reads, to be written instead."""
    return 0, op.graph.capture(_spare(op.inputs[1].dtype))


@functools.cache
def _spare(dtype: tf.DType) -> Tensor:
    # tf.function lets nobody make a tf.Variable while it traces; a handle is enough.
    of_any_shape: Any = None
    with tf.init_scope():
        return tf.raw_ops.VarHandleOp(
            dtype=dtype, shape=tf.TensorShape(of_any_shape), shared_name=f"tfxai_{dtype.name}"
        )


def _zero(op: Operation) -> tuple[int, Tensor]:
    return 1, tf.zeros_like(op.inputs[1])


def _no_step(op: Operation) -> tuple[int, Tensor]:
    return 2, tf.zeros_like(op.inputs[2])


# Operations that write into a variable -> which of their inputs has to be what, so that it stays as it is.
WRITES: dict[str, Callable[[Operation], tuple[int, Tensor]]] = {
    "AssignVariableOp": _elsewhere, "AssignAddVariableOp": _zero, "AssignSubVariableOp": _zero, "RngReadAndSkip": _no_step,
    "RngSkip": _no_step,
}  # fmt: skip


def _inside(op: Operation) -> set[str]:
    """The types of operations that draw numbers inside the functions that an operation calls."""
    found: set[str] = set()
    if op.type not in SEALED:
        return found
    waiting, seen = [function.name for function in functions_of(op.node_def)], set()
    while waiting:
        name = waiting.pop()
        if name in seen or not op.graph._is_function(name):
            continue
        seen.add(name)
        for node in op.graph._get_function(name).cached_definition.node_def:
            found |= {node.op} & (DRAWS | OTHER_DRAWS)
            waiting += [function.name for function in functions_of(node)]
    return found
