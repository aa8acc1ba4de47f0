"""Files hold results whole, or say what is wrong with them: every kind, every field, and nothing half written."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfxai
from tfxai.concepts import TCAVResult
from tfxai.results import Explanation, Stored
from tfxai.sanity import SanityReport

RNG = np.random.default_rng(0)


@dataclasses.dataclass(frozen=True, eq=False)
class Anything(Stored):
    """A result with one field, for whatever it may hold."""

    content: Any
    more: Any = None


def array(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def explanation(**fields: Any) -> Explanation:
    scores = RNG.normal(size=2).astype(np.float32)
    return Explanation(array(2, 3), array(2, 3), np.array([1, 2]), scores, **fields)


def report() -> SanityReport:
    similarity = {name: array(1, 3, 2) for name in ("spearman", "spearman_abs", "ssim", "hog")}
    explanations = {"Gradient": [explanation() for _ in range(3)]}
    numbers = np.zeros((3, 2), int), array(3, 2), np.array([0, 1]), array(1, 2)
    return SanityReport(["b", "a"], ["Gradient"], similarity, *numbers, explanations=explanations)


def header(path: Path) -> dict[str, Any]:
    with np.load(path) as file:
        return json.loads(str(file["header"]))


def with_header(path: Path, changed: dict[str, Any]) -> Path:
    """The same file, but for its header."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    with path.open("wb") as file:
        np.savez(file, **{**arrays, "header": np.array(json.dumps(changed))})
    return path


def same(loaded: Any, saved: Any) -> None:
    """Bit for bit, in the same structure."""
    assert type(loaded) is type(saved)
    if isinstance(saved, Stored):
        same(vars(loaded), vars(saved))
    elif isinstance(saved, dict):
        same(list(loaded.items()), list(saved.items()))
    elif isinstance(saved, (list, tuple)):
        assert len(loaded) == len(saved)
        for back, given in zip(loaded, saved, strict=True):
            same(back, given)
    elif isinstance(saved, (np.ndarray, np.generic)):
        assert (loaded.dtype, loaded.shape) == (saved.dtype, saved.shape)
        same(loaded.tolist(), saved.tolist()) if saved.dtype == object else same(
            loaded.tobytes(), saved.tobytes()
        )
    elif saved != saved:
        assert loaded != loaded
    else:
        assert loaded == saved


CONTENTS: dict[str, Any] = {
    "None": None,
    "truths": [True, False],
    "numbers": (1, -(2**70), 0.1, float("inf"), float("nan")),
    "words": ["", "é ü", "a\0", "😀", '"quoted"\n'],
    "bytes": b"\x00\xff",
    "an array of no entries": np.zeros((0, 3), np.float32),
    "an array without axes": np.array(3.5),
    "big-endian numbers": np.arange(3, dtype=">i4"),
    "dates": np.array(["2026-01-02"], "datetime64[D]"),
    "half precision": np.array([1.5, np.nan], np.float16),
    "numpy scalars": [np.float32(0.1), np.int64(3), np.bool_(True), np.str_("word")],
    "an array of words": np.array([["a cat"], ["ein Käse"]], object),
    "fixed-width words": np.array(["a", "longer"]),
    "an array of bytes": np.array([[b"pilot"], [b"nurse"]], object),
    "words that end in zeros": np.array(["a\0", "b"], object),
    "an array of anything": np.array([None, 3, "x", 0.5, (1, 2), [3, 4]], object),
    "an array of nothing": np.zeros((0, 2), object),
    "an object array without axes": np.array("x", object),
    "nested structures": {"a": [None, (array(2), {"b": array(1)})], "c": {}, "d": [], "e": ()},
    "keys of all kinds": {
        "a": 1,
        2: 2,
        0.5: 3,
        None: 4,
        ("a", 1): 5,
        ("a", ("b", 2)): 6,
        np.int64(7): 7,
        b"b": 8,
    },
    "another result": {"inner": [explanation(), explanation(delta=array(2))]},
}


@pytest.mark.parametrize("name", CONTENTS)
def test_what_comes_back_is_what_was_saved(name: str, tmp_path: Path) -> None:
    saved = Anything(CONTENTS[name], more={"again": CONTENTS[name]})
    same(Anything.load(saved.save(tmp_path / "anything.npz")), saved)


def test_a_report_is_saved_with_its_explanations(tmp_path: Path) -> None:
    saved = report()
    same(SanityReport.load(saved.save(tmp_path / "report.npz")), saved)
    same(Stored.load(tmp_path / "report.npz"), saved)


def test_a_structure_of_another_class_comes_back_as_the_plain_one(tmp_path: Path) -> None:
    class Named(dict[str, int]):
        pass

    same(Anything.load(Anything(Named(a=1)).save(tmp_path / "o.npz")).content, {"a": 1})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([print], "its content holds a builtin_function_or_method"),
        ({"a": {1, 2}}, "its content holds a set"),
        (np.array([print], object), "its content holds a builtin_function_or_method"),
        (np.zeros(1, [("a", object)]), "its content holds an array of"),
        ({print: 1}, "its content holds a builtin_function_or_method"),
        (1j, "its content holds a complex"),
    ],
)
def test_what_files_do_not_hold_is_refused_before_anything_is_written(
    content: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"The result cannot be saved: {message}"):
        Anything(content).save(tmp_path / "o.npz")
    assert list(tmp_path.iterdir()) == []


# Where


def test_a_path_needs_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert explanation().save("o.any") == Path("o.any")
    assert len(Explanation.load("o.any")) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["o.any"]


def test_a_missing_folder_is_named_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        explanation().save("no/folder.npz")
    assert caught.value.filename == str(Path("no/folder.npz"))
    assert ".folder" not in str(caught.value)


def test_a_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(IsADirectoryError, match=r"'.*/folder\.npz'"):
        explanation().save(tmp_path / "folder.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.npz"]


def test_a_result_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"map\.PNG is the name of a picture.*savefig"):
        explanation().save(tmp_path / "map.PNG")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_save_keeps_the_old_file(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = explanation(method="old").save(tmp_path / "o.npz")
    write = zipfile.ZipFile.close

    def interrupted(file: zipfile.ZipFile) -> None:
        write(file)
        if file.mode == "w":
            raise error

    monkeypatch.setattr(zipfile.ZipFile, "close", interrupted)
    with pytest.raises(type(error)):
        explanation(method="new").save(path)
    monkeypatch.undo()
    assert Explanation.load(path).method == "old"
    assert list(tmp_path.iterdir()) == [path]


# What is in the file


def test_an_unknown_kind_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    path = explanation().save(tmp_path / "o.npz")
    with_header(path, {**header(path), "type": "FutureExplanation"})
    with pytest.raises(
        ValueError,
        match=r"o\.npz holds a FutureExplanation, .* knows .*Explanation, .*SanityReport.*TCAVResult",
    ):
        Explanation.load(path)


def test_an_unknown_kind_inside_of_another_is_refused(tmp_path: Path) -> None:
    path = report().save(tmp_path / "o.npz")
    text = json.dumps(header(path)).replace('"Explanation"', '"FutureExplanation"')
    with pytest.raises(ValueError, match=r"o\.npz holds a FutureExplanation"):
        SanityReport.load(with_header(path, json.loads(text)))


def test_an_unknown_field_is_refused(tmp_path: Path) -> None:
    path = explanation().save(tmp_path / "o.npz")
    changed = header(path)
    changed["fields"]["certainty"] = {"plain": 1}
    with pytest.raises(ValueError, match=r"o\.npz holds a Explanation with the fields certainty, which"):
        Explanation.load(with_header(path, changed))


def test_a_missing_field_is_refused_unless_it_has_a_default(tmp_path: Path) -> None:
    path = explanation(method="M()").save(tmp_path / "o.npz")
    changed = header(path)
    del changed["fields"]["method"]
    assert Explanation.load(with_header(path, changed)).method == ""
    del changed["fields"]["scores"]
    with pytest.raises(ValueError, match=r"o\.npz holds a Explanation without scores"):
        Explanation.load(with_header(path, changed))


def test_a_newer_format_and_a_newer_tag_are_refused(tmp_path: Path) -> None:
    path = explanation().save(tmp_path / "o.npz")
    old = header(path)
    with pytest.raises(ValueError, match=r"o\.npz has format 99, .* reads up to"):
        Explanation.load(with_header(path, {**old, "format": 99}))
    fields = {**old["fields"], "method": {"poem": "roses"}}
    with pytest.raises(ValueError, match=r"o\.npz holds a poem"):
        Explanation.load(with_header(path, {**old, "fields": fields}))


def test_keys_of_the_first_format_are_read(tmp_path: Path) -> None:
    path = Anything({("a", 1): 2.5, "b": 1}).save(tmp_path / "o.npz")
    changed = {**header(path), "format": 1}
    changed["fields"]["content"] = {"dict": [[["a", 1], {"plain": 2.5}], ["b", {"plain": 1}]]}
    assert Anything.load(with_header(path, changed)).content == {("a", 1): 2.5, "b": 1}


def test_a_report_is_not_an_explanation(tmp_path: Path) -> None:
    path = report().save(tmp_path / "o.npz")
    with pytest.raises(ValueError, match=r"not a saved explanation, but a saved report.*SanityReport\.load"):
        Explanation.load(path)
    with pytest.raises(ValueError, match=r"not a saved TCAV result, but a saved report"):
        TCAVResult.load(path)
    with pytest.raises(ValueError, match=r"not a saved report, but a saved explanation.*Explanation\.load"):
        SanityReport.load(explanation().save(path))


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"format": 2}', '{"format": 2, "type": [], "fields": {}}', "no json"]
)
def test_headers_that_are_not_of_a_result_are_refused(text: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "o.npz", header=np.array(text))
    with pytest.raises(ValueError, match=r"o\.npz is not a saved explanation"):
        Explanation.load(tmp_path / "o.npz")


def test_a_file_of_the_first_format_that_names_no_kind_is_told_apart(tmp_path: Path) -> None:
    np.savez(tmp_path / "o.npz", header=np.array('{"format": 1, "fields": {}}'))
    with pytest.raises(ValueError, match=r"o\.npz was written by an older version of tfxai"):
        SanityReport.load(tmp_path / "o.npz")


def test_an_array_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", array(2, 3))
    with pytest.raises(ValueError, match=r"o\.npy is not a saved explanation"):
        Explanation.load(tmp_path / "o.npy")


def test_a_kind_has_a_name_of_its_own() -> None:
    with pytest.raises(TypeError, match=r"named Explanation already, in tfxai\.results"):
        type("Explanation", (tfxai.Explanation,), {})
    assert tfxai.Explanation.load is not None and type(explanation()) is tfxai.Explanation


def test_a_kind_may_be_defined_again() -> None:
    for _ in range(2):

        @dataclasses.dataclass(frozen=True, eq=False)
        class Again(Stored):
            content: int = 0

    assert Again(3).content == 3
