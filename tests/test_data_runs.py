"""A run over a data set: its values are those of the method, and nothing that ends it costs a byte."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import tensorflow as tf
from data_runs import METHODS, content, images, killed, network, run, shards_in

import tfxai
from tfxai.data import Results, resuming
from tfxai.data.rows import Rows
from tfxai.results import Explanation

CAM = tfxai.GradCAM()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("undisturbed")).directory


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return network()


def explained(model: Any, data: Any, directory: Path, method: Any = CAM, **settings: Any) -> Any:
    return tfxai.explain_dataset(method, model, data, directory, progress=False, **settings)


def assert_same(one: Any, other: Any) -> None:
    for name in ("values", "inputs", "standard_error", "interval", "weights"):
        for left, right in zip(
            tf.nest.flatten(getattr(one, name, None)),
            tf.nest.flatten(getattr(other, name, None)),
            strict=True,
        ):
            np.testing.assert_array_equal(left, right, err_msg=name)
            assert left is None or left.dtype == right.dtype, name
    for name in ("targets", "scores", "delta", "passes", "converged"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name in ("method", "score", "axes", "at"):
        assert getattr(one, name) == getattr(other, name), name


def test_values_are_those_of_the_method(undisturbed: Path) -> None:
    results, data = tfxai.open_results(undisturbed), images(400)
    assert results.finished and len(results) == 400 and results.methods == list(METHODS)
    for name, method in METHODS.items():
        shard = next(results.shards(name))
        direct = method(network(), data[:8])
        assert_same(shard, direct)
        assert_same(results.explanation(5, name), direct[5])
        np.testing.assert_array_equal(results.array("values", name)[:8], direct.values)
    assert isinstance(results[399], dict) and list(results[399]) == list(METHODS)


def test_a_shard_can_be_verified_and_one_row_names_its_place(undisturbed: Path) -> None:
    results, model = tfxai.open_results(undisturbed), network()
    for name in METHODS:
        shard = next(results.shards(name))
        assert tfxai.verify(shard, model).status == 0
        one = results.explanation(3, name)
        assert one.receipt is not None and one.receipt.rows is not None and one.receipt.rows.tolist() == [3]
        assert tfxai.verify(one, model, images(400)[:8]).status == 0
        bias = model.layers[-1].weights[1]
        bias.assign(np.nextafter(bias.numpy(), np.float32(1)))
        other = tfxai.verify(shard, model)
        assert other.status == 1 and "bias is another one (1 of 4" in str(other)
        bias.assign(np.zeros(5))


def test_an_array_on_disk_is_the_one_in_memory(undisturbed: Path, tmp_path: Path) -> None:
    results = tfxai.open_results(undisturbed)
    for field in ("values", "inputs", "scores"):
        mapped = results.array(field, "smooth", out=tmp_path / f"{field}.npy")
        assert isinstance(mapped, np.memmap)
        np.testing.assert_array_equal(mapped, results.array(field, "smooth"))
        np.testing.assert_array_equal(np.load(tmp_path / f"{field}.npy"), mapped)
    with pytest.raises(ValueError, match="There is no 'delta'"):
        results.array("delta", "smooth", out=tmp_path / "delta.npy")
    assert not (tmp_path / "delta.npy").exists()


@pytest.mark.parametrize("moments", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_run_leaves_the_bytes_of_one_that_was_not(
    undisturbed: Path, tmp_path: Path, moments: int
) -> None:
    generator, ended = np.random.default_rng(moments), 0
    for _ in range(moments):
        ended += killed(tmp_path, generator)
    assert ended < moments and shards_in(tmp_path) < 50, "it was not killed often enough"
    run(tmp_path)
    assert content(tmp_path) == content(undisturbed)


def test_interrupted_it_ends_after_the_shard_and_goes_on(undisturbed: Path, tmp_path: Path) -> None:
    timer = threading.Thread(target=_interrupt_after_two, args=(tmp_path,))
    timer.start()
    with pytest.raises(KeyboardInterrupt, match=r"Ended after \d+ rows. The same call goes on"):
        run(tmp_path)
    timer.join()
    assert 2 <= shards_in(tmp_path) < 50 and not tfxai.open_results(tmp_path).finished
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    run(tmp_path)
    assert content(tmp_path) == content(undisturbed)


def _interrupt_after_two(directory: Path) -> None:
    while shards_in(directory) < 2:
        time.sleep(0.002)
    os.kill(os.getpid(), signal.SIGINT)


def test_a_full_disk_loses_nothing(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file system refuses the fourth shard in the middle of writing it."""
    resource = pytest.importorskip("resource")
    largest = max(path.stat().st_size for path in undisturbed.glob("rows/shard-*.parquet"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest // 2, before[1]))
        with pytest.raises(OSError, match="File too large"):
            run(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.glob("rows/.shard*"))
    run(tmp_path)
    assert content(tmp_path) == content(undisturbed)


def test_a_finished_run_is_not_made_again(model: Any, tmp_path: Path) -> None:
    explained(model, images(), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("rows/*")}
    explained(model, images(), tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("rows/*")} == before
    with pytest.raises(ValueError, match="is finished, with 100 rows, and the data hold 90"):
        explained(model, images()[:90], tmp_path)
    with pytest.raises(ValueError, match="holds a run"):
        explained(model, images(), tmp_path, resume=False)


def test_a_shard_that_was_lost_or_damaged_is_made_anew(undisturbed: Path, tmp_path: Path) -> None:
    run(tmp_path)
    lost = tmp_path / "rows" / "shard-000007.parquet"
    lost.write_bytes(lost.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"shard-000007.parquet is damaged.* Take it away"):
        tfxai.open_results(tmp_path)
    lost.unlink()
    run(tmp_path)
    assert content(tmp_path) == content(undisturbed)


def test_another_run_in_the_same_directory_is_refused(model: Any, tmp_path: Path) -> None:
    method = tfxai.SmoothGrad(samples=4)
    explained(model, images(), tmp_path, method)
    for words, change in (
        ("setting samples is 5, it was 4", {"method": tfxai.SmoothGrad(samples=5)}),
        ("its methods are smooth_grad, and these are grad_cam", {"method": CAM}),
        ("setting keep is 'heatmap', it was 'values'", {"keep": "heatmap"}),
        ("setting targets is 1, it was None", {"targets": 1}),
        ("setting batch_size is 16, it was 1024", {"batch_size": 16}),
        ("setting shard_rows is 50", {"shard_rows": 50}),
    ):
        arguments = {"method": method, **change}
        with pytest.raises(ValueError, match=words):
            explained(model, images(), tmp_path, **arguments)
    other = network()
    other.layers[1].kernel.assign_add(np.full(other.layers[1].kernel.shape, 1e-7))
    with pytest.raises(ValueError, match="weight edges/kernel is another one"):
        explained(other, images(), tmp_path, method)


def test_other_rows_are_refused_unless_ids_tell_them(model: Any, tmp_path: Path) -> None:
    data, order = images(), np.random.default_rng(1).permutation(100)
    whole = explained(model, data, tmp_path / "whole", shard_rows=16)

    def broken_off(directory: Path, ids: Any) -> None:
        """A run that ended in the data's second half."""

        def half() -> Any:
            for i in range(0, 48, 16):
                yield data[i : i + 16]
            raise RuntimeError("the reader broke")

        with pytest.raises(RuntimeError, match="the reader broke"):
            explained(model, half(), directory, shard_rows=16, ids=ids)
        assert shards_in(directory) in (2, 3)

    broken_off(tmp_path / "positions", None)
    with pytest.raises(ValueError, match=r"The row 0 comes otherwise .* begin with ids"):
        explained(model, data[order], tmp_path / "positions", shard_rows=16)
    broken_off(tmp_path / "ids", np.arange(100))
    results = explained(model, data[order], tmp_path / "ids", shard_rows=16, ids=order)
    assert sorted(results.ids.tolist()) == list(range(100)) and len(results) == 100
    for row in (0, 47, 50, 99):
        np.testing.assert_allclose(results[row].values, whole[row].values, atol=1e-6)
        np.testing.assert_array_equal(results[row].inputs[0], data[row])


def test_ids_that_come_twice_are_refused(model: Any, tmp_path: Path) -> None:
    for number, twice in enumerate(([3, 5], [3, 80])):
        ids = np.arange(100)
        ids[twice[1]] = ids[twice[0]]
        with pytest.raises(ValueError, match="The id 3 comes twice"):
            explained(model, images(), tmp_path / str(number), ids=ids, shard_rows=16)


def test_ids_that_come_twice_are_found_wherever_they_come() -> None:
    generator, come, known = np.random.default_rng(0), resuming._Come(), set()
    for size in (1, 1, 3, 50, 2, 7, 100):
        fresh = np.array([each for each in generator.choice(10**6, size, replace=False) if each not in known])
        come.add(fresh)
        known |= set(fresh.tolist())
        with pytest.raises(ValueError, match="comes twice"):
            come.add(generator.permutation([*generator.choice(sorted(known), 1), 10**7]))
    assert len(come._sorted) <= 8


def lose(directory: Path, *numbers: int) -> None:
    """As if the run had been killed before these shards."""
    (directory / "finished.json").unlink()
    for number in numbers:
        (directory / "rows" / f"shard-{number:06d}.parquet").unlink()


NAMES = np.array([f"row {i}" for i in range(40)], object)


def stream(rows: np.ndarray, *more: np.ndarray, size: int = 8) -> Any:
    """Batches whose ids or labels come with them, so that nobody knows them before."""
    for i in range(0, len(rows), size):
        yield (rows[i : i + size], *(None if each is None else each[i : i + size] for each in more))


@pytest.mark.parametrize("lost", [(), (3, 4), (0,)], ids=["finished", "end", "gap"])
@pytest.mark.parametrize("known", [True, False], ids=["known", "stream"])
def test_rows_go_on_with_the_rows_of_then_alone(
    model: Any, known: bool, lost: tuple[int, ...], tmp_path: Path
) -> None:
    """Other inputs under the same ids, other ids, fewer of them: refused, most of the time before anything is written."""

    def go(rows: np.ndarray, ids: np.ndarray, directory: Path) -> Results:
        data = rows if known else stream(rows, None, ids)
        return explained(model, data, directory, shard_rows=8, ids=ids if known else None)

    data, order = images(40), np.random.default_rng(3).permutation(40)
    go(data, NAMES, tmp_path / "then")
    if lost:
        lose(tmp_path / "then", *lost)
    others = [
        ("inputs", images(40, seed=1), NAMES),
        ("shuffled inputs", images(40, seed=1)[order], NAMES[order]),
        ("some inputs", np.where(np.arange(40)[:, None, None, None] < 16, data, 2 * data), NAMES),
        ("fewer", data[:20], NAMES[:20]),
        ("ids", data, np.array([f"other {i}" for i in range(40)], object)),
    ]
    for name, rows, ids in others:
        directory = tmp_path / name
        shutil.copytree(tmp_path / "then", directory)
        with pytest.raises(ValueError, match=r"otherwise|do not hold|does not have|is finished"):
            go(rows, ids, directory)
        kept = content(tmp_path / "then")
        assert {name: content(directory)[name] for name in kept} == kept
        if not lost or (known and name in ("fewer", "ids")) or (lost == (3, 4) and name == "inputs"):
            assert content(directory) == kept
        assert not lost or not (directory / "finished.json").exists()
    again = go(data[order], NAMES[order], tmp_path / "then")
    assert again.finished and sorted(again.ids.tolist()) == sorted(NAMES.tolist())
    found: Any = again["row 7"]
    np.testing.assert_allclose(found.values, CAM(model, data[7:8]).values, atol=1e-6)


def test_one_changed_byte_is_noticed(model: Any, tmp_path: Path) -> None:
    """Wherever in the file: in the numbers by their checksums, elsewhere because it can no longer be read."""
    explained(model, images(16), tmp_path, shard_rows=16)
    shard = tmp_path / "rows" / "shard-000000.parquet"
    whole = shard.read_bytes()
    expected = tfxai.open_results(tmp_path)
    values, ids, scores = expected.array(), expected.ids, expected.array("scores")
    reasons: list[str] = []
    for place in np.random.default_rng(0).integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        shard.write_bytes(bytes(damaged))
        try:
            found = tfxai.open_results(tmp_path)
            got = found.array(), found.ids, found.array("scores")
        except ValueError as error:
            reasons.append(str(error))
            continue
        for one, other in zip(got, (values, ids, scores), strict=True):
            np.testing.assert_array_equal(one, other)
    assert len(reasons) > 8
    assert [why for why in reasons if not re.search("is damaged, or no shard|There is no|No row", why)] == []


@pytest.mark.skipif(os.name != "posix", reason="a limit of the size of files")
def test_an_array_that_does_not_fit_on_the_disk_is_an_error(model: Any, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    results = explained(model, images(), tmp_path / "run")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OSError, match=r"values.npy"):
            results.array(out=tmp_path / "values.npy")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("name", ["a/b", " ", "a:b", "predicted"])
def test_names_that_cannot_be_those_of_files_are_refused(model: Any, name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Give a word that can be the name of a file"):
        explained(model, images(), tmp_path / "run", {name: tfxai.Gradient()})
    assert not (tmp_path / "run").exists()


def test_a_place_that_cannot_be_written_to_is_told(model: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match=r"a run needs a folder .*open_results reads"):
        explained(model, images(), tmp_path / "file")


def test_a_gap_is_filled_whatever_the_order(model: Any, tmp_path: Path) -> None:
    for number, lost in enumerate([(0,), (1,), (2, 4), (0, 1, 2, 3)]):
        directory = tmp_path / str(number)
        explained(model, images(40), directory, shard_rows=8, ids=NAMES)
        lose(directory, *lost)
        order = np.random.default_rng(number).permutation(40)
        results = explained(model, images(40)[order], directory, shard_rows=8, ids=NAMES[order])
        assert sorted(results.ids.tolist()) == sorted(NAMES.tolist()) and results.finished
        frame = results.frame().set_index("id")
        known = frame["position"] >= 0
        assert known.sum() >= 8 * (5 - len(lost))
        for name in NAMES:
            np.testing.assert_array_equal(results[name].inputs[0], images(40)[int(name.split()[1])])


def test_streams_without_ids_are_counted(model: Any, tmp_path: Path) -> None:
    data = images(80)
    explained(model, (data[i : i + 8] for i in range(0, 40, 8)), tmp_path, shard_rows=8)
    for rows in (data, data[:16]):
        with pytest.raises(
            ValueError, match=r"is finished, and the data hold rows|24 rows that the data do not hold"
        ):
            explained(model, (rows[i : i + 8] for i in range(0, len(rows), 8)), tmp_path, shard_rows=8)
    assert len(tfxai.open_results(tmp_path)) == 40


def test_other_labels_are_other_rows(model: Any, tmp_path: Path) -> None:
    data, zeros = images(40), np.zeros(40, int)
    for number, lost in enumerate([(), (4,)]):
        directory = tmp_path / str(number)
        explained(model, stream(data, zeros), directory, shard_rows=8, targets="label")
        if lost:
            lose(directory, *lost)
        for labels in (zeros + 1, None):
            with pytest.raises(ValueError, match=r"its inputs, or its label|no labels"):
                explained(model, stream(data, labels), directory, shard_rows=8, targets="label")


def test_another_function_is_noticed(model: Any, tmp_path: Path) -> None:
    """Of functions no weights can be compared: what they answer is."""
    rows = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")

    def scaled(factor: float) -> Any:
        return lambda outputs, targets: factor * tf.gather(outputs, targets, batch_dims=1)

    cases = [
        (lambda x: x[:, :2], lambda x: -5 * x[:, 1:], None, None, rows),
        (model, model, scaled(1.0), scaled(100.0), images(40)),
        (Scaling(1.0), Scaling(50.0), None, None, rows),
    ]
    for number, (then, now, score_then, score_now, data) in enumerate(cases):
        for lost in [(), (3, 4)]:
            directory = tmp_path / f"{number} {len(lost)}"
            call: dict[str, Any] = {"targets": 0, "shard_rows": 8, "score": score_then}
            explained(then, data, directory, tfxai.Gradient(), **call)
            if lost:
                lose(directory, *lost)
            with pytest.raises(ValueError, match="holds another run"):
                explained(now, data, directory, tfxai.Gradient(), **{**call, "score": score_now})
            assert explained(then, data, directory, tfxai.Gradient(), **call).finished


class Scaling(keras.Model):
    """A number that is no weight."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def call(self, x: Any) -> Any:
        return self.factor * x


@pytest.mark.parametrize("of", ["folder", "table"])
def test_files_are_prepared_as_then(of: str, model: Any, tmp_path: Path) -> None:
    from PIL import Image

    generator = np.random.default_rng(0)
    if of == "folder":
        (tmp_path / "pictures").mkdir()
        for i in range(12):
            pixels = generator.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / f"{i:02}.png")
        then = tfxai.data.Folder(tmp_path / "pictures", preprocess="0..1")
        now = tfxai.data.Folder(tmp_path / "pictures")
    else:
        table = {name: generator.normal(size=12).astype("float32") for name in "abc"}
        pd.DataFrame({**table, "key": range(12)}).to_parquet(tmp_path / "table.parquet")
        then, now = (
            tfxai.data.Table(tmp_path / "table.parquet", columns=columns, id="key")
            for columns in (["a", "b", "c"], ["c", "b", "a"])
        )
        inputs = keras.Input((3,))
        model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    explained(model, then, tmp_path / "run", tfxai.Gradient(), shard_rows=4)
    lose(tmp_path / "run", 2)
    with pytest.raises(ValueError, match=r"holds another run: .*prepared"):
        explained(model, now, tmp_path / "run", tfxai.Gradient(), shard_rows=4)
    assert explained(model, then, tmp_path / "run", tfxai.Gradient()).finished


def test_rows_that_cannot_be_explained_are_told(model: Any, tmp_path: Path) -> None:
    data = images()
    data[[5, 40, 41]] = np.nan
    with pytest.warns(UserWarning, match="3 of 100 rows could not be explained"):
        results = explained(model, data, tmp_path, shard_rows=32)
    assert results.failures() == dict.fromkeys([5, 40, 41], "The inputs hold NaN or infinite numbers.")
    with pytest.raises(ValueError, match="The row 5 could not be explained: The inputs hold NaN"):
        results[5]
    direct = CAM(model, np.delete(data[:32], 5, 0))
    assert_same(next(results.shards()), direct)
    assert_same(results[6], direct[5])
    assert results[6].receipt.rows.tolist() == [5]
    assert results.frame()["failed"].notna().sum() == 3 and len(results.array()) == 97
    with pytest.raises(ValueError, match=r"3 of 100 rows could not be explained, more than most_failed=0.02"):
        explained(model, data, tmp_path / "strict", most_failed=0.02)


def test_rows_that_the_model_refuses_are_found_one_by_one(tmp_path: Path) -> None:
    """Token ids that no table has, a score that is not finite: nothing that can be seen in the inputs."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Embedding(10, 4), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((6,), dtype="int32"), *layers])
    data = np.random.default_rng(0).integers(0, 10, (50, 6)).astype("int32")
    data[13, 2] = 11
    results = explained(model, data, tmp_path / "tokens", tfxai.Gradient(), shard_rows=16)
    assert list(results.failures()) == [13]
    np.testing.assert_array_equal(
        results[14].values, tfxai.Gradient()(model, np.delete(data[:16], 13, 0)).values[13:14]
    )
    inputs = keras.Input((4,))
    logarithm = keras.Model(inputs, keras.ops.log(keras.ops.sum(inputs, axis=1, keepdims=True)))
    rows = np.abs(np.random.default_rng(0).normal(size=(40, 4))).astype("float32")
    rows[7] = 0
    results = explained(logarithm, rows, tmp_path / "log", tfxai.Gradient(), score="output", targets=0)
    assert results.failures() == {7: "The model's score is not a finite number."}
    np.testing.assert_allclose(results[8].values, 1 / rows[8:9].sum() * np.ones((1, 4)), rtol=1e-5)


def test_what_all_rows_fail_by_is_an_error_of_the_call(model: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"targets holds class 7, the model has 5"):
        explained(model, images(), tmp_path / "a", targets=7)
    with pytest.raises(ValueError, match="the model takes"):
        explained(model, np.zeros((10, 9, 9, 3)), tmp_path / "b")
    assert not shards_in(tmp_path / "a") and not shards_in(tmp_path / "b")


def test_two_processes_do_not_write_into_one_directory(model: Any, tmp_path: Path) -> None:
    from tfxai.data import locking

    with locking.held(tmp_path), pytest.raises(ValueError, match="Another process is writing into"):
        explained(model, images(), tmp_path)


@pytest.mark.parametrize("keep", ["heatmap", "summary"])
def test_less_can_be_kept(model: Any, tmp_path: Path, keep: Any) -> None:
    method = tfxai.IntegratedGradients(steps=4)
    results = explained(model, images(), tmp_path, method, keep=keep, keep_inputs=keep != "summary")
    direct = method(model, images())
    frame, maps = results.frame(), direct.heatmap().astype(np.float64).reshape(100, -1)
    np.testing.assert_allclose(frame["positive"], np.maximum(maps, 0).sum(1), rtol=1e-5)
    np.testing.assert_allclose(frame["negative"], np.minimum(maps, 0).sum(1), rtol=1e-5)
    np.testing.assert_array_equal(frame["largest_at"], np.abs(maps).argmax(1))
    np.testing.assert_allclose(frame["delta"], direct.delta, atol=1e-6)
    np.testing.assert_array_equal(results.array("values"), direct.heatmap()[..., None])
    if keep == "heatmap":
        assert results[3].values.shape == (1, 8, 8, 1) and results[3].receipt is not None


@pytest.mark.parametrize(
    "targets", [None, 2, np.arange(100) % 5, tfxai.top(2)], ids=["none", "one", "each", "top"]
)
def test_the_predicted_class_stands_beside_each_target(model: Any, targets: Any, tmp_path: Path) -> None:
    rows = images()
    rows[7] = np.nan
    with pytest.warns(UserWarning, match="1 of 100 rows"):
        results = explained(model, rows, tmp_path, tfxai.Gradient(), targets=targets, shard_rows=16)
    expected = model.predict(images(), verbose=0).argmax(1)
    expected[7] = -1
    np.testing.assert_array_equal(results.frame()["predicted"], expected)


def test_a_model_without_classes_predicts_none(tmp_path: Path) -> None:
    inputs = keras.Input((6,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    results = explained(
        model, np.ones((9, 6), "float32"), tmp_path, tfxai.Gradient(), targets=0, score="output"
    )
    assert "predicted" not in results.frame()


def cells_by_hand(array: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Sums (n, *sizes, ...) of what lies between integer parts of equal shares of each axis."""
    for axis, size in enumerate(sizes, 1):
        length = array.shape[axis]
        parts = [np.arange(length * i // size, length * (i + 1) // size) for i in range(size)]
        array = np.stack([np.take(array, part, axis).sum(axis) for part in parts], axis)
    return array


@pytest.mark.parametrize(
    ("shape", "sizes"), [((50, 40, 3), (16, 16)), ((300, 2), (256,)), ((8, 7, 5, 1), (6, 6, 5)), ((20,), ())]
)
@pytest.mark.parametrize("targets", [None, tfxai.top(2)])
def test_summaries_hold_small_maps(
    shape: tuple[int, ...], sizes: tuple[int, ...], targets: Any, tmp_path: Path
) -> None:
    """Sums in cells; inputs' means there; of what is small or has no space everything."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    outputs = keras.layers.Dense(4)(keras.layers.Dense(3, "tanh")(keras.layers.Flatten()(inputs)))
    model, rows = keras.Model(inputs, outputs), np.random.default_rng(0).normal(size=(20, *shape))
    rows, method = rows.astype("float32"), tfxai.InputXGradient()
    results = explained(model, rows, tmp_path, method, targets=targets, keep="summary", shard_rows=8)
    direct = method(model, rows, targets)
    lead = direct.targets.ndim
    maps = direct.heatmap().reshape(-1, *(shape[:-1] or shape))
    found = results.array("values").reshape(len(maps), *(sizes or shape))
    np.testing.assert_allclose(found, cells_by_hand(maps.astype(np.float64), sizes), atol=1e-5)
    counts = cells_by_hand(np.ones_like(rows), sizes)
    np.testing.assert_allclose(results.array("inputs"), cells_by_hand(rows, sizes) / counts, atol=1e-5)
    assert results.array("targets").ndim == lead and tfxai.data.drift(results, results).drifted == []
    if len(shape) > 1:
        means, whole = tfxai.data.class_maps(results), tfxai.data.class_maps(direct)
        np.testing.assert_allclose(means.means, cells_by_hand(whole.means, sizes), atol=1e-5)
        with pytest.raises(ValueError, match="small maps"):
            tfxai.data.inside(results, np.ones(sizes, bool))
    else:
        np.testing.assert_allclose(
            tfxai.data.columns(results).mean, tfxai.data.columns(direct).mean, atol=1e-6
        )


def test_half_precision_halves_the_values_alone(model: Any, tmp_path: Path) -> None:
    method = tfxai.IntegratedGradients(steps=4)
    results = explained(model, images(), tmp_path, method, float16=True, keep_inputs=False)
    direct = method(model, images())
    largest = np.abs(direct.values).max(axis=(1, 2, 3), keepdims=True)
    apart = np.abs(results.array("values") - direct.values)
    assert (apart <= np.maximum(2.0**-11 * np.abs(direct.values), 2.0**-24 * largest)).all() and apart.any()
    np.testing.assert_array_equal(results.array("delta"), direct.delta)
    with pytest.raises(ValueError, match="did not keep the inputs"):
        results[3]
    one = results.explanation(3, inputs=images()[3:4])
    np.testing.assert_array_equal(one.inputs, images()[3:4])


@pytest.mark.parametrize("factor", [1e-12, 1e9])
def test_half_precision_loses_neither_small_nor_large_maps(model: Any, tmp_path: Path, factor: float) -> None:
    rows = images(20) * np.float32(factor)
    results = explained(model, rows, tmp_path, tfxai.InputXGradient(), float16=True, targets=1)
    direct = tfxai.InputXGradient()(model, rows, 1).values
    largest = np.abs(direct).max(axis=(1, 2, 3), keepdims=True)
    assert (np.abs(results.array() - direct) < 1e-3 * largest + 1e-3 * np.abs(direct)).all() and largest.all()
    np.testing.assert_array_equal(results[7].values[0], results.array()[7])


@pytest.mark.parametrize("keep", ["values", "heatmap"])
def test_maps_at_layers_and_of_inputs_read_in_other_axes(model: Any, tmp_path: Path, keep: Any) -> None:
    flat = keras.Input((192,))
    read = keras.Model(flat, model(keras.layers.Reshape((8, 8, 3))(flat)))
    for name, explain, call in (
        ("at", model, {"at": "edges"}),
        ("axes", read, {}),
    ):
        rows = images(12) if explain is model else images(12).reshape(12, -1)
        method = tfxai.IntegratedGradients(steps=3)
        results = explained(explain, rows, tmp_path / name, method, keep=keep, shard_rows=16, **call)
        direct = method(explain, rows, **call)
        shard = next(results.shards())
        np.testing.assert_array_equal(shard.heatmap(), direct.heatmap())
        np.testing.assert_array_equal(results[3].heatmap(), direct[3].heatmap())
        assert tfxai.plots.show(shard[:2]) is not None


def test_summaries_of_rows_count_all_inputs(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    inputs = {name: keras.Input((1,), name=name) for name in names}
    model = keras.Model(
        inputs, keras.ops.sum(keras.layers.Concatenate()([*inputs.values()]), -1, keepdims=True)
    )
    rows = {
        name: np.random.default_rng(i).normal(size=(9, 1)).astype("float32") for i, name in enumerate(names)
    }
    results = explained(
        model, rows, tmp_path, tfxai.InputXGradient(), score="output", targets=0, keep="summary"
    )
    values = np.concatenate([*rows.values()], 1)
    frame = results.frame()
    np.testing.assert_allclose(frame["positive"], np.maximum(values, 0).sum(1), rtol=1e-6)
    np.testing.assert_allclose(frame["negative"], np.minimum(values, 0).sum(1), rtol=1e-6)
    np.testing.assert_array_equal(frame["largest_at"], np.abs(values).argmax(1))


def test_what_was_not_kept_is_not_needed_for_summaries(model: Any, tmp_path: Path) -> None:
    whole = explained(model, images(), tmp_path / "whole", shard_rows=32)
    less = explained(model, images(), tmp_path / "less", shard_rows=32, keep_inputs=False)
    maps = tfxai.data.class_maps(less)
    np.testing.assert_array_equal(maps.means, tfxai.data.class_maps(whole).means)
    assert maps.inputs is None and tfxai.data.typical(less, 3) == tfxai.data.typical(whole, 3)
    with pytest.raises(ValueError, match="did not keep the inputs"):
        next(less.shards())


def token_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Embedding(20, 4), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(3)]
    return keras.Sequential([keras.Input((4,), dtype="int32"), *layers])


@pytest.mark.parametrize("bad", [range(16, 24), [8, 15], [0, 7]])
def test_a_resumed_run_takes_bad_rows_as_an_undisturbed_one_does(tmp_path: Path, bad: Any) -> None:
    ids = np.random.default_rng(0).integers(0, 20, (24, 4)).astype("int32")
    ids[list(bad)] = 99
    settings = {"shard_rows": 8, "most_failed": 1.0, "method": tfxai.Gradient()}
    whole = explained(token_model(), ids, tmp_path / "whole", **settings)
    assert sorted(whole.failures()) == list(bad)
    explained(token_model(), ids, tmp_path / "cut", **settings)
    (tmp_path / "cut" / "finished.json").unlink()
    for number in (2, 1):
        (tmp_path / "cut" / "rows" / f"shard-{number:06d}.parquet").unlink()
    explained(token_model(), ids, tmp_path / "cut", **settings)
    for path in (tmp_path / "whole" / "rows").iterdir():
        assert path.read_bytes() == (tmp_path / "cut" / "rows" / path.name).read_bytes()


def test_too_many_failures_are_told_each_time(model: Any, tmp_path: Path) -> None:
    rows = images(24)
    rows[20:] = np.nan
    for name, data in (("array", lambda: rows), ("generator", lambda: (rows[i : i + 8] for i in (0, 8, 16)))):
        for _ in range(2):
            with pytest.raises(ValueError, match=r"4 of 24 rows could not be explained, more than"):
                explained(model, data(), tmp_path / name, shard_rows=8)
        assert not tfxai.open_results(tmp_path / name).finished


def test_a_call_that_is_refused_leaves_the_directory_free(model: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="targets holds class 99"):
        explained(model, images(), tmp_path, targets=99)
    assert explained(model, images(), tmp_path, targets=1).finished


def test_files_of_others_in_the_directory_are_left_alone(model: Any, tmp_path: Path) -> None:
    for name in (".settings.json", ".env", "notes.txt"):
        (tmp_path / name).write_text("mine")
    explained(model, images(), tmp_path)
    (tmp_path / ".run.123.json").write_text("of a process that died")
    explained(model, images(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} >= {".settings.json", ".env", "notes.txt"}
    assert not (tmp_path / ".run.123.json").exists()


def test_a_finished_run_of_other_rows_is_refused(model: Any, tmp_path: Path) -> None:
    explained(model, images(), tmp_path)
    with pytest.raises(ValueError, match="The row 0 comes otherwise"):
        explained(model, images(seed=1), tmp_path)


def test_targets_by_position_are_not_given_to_rows_in_another_order(model: Any, tmp_path: Path) -> None:
    targets, order = np.arange(100) % 5, np.random.default_rng(0).permutation(100)
    explained(model, images(), tmp_path, targets=targets, ids=np.arange(100), shard_rows=16)
    (tmp_path / "finished.json").unlink()
    (tmp_path / "rows" / "shard-000003.parquet").unlink()
    with pytest.raises(ValueError, match="targets are given by position"):
        explained(model, images()[order], tmp_path, targets=targets, ids=order, shard_rows=16)
    with pytest.raises(ValueError, match="99 targets came for 100 rows"):
        explained(model, images(), tmp_path / "short", targets=targets[:99])


def test_labels_that_are_no_classes_are_refused_as_targets(model: Any, tmp_path: Path) -> None:
    for number, labels in enumerate((np.eye(5, dtype=int)[np.arange(10) % 5], np.linspace(0, 1, 10))):
        with pytest.raises(ValueError, match="Give a class for each row: of one-hot labels"):
            explained(model, [(images(10), labels)], tmp_path / str(number), targets="label")


def test_a_baseline_for_each_example_is_refused(model: Any, tmp_path: Path) -> None:
    method = tfxai.IntegratedGradients(steps=3, baseline=np.zeros((8, 8, 8, 3), "float32"))
    with pytest.raises(ValueError, match="one for each example"):
        explained(model, images(), tmp_path, method, shard_rows=8)


def test_a_slow_source_does_not_hold_up_an_interrupt(model: Any, tmp_path: Path) -> None:
    def slow() -> Any:
        yield images(16)
        time.sleep(20)
        yield images(16)

    timer = threading.Timer(2, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt, match="Ended after 16 rows"):
        explained(model, slow(), tmp_path, shard_rows=16)
    assert time.monotonic() - start < 15


def test_targets_of_each_row_of_labels_and_of_ranks(model: Any, tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 5, 100)
    direct = CAM(model, images(), labels)
    rows = explained(model, images(), tmp_path / "rows", targets=labels, shard_rows=32)
    np.testing.assert_allclose(rows.array(), direct.values, atol=1e-6)
    assert tfxai.verify(next(rows.shards()), model).status == 0
    pairs = tf.data.Dataset.from_tensor_slices((images(), labels)).batch(10)
    told = explained(model, pairs, tmp_path / "labels", targets="label", shard_rows=32)
    np.testing.assert_array_equal(told.array(), rows.array())
    np.testing.assert_array_equal(told.frame()["label"], labels)
    ranked = explained(model, images(), tmp_path / "ranks", targets=tfxai.top(2))
    assert_same(next(ranked.shards()), CAM(model, images(), tfxai.top(2)))


def test_parts_words_and_several_inputs_come_back_whole(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    left, right = keras.Input((3,), name="left"), keras.Input((8, 8, 1), name="right")
    both = keras.layers.Concatenate()([left, keras.layers.Flatten()(right)])
    model = keras.Model({"left": left, "right": right}, keras.layers.Dense(2)(both))
    generator = np.random.default_rng(0)
    data = {
        "left": generator.normal(size=(20, 3)).astype("float32"),
        "right": generator.normal(size=(20, 8, 8, 1)).astype("float32"),
    }
    methods = {
        "gradients": tfxai.IntegratedGradients(steps=3),
        "shap": tfxai.KernelSHAP(samples=20),
        "lime": tfxai.LIME(samples=30, input="right"),
        "cells": tfxai.ShapleyInteractions(samples=30, input="right"),
    }
    results = explained(model, data, tmp_path, methods)
    for name, method in methods.items():
        shard, direct = next(results.shards(name)), method(model, data)
        assert type(shard) is type(direct), name
        for field in ("weights", "segments", "r2", "intercept", "interactions"):
            np.testing.assert_array_equal(
                getattr(shard, field, None), getattr(direct, field, None), err_msg=field
            )
        assert_same(shard, direct)
    assert_same(results[4]["gradients"], methods["gradients"](model, data)[4])


def test_the_files_are_read_without_us(undisturbed: Path) -> None:
    table = pyarrow.parquet.read_table(undisturbed / "rows")
    assert table.num_rows == 400 and table["cam.values"].combine_chunks().to_numpy_ndarray().shape == (
        400,
        8,
        8,
        1,
    )
    frame = pd.read_parquet(undisturbed / "rows" / "shard-000000.parquet")
    np.testing.assert_array_equal(
        frame["smooth.scores"], tfxai.open_results(undisturbed).array("scores", "smooth")[:8]
    )
    told = json.loads((undisturbed / "run.json").read_text())
    assert told["methods"]["rise"]["settings"]["samples"] == 16


def test_rows_come_back_as_a_data_set(undisturbed: Path) -> None:
    results = tfxai.open_results(undisturbed)
    rows = results.dataset("smooth").batch(100)
    values = np.concatenate([batch["values"] for batch in rows.as_numpy_iterator()])
    np.testing.assert_array_equal(values, results.array("values", "smooth"))


def test_several_inputs_come_back_as_a_data_set(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    inputs = [keras.Input((3,)), keras.Input((8, 8, 1))]
    both = keras.layers.Concatenate()([inputs[0], keras.layers.Flatten()(inputs[1])])
    model = keras.Model(inputs, keras.layers.Dense(2)(both))
    rows = [np.ones((6, 3), "float32"), np.ones((6, 8, 8, 1), "float32")]
    whole = explained(model, rows, tmp_path / "whole", tfxai.Gradient())
    batch = next(whole.dataset().batch(6).as_numpy_iterator())
    np.testing.assert_array_equal(batch["values"][1], whole.array("values.1"))
    half = explained(model, rows, tmp_path / "half", tfxai.RISE(samples=8, cells=2, input=1))
    batch = next(half.dataset().batch(6).as_numpy_iterator())
    assert list(batch["values"]) == [1] and len(batch["inputs"]) == 2


def test_reading_takes_a_part_of_the_row_alone() -> None:
    rows = Rows(np.arange(10), None, None, {2: "broken", 7: "too"}, np.arange(10))
    part = rows[np.array([7, 1])]
    assert part.inputs.tolist() == [7, 1] and part.broken == {0: "too"} and part.keys.tolist() == [7, 1]


def test_a_run_in_work_can_be_read(model: Any, tmp_path: Path) -> None:
    seen = []

    def batches() -> Any:
        for i in range(0, 100, 10):
            if shards_in(tmp_path) > 2:
                seen.append(len(tfxai.open_results(tmp_path)))
            time.sleep(0.05)
            yield images()[i : i + 10]

    results = explained(model, batches(), tmp_path, shard_rows=10)
    assert seen and 0 < seen[0] < 100 and len(results) == 100
    assert isinstance(results[0], Explanation)


def test_directories_without_a_run_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="There is no run in"):
        tfxai.open_results(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ValueError, match="is not the head of a run"):
        tfxai.open_results(tmp_path)
