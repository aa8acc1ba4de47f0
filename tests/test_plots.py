"""What the pictures show: the data under the colours, their limits and the words around them."""

import dataclasses

import keras
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from skimage import data

import tfxai
from tfxai import plots
from tfxai.results import Explanation

LABELS = ["cat", "dog", "bird", "fish"]


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def explained(values, inputs, targets, scores=None, **fields):
    targets = np.asarray(targets)
    scores = np.full(targets.shape, 8.311, "float32") if scores is None else np.asarray(scores, "float32")
    return Explanation(np.asarray(values, "float32"), inputs, targets, scores, **fields)


def photos(n=2):
    """(n, 32, 40, 3) in 0..1."""
    return np.stack([data.chelsea()[2 * i : 2 * i + 256 : 8, :320:8] for i in range(n)]) / np.float32(255)


def gradients(n=2, **fields):
    return explained(random(n, 32, 40, 3), photos(n), np.arange(n) % 4, **fields)


def drawn(ax):
    """The map, which lies over the picture."""
    return ax.images[-1]


def rows(figure, columns):
    return np.array(figure.axes, dtype=object).reshape(-1, columns)


def heading(ax):
    return ax.get_title("left"), ax.get_title("right")


def words(figure):
    return " ".join(text.get_text() for text in figure.texts)


def test_show_draws_the_photo_and_the_channel_sum_of_each_example():
    explanation = gradients()
    grid = rows(plots.show(explanation), 2)
    assert grid.shape == (2, 2)
    for i, (image, map_) in enumerate(grid):
        np.testing.assert_allclose(image.images[0].get_array(), photos()[i], atol=1e-6)
        np.testing.assert_array_equal(drawn(map_).get_array(), explanation.values[i].sum(axis=-1))


def test_signed_maps_of_a_row_share_a_symmetric_scale_that_ends_at_the_percentile():
    values = random(2, 3, 32, 40, 3) * np.array([1, 5, 0.1]).reshape(3, 1, 1, 1)
    explanation = explained(values, photos(), [[0, 1, 2], [3, 1, 0]])
    grid = rows(plots.show(explanation, percentile=90), 4)
    for row, maps in zip(grid, explanation.heatmap(), strict=True):
        end = np.percentile(np.abs(maps), 90)
        for ax in row[1:]:
            assert drawn(ax).get_clim() == pytest.approx((-end, end))
        (bar,) = row[-1].child_axes
        assert bar.get_ylim() == pytest.approx((-end, end))
    assert grid[0, 1].images[-1].get_clim() != grid[1, 1].images[-1].get_clim()


def test_the_default_percentile_is_99_of_the_absolute_heatmap():
    explanation = gradients(1)
    end = np.percentile(np.abs(explanation.heatmap()), 99)
    (row,) = rows(plots.show(explanation), 2)
    assert drawn(row[1]).get_clim() == pytest.approx((-end, end))


def test_red_supports_blue_opposes_and_zero_is_clear():
    ax = plots.heatmap(np.array([[-3.0, 0.0, 3.0]]), scale=3)
    blue, clear, red = drawn(ax).cmap(drawn(ax).norm([-3.0, 0.0, 3.0]))
    assert blue[2] > 0.6 > blue[0]
    assert blue[3] == 1
    assert red[0] > 0.6 > red[2]
    assert red[3] == 1
    assert clear[3] < 0.01


def test_a_map_without_negative_values_is_heat_from_zero_over_the_grey_photo():
    cams = np.abs(random(1, 32, 40, 1))
    (row,) = rows(plots.show(explained(cams, photos(1), [1])), 2)
    grey, heat = row[1].images
    assert np.ptp(grey.get_array(), axis=-1).max() == 0
    np.testing.assert_allclose(grey.get_array()[..., 0], photos(1)[0].mean(axis=-1), atol=1e-6)
    np.testing.assert_array_equal(heat.get_array(), cams[0, ..., 0])
    assert heat.get_clim() == pytest.approx((0, np.percentile(cams, 99)))
    opacity = heat.cmap(heat.norm(np.linspace(0, heat.get_clim()[1], 9)))[:, 3]
    assert opacity[0] == 0
    assert (np.diff(opacity) > 0).all()


def test_one_channel_with_negative_values_is_drawn_with_signs():
    (row,) = rows(plots.show(explained(random(1, 32, 40, 1), photos(1), [1])), 2)
    low, high = drawn(row[1]).get_clim()
    assert low == -high < 0


def test_maps_are_titled_with_class_name_and_score():
    values, scores = random(1, 4, 32, 40, 1), [[0.389, 0.021, 0.0004, 1.0]]
    probabilities = explained(values, photos(1), [[0, 1, 2, 3]], scores, score="probability")
    row = rows(plots.show(probabilities, LABELS), 5)[0]
    expected = [("cat", "39 %"), ("dog", "2.1 %"), ("bird", "< 0.1 %"), ("fish", "100 %")]
    assert [heading(ax) for ax in row[1:]] == expected
    logits = explained(values[:, 0], photos(1), [2], [-8.311])
    assert heading(plots.show(logits).axes[1]) == ("class 2", "\N{MINUS SIGN}8.31")


def test_a_score_without_a_class_is_titled_with_its_own_name():
    explanation = explained(random(1, 32, 40, 3), photos(1), [-1], [0.5], score="mean_red")
    assert heading(plots.show(explanation, LABELS).axes[1]) == ("mean_red", "0.50")


@pytest.mark.parametrize("true_labels", [[1, 3], ["dog", "fish"], np.array([1, 3])])
def test_inputs_are_titled_with_their_true_labels(true_labels):
    grid = rows(plots.show(gradients(), {0: "cat", 1: "dog", 3: "fish"}, true_labels), 2)
    assert [heading(ax) for ax in grid[:, 0]] == [("dog", "true class"), ("fish", "true class")]


def test_long_names_are_cut_to_the_width_of_their_map():
    names = ["black-and-white Colobus monkey, guereza, Colobus guereza of the forest", "$5 and $9"]
    figure = plots.show(gradients(), names)
    name, score = rows(figure, 2)[0, 1]._left_title, rows(figure, 2)[0, 1]._right_title
    assert name.get_text().endswith("…")
    assert names[0].startswith(name.get_text()[:-1])
    figure.draw_without_rendering()
    assert name.get_window_extent().x1 < score.get_window_extent().x0
    assert heading(rows(figure, 2)[1, 1])[0] == names[1]


def test_a_map_of_zeros_is_calm_and_says_so():
    values = np.abs(random(2, 32, 40, 1))
    values[0] = 0
    figure = plots.show(explained(values, photos(), [0, 1]), LABELS)
    grid = rows(figure, 2)
    assert heading(grid[0, 1]) == ("cat", "8.31 · no evidence")
    assert heading(grid[1, 1]) == ("dog", "8.31")
    assert drawn(grid[0, 1]).cmap(drawn(grid[0, 1]).norm(0.0))[3] == 0
    assert not grid[0, 1].child_axes
    assert grid[1, 1].child_axes
    figure.draw_without_rendering()


def test_a_mostly_zero_map_keeps_its_few_values():
    values = np.zeros((1, 32, 40, 3))
    values[0, 3, 4] = -2
    assert drawn(plots.show(explained(values, photos(1), [0])).axes[1]).get_clim() == (-6, 6)


def test_values_that_are_not_finite_do_not_spoil_the_scale():
    values = random(1, 32, 40, 3)
    expected = np.percentile(np.abs(values[0, 1:].sum(axis=-1)), 99)
    values[0, 0] = np.inf
    assert drawn(plots.show(explained(values, photos(1), [0])).axes[1]).get_clim()[1] == pytest.approx(
        expected
    )


CODED = {
    "-1..1": lambda x: 2 * x - 1,
    "0..255": lambda x: 255 * x,
    "uint8": lambda x: np.round(255 * x).astype("uint8"),
    "torch": lambda x: (x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225],
    "caffe": lambda x: 255 * x[..., ::-1] - [103.939, 116.779, 123.68],
}


@pytest.mark.parametrize("code", CODED)
def test_photos_have_their_own_colours_however_the_model_takes_them(code):
    coded = CODED[code](photos())
    figure = plots.show(explained(random(2, 32, 40, 3), coded, [0, 1]))
    for ax, photo in zip(rows(figure, 2)[:, 0], photos(), strict=True):
        np.testing.assert_allclose(ax.images[0].get_array(), photo, atol=1e-5)


def test_other_ranges_are_stretched_example_by_example():
    inputs = photos() * np.array([1000, 5000]).reshape(2, 1, 1, 1) - 300
    figure = plots.show(explained(random(2, 32, 40, 3), inputs, [0, 1]))
    for ax, image in zip(rows(figure, 2)[:, 0], inputs, strict=True):
        expected = (image - image.min()) / np.ptp(image)
        np.testing.assert_allclose(ax.images[0].get_array(), expected, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 5])
def test_grey_and_many_channels_are_shown_as_the_mean_over_channels(channels):
    inputs = np.random.default_rng(0).random((1, 12, 9, channels))
    shown = plots.show(explained(random(1, 12, 9, channels), inputs, [0])).axes[0].images[0].get_array()
    np.testing.assert_allclose(shown, inputs[0].mean(axis=-1, keepdims=True).repeat(3, axis=-1), atol=1e-6)


def test_a_series_is_drawn_as_lines_over_its_map():
    series, values = random(2, 50, 2), random(2, 50, 2, seed=1)
    figure = plots.show(explained(values, series, [0, 1]))
    for row, lines, map_ in zip(rows(figure, 2), series, values.sum(axis=-1), strict=True):
        for ax in row:
            np.testing.assert_array_equal(np.stack([line.get_ydata() for line in ax.lines], axis=1), lines)
        np.testing.assert_array_equal(drawn(row[1]).get_array(), map_[None])
        assert drawn(row[1]).get_extent()[:2] == [-0.5, 49.5]
        assert row[0].get_ylim() == pytest.approx(row[1].get_ylim())


def test_a_table_row_is_drawn_as_bars_that_are_never_cut():
    table, values = random(1, 13), random(1, 2, 13, seed=1)
    row = rows(plots.show(explained(values, table, [[0, 1]])), 3)[0]
    for ax, heights in zip(row, [table[0], *values[0]], strict=True):
        np.testing.assert_array_equal([bar.get_height() for bar in ax.patches], heights)
    assert row[1].get_ylim() == row[2].get_ylim()
    assert row[1].get_ylim()[1] > np.abs(values).max()
    red, blue = ([bar for bar in row[1].patches if sign * bar.get_height() > 0] for sign in (1, -1))
    assert all(bar.get_facecolor()[0] > bar.get_facecolor()[2] for bar in red)
    assert all(bar.get_facecolor()[0] < bar.get_facecolor()[2] for bar in blue)


def test_bars_of_a_text_are_named_by_its_tokens():
    tokens = np.array([[17, 4, 99, 3]])
    figure = plots.show(explained(random(1, 4), tokens, [1]))
    assert [tick.get_text() for tick in figure.axes[1].get_xticklabels()] == ["17", "4", "99", "3"]
    assert figure.axes[0].texts[0].get_text() == "17 4 99 3"


def test_a_volume_is_drawn_at_the_slice_with_most_evidence():
    values, volumes = random(1, 2, 6, 8, 9, 1), np.random.default_rng(0).random((1, 6, 8, 9, 1))
    values[0, :, 4] *= 10
    row = rows(plots.show(explained(values, volumes, [[0, 1]])), 3)[0]
    assert row[0].get_title("right") == "slice 5 of 6"
    np.testing.assert_allclose(row[0].images[0].get_array()[..., 0], volumes[0, 4, ..., 0], atol=1e-6)
    for k in (0, 1):
        np.testing.assert_array_equal(drawn(row[1 + k]).get_array(), values[0, k, 4, ..., 0])


def test_of_several_inputs_the_image_is_drawn_unless_another_is_named():
    values = {"row": random(2, 5), "photo": random(2, 32, 40, 3), "rest": None}
    inputs = {"row": random(2, 5, seed=1), "photo": photos(), "rest": random(2, 3)}
    explanation = Explanation(values, inputs, np.array([0, 1]), np.ones(2, "float32"))
    np.testing.assert_array_equal(
        drawn(plots.show(explanation).axes[1]).get_array(), values["photo"][0].sum(-1)
    )
    heights = [bar.get_height() for bar in plots.show(explanation, input="row").axes[1].patches]
    np.testing.assert_array_equal(heights, values["row"][0])
    with pytest.raises(ValueError, match="'rest' was not explained"):
        plots.show(explanation, input="rest")


def test_only_the_first_examples_are_drawn_and_the_figure_says_so():
    explanation = gradients(20, method="Gradient()")
    figure = plots.show(explanation)
    assert len(figure.axes) == 16 * 2
    assert "First 16 of 20 examples" in words(figure)
    assert "Gradient()" in words(figure)
    assert len(plots.show(explanation, limit=3).axes) == 3 * 2
    assert "First" not in words(plots.show(explanation, limit=20))
    assert len(plots.compare({"a": explanation}, limit=2).axes) == 2 * 2


def test_compare_has_a_row_per_example_and_a_column_per_method_each_on_its_own_scale():
    gradient = gradients()
    cam = dataclasses.replace(gradient, values=np.abs(random(2, 32, 40, 1)) * 50)
    figure = plots.compare({"Gradient": gradient, "GradCAM": cam}, LABELS)
    grid = rows(figure, 3)
    assert heading(grid[0, 0]) == ("cat", "8.31")
    assert heading(grid[1, 0]) == ("dog", "8.31")
    assert [ax.get_title("left") for ax in grid[0, 1:]] == ["Gradient", "GradCAM"]
    assert [ax.get_title("left") for ax in grid[1, 1:]] == ["", ""]
    assert "own scale" in words(figure)
    for i in (0, 1):
        np.testing.assert_array_equal(drawn(grid[i, 2]).get_array(), cam.heatmap()[i])
        end = np.percentile(np.abs(gradient.heatmap()[i]), 99)
        assert drawn(grid[i, 1]).get_clim() == pytest.approx((-end, end))
        assert drawn(grid[i, 2]).get_clim() == pytest.approx((0, np.percentile(cam.heatmap()[i], 99)))


def test_compare_gives_each_of_several_targets_a_row():
    values = random(2, 3, 32, 40, 1)
    explanation = explained(values, photos(), [[0, 1, 2], [1, 2, 3]])
    grid = rows(plots.compare({"A": explanation, "B": explanation}, LABELS), 3)
    assert [ax.get_title("left") for ax in grid[:, 0]] == ["cat", "dog", "bird", "dog", "bird", "fish"]
    np.testing.assert_array_equal(drawn(grid[4, 1]).get_array(), values[1, 1, ..., 0])
    np.testing.assert_allclose(grid[4, 0].images[0].get_array(), photos()[1], atol=1e-6)


def test_heatmap_draws_on_the_given_axes_and_returns_them():
    ax = Figure().add_subplot()
    values = random(6, 7)
    assert plots.heatmap(values, photos(1)[0, :6, :7], ax, scale=2.0) is ax
    assert drawn(ax).get_clim() == (-2, 2)
    np.testing.assert_array_equal(drawn(ax).get_array(), values)
    assert drawn(plots.heatmap(values, random(6, 7))).get_array().shape == (6, 7)
    assert drawn(plots.heatmap(random(50), random(50, 1))).get_array().shape == (1, 50)
    assert len(plots.heatmap(random(9)).patches) == 9
    assert drawn(plots.heatmap(random(4, 6, 7))).get_array().shape == (6, 7)


def test_figures_show_themselves_in_a_notebook_and_stay_out_of_pyplot(tmp_path):
    before = pyplot.get_fignums()
    figure = plots.show(gradients(1))
    assert figure._repr_png_().startswith(b"\x89PNG")
    figure.savefig(tmp_path / "figure.pdf")
    assert (tmp_path / "figure.pdf").stat().st_size > 1000
    assert pyplot.get_fignums() == before


def test_drawing_leaves_the_explanation_as_it_was():
    explanation = gradients()
    values, inputs = explanation.values.copy(), explanation.inputs.copy()
    plots.compare({"a": explanation}), plots.show(explanation).draw_without_rendering()
    np.testing.assert_array_equal(explanation.values, values)
    np.testing.assert_array_equal(explanation.inputs, inputs)


def test_labels_and_true_labels_that_do_not_fit_are_errors():
    with pytest.raises(ValueError, match="labels has 1 names, none for class 1"):
        plots.show(gradients(), ["cat"])
    with pytest.raises(ValueError, match="labels has 1 names, none for class 0"):
        plots.show(gradients(), {1: "dog"})
    with pytest.raises(ValueError, match="labels is the text 'cats'"):
        plots.show(gradients(), "cats")
    with pytest.raises(ValueError, match="true_labels has 3 entries for 2 inputs"):
        plots.show(gradients(), true_labels=[0, 1, 2])
    with pytest.raises(ValueError, match=r"image has shape \(3, 3\), values \(4, 4\)"):
        plots.heatmap(random(4, 4), random(3, 3))


def test_what_cannot_be_compared_is_an_error():
    explanation = gradients()
    with pytest.raises(ValueError, match="no explanations"):
        plots.compare({})
    with pytest.raises(ValueError, match="'b' and 'a' explain different inputs"):
        plots.compare({"a": explanation, "b": dataclasses.replace(explanation, inputs=photos() + 1)})
    with pytest.raises(ValueError, match="'b' and 'a' explain different inputs"):
        plots.compare({"a": explanation, "b": gradients(3)})
    with pytest.raises(ValueError, match="'b' and 'a' explain different classes"):
        plots.compare({"a": explanation, "b": dataclasses.replace(explanation, targets=np.array([3, 2]))})


# Closer looks: real explanations of models whose weights say what must be seen


def quarters(weights=(4.0, 2.0, -1.0, -3.0), method=None):
    """KernelSHAP of two images (8, 8, 3) whose score is the mean of each quarter by weight; class 1 is class 0 times -1."""
    cut = np.repeat(np.repeat(np.arange(4).reshape(2, 2), 4, 0), 4, 1)
    each = np.asarray(weights)[cut].astype("float32")[..., None].repeat(3, -1).reshape(-1, 1) / 48
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2, use_bias=False)]
    )
    model.set_weights([np.concatenate([each, -each], 1)])
    images = np.random.default_rng(0).uniform(0.3, 1, (2, 8, 8, 3)).astype("float32")
    method = method or tfxai.KernelSHAP(samples=16, segmenter=cut, background=0.0)
    return method(model, images, np.array([[0, 1], [1, 0]])), cut, images


def said(ax):
    return [text.get_text() for text in ax.texts]


def test_segments_keep_the_colours_of_the_strongest_and_grey_the_rest():
    explanation, cut, images = quarters()
    grid = rows(plots.segments(explanation, 1, LABELS), 3)
    for row, strongest in ((0, (0, 3)), (1, (3, 0))):
        np.testing.assert_allclose(grid[row, 0].images[0].get_array(), images[row], atol=1e-6)
        for ax, segment in zip(grid[row, 1:], strongest, strict=True):
            shown = np.asarray(ax.images[0].get_array())
            np.testing.assert_allclose(shown[cut == segment], images[row][cut == segment], atol=1e-6)
            assert np.ptp(shown[cut != segment], axis=-1).max() < 1e-6
    assert [ax.get_title("left") for ax in grid[:, 1:].flat] == ["cat", "dog", "dog", "cat"]
    blue, red = grid[0, 1].collections
    assert len(blue.get_segments()) == 0
    assert len(red.get_segments()) == 16  # the edges of a square of four by four pixels
    assert red.get_edgecolor()[0][0] > red.get_edgecolor()[0][2]


def test_segments_against_a_class_are_framed_in_blue():
    explanation, cut, images = quarters()
    ax = rows(plots.segments(explanation, 1, against=True), 3)[0, 1]
    blue, _ = ax.collections
    assert len(blue.get_segments()) == 16
    assert blue.get_edgecolor()[0][2] > blue.get_edgecolor()[0][0]
    shown = np.asarray(ax.images[0].get_array())
    np.testing.assert_allclose(shown[cut == 3], images[0][cut == 3], atol=1e-6)


def test_a_class_that_no_segment_supports_says_so():
    explanation, _, _ = quarters((1.0, 2.0, 3.0, 4.0))
    grid = rows(plots.segments(explanation), 3)
    assert said(grid[0, 1]) == []
    assert said(grid[0, 2]) == ["no segment\nsupports this class"]


def test_segments_of_a_fitted_model_tell_its_r2():
    cut = np.arange(64).reshape(8, 8) // 16
    explanation, _, _ = quarters(method=tfxai.LIME(samples=30, segmenter=cut, hide=0.0))
    note = rows(plots.segments(explanation), 3)[0, 1].get_title("right")
    assert note.endswith(f" · R² {explanation.r2[0, 0]:.2f}")


def test_segments_that_are_missing_are_an_error():
    with pytest.raises(ValueError, match=r"Gradient\(\) has no segments. Give .* LIME"):
        plots.segments(quarters(method=tfxai.Gradient())[0])
    with pytest.raises(ValueError, match="top is 0"):
        plots.segments(quarters()[0], 0)


# Twos


def joined_rows(**settings):
    """Columns a and b count together, c by itself; the fourth does nothing."""
    method = tfxai.ShapleyInteractions(background=np.zeros((1, 4)), **settings)
    return method(lambda r: 3 * r[:, 0] * r[:, 1] - 2 * r[:, 2], np.ones((2, 4)))


def lines_of(ax):
    return [patch for patch in ax.patches if not hasattr(patch, "get_x")]


def test_twos_are_joined_by_a_line_and_stand_in_a_matrix():
    figure = plots.interactions(joined_rows(), columns=["a", "b", "c", "$d_1$"])
    network, matrix, *_ = figure.axes
    (line,) = lines_of(network)
    assert line.get_edgecolor()[0] > line.get_edgecolor()[2]
    assert said(network) == ["a", "b", "c", "$d_1$"]
    wanted = np.zeros((4, 4))
    wanted[0, 1] = wanted[1, 0] = 3
    wanted[2, 2] = -2
    np.testing.assert_allclose(matrix.images[0].get_array(), wanted, atol=1e-6)
    assert matrix.images[0].norm.vmax == pytest.approx(3)
    assert [tick.get_text() for tick in matrix.get_yticklabels()] == ["a = 1", "b = 1", "c = 1", "$d_1$ = 1"]
    ends = line.get_path().vertices[[0, -1]]
    dots = network.collections[0].get_offsets()
    np.testing.assert_allclose(ends, dots[:2], atol=1e-6)
    sizes = network.collections[0].get_sizes()
    assert sizes[2] > sizes[0] == sizes[1] == sizes[3]
    assert len(figure.axes) == 2 * 2


def test_twos_whose_sign_is_unsure_are_dashed_and_hatched():
    found = joined_rows()
    unsure = found.interactions_interval.copy()
    unsure[0, 0, 1] = unsure[0, 1, 0] = -1, 7
    network, matrix, sure, _ = plots.interactions(dataclasses.replace(found, interactions_interval=unsure)).axes  # fmt: skip
    assert lines_of(network)[0].get_linestyle() != lines_of(sure)[0].get_linestyle() == "solid"
    hatched = [(p.get_y() + 0.5, p.get_x() + 0.5) for p in matrix.patches if p.get_hatch()]
    assert sorted(hatched) == [(0, 1), (1, 0)]


def test_only_so_many_lines_and_examples_are_drawn():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(30, 30))
    model = lambda r: np.einsum("ni,ij,nj->n", r, weights, r)  # noqa: E731
    found = tfxai.ShapleyInteractions(background=np.zeros((1, 30)), samples=400)(model, rng.normal(size=(3, 30)))  # fmt: skip
    figure = plots.interactions(found, top=5, limit=1)
    network, matrix = figure.axes
    assert len(lines_of(network)) == 5 and matrix.images[0].get_array().shape == (20, 20)
    assert "First 1 of 3 examples" in words(figure)


def test_a_network_over_segments_and_one_of_words():
    cut = np.repeat(np.repeat(np.arange(4).reshape(2, 2), 4, 0), 4, 1)
    explanation, _, images = quarters(method=tfxai.ShapleyInteractions(segmenter=cut, background=0.0))
    network = plots.interactions(explanation, LABELS).axes[0]
    np.testing.assert_allclose(network.images[0].get_array(), 0.5 + 0.5 * images[0], atol=1e-6)
    middles = network.collections[-1].get_offsets()
    assert [int(cut[round(y), round(x)]) for x, y in middles] == [0, 1, 2, 3]
    assert heading(network)[0] == "cat" and not lines_of(network)  # a linear model

    def score(texts):
        return np.array([1.0 * ("not" in t) * ("good" in t) for t in texts])

    network, matrix, *_ = plots.interactions(tfxai.ShapleyInteractions()(score, ["not so good"])).axes
    assert said(network) == ["not", "so", "good"]
    assert [tick.get_text() for tick in matrix.get_xticklabels()] == ["not", "so", "good"]


def test_what_has_no_twos_is_an_error():
    with pytest.raises(
        ValueError, match=r"has no interactions\. Give an explanation by tfxai.ShapleyInteractions"
    ):
        plots.interactions(quarters()[0])
    with pytest.raises(ValueError, match="columns has 1 names for 4 columns"):
        plots.interactions(joined_rows(), columns=["a"])
    with pytest.raises(ValueError, match="true_labels has 1 entries"):
        plots.interactions(joined_rows(), true_labels=[1])


WEIGHTS = {"good": 2.0, "dull": -1.0, "$5": 0.5, "sch_ö_n": 1.0}


def read_texts(texts, targets=1):
    lookup = keras.layers.TextVectorization(
        vocabulary=list(WEIGHTS), standardize=None, output_sequence_length=99
    )
    embedding = keras.layers.Embedding(6, 2)
    inputs = keras.Input((1,), dtype="string")
    model = keras.Model(inputs, 99 * keras.layers.GlobalAveragePooling1D()(embedding(lookup(inputs))))
    one = np.array([0, 0, *WEIGHTS.values()], "float32")
    embedding.set_weights([np.stack([-one, one], 1)])
    return tfxai.KernelSHAP(samples=64)(model, texts, targets)


def test_words_are_red_for_and_blue_against_on_one_scale_per_text():
    explanation = read_texts(["a good but dull film", "costs $5 sch_ö_n"], np.array([[1, 0], [1, 0]]))
    first, second, third, _ = plots.text(explanation, ["bad", "fine"]).axes
    assert said(first) == ["a", "good", "but", "dull", "film"]
    assert said(third) == ["costs", "$5", "sch_ö_n"]
    assert [first.get_title("left"), second.get_title("left")] == ["fine", "bad"]
    assert first.get_title("right").startswith("1.00")
    grounds = np.array([patch.get_facecolor()[:3] for patch in first.patches])
    np.testing.assert_allclose(grounds[[0, 2, 4]], 1, atol=1e-4)
    assert grounds[1, 0] > grounds[1, 2] and grounds[3, 2] > grounds[3, 0]
    assert (1 - grounds[1]).max() > 1.5 * (1 - grounds[3]).max()
    assert second.patches[1].get_facecolor()[2] > second.patches[1].get_facecolor()[0]
    plots.text(explanation).draw_without_rendering()


def test_long_texts_wrap_inside_the_figure_and_further_ones_are_counted():
    figure = plots.text(read_texts([" ".join(["good", "word"] * 40), "dull", "x" * 300]), limit=1)
    (ax,) = figure.axes
    assert "First 1 of 3 texts" in words(figure)
    assert len({text.get_position()[1] for text in ax.texts}) > 3
    figure.draw_without_rendering()
    assert max(text.get_window_extent().x1 for text in ax.texts) < figure.bbox.x1
    assert len(said(plots.text(read_texts(["x" * 300])).axes[0])) > 1


def test_texts_show_themselves():
    explanation = read_texts(["good film", "dull film"])
    figure = plots.show(explanation, ["bad", "fine"], ["bad", 0])
    assert [said(ax) for ax in figure.axes] == [["good", "film"], ["dull", "film"]]
    assert "true class bad" in figure.axes[0].get_title("right")
    assert explanation._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"Gradient\(\) has no words"):
        plots.text(quarters(method=tfxai.Gradient())[0])


def linear(weights):
    model = keras.Sequential([keras.Input((len(weights),)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array(weights, "float32")[:, None]])
    return model


def ticks(ax):
    return [tick.get_text() for tick in ax.get_yticklabels()]


@pytest.mark.parametrize("method", [tfxai.InputXGradient(), tfxai.Occlusion()])
def test_bars_are_the_largest_columns_in_order_and_the_sum_of_the_rest(method):
    explanation = method(linear([1, -3, 0.5, 0.25]), np.array([[2.0, 63, 1, 4]], "float32"), score="output")
    (ax,) = plots.bars(explanation, ["a_$x$", "age", "c", "d"], 2).axes
    assert ticks(ax) == ["age = 63", "a_$x$ = 2", "2 other columns"]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([-189, 2, 1.5])
    assert [bar.get_facecolor()[0] > bar.get_facecolor()[2] for bar in ax.patches] == [False, True, True]
    with pytest.raises(ValueError, match="columns has 1 names for 4"):
        plots.bars(explanation, ["a"])


def test_columns_that_come_one_by_one_are_named_by_their_inputs():
    age, job = keras.Input((1,), name="age"), keras.Input((1,), name="job", dtype="string")
    hot = keras.layers.StringLookup(vocabulary=["nurse", "pilot"], output_mode="one_hot")(job)
    dense = keras.layers.Dense(1, use_bias=False)
    model = keras.Model({"age": age, "job": job}, dense(keras.layers.Concatenate()([age, hot])))
    dense.set_weights([np.array([[1], [0], [5], [-9]], "float32")])
    inputs = {"age": np.array([[63.0]], "float32"), "job": np.array([["pilot"]])}
    behind = {"age": np.array([[60.0]], "float32"), "job": np.array([["nurse"]])}
    explanation = tfxai.KernelSHAP(samples=4, background=behind)(model, inputs, score="output")
    for figure in (plots.show(explanation), plots.bars(explanation)):
        assert ticks(figure.axes[0]) == ["job = pilot", "age = 63"]
        assert [bar.get_width() for bar in figure.axes[0].patches] == pytest.approx([-14, 3], abs=1e-4)
    assert explanation._repr_png_().startswith(b"\x89PNG")


def test_series_are_lines_over_a_band_of_the_channel_sum():
    lines = random(2, 30, 2)
    model = keras.Sequential([keras.Input((30, 2)), keras.layers.Flatten(), keras.layers.Dense(2)])
    explanation = tfxai.Gradient()(model, lines, [0, 1])
    figure = plots.series(explanation, ["x_$a$", "y"], LABELS)
    for ax, line, values in zip(figure.axes, lines, explanation.heatmap(), strict=True):
        np.testing.assert_array_equal(np.stack([one.get_ydata() for one in ax.lines], 1), line)
        np.testing.assert_array_equal(drawn(ax).get_array(), values[None])
        assert drawn(ax).get_clim()[0] == -drawn(ax).get_clim()[1]
    assert [ax.get_title("left") for ax in figure.axes] == ["cat", "dog"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["x_$a$", "y"]
    figure.draw_without_rendering()
    with pytest.raises(ValueError, match="channels has 1 names for 2"):
        plots.series(explanation, ["x"])
    with pytest.raises(ValueError, match="series draws inputs"):
        plots.series(quarters()[0])


def with_ends(explanation, values, reach):
    """The explanation with other values, and intervals that reach so far around each."""
    values, reach = np.asarray(values, np.float32), np.asarray(reach, np.float32)
    interval = np.stack([values - reach, values + reach], -1)
    return dataclasses.replace(explanation, values=values, interval=interval)


def test_bars_show_their_intervals_and_are_hatched_where_their_sign_is_unsure():
    explanation = tfxai.InputXGradient()(linear([1, 1, 1]), np.ones((1, 3), "float32"), score="output")
    (ax,) = plots.bars(with_ends(explanation, [[3, -2, 1]], [[1, 0.5, 1.5]])).axes
    assert [bar.get_hatch() is not None for bar in ax.patches] == [False, False, True]
    spans = [lines.get_segments()[0][:, 0] for lines in ax.collections]
    np.testing.assert_allclose(spans, [[2, 4], [-2.5, -1.5], [-0.5, 2.5]], rtol=1e-6)
    low, high = ax.get_xlim()
    assert low < -2.5 and high > 4
    assert "hatched: sign unsure" in ax.figure.texts[-1].get_text()
    (plain,) = plots.bars(explanation).axes
    assert not plain.collections and all(bar.get_hatch() is None for bar in plain.patches)


def test_segments_are_hatched_that_may_belong_to_the_rest():
    explanation, cut, _ = quarters((4.0, 2.0, 1.5, -3.0))
    weights = explanation.weights[:, :, cut][..., None]
    ends = np.stack([weights - 0.4, weights + 0.4], -1)
    figure = plots.segments(dataclasses.replace(explanation, interval=ends), 2)
    hatched = [
        [c.hatches for c in ax.collections if getattr(c, "hatches", None)] for ax in rows(figure, 3)[0, 1:]
    ]
    assert hatched == [
        [["///"]],
        [],
    ]  # the second and the third may change places; against the class there is one
    assert "hatched: not certain" in figure.texts[-1].get_text()
    sure = plots.segments(dataclasses.replace(explanation, interval=np.stack([weights, weights], -1)), 2)
    assert not any(getattr(c, "hatches", None) for ax in sure.axes for c in ax.collections)


def test_standard_errors_are_drawn_as_a_map():
    image = np.random.default_rng(0).random((1, 12, 12, 3)).astype("float32")
    found = tfxai.RISE(samples=50, cells=3)(lambda x: np.asarray(x)[:, 2:5, 2:5].mean((1, 2)), image, 0)
    ax = rows(plots.show(found, what="standard_error"), 2)[0, 1]
    np.testing.assert_allclose(ax.images[-1].get_array(), found.standard_error[0, ..., 0], rtol=1e-6)
    assert "standard error of RISE" in ax.figure.texts[-1].get_text()
    with pytest.raises(ValueError, match='what is "standard_error", and Gradient'):
        plots.show(quarters(method=tfxai.Gradient())[0], what="standard_error")
