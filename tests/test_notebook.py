"""In a notebook every result shows itself: the picture inlined, the words escaped. A real kernel runs the cells."""

from __future__ import annotations

import base64
import html
import io
import re

import nbclient
import nbformat
import numpy as np
import pytest
from PIL import Image

EVIL = "<script>alert('x')</script> & $x$"
SETUP = f"""
import keras, numpy as np, tfxai, warnings
warnings.simplefilter("ignore")
keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input((12, 12, 3)), keras.layers.Conv2D(4, 3, activation="relu", name="edges"),
                          keras.layers.Flatten(), keras.layers.Dense(3)])
x = np.random.default_rng(0).random((40, 12, 12, 3)).astype("float32")
evil = {EVIL!r}

def named(model, inputs, targets=None):
    found = tfxai.Gradient()(model, inputs, targets)
    return tfxai.Explanation(found.values, found.inputs, found.targets, found.scores, method=evil)
"""
CELLS = {
    "explanation": "named(model, x[:2])",
    "sample": "tfxai.ExpectedGradients(x, samples=2)(model, x[:1])",
    "words": "tfxai.LIME(samples=20)(lambda texts: np.array([len(t) for t in texts]), [evil + ' and more', 'good'])",
    "comparison": "tfxai.plots.compare({evil: named(model, x[:2]), 'Grad-CAM': tfxai.GradCAM()(model, x[:2])})",
    "figure": "tfxai.plots.show(named(model, x[:2]), [evil] * 3)",
    "stability": "tfxai.stability(tfxai.LIME(samples=20, segments=4, segmenter='grid'), model, x[:1], seeds=2)",
    "sanity": "tfxai.sanity.randomize_model({evil: named}, model, x[:2], explanations=True)",
    "tcav": "tfxai.TCAV(['edges'], random_runs=2)(model, x[:10], 1, {evil: x[:12] ** 2}, x)",
    "table": "tfxai.compare_methods({evil: named}, model, x[:4], ['sparseness', 'complexity'])",
}
SHOWS_WORDS = {"explanation", "sanity", "tcav", "table"}  # whose words under the picture hold the user's


@pytest.fixture(scope="module")
def shown() -> dict[str, dict[str, str]]:
    """What each cell puts out, by kind."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(code) for code in (SETUP, *CELLS.values())]
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    found = {}
    for name, cell in zip(CELLS, notebook.cells[1:], strict=True):
        assert [each for each in cell.outputs if each.output_type == "error"] == []
        (found[name],) = [each.data for each in cell.outputs if each.output_type == "execute_result"]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_results_show_a_picture(shown, name):
    page = shown[name]["text/html"]
    (data,) = re.findall(r'<img src="data:image/png;base64,([A-Za-z0-9+/=]+)"', page)
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(float)
    assert min(pixels.shape[:2]) > 100 and pixels.std() > 5
    assert "http" not in page and "src=" not in page.replace('<img src="data:', "")  # nothing is fetched


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_words_are_no_markup(shown, name):
    page = shown[name]["text/html"]
    assert "<script" not in page
    assert set(re.findall(r"</?(\w+)", page)) <= {"div", "img", "pre"}
    if name in SHOWS_WORDS:
        assert html.escape(EVIL) in page
        assert EVIL in html.unescape(page)
