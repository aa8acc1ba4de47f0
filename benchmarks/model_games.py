"""Games played by the parts of what small Keras models see: pixels of a grid, words, columns, and their true shares.

The truth is exact where all coalitions can be listed (16 parts). Else it comes from plain permutation sampling, written here
so that it owes nothing to what is measured: players join in a random order and then in the reverse one, until the standard
error is small or MOST orders are used. It is kept in the folder for temporary files.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import tfxai

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from exact_games import members, shapley_values

GROUPS = {
    "image": (16, 36, 64),
    "text": (16, 32),
    "table": (16, 32),
}
LISTED, BATCH, ROUND, MOST, ACCURACY = 16, 4096, 1000, 60_000, 2e-3
ROWS = 20  # of a table's background


@dataclasses.dataclass(frozen=True)
class Kind:
    """One model, and what it explains.

    inputs: as its method takes them. worth: (number of the input, bool (M, parts)) -> (M,). ours: (number, coalitions,
    seed) -> weights. rows: passes of one coalition.
    """

    name: str
    parts: int
    worth: Callable[[int, np.ndarray], np.ndarray]
    ours: Callable[[int, int, int], np.ndarray]
    rows: int = 1


def kind(name: str, parts: int, games: int) -> Kind:
    """A trained model with as many inputs to explain."""
    keras.utils.set_random_seed(0)
    return {"image": _images, "text": _texts, "table": _tables}[name](parts, games)


def truth(of: Kind, games: int) -> tuple[np.ndarray, np.ndarray]:
    """(games, parts) Shapley values, and (games,) how far off they may be, relative to their size."""
    kept = Path(tempfile.gettempdir()) / f"tfxai_convergence_{of.name}_{of.parts}_{games}.npz"
    print_of = np.concatenate([of.worth(i, _probes(of.parts)) for i in range(games)])
    if kept.exists():
        with np.load(kept) as file:
            if np.allclose(file["print_of"], print_of, rtol=1e-4, atol=1e-5):
                return file["values"], file["errors"]
    values, errors = zip(*(_true(of, number) for number in range(games)), strict=True)
    np.savez(kept, values=values, errors=errors, print_of=print_of)
    return np.array(values), np.array(errors)


def _probes(parts: int) -> np.ndarray:
    """Some coalitions whose worth tells whether a truth is of this model."""
    return np.random.default_rng(0).random((20, parts)) < 0.5


def _true(of: Kind, number: int) -> tuple[np.ndarray, float]:
    def worth(inside: np.ndarray) -> np.ndarray:
        return of.worth(number, inside)

    if of.parts <= LISTED:
        return shapley_values(worth(members(of.parts)).astype(np.float64)), 0.0
    return by_permutations(worth, of.parts, np.random.default_rng(number))


def by_permutations(
    worth: Callable[[np.ndarray], np.ndarray], players: int, generator: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Shapley values by orders and their reverses, and the standard error of all together, relative to their size."""
    drawn: list[np.ndarray] = []
    while True:
        orders = generator.permuted(np.tile(np.arange(players), (ROUND, 1)), axis=1)
        drawn.append((_joining(worth, orders) + _joining(worth, orders[:, ::-1])) / 2)
        every = np.concatenate(drawn)
        mean = every.mean(0)
        error = float(np.sqrt(every.var(0, ddof=1).sum() / len(every)) / np.linalg.norm(mean))
        if error < ACCURACY or len(every) >= MOST:
            return mean, error


def _joining(worth: Callable[[np.ndarray], np.ndarray], orders: np.ndarray) -> np.ndarray:
    """(orders, players): what each adds when it joins."""
    count, players = orders.shape
    places = np.argsort(orders, axis=1)
    inside = places[:, None, :] < np.arange(players + 1)[None, :, None]
    scores = worth(inside.reshape(-1, players)).astype(np.float64).reshape(count, players + 1)
    return np.take_along_axis(np.diff(scores, axis=1), places, axis=1)


def _forward(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Compiled once, for any number of rows."""
    like = [tf.TensorSpec(model.input_shape, model.inputs[0].dtype)]
    forward = tf.function(lambda x: model(x, training=False), input_signature=like)
    return lambda rows: forward(tf.constant(rows)).numpy()


def _blocks(inside: np.ndarray) -> list[np.ndarray]:
    """Coalitions, some thousand at a time."""
    return np.array_split(inside, -(-len(inside) // BATCH))


def _trained(layers: list, inputs: np.ndarray, classes: np.ndarray) -> keras.Model:
    model = keras.Sequential([keras.Input(inputs.shape[1:], dtype=str(inputs.dtype)), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(inputs, classes, epochs=6, batch_size=64, verbose=0)
    return model


def _images(segments: int, games: int) -> Kind:
    """24 x 24 pixels: bars, crosses, rings or discs on noise; a convolutional network; hidden cells are black."""
    model, images, classes = image_model()
    side = round(segments**0.5)
    cell = np.arange(24) * side // 24
    labels = cell[:, None] * side + cell
    forward = _forward(model)

    def worth(number: int, inside: np.ndarray) -> np.ndarray:
        seen = (block[:, labels, None] * images[number] for block in _blocks(inside))
        return np.concatenate([forward(rows)[:, classes[number]] for rows in seen])

    def ours(number: int, budget: int, seed: int) -> np.ndarray:
        method = tfxai.KernelSHAP(samples=budget, segmenter=labels, background=0.0, seed=seed)
        return method(model, images[number : number + 1], int(classes[number])).weights[0]

    return Kind("image", segments, worth, ours)


def image_model() -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """With the images that it learned from, and their classes."""
    images, classes = pictures(3000)
    layers = keras.layers
    model = _trained(
        [
            layers.Conv2D(8, 3, 2, "same", activation="relu"),
            layers.Conv2D(16, 3, 2, "same", activation="relu"),
            layers.Flatten(),
            layers.Dense(24, activation="relu"),
            layers.Dense(4),
        ],
        images,
        classes,
    )
    return model, images, classes


def pictures(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 24, 24, 1) and what is on them, 0 to 3."""
    generator = np.random.default_rng(0)
    classes = generator.integers(0, 4, count)
    down, across = np.mgrid[:24, :24]
    images = generator.normal(0.3, 0.15, (count, 24, 24))
    for image, shape in zip(images, classes, strict=True):
        y, x = generator.uniform(8, 16, 2)
        size = generator.uniform(4, 8)
        apart = np.hypot(down - y, across - x)
        bar, other = abs(down - y) < 1.5, abs(across - x) < 1.5
        drawn = [bar, bar | other, abs(apart - size) < 1.2, apart < size][shape] & (apart < size + 2)
        image += drawn * generator.uniform(0.4, 0.8)
    return images[..., None].astype(np.float32), classes


WORDS = [
    *["good", "fine", "great", "bad", "poor", "awful", "not", "very", "never", "quite"],
    *(f"w{i}" for i in range(40)),
]


def _texts(words: int, games: int) -> Kind:
    """Sentences of so many words; negations turn the next word round; hidden words are left out."""
    ids, classes = sentences(6000, words)
    layers = keras.layers
    model = _trained(
        [
            layers.Embedding(len(WORDS) + 1, 8),
            layers.Conv1D(16, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(16, activation="relu"),
            layers.Dense(2),
        ],
        ids,
        classes,
    )
    forward, numbers = _forward(model), {word: number + 1 for number, word in enumerate(WORDS)}

    def left(inside: np.ndarray, sentence: np.ndarray) -> np.ndarray:
        order = np.argsort(~inside, axis=1, kind="stable")  # what is left moves together
        return np.take_along_axis(np.where(inside, sentence, 0), order, axis=1).astype(np.int32)

    def of_texts(texts: list[str]) -> np.ndarray:
        rows = np.zeros((len(texts), words), np.int32)
        for row, text in zip(rows, texts, strict=True):
            found = [numbers[word] for word in text.split()]
            row[: len(found)] = found
        return forward(rows)

    def worth(number: int, inside: np.ndarray) -> np.ndarray:
        return np.concatenate([forward(left(block, ids[number]))[:, 1] for block in _blocks(inside)])

    def ours(number: int, budget: int, seed: int) -> np.ndarray:
        text = " ".join(WORDS[word - 1] for word in ids[number])
        return tfxai.KernelSHAP(samples=budget, seed=seed)(of_texts, [text], 1).weights[0]

    return Kind("text", words, worth, ours)


def sentences(count: int, words: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids (count, words), numbers of WORDS from 1 on, and whether the mood is good."""
    generator = np.random.default_rng(1)
    ids = generator.choice(len(WORDS), (count, words), p=np.r_[np.full(10, 0.05), np.full(40, 0.0125)]) + 1
    turned = np.where((ids[:, :-1] == 7) | (ids[:, :-1] == 9), -1, 1 + (ids[:, :-1] == 8))
    mood = (ids[:, 1:] <= 3).astype(int) - ((ids[:, 1:] > 3) & (ids[:, 1:] <= 6))
    return ids.astype(np.int32), ((turned * mood).sum(1) > 0).astype(int)


def _tables(columns: int, games: int) -> Kind:
    """Columns that act alone, in pairs and by thresholds; hidden ones come from 20 rows, over which the score is averaged."""
    generator = np.random.default_rng(2)
    rows = generator.normal(size=(6000, columns)).astype(np.float32)
    odds = rows @ generator.normal(size=columns) + 2 * (rows[:, 0] * rows[:, 1] - rows[:, 2] * rows[:, 3])
    odds = odds + 3 * (rows[:, 4] > 0) * (rows[:, 5] > 0) - 2 * (rows[:, 6] > 1) * rows[:, 7]
    layers = keras.layers
    model = _trained(
        [layers.Dense(32, activation="relu"), layers.Dense(32, activation="relu"), layers.Dense(2)],
        rows,
        (odds > 0).astype(int),
    )
    behind, asked = rows[-ROWS:], rows[:games]
    forward = _forward(model)

    def worth(number: int, inside: np.ndarray) -> np.ndarray:
        mixed = (np.where(b[:, None], asked[number], behind).reshape(-1, columns) for b in _blocks(inside))
        return np.concatenate([forward(rows)[:, 1].reshape(-1, ROWS).mean(1) for rows in mixed])

    def ours(number: int, budget: int, seed: int) -> np.ndarray:
        method = tfxai.KernelSHAP(samples=budget, background=behind, seed=seed)
        return method(model, asked[number : number + 1], 1).weights[0]

    return Kind("table", columns, worth, ours, ROWS)
