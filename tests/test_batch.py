"""An explainer of columns: its values are those of the method, wherever it is sent to."""

from __future__ import annotations

import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from data_runs import METHODS, images, network

import tfxai
from tfxai.batch import Explainer

PAGE = Path(__file__).parent.parent / "docs" / "engines.md"
COLUMNS = ["age", "pulse", "dose"]
IG = tfxai.IntegratedGradients()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model and the rows of the page's recipes; row 7 cannot be explained."""
    root = tmp_path_factory.mktemp("batch")
    keras.utils.set_random_seed(1)
    table = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(2)]
    )
    table.save(root / "table.keras")
    network().save(root / "model.keras")
    values = np.random.default_rng(0).normal(size=(50, 3)).astype("float32")
    values[7, 1] = np.nan
    frame = pd.DataFrame(values, columns=COLUMNS)
    frame.insert(0, "id", np.arange(100, 150))
    frame.to_parquet(root / "rows.parquet")
    return root


def rows_of(folder: Path) -> dict[str, np.ndarray]:
    frame = pd.read_parquet(folder / "rows.parquet")
    return {name: frame[name].to_numpy() for name in frame}


def truth(folder: Path) -> np.ndarray:
    """(50, 3), row 7 NaN."""
    rows = np.stack([rows_of(folder)[name] for name in COLUMNS], 1)
    good = np.isfinite(rows).all(1)
    model = keras.saving.load_model(folder / "table.keras")
    found = np.full(rows.shape, np.nan, np.float32)
    found[good] = IG(model, rows[good]).values
    return found


def test_values_are_those_of_the_methods(folder: Path) -> None:
    data = images(6)
    explainer = Explainer(METHODS, folder / "model.keras")
    for each in (explainer, pickle.loads(pickle.dumps(explainer))):
        found = each({"image": data, "id": np.array(list("abcdef"))})
        assert found["failed"].tolist() == [None] * 6
        for name, method in METHODS.items():
            direct = method(network(), data)
            np.testing.assert_array_equal(found[f"{name}.values"], direct.values)
            np.testing.assert_array_equal(found[f"{name}.scores"], direct.scores)
            np.testing.assert_array_equal(found[f"{name}.targets"], direct.targets)


def test_a_table_a_bad_row_and_a_bad_batch(folder: Path) -> None:
    explainer = Explainer(IG, folder / "table.keras", columns=COLUMNS)
    rows = rows_of(folder)
    found = explainer(rows)
    np.testing.assert_allclose(found["integrated_gradients.values"], truth(folder), rtol=1e-5, atol=1e-6)
    assert found["failed"][7] == "The inputs hold NaN or infinite numbers."
    assert found["integrated_gradients.targets"][7] == -1
    assert sum(each is not None for each in found["failed"]) == 1
    alone = explainer({name: column[7:8] for name, column in rows.items()})
    assert {name: column.dtype for name, column in alone.items()} == {
        name: column.dtype for name, column in found.items()
    }
    assert alone["failed"].tolist() == found["failed"].tolist()[7:8]
    assert np.isnan(alone["integrated_gradients.values"]).all()


def test_inputs_by_name_and_labels(tmp_path: Path) -> None:
    one, two = keras.Input((4,), name="one"), keras.Input((2,), name="two")
    joined = keras.layers.Concatenate()([one, two])
    model = keras.Model({"one": one, "two": two}, keras.layers.Dense(3)(joined))
    generator = np.random.default_rng(0)
    batch = {name: generator.normal(size=(5, n)).astype("float32") for name, n in (("one", 4), ("two", 2))}
    labels = np.array([0, 2, 1, 1, 0])
    explainer = Explainer(tfxai.Gradient(), lambda: model, targets="label")
    found = explainer({**batch, "label": labels, "note": np.array(list("abcde"))})
    direct = tfxai.Gradient()(model, batch, labels)
    for name in batch:
        np.testing.assert_array_equal(found[f"gradient.values.{name}"], direct.values[name])
    assert found["note"].tolist() == list("abcde") and found["gradient.targets"].tolist() == labels.tolist()
    with pytest.raises(ValueError, match='column "label" is none'):
        explainer(batch)


def test_half_precision_and_summaries(folder: Path) -> None:
    data = images(4)
    method = tfxai.SmoothGrad(samples=4)
    direct = method(network(), data)
    halved = Explainer(method, folder / "model.keras", float16=True)({"image": data})
    values, exponents = halved["smooth_grad.values"], halved["smooth_grad.values_exponent"]
    assert values.dtype == np.float16
    back = np.ldexp(values.astype("float32"), exponents[:, None, None, None])
    np.testing.assert_allclose(back, direct.values, rtol=2e-3, atol=1e-3 * np.abs(direct.values).max())
    short = Explainer(method, folder / "model.keras", keep="summary")({"image": data})
    np.testing.assert_array_equal(
        short["smooth_grad.values"], direct.heatmap()[..., None]
    )  # smaller than the cells
    positive = np.where(direct.heatmap() > 0, direct.heatmap(), 0).sum((1, 2))
    np.testing.assert_allclose(short["smooth_grad.positive"], positive, rtol=1e-5)


def test_what_does_not_fit_is_told(folder: Path) -> None:
    data = images(4)
    with pytest.raises(ValueError, match=r"There is no model .*nowhere.keras"):
        Explainer(IG, folder / "nowhere.keras")({"image": data})
    with pytest.raises(ValueError, match="class 9, the model has 5"):
        Explainer(IG, folder / "model.keras", targets=9)({"image": data})
    with pytest.raises(ValueError, match=r"no column 'picture'. It has image"):
        Explainer(IG, folder / "model.keras", columns="picture")({"image": data})
    with pytest.raises(ValueError, match="The batch has the columns image, mask, and the model takes 1"):
        Explainer(IG, folder / "model.keras")({"image": data, "mask": data})
    with pytest.raises(ValueError, match="method is 'cam'"):
        Explainer("cam", folder / "model.keras")  # pyright: ignore[reportArgumentType]


def recipe(engine: str) -> str:
    """The first block of code under a heading of the page."""
    found = re.search(rf"^### {engine}\n+```python\n(.*?)```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "package"), [("Ray Data", "ray"), ("Apache Spark", "pyspark"), ("Apache Beam", "apache_beam")]
)
def test_the_recipes_of_the_page_give_the_same(
    folder: Path, tmp_path: Path, engine: str, package: str
) -> None:
    """Each in a process of its own, with an engine of its own."""
    pytest.importorskip(package)
    if package == "pyspark" and shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    for name in ("table.keras", "rows.parquet"):
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "recipe.py").write_text(recipe(engine))
    done = subprocess.run(
        [sys.executable, "recipe.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = read(tmp_path)
    assert sorted(found) == list(range(100, 150))
    values = np.stack([np.array(found[each][0], np.float32) for each in sorted(found)])
    np.testing.assert_allclose(values, truth(folder), rtol=1e-4, atol=1e-5)
    assert [each for each in found if found[each][1] is not None] == [107]


def read(folder: Path) -> dict[int, Any]:
    """What a recipe wrote: id -> values and reason."""
    if texts := [*folder.glob("explained-*")]:
        lines = [line for text in texts for line in text.read_text().splitlines()]
        told = [eval(line, {"nan": float("nan")}) for line in lines]
        return {each["id"]: (each["values"], each["failed"]) for each in told}
    frame = pd.concat([pd.read_parquet(file) for file in (folder / "explained").glob("*.parquet")])
    values = frame["values" if "values" in frame else "integrated_gradients.values"]
    reasons = [why if isinstance(why, str) else None for why in frame["failed"]]
    return {key: (row, why) for key, row, why in zip(frame["id"], values, reasons, strict=True)}
