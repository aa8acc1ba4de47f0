import keras
import numpy as np
import pytest
from PIL import Image

from tfxai import photos

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3), dtype="uint8")
GREY = RNG.integers(0, 256, (5, 7), dtype="uint8")
ALPHA = np.tile(np.array([0, 51, 102, 153, 204, 255, 255], "uint8"), (5, 1))


def saved(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def on_white(colour, alpha):
    """The slow way: alpha times the colour, the rest white."""
    share = alpha[..., None] / 255
    return share * colour + (1 - share) * 255


def as_rgb(grey):
    return np.repeat(grey[..., None], 3, axis=2)


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "ppm", "webp"])
def test_rgb_files_give_their_pixels(tmp_path, ending):
    options = {"lossless": True} if ending == "webp" else {}
    pixels = photos.read(saved(tmp_path / f"a.{ending}", RGB, **options))
    assert pixels.dtype == np.uint8 and pixels.flags.writeable
    np.testing.assert_array_equal(pixels, RGB)
    np.testing.assert_array_equal(photos.read(str(tmp_path / f"a.{ending}")), RGB)


def test_jpeg_is_close_to_what_was_saved(tmp_path):
    smooth = np.broadcast_to(np.linspace(0, 255, 64).astype("uint8")[:, None, None], (64, 48, 3))
    pixels = photos.read(saved(tmp_path / "a.jpg", smooth, quality=95))
    np.testing.assert_allclose(pixels.astype(int), smooth.astype(int), atol=4)


def test_grey_files_repeat_their_channel_or_keep_one(tmp_path):
    path = saved(tmp_path / "grey.png", GREY)
    np.testing.assert_array_equal(photos.read(path), as_rgb(GREY))
    np.testing.assert_array_equal(photos.read(path, channels=1), GREY[..., None])


def test_one_channel_of_a_colour_file_is_its_brightness(tmp_path):
    grey = photos.read(saved(tmp_path / "a.png", RGB), channels=1)
    assert grey.shape == (5, 7, 1) and grey.dtype == np.uint8
    np.testing.assert_allclose(grey[..., 0], RGB @ [0.299, 0.587, 0.114], atol=1)


def test_one_bit_files_are_black_and_white(tmp_path):
    bits = GREY > 127
    path = saved(tmp_path / "bits.png", bits)
    assert Image.open(path).mode == "1"
    np.testing.assert_array_equal(photos.read(path), as_rgb(bits * np.uint8(255)))


def test_transparent_parts_become_white(tmp_path):
    path = saved(tmp_path / "rgba.png", np.dstack([RGB, ALPHA]))
    np.testing.assert_allclose(photos.read(path), on_white(RGB, ALPHA), atol=1)
    path = saved(tmp_path / "la.png", np.dstack([GREY, ALPHA]))
    assert Image.open(path).mode == "LA"
    np.testing.assert_allclose(photos.read(path), on_white(as_rgb(GREY), ALPHA), atol=1)
    np.testing.assert_allclose(photos.read(path, channels=1), on_white(GREY[..., None], ALPHA), atol=1)


def palette_image():
    image = Image.fromarray((GREY // 64).astype("uint8"), "L")
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7])
    return image, np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 8, 7]])[GREY // 64]


@pytest.mark.parametrize("ending", ["png", "gif"])
def test_palette_files_give_colours_and_white_where_transparent(tmp_path, ending):
    image, colours = palette_image()
    image.save(tmp_path / f"p.{ending}")
    np.testing.assert_array_equal(photos.read(tmp_path / f"p.{ending}"), colours)
    image.save(tmp_path / f"t.{ending}", transparency=1)
    colours[GREY // 64 == 1] = 255
    np.testing.assert_array_equal(photos.read(tmp_path / f"t.{ending}"), colours)


def test_a_transparent_colour_of_an_rgb_png_becomes_white(tmp_path):
    pixels = RGB.copy()
    pixels[2, 3] = (10, 20, 30)
    path = saved(tmp_path / "key.png", pixels, transparency=(10, 20, 30))
    pixels[2, 3] = 255
    np.testing.assert_array_equal(photos.read(path), pixels)


def test_cmyk_files_become_rgb(tmp_path):
    inks = np.zeros((8, 8, 4), "uint8")
    inks[:, :4, 0] = 255  # cyan; the right half is bare paper
    Image.fromarray(inks, "CMYK").save(tmp_path / "cmyk.tif")
    pixels = photos.read(tmp_path / "cmyk.tif")
    np.testing.assert_array_equal(pixels[0, [0, 7]], [[0, 255, 255], [255, 255, 255]])
    Image.fromarray(inks, "CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    np.testing.assert_allclose(photos.read(tmp_path / "cmyk.jpg")[0, [0, 7]], pixels[0, [0, 7]], atol=4)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bit_grey_keeps_its_whole_range(tmp_path, ending):
    ramp = np.arange(0, 65536, 257, dtype="uint16").reshape(16, 16)
    path = saved(tmp_path / f"ramp.{ending}", ramp)
    np.testing.assert_array_equal(photos.read(path, channels=1)[..., 0], np.arange(256).reshape(16, 16))
    np.testing.assert_array_equal(photos.read(path), as_rgb(np.arange(256).reshape(16, 16)))


def test_32_bit_whole_numbers_count_as_16_bit_and_larger_ones_have_no_range(tmp_path):
    numbers = np.array([[0, 257], [1000, 65535]], "int32")
    path = saved(tmp_path / "i.tif", numbers)
    np.testing.assert_array_equal(photos.read(path, channels=1)[..., 0], [[0, 1], [4, 255]])
    for beyond in (numbers * 2, -numbers, numbers.astype("float32")):
        with pytest.raises(ValueError, match=r"beyond\.tif .*no known range"):
            photos.read(saved(tmp_path / "beyond.tif", beyond))


def test_photos_taken_with_a_turned_camera_are_upright(tmp_path):
    turns = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.swapaxes(0, 1),
        6: np.rot90(RGB, -1),
        7: RGB.swapaxes(0, 1)[::-1, ::-1],
        8: np.rot90(RGB),
    }
    for orientation, upright in turns.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = saved(tmp_path / f"{orientation}.png", RGB, exif=exif)
        np.testing.assert_array_equal(photos.read(path), upright)


def test_a_turned_16_bit_picture_keeps_its_range(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "turned.png", np.array([[0, 65535]], "uint16"), exif=exif)
    np.testing.assert_array_equal(photos.read(path, channels=1)[..., 0], [[0], [255]])


def test_unreadable_files_are_named_in_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"no picture .*missing\.png"):
        photos.read(tmp_path / "missing.png")
    with pytest.raises(ValueError, match="cannot be read"):
        photos.read(tmp_path)
    (tmp_path / "text.png").write_text("no picture at all")
    with pytest.raises(ValueError, match=r"text\.png is not a picture"):
        photos.read(tmp_path / "text.png")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ValueError, match=r"empty\.jpg is not a picture"):
        photos.read(tmp_path / "empty.jpg")


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "bmp", "gif"])
def test_truncated_files_are_refused_and_not_half_read(tmp_path, ending):
    noise = RNG.integers(0, 256, (64, 64, 3), dtype="uint8")
    path = saved(tmp_path / f"cut.{ending}", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=rf"cut\.{ending}"):
        photos.read(path)


def test_reading_two_or_four_channels_is_refused(tmp_path):
    path = saved(tmp_path / "a.png", RGB)
    for channels in (0, 2, 4):
        with pytest.raises(ValueError, match=f"channels is {channels}"):
            photos.read(path, channels=channels)


def test_fit_of_the_right_size_changes_nothing():
    same = photos.fit(RGB, (5, 7))
    assert same.dtype == np.float32
    np.testing.assert_array_equal(same, RGB)


def test_fit_keeps_the_centre_and_the_proportions():
    wide = np.zeros((20, 60, 3), "uint8")
    wide[:, 20:40] = RNG.integers(0, 256, (20, 20, 3))
    np.testing.assert_array_equal(photos.fit(wide, (20, 20)), wide[:, 20:40])
    tall = wide.transpose(1, 0, 2)
    np.testing.assert_array_equal(photos.fit(tall, (20, 20)), tall[20:40])
    np.testing.assert_array_equal(photos.fit(wide, (10, 30), crop=0.5), wide[5:15, 15:45])
    np.testing.assert_array_equal(photos.fit(wide, (20, 40)), wide[:, 10:50])


def test_a_circle_stays_round_when_resized():
    row, column = np.indices((80, 200))
    disc = ((row - 39.5) ** 2 + (column - 99.5) ** 2 < 30**2)[..., None] * np.uint8(255)
    small = photos.fit(disc, (40, 40))[..., 0] > 127
    assert abs(small.any(axis=0).sum() - 30) <= 1 and abs(small.any(axis=1).sum() - 30) <= 1
    np.testing.assert_array_equal(small, small.T)


def test_crop_cuts_first_so_that_nothing_outside_leaks_in():
    framed = np.full((64, 64, 1), 255, "uint8")
    framed[4:60, 4:60] = 100
    np.testing.assert_array_equal(photos.fit(framed, (32, 32), crop=0.875), np.full((32, 32, 1), 100))


def test_shrinking_is_antialiased():
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255.0
    inside = photos.fit(board[..., None], (8, 8))[1:-1, 1:-1]
    np.testing.assert_allclose(inside, 127.5, atol=1)


def test_bicubic_overshoot_is_clipped():
    edge = np.zeros((8, 8, 1), "float32")
    edge[:, 4:] = 255
    values = photos.fit(edge, (40, 40))
    assert values.min() == 0 and values.max() == 255


def test_fit_of_a_plain_colour_is_plain_for_any_shape_and_channels():
    for shape in [(1, 1, 1), (3, 50, 5), (50, 3, 2)]:
        np.testing.assert_allclose(
            photos.fit(np.full(shape, 77), (9, 6)), np.full((9, 6, shape[2]), 77), atol=1e-4
        )


def test_fit_agrees_for_whole_numbers_and_floats_up_to_rounding():
    photo = np.clip(np.cumsum(RNG.normal(0, 9, (90, 120, 3)), axis=1) + 128, 0, 255).astype("uint8")
    whole, exact = photos.fit(photo, (32, 32), crop=0.9), photos.fit(photo.astype(float), (32, 32), crop=0.9)
    np.testing.assert_array_equal(whole, whole.round())
    np.testing.assert_allclose(whole, exact, atol=1.5)


def test_fit_refuses_what_is_not_one_picture_or_no_part():
    for wrong in (GREY, RGB[None], RGB[:0]):
        with pytest.raises(ValueError, match="Give one picture"):
            photos.fit(wrong, (4, 4))
    for crop in (0, -1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="crop is"):
            photos.fit(RGB, (4, 4), crop=crop)


def test_plain_scalings_reach_the_ends_of_their_range():
    ends = np.array([[[[0, 127.5, 255]]]])
    for name, expected in {"none": [0, 127.5, 255], "0..1": [0, 0.5, 1], "-1..1": [-1, 0, 1]}.items():
        np.testing.assert_allclose(photos.scale(ends, name)[0, 0, 0], expected, atol=1e-7)


def test_scalings_are_those_of_keras_applications():
    modules = vars(keras.applications).items()
    ready = {name for name, module in modules if hasattr(module, "preprocess_input")} - {"imagenet_utils"}
    assert set(photos.SCALINGS) == ready | {"none", "0..1", "-1..1"}


@pytest.mark.parametrize("name", photos.SCALINGS)
def test_scale_never_touches_its_argument(name):
    for dtype in ("uint8", "float32", "float64"):
        given = RGB[None].astype(dtype)
        scaled = photos.scale(given, name)
        np.testing.assert_array_equal(given, RGB[None])
        assert scaled.dtype == np.float32 and not np.shares_memory(scaled, given)
        np.testing.assert_allclose(scaled[0], photos.scale(given[0], name), atol=1e-5)


def test_known_scalings_have_their_formulas():
    caffe = RGB[..., ::-1] - [103.939, 116.779, 123.68]
    np.testing.assert_allclose(photos.scale(RGB, "resnet50"), caffe, atol=1e-4)
    np.testing.assert_allclose(photos.scale(RGB, "mobilenet_v2"), RGB / 127.5 - 1, atol=1e-6)
    torch = (RGB / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(photos.scale(RGB, "densenet"), torch, atol=1e-5)
    np.testing.assert_array_equal(photos.scale(RGB, "efficientnet"), RGB)


def test_unknown_scalings_get_the_nearest_names_and_the_list():
    with pytest.raises(ValueError, match=r"'ResNet50V2'.*Did you mean .*resnet_v2.*There are: none, 0\.\.1"):
        photos.scale(RGB, "ResNet50V2")
    with pytest.raises(ValueError, match=r"'zzz'\. There are"):
        photos.scale(RGB, "zzz")


def test_rgb_scalings_refuse_other_channels():
    with pytest.raises(ValueError, match=r"resnet50 scales RGB.*\(5, 7, 1\)"):
        photos.scale(GREY[..., None], "resnet50")
    np.testing.assert_allclose(photos.scale(GREY[..., None], "-1..1")[..., 0], GREY / 127.5 - 1, atol=1e-6)
