"""Rows come from anywhere as the model takes them: each source gives what the same arrays give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from data_runs import images, network
from PIL import Image

import tfxai
from tfxai import photos
from tfxai.data.rows import in_shards, joined, placed
from tfxai.data.sources import source_of

DATA, LABELS, IDS = images(50), np.arange(50) % 5, np.arange(50) + 1000
WORDS = np.array([f"row {i}" for i in range(50)], object)
L = keras.layers


class Batches(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Any:
        part = slice(10 * index, 10 * index + 10)
        return DATA[part], LABELS[part], IDS[part]


def slices(*columns: Any) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(columns if len(columns) > 1 else columns[0])


SOURCES = {
    "array": lambda: (DATA, None, None),
    "dataset": lambda: (slices(DATA), None, None),
    "batches": lambda: (slices(DATA).batch(7), None, None),
    "labels": lambda: (slices(DATA, LABELS).batch(7), LABELS, None),
    "labels and ids": lambda: (slices(DATA, LABELS, IDS), LABELS, IDS),
    "words as ids": lambda: (slices(DATA, LABELS, WORDS.astype(str)).batch(9), LABELS, WORDS),
    "dicts": lambda: (slices({"picture": DATA, "label": LABELS, "id": IDS}).batch(8), LABELS, IDS),
    "dicts alone": lambda: (slices({"picture": DATA, "label": LABELS}), LABELS, None),
    "PyDataset": lambda: (Batches(), LABELS, IDS),
    "arrays with labels": lambda: ((DATA, LABELS), LABELS, None),
    "arrays with words": lambda: ((DATA, LABELS, WORDS), LABELS, WORDS),
    "dict of arrays": lambda: ({"picture": DATA, "label": LABELS, "id": IDS}, LABELS, IDS),
    "generator": lambda: ((DATA[i : i + 10] for i in range(0, 50, 10)), None, None),
    "pairs": lambda: (((DATA[i : i + 10], LABELS[i : i + 10]) for i in range(0, 50, 10)), LABELS, None),
    "list of dicts": lambda: (
        [{"picture": DATA[:30], "id": IDS[:30]}, {"picture": DATA[30:], "id": IDS[30:]}],
        None,
        IDS,
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_each_source_gives_the_same_rows(name: str) -> None:
    data, labels, ids = SOURCES[name]()
    source = source_of(data, network())
    rows = joined(list(placed(source.parts)))
    np.testing.assert_array_equal(rows.inputs, DATA)
    assert source.total in (None, 50)
    for found, expected in ((rows.labels, labels), (rows.ids, ids)):
        assert (found is None) == (expected is None)
        if expected is not None:
            assert found.tolist() == expected.tolist()
    assert rows.keys.tolist() == (list(range(50)) if ids is None else ids.tolist())


def test_inputs_by_name_and_by_place() -> None:
    left, right = keras.Input((3,), name="left"), keras.Input((2,), name="right")
    model = keras.Model({"left": left, "right": right}, L.Dense(2)(L.Concatenate()([left, right])))
    columns = {"left": np.zeros((6, 3), "float32"), "right": np.ones((6, 2), "float32")}
    for data in (columns, slices(columns), slices({**columns, "label": np.arange(6)}).batch(4)):
        rows = joined(list(source_of(data, model).parts))
        assert list(rows.inputs) == ["left", "right"]
        np.testing.assert_array_equal(rows.inputs["right"], columns["right"])
    listed = joined(list(source_of([columns["left"], columns["right"]], model).parts))
    assert isinstance(listed.inputs, list) and listed.inputs[0].shape == (6, 3)


def test_labels_of_several_outputs_are_left_out() -> None:
    for labels in ((LABELS, LABELS), {"a": LABELS, "b": LABELS}):
        rows = joined(list(source_of(slices(DATA, labels).batch(10), network()).parts))
        assert rows.labels is None and rows.inputs.shape == DATA.shape


def test_a_memory_map_is_read_part_by_part(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", DATA)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    parts = list(source_of(mapped, network()).parts)
    assert all(isinstance(part.inputs, np.memmap) for part in parts)
    np.testing.assert_array_equal(joined(parts).inputs, DATA)


@pytest.mark.parametrize("size", [1, 7, 10, 49, 50, 64])
def test_shards_are_cut_anywhere(size: int) -> None:
    parts = placed(source_of(slices(DATA, LABELS, IDS).batch(9), network()).parts)
    cut = list(in_shards(parts, size))
    assert [len(shard) for shard in cut] == [size] * (50 // size) + [50 % size] * (50 % size > 0)
    whole = joined(cut)
    np.testing.assert_array_equal(whole.inputs, DATA)
    assert whole.ids.tolist() == IDS.tolist() and whole.positions.tolist() == list(range(50))


def photo(path: Path, seed: int, size: tuple[int, int] = (20, 30)) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size, 3), np.uint8)).save(path)


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    names = ["cat/a.png", "cat/b.jpg", "dog/a.png", "dog/c.bmp"]
    for seed, name in enumerate(names):
        photo(tmp_path / name, seed)
    (tmp_path / "cat" / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("not a picture, and not meant to be one")
    (tmp_path / ".hidden").mkdir()
    photo(tmp_path / ".hidden" / "a.png", 9)
    data = tfxai.data.Folder(tmp_path, preprocess="-1..1", crop=0.8)
    with pytest.warns(UserWarning, match="1 of 5 rows could not be explained"):
        results = tfxai.explain_dataset(
            tfxai.GradCAM(), network(), data, tmp_path / "run", most_failed=0.5, progress=False
        )
    assert results.ids.tolist() == sorted([*names, "cat/broken.jpg"])
    assert list(results.failures()) == ["cat/broken.jpg"]
    assert "is not a picture" in results.failures()["cat/broken.jpg"]
    pixels = photos.scale(photos.fit(photos.read(tmp_path / "dog/a.png"), (8, 8), 0.8), "-1..1")
    np.testing.assert_array_equal(results["dog/a.png"].inputs[0], pixels)
    assert results.frame()["label"].tolist() == ["cat", "cat", "cat", "dog", "dog"]


def test_the_path_alone_tells_pictures_from_tables(tmp_path: Path) -> None:
    photo(tmp_path / "pictures" / "a.png", 0)
    (tmp_path / "tables").mkdir()
    pd.DataFrame({"a": [1.0], "b": [2.0]}).to_parquet(tmp_path / "tables" / "a.parquet")
    assert joined(list(source_of(tmp_path / "pictures", network()).parts)).inputs.shape == (1, 8, 8, 3)
    table = keras.Sequential([keras.Input((2,)), L.Dense(2)])
    rows = joined(list(source_of(str(tmp_path / "tables"), table).parts))
    np.testing.assert_array_equal(rows.inputs, [[1, 2]])


def test_rows_of_parquet_files(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(10, 3)), columns=["age", "height", "weight"])
    frame["who"] = [f"person {i}" for i in range(10)]
    frame["ill"] = np.arange(10) % 2
    frame.iloc[:6].to_parquet(tmp_path / "a.parquet")
    frame.iloc[6:].to_parquet(tmp_path / "b.parquet")
    matrix = keras.Sequential([keras.Input((3,)), L.Dense(2)])
    data = tfxai.data.Table(tmp_path, id="who", label="ill")
    rows = joined(list(source_of(data, matrix).parts))
    np.testing.assert_allclose(rows.inputs, frame[["age", "height", "weight"]].to_numpy("float32"))
    assert rows.ids.tolist() == frame["who"].tolist() and rows.labels.tolist() == frame["ill"].tolist()
    other = tfxai.data.Table(tmp_path, columns=["weight", "age"])
    np.testing.assert_allclose(
        joined(list(source_of(other, matrix).parts)).inputs, frame[["weight", "age"]].to_numpy("float32")
    )
    inputs = [keras.Input((1,), name=name) for name in ("height", "age")]
    named = keras.Model(inputs, L.Dense(1)(L.Concatenate()(inputs)))
    by_name = joined(list(source_of(tmp_path, named).parts)).inputs
    assert list(by_name) == ["height", "age"]
    np.testing.assert_array_equal(by_name["age"], frame["age"])
    results = tfxai.explain_dataset(
        tfxai.Gradient(), matrix, data, tmp_path / "run", targets="label", progress=False
    )
    direct = tfxai.Gradient()(matrix, rows.inputs, frame["ill"].to_numpy())
    np.testing.assert_array_equal(results.array(), direct.values)
    assert results["person 7"].targets.tolist() == [1]


def test_columns_of_lists_are_arrays(tmp_path: Path) -> None:
    frame = pd.DataFrame({"series": [np.arange(4.0) + i for i in range(5)], "id": range(5)})
    frame.to_parquet(tmp_path / "series.parquet")
    model = keras.Sequential([keras.Input((4,)), L.Dense(2)])
    data = tfxai.data.Table(tmp_path / "series.parquet", columns=["series"], id="id")
    rows = joined(list(source_of(data, model).parts))
    np.testing.assert_array_equal(rows.inputs, np.arange(4.0) + np.arange(5)[:, None])


def test_a_table_knows_its_ids_and_labels_by_their_names(tmp_path: Path) -> None:
    """As a dict does: they are never fed to the model, unless it has inputs of these names."""
    columns = {
        name: np.random.default_rng(i).normal(size=9).astype("float32") for i, name in enumerate("abc")
    }
    pd.DataFrame({"id": range(100, 109), **columns, "label": 1}).to_parquet(tmp_path / "t.parquet")
    inputs = keras.Input((3,))
    source = source_of(tmp_path / "t.parquet", keras.Model(inputs, L.Dense(2)(inputs)))
    (rows,) = source.parts
    np.testing.assert_array_equal(rows.inputs, np.stack([*columns.values()], 1))
    assert rows.keys.tolist() == list(range(100, 109)) and rows.labels is not None and set(rows.labels) == {1}
    named = {name: keras.Input((1,), name=name) for name in ("a", "label")}
    model = keras.Model(named, L.Dense(2)(L.Concatenate()([*named.values()])))
    (rows,) = source_of(tmp_path / "t.parquet", model).parts
    assert list(rows.inputs) == ["a", "label"] and rows.labels is None


def test_lists_with_gaps_are_rows_that_fail(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    lists: list[Any] = [generator.normal(size=6).astype("float32") for _ in range(7)]
    lists[0], lists[3] = None, lists[3][:4]
    pd.DataFrame({"series": lists, "word": list("abcdefg")}).to_parquet(tmp_path / "t.parquet")
    inputs = keras.Input((6,))
    model = keras.Model(inputs, L.Dense(2)(inputs))
    data = tfxai.data.Table(tmp_path / "t.parquet", columns=["series"])
    with pytest.warns(UserWarning, match="2 of 7 rows"):
        results = tfxai.explain_dataset(
            tfxai.Gradient(), model, data, tmp_path / "run", most_failed=0.5, progress=False
        )
    assert results.failures() == {
        0: "The column 'series' has gaps.",
        3: "The column 'series' holds (4,), where other rows hold (6,).",
    }
    np.testing.assert_array_equal(results[2].inputs[0], lists[2])
    with pytest.raises(ValueError, match="'word'"):
        tfxai.explain_dataset(
            tfxai.Gradient(),
            model,
            tfxai.data.Table(tmp_path / "t.parquet", columns=["word"]),
            tmp_path / "no",
        )


def test_lists_of_lists_and_whole_numbers_stay_what_they_are(tmp_path: Path) -> None:
    nested = np.arange(24, dtype=np.int32).reshape(3, 2, 4)
    table = pa.table(
        {"tokens": nested.tolist()}, schema=pa.schema({"tokens": pa.list_(pa.list_(pa.int32()))})
    )
    pq.write_table(table, tmp_path / "t.parquet")
    inputs = keras.Input((2, 4), dtype="int32")
    data = tfxai.data.Table(tmp_path / "t.parquet", columns=["tokens"])
    (rows,) = source_of(data, keras.Model(inputs, L.Embedding(30, 2)(inputs))).parts
    np.testing.assert_array_equal(rows.inputs, nested)
    assert rows.inputs.dtype == np.int32


def test_texts_are_rows_of_words(tmp_path: Path) -> None:
    words = tf.keras.layers.TextVectorization(output_sequence_length=5)
    texts = np.array(["a good film", "a bad film", "what a good day", "bad"], object)
    words.adapt(texts)
    keras.utils.set_random_seed(0)
    table = keras.Sequential(
        [keras.Input((5,), dtype="int64"), L.Embedding(20, 4), L.GlobalAveragePooling1D(), L.Dense(2)]
    )

    def score(strings: Any) -> Any:
        return table(words(strings)).numpy()

    results = tfxai.explain_dataset(
        tfxai.LIME(samples=50),
        score,
        slices(texts).batch(2),
        tmp_path,
        progress=False,
        score="output",
        targets=0,
    )
    direct = tfxai.LIME(samples=50)(score, texts, 0, score="output")
    shard = next(results.shards())
    np.testing.assert_array_equal(shard.weights, direct.weights)
    assert shard.tokens == direct.tokens and shard.inputs.tolist() == direct.inputs.tolist()
    assert results[2].tokens == direct[2].tokens


def test_what_is_no_data_set_is_told(tmp_path: Path) -> None:
    model = network()
    for data, words in (
        (7, "Give arrays, a tf.data.Dataset"),
        (tmp_path / "nothing", "There is no file or folder"),
        (tmp_path, "has no pictures"),
        (pd.DataFrame({"a": [1]}), r"Give arrays: of a table data.to_numpy\(\)"),
        ({"a": np.zeros((3, 1)), "b": np.zeros((4, 1))}, r"The arrays have \[3, 4\] rows"),
        (tf.data.Dataset.from_tensors(tf.ragged.constant([[1], [1, 2]])), "Give one of dense tensors"),
    ):
        with pytest.raises(ValueError, match=words):
            source_of(data, model)
    with pytest.raises(ValueError, match="40 ids came for 50 rows"):
        source_of(DATA, model, np.arange(40))
    with pytest.raises(ValueError, match=r"Give a whole number below 2\*\*63 or a word for each row"):
        source_of(DATA, model, np.linspace(0, 1, 50))
    with pytest.raises(ValueError, match="The dataset has no end"):
        source_of(slices(DATA).repeat(), model)
    with pytest.raises(ValueError, match=r"A batch of 10 rows has labels of shape \(4,\)"):
        list(source_of([(DATA[:10], LABELS[:4])], model).parts)
    with pytest.raises(ValueError, match=r"A batch of 10 rows has ids of shape \(4,\)"):
        list(source_of([(DATA[:10], None, IDS[:4])], model).parts)
    for ids, words in ((WORDS[:10], "ids are words, and they were numbers"), (None, "ids are missing")):
        mixed = [(DATA[:10], None, IDS[:10]), (DATA[:10], None, ids)]
        with pytest.raises(ValueError, match=f"From row 10 on the {words}"):
            list(placed(source_of(mixed, model).parts))
    with pytest.raises(ValueError, match="looks like a batch"):
        source_of(slices(DATA), lambda batch: batch)
    (tmp_path / "no.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="cannot be read as Parquet"):
        source_of(tmp_path / "no.parquet", model)
    photo(tmp_path / "p" / "a.png", 0)
    with pytest.raises(ValueError, match="There is no scaling 'zero'"):
        source_of(tfxai.data.Folder(tmp_path / "p", preprocess="zero"), model)
    with pytest.raises(ValueError, match="different shapes"):
        list(in_shards(source_of((np.zeros((2, n)) for n in (3, 4)), model).parts, 4))
