import os
from pathlib import Path

import pytest

from tfxai.support.files import whole_file, writable


def test_a_whole_file_takes_its_place_at_the_end(tmp_path):
    path = tmp_path / "o.png"
    path.write_text("old")
    with whole_file(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
        assert (part.parent, part.suffix) == (path.parent, ".png")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "o.png"
    path.write_text("old")

    with pytest.raises(error), whole_file(path) as part:  # noqa: PT012 both happen inside
        part.write_text("ne")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_keeps_pointing_to_the_file_that_is_written(tmp_path):
    (tmp_path / "link.png").symlink_to(tmp_path / "o.png")
    with whole_file(tmp_path / "link.png") as part:
        part.write_text("new")
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "o.png").read_text() == "new"


def test_a_missing_folder_is_named_as_it_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as caught, whole_file(Path("no/o.png")) as part:
        part.write_text("new")
    assert caught.value.filename == str(Path("no/o.png"))


def test_errors_of_other_files_stay_as_they_are(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, whole_file(tmp_path / "o.png"):
        (tmp_path / "other.png").read_text()
    assert caught.value.filename == str(tmp_path / "other.png")


def test_a_device_is_written_to_and_stays_a_device():
    with whole_file(Path(os.devnull)) as part:
        assert part == Path(os.devnull)
        part.write_text("gone")
    assert not Path(os.devnull).is_file()


def test_a_writable_path_comes_back_and_leaves_no_trace(tmp_path):
    assert writable(str(tmp_path / "O.PNG"), (".png",)) == tmp_path / "O.PNG"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("o.txt", "ends in .png or .pdf"),
        ("o", "ends in"),
        ("no/o.png", "no folder"),
        ("folder.png", "a folder"),
    ],
)
def test_what_cannot_be_written_is_told_before_the_work(tmp_path, name, message):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ValueError, match=message):
        writable(tmp_path / name, (".png", ".pdf"))
