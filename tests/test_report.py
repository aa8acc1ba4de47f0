"""Pages of results: everything can be shown, what a person sees and does in a browser, and nothing comes from elsewhere."""

from __future__ import annotations

import base64
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from shown import NAMES, blobs, checks, convolutional, explanations

import tfxai
from tfxai.reporting import charts, pictures
from tfxai.reporting.blocks import Chart
from tfxai.reporting.context import Context
from tfxai.reporting.of_maps import in_words
from tfxai.reporting.sections import section_of

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)


@pytest.fixture(scope="module")
def by_two() -> dict[str, tfxai.Explanation]:
    """Two methods on three pictures; the second has signs."""
    model = convolutional()
    return {"Grad-CAM": tfxai.GradCAM()(model, blobs(3)), "Gradient": tfxai.Gradient()(model, blobs(3))}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Any]:
    """Opens a file, and fails if the page complains or asks for anything else."""
    heard: list[str] = []
    contexts = []

    def opens(path: Path, width: int = 1280, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda asked: heard.append(asked.url) if asked.url.startswith("http") else None)
        page.goto(path.as_uri())
        page.wait_for_function(
            "[...document.querySelectorAll('.chart')].every((each) => each.closest('details:not([open])') || each.querySelector('svg'))"
        )
        page.wait_for_timeout(200)
        return page

    yield opens
    for context in contexts:
        context.close()
    assert heard == []


# What is written


def test_values_of_the_pointer_have_two_digits() -> None:
    generator = np.random.default_rng(0)
    for heat in (
        generator.normal(size=(20, 30)) ** 3,
        np.abs(generator.normal(size=(5, 5))) * 1e-9,
        np.zeros((4, 4)),
        generator.normal(size=(700, 300)).cumsum(0),
    ):
        address, most, (height, width) = pictures.values(heat)
        shades = np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))).astype(float)
        assert shades.shape == (height, width) and max(height, width) <= 256
        back = np.sign(shades - 127) * ((shades - 127) / 127) ** 2 * most
        small = pictures.averaged(heat)
        # Half of a step between two shades q: most * ((q + 0.5) / 127) ** 2 - most * (q / 127) ** 2.
        room = most * (np.sqrt(np.abs(small) / (most or 1)) / 127 + 0.5 / 127**2)
        assert (np.abs(back - small) <= room + 1e-12 * most).all()


def test_large_maps_are_means_of_blocks() -> None:
    heat = np.arange(600 * 500, dtype=float).reshape(600, 500)
    small = pictures.averaged(heat)
    assert small.shape == (200, 250)
    np.testing.assert_allclose(small[3, 4], heat[9:12, 8:10].mean())
    wide = np.zeros((10, 2000))
    wide[6, 1000] = 8.0
    small = pictures.averaged(wide)  # each axis by its own step
    assert small.shape == (10, 250) and small[6, 125] == 1.0 and small.sum() == 1.0


def test_maps_in_words() -> None:
    heat = np.zeros((9, 9))
    assert in_words(heat) == "No evidence anywhere."
    heat[0:3, 6:9], heat[4, 4] = 1.0, 3.0
    assert "Most of what speaks for it lies in the upper right (75%) and the middle (25%)" in in_words(heat)
    heat[8, 0] = -4.0
    assert "25% of all evidence speaks against" in in_words(heat)
    assert in_words(-np.ones((3, 3))) == "All evidence speaks against it."
    assert in_words(np.ones((32, 32))) == "What speaks for it is spread over the picture."
    one = np.zeros((9, 9))
    one[4, 4] = 1.0
    assert "in the middle (100%) ninth" in in_words(one)
    one[0, 0] = np.inf
    assert "in the middle (100%) ninth of the picture. 1% of the places have no value." in in_words(one)
    assert in_words(np.full((4, 4), np.nan)) == "The map has no values."
    assert in_words(np.ones((1, 1))) == "Some of the evidence speaks for it."


def test_words_of_users_stay_words(by_two: dict[str, tfxai.Explanation]) -> None:
    evil = "</script><script>alert(1)</script>"
    named = {f"{evil} {i}": each for i, each in enumerate(by_two.values())}
    labels = [evil] * 5
    page = tfxai.report(None, f"Title {evil}", f"Prose {evil}", named, labels=labels, names=[evil] * 3).html
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 10
    assert len(re.findall("<script", page)) == len(re.findall("</script>", page))


def test_the_file_is_written_whole_or_not_at_all(
    by_two: dict[str, tfxai.Explanation], tmp_path: Path
) -> None:
    found = tfxai.report(tmp_path / "page.html", "Two", by_two)
    assert found.path == tmp_path / "page.html" and found.path.read_text(encoding="utf-8") == found.html
    with pytest.raises(ValueError, match=r"cannot show 7\. Give explanations"):
        tfxai.report(tmp_path / "other.html", "Two", by_two, 7)
    with pytest.raises(ValueError, match="explains other inputs or classes than 'Grad-CAM'"):
        tfxai.report(tmp_path / "other.html", "Two", {**by_two, "of others": by_two["Gradient"][:2]})
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert 'sandbox="allow-scripts' in found._repr_html_() and "srcdoc" in found._repr_html_()


def test_an_explanation_makes_its_own_page(by_two: dict[str, tfxai.Explanation], tmp_path: Path) -> None:
    found = by_two["Gradient"].report(tmp_path / "page.html", labels=NAMES)
    assert "What did the model look at? Gradient" in found.html and found.path == tmp_path / "page.html"


def test_predictions_are_those_of_the_model_that_was_explained(by_two: dict[str, tfxai.Explanation]) -> None:
    shares = tfxai.predictions.probabilities(convolutional(), blobs(3))
    page = tfxai.report(None, "Two", by_two, model=convolutional(), labels=NAMES).html
    assert page.count('<dl class="best">') == 3 and f"{100 * shares[0].max():.0f} %" in page
    assert '<dl class="best">' not in tfxai.report(None, "Two", by_two, model=convolutional(seed=1)).html


def table(values: np.ndarray, **fields: Any) -> tfxai.Explanation:
    """Of rows (N, F), by nobody."""
    count = len(values)
    return tfxai.Explanation(
        values.astype("float32"),
        np.ones_like(values, "float32"),
        np.zeros(count, int),
        np.ones(count, "float32"),
        **fields,
    )


def test_classes_and_columns_of_one_name_are_told_apart(by_two: dict[str, tfxai.Explanation]) -> None:
    shares = np.array([0.5, 0.3, 0.15, 0.05])
    assert Context(labels=["crane", "crane", "dog", "cat"]).best(shares)[:2] == [
        ("crane", "50 %"),
        ("crane", "30 %"),
    ]
    rows = [{"name": "one", "value": 2.0}, {"name": "one", "value": -1.5}]
    names = [row["name"] for row in charts.bars(rows)["data"]["values"]]
    assert len({*names}) == 2 and [name.strip(charts.INVISIBLE) for name in names] == ["one", "one"]


def test_bars_have_the_intervals_of_the_values() -> None:
    values = np.array([[1.0, -2.0, 0.5]])
    ends = np.stack([values - 0.1, values + 0.3], -1).astype("float32")
    found = section_of(table(values, interval=ends, method="KernelSHAP()"), Context())
    spec = next(block for block in found.blocks if isinstance(block, Chart)).spec
    assert [row["value"] for row in spec["data"]["values"]] == [-2.0, 1.0, 0.5]
    np.testing.assert_allclose([row["low"] for row in spec["data"]["values"]], [-2.1, 0.9, 0.4], atol=1e-6)
    assert len(spec["layer"]) == 2


def test_numbers_that_are_none_and_nothing_at_all_can_be_shown() -> None:
    bad = np.random.default_rng(0).normal(size=(2, 5))
    bad[0, 2], bad[1, 1] = np.nan, np.inf
    page = tfxai.report(None, "Bad", table(bad), table(bad[:0])).html
    assert "NaN" not in re.findall(r'class="spec">(.*?)</script>', page)[0]
    assert "Nothing was explained" in page
    pictures_of_none = tfxai.Explanation(
        np.zeros((0, 8, 8, 1), "float32"),
        np.zeros((0, 8, 8, 3), "float32"),
        np.zeros(0, int),
        np.zeros(0, "float32"),
    )
    assert "Nothing was explained" in tfxai.report(None, "None", pictures_of_none).html


def test_every_input_that_was_explained_is_shown() -> None:
    values = {
        "photo": np.ones((1, 16, 16, 1), "float32"),
        "record": np.ones((1, 4), "float32"),
        "left out": None,
    }
    inputs = {name: np.ones((1, 16, 16, 3) if name == "photo" else (1, 4), "float32") for name in values}
    both = tfxai.Explanation(values, inputs, np.zeros(1, int), np.ones(1, "float32"), method="Occlusion()")
    page = tfxai.report(None, "Both", both).html
    assert "Input photo:" in page and "Input record:" in page and "Input left out" not in page


def test_photos_are_those_of_the_inputs(by_two: dict[str, tfxai.Explanation]) -> None:
    with pytest.raises(ValueError, match="photos has 2 entries for 3 inputs"):
        tfxai.report(None, "Two", by_two, photos=np.ones((2, 64, 64, 3)))
    red = np.zeros((3, 64, 64, 3))
    red[..., 0] = 1
    page = tfxai.report(None, "Two", by_two, photos=red).html
    address = re.search(r'<img src="data:image/png;base64,([^"]+)"', page)
    assert address is not None
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(address[1]))))
    assert pixels.shape == (64, 64, 3) and (pixels == [255, 0, 0]).all()


def test_what_is_missing_is_named(
    by_two: dict[str, tfxai.Explanation], monkeypatch: pytest.MonkeyPatch
) -> None:
    import builtins

    real = builtins.__import__

    def without(missing: str) -> Any:
        def imported(name: str, *more: Any, **settings: Any) -> Any:
            if name.split(".")[0] == missing:
                raise ImportError(name)
            return real(name, *more, **settings)

        return imported

    monkeypatch.setattr(builtins, "__import__", without("jinja2"))
    with pytest.raises(ImportError, match=r"needs Jinja2, .* pip install 'tfxai\[report\]'"):
        tfxai.report(None, "Two", by_two)


# What a person sees


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of every result type."""
    folder = tmp_path_factory.mktemp("page")
    results = {**explanations(), **checks(folder)}
    for name, result in results.items():  # each alone, so that no other hides what is wrong with it
        assert tfxai.report(None, name, result, labels=NAMES).html.count('<section class="section"') == 1
    path = folder / "everything.html"
    tfxai.report(path, "All kinds", *results.values(), model=convolutional(), labels=NAMES)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark"), (1920, "light")])
def test_every_result_can_be_shown_to_everybody(
    everything: Path, opened: Any, width: int, scheme: str
) -> None:
    """No errors, nothing fetched, nothing beside the page, nothing against the rules of axe-core, all charts drawn."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(everything, width, scheme)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    page.wait_for_function(
        "[...document.querySelectorAll('.chart')].every((each) => each.querySelector('svg'))"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = axe.Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []
    assert page.locator(".chart svg").count() >= 20
    assert page.locator("canvas.one").count() >= 10


@pytest.mark.slow
def test_tabs_slider_wipe_pointer_and_keys(
    by_two: dict[str, tfxai.Explanation], opened: Any, tmp_path: Path
) -> None:
    tfxai.report(tmp_path / "page.html", "Two", by_two, labels=NAMES)
    page = opened(tmp_path / "page.html")
    stage, said = page.locator(".stage").first, page.locator(".value").first
    page.get_by_role("tab", name="Gradient").click()
    assert page.get_by_role("tab", name="Gradient").get_attribute("aria-selected") == "true"
    heat = by_two["Gradient"].heatmap()[0]
    box = stage.bounding_box()
    for row, column in ((3, 5), (16, 20), (31, 31)):
        page.mouse.move(
            box["x"] + box["width"] * (column + 0.5) / 32, box["y"] + box["height"] * (row + 0.5) / 32
        )
        page.wait_for_timeout(100)
        value, side, at_row, at_column = re.fullmatch(
            r"(\S+) (for|against) at row (\d+), column (\d+)", said.inner_text()
        ).groups()  # pyright: ignore[reportOptionalMemberAccess]
        assert (int(at_row), int(at_column)) == (row, column)
        number = float(value.replace("\N{MINUS SIGN}", "-"))
        assert number == pytest.approx(heat[row, column], abs=0.02 * float(np.abs(heat).max()))
        assert (side == "for") == (heat[row, column] > 0)
    # The photo alone, the map alone.
    blend, canvas = page.locator(".blend"), page.locator("canvas.one").first
    blend.evaluate("(slider) => { slider.value = 0; slider.dispatchEvent(new Event('input')); }")
    assert canvas.evaluate("(each) => getComputedStyle(each).opacity") == "0"
    photo = stage.screenshot()
    blend.evaluate("(slider) => { slider.value = 100; slider.dispatchEvent(new Event('input')); }")
    assert canvas.evaluate("(each) => getComputedStyle(each).opacity") == "1" and stage.screenshot() != photo
    # The wipe: on the left of its edge the gradient, on the right Grad-CAM.
    page.locator(".other").select_option(label="Grad-CAM")
    page.wait_for_timeout(150)
    cam = by_two["Grad-CAM"].heatmap()[0]
    for share, expected in ((0.2, heat), (0.8, cam)):
        page.locator(".edge").evaluate(
            "(slider) => { slider.value = 50; slider.dispatchEvent(new Event('input')); }"
        )
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] * 0.51)
        page.wait_for_timeout(100)
        number = float(said.inner_text().split()[0].replace("\N{MINUS SIGN}", "-"))
        assert number == pytest.approx(
            expected[16, int(32 * share)], abs=0.02 * float(np.abs(expected).max())
        )
    assert "inset(0px 50% 0px 0px)" in canvas.evaluate("(each) => getComputedStyle(each).clipPath")
    # By keys alone.
    page.get_by_role("tab", name="Gradient").focus()
    page.keyboard.press("ArrowLeft")
    assert page.get_by_role("tab", name="Grad-CAM").get_attribute("aria-selected") == "true"
    stage.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(100)
    assert re.search(r"at row \d+, column \d+", said.inner_text())


@pytest.mark.slow
def test_a_notebooks_cell_shows_the_same_page(
    by_two: dict[str, tfxai.Explanation], opened: Any, tmp_path: Path
) -> None:
    found = tfxai.report(None, "Two", by_two, labels=NAMES)
    (tmp_path / "notebook.html").write_text(
        f"<!doctype html><html lang=en><title>cell</title><link rel=icon href=data:,>{found._repr_html_()}</html>",
        encoding="utf-8",
    )
    frame = opened(tmp_path / "notebook.html").frame_locator("iframe")
    frame.get_by_role("tab", name="Gradient").click()
    assert re.search(r"strongest: \S+ (for|against) at row", frame.locator(".value").first.inner_text())
    drawn = frame.locator("canvas.one").first.evaluate("(each) => each.width")
    assert drawn == 32


@pytest.mark.slow
def test_a_phone_reads_by_a_tap_and_long_words_are_broken(
    by_two: dict[str, tfxai.Explanation], browser: Any, tmp_path: Path
) -> None:
    unbroken = "x" * 260 + ".png"
    rows = {
        name: np.float32([[mean] * 3, [9.2] * 3, [10.5] * 3, [np.nan] * 3]) for name, mean in (("d", 100),)
    }
    scores = tfxai.metrics.MethodTable(list("ABCD"), ["d"], {"d": False}, rows, np.ones(4))
    tfxai.report(
        tmp_path / "page.html", "Phone", by_two, scores, table(np.ones((1, 3))), names=[unbroken] * 3
    )
    context = browser.new_context(viewport={"width": 375, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    said, stage = page.locator(".value").first, page.locator(".stage").first
    assert said.inner_text().startswith("strongest")
    box = stage.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.51)
    page.wait_for_timeout(150)
    assert said.inner_text().endswith("at row 16, column 9")
    head = page.get_by_role("button", name=re.compile("^d "))
    for expected in ("BCAD", "ACBD"):  # what has no value stands last, up and down
        head.click()
        cells = page.locator("table").filter(has_text="Methods by metrics").locator("tbody tr td:first-child")
        assert "".join(cells.all_inner_texts()) == expected
    context.close()


def sorted_and_slid(page: Any) -> None:
    """Tables by a column, up and down; a film to its third epoch; the tokens of a generated text."""
    table = page.locator("table").filter(has_text="Methods by metrics")
    head = table.get_by_role("button", name=re.compile("seconds"))
    orders = []
    for direction in ("ascending", "descending"):
        head.click()
        assert table.locator("th").last.get_attribute("aria-sort") == direction
        cells = table.locator("tbody tr td:last-child")
        orders.append([float(cells.nth(i).get_attribute("data-order")) for i in range(cells.count())])
    assert orders[0] == sorted(orders[0]) == orders[1][::-1] and len(orders[0]) == 4
    film = page.locator(".film").first
    shown = film.locator("output")
    assert shown.inner_text() == "before training"
    film.locator("input").evaluate(
        "(slider) => { slider.value = 3; slider.dispatchEvent(new Event('input')); }"
    )
    assert (
        shown.inner_text() == "epoch 3" and film.locator("img:visible").get_attribute("alt") == "cam, epoch 3"
    )
    page.get_by_role("tab", name="7", exact=True).click()
    assert page.get_by_text("What '7' was made of").is_visible()
