import os
import pickle
import struct

import numpy as np
import pytest

from tfxai.zoo import torch_weights


def pickled(value):
    """A value as part of a larger pickle: without the first and the last mark."""
    return pickle.dumps(value, protocol=2)[2:-1]


def weight_file(path, *, offset=0, shape=(2, 3), strides=(3, 1), numbers=range(6), announced=6, key="0"):
    """One array named w, written byte by byte as torch.save did."""
    storage = b"(" + pickled("storage") + b"ctorch\nFloatStorage\n" + pickled("0") + pickled("cpu")
    storage += pickled(announced) + pickled(None) + b"tQ"
    array = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + pickled(offset) + pickled(shape)
    array += pickled(strides) + pickled(False) + b"ccollections\nOrderedDict\n)RtR"
    header = [
        pickle.dumps(value, protocol=2) for value in (torch_weights.MAGIC, 1001, {"little_endian": True})
    ]
    main = b"\x80\x02}" + pickled("w") + array + b"s."
    numbers = list(numbers)
    data = struct.pack(f"<q{len(numbers)}f", len(numbers), *numbers)
    path.write_bytes(b"".join(header) + main + pickle.dumps([key], protocol=2) + data)
    return path


def test_numbers_shapes_and_strides_are_those_of_the_file(tmp_path):
    rows = torch_weights.read(weight_file(tmp_path / "rows.pth"))
    assert list(rows) == ["w"] and rows["w"].dtype == np.float32
    np.testing.assert_array_equal(rows["w"], [[0, 1, 2], [3, 4, 5]])
    columns = torch_weights.read(weight_file(tmp_path / "columns.pth", strides=(1, 2)))
    np.testing.assert_array_equal(columns["w"], [[0, 2, 4], [1, 3, 5]])
    part = torch_weights.read(weight_file(tmp_path / "part.pth", offset=4, shape=(2,), strides=(1,)))
    np.testing.assert_array_equal(part["w"], [4, 5])


class Evil:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_that_wants_to_run_code_is_refused_and_runs_nothing(tmp_path):
    for place in range(4):
        parts = [torch_weights.MAGIC, 1001, {}, {}]
        parts[place] = Evil(tmp_path / "owned")
        path = tmp_path / "evil.pth"
        path.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts))
        with pytest.raises(ValueError, match=r"asks for \w+\.mkdir"):
            torch_weights.read(path)
        assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["builtins\neval", "torch._utils\n_rebuild_tensor", "collections\nabc.sys"])
def test_only_the_exact_names_of_plain_weights_are_known(tmp_path, name):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"\x80\x02c" + name.encode() + b"\n.")
    with pytest.raises(ValueError, match="asks for"):
        torch_weights.read(path)


@pytest.mark.parametrize(
    "damage",
    [
        {"shape": (2, 4)},
        {"offset": 1},
        {"offset": -1},
        {"strides": (3, -1)},
        {"strides": (3, 10**30)},
        {"shape": (2,)},
        {"shape": "ab"},
        {"shape": (1, 1), "strides": (10**30, 1)},
    ],
)
def test_an_array_that_reaches_beyond_its_storage_is_refused(tmp_path, damage):
    with pytest.raises(ValueError, match="not a PyTorch weight file"):
        torch_weights.read(weight_file(tmp_path / "bad.pth", **damage))


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    path = weight_file(tmp_path / "weights.pth")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="not a PyTorch weight file"):
            torch_weights.read(path)


def test_counts_that_do_not_match_the_data_are_refused(tmp_path):
    with pytest.raises(ValueError, match="damaged"):
        torch_weights.read(weight_file(tmp_path / "more.pth", announced=7))
    with pytest.raises(ValueError, match="announces more"):
        torch_weights.read(weight_file(tmp_path / "huge.pth", announced=10**12))


def test_an_array_without_data_is_refused_and_not_left_at_zero(tmp_path):
    with pytest.raises(ValueError, match="does not match its arrays"):
        torch_weights.read(weight_file(tmp_path / "other.pth", key="1"))


def test_files_of_other_kinds_are_refused(tmp_path):
    for content in (b"", b"PK\x03\x04 the newer format is a zip", pickle.dumps({"w": 1}), b"hello"):
        path = tmp_path / "other.pth"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"other\.pth is not a PyTorch weight file"):
            torch_weights.read(path)
