"""Quiet TensorFlow, figures without a screen, the folder of test models on the path, and an order that saves work."""

import ctypes
import gc
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
# Not all processors have it on by default; without it TensorFlow knows no gradient of dilated convolutions.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
if (
    "PYTEST_XDIST_WORKER" in os.environ
):  # as many processes as cores: more threads in each only wait for each other
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list) -> None:
    """All tests of one kind of model follow each other within their file, so that it is built and traced once for them."""
    from models import BUILDERS, IN_TURN

    # By `once` and `every`.
    chosen = {(item.path, item.originalname) for item in items if item.get_closest_marker("slow")}
    turns: dict[Any, dict[str, int]] = {}
    for item in items:
        if (item.path, item.originalname) in chosen:
            continue
        parameters = dict(getattr(getattr(item, "callspec", None), "params", {}))
        name = parameters.pop("name", None)
        if isinstance(name, str) and name in IN_TURN:
            # One kind after the other, as tests and what else they vary follow in their file.
            own = turns.setdefault((item.path, item.get_closest_marker("proves") is None), {})
            turn = own.setdefault(f"{item.originalname} {sorted(map(str, parameters.values()))}", len(own))
            if (turn + zlib.crc32(item.path.name.encode())) % len(IN_TURN) != IN_TURN.index(name):
                item.add_marker(pytest.mark.slow)

    files = {item.path: number for number, item in reversed([*enumerate(items)])}
    kinds = {name: number for number, name in enumerate(BUILDERS)}

    def place(item: Any) -> tuple[int, int]:
        name = getattr(item, "callspec", None) and item.callspec.params.get("name")
        return files[item.path], kinds.get(name, -1) if isinstance(name, str) else -1

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """What importing has made stays: no search for garbage goes through it again, and none comes at every few objects."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: Any, nextitem: Any) -> None:
    """What a file has built goes with it: models that it kept, what was traced for them, and the pages that this frees."""
    if nextitem is not None and nextitem.path == item.path:
        return
    import models

    for kept in [models.kind, *vars(item.module).values()]:
        getattr(kept, "cache_clear", lambda: None)()
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture
def memory() -> Iterator[None]:
    """For tests of large networks: what they build goes with them. Models hold themselves until they are collected."""
    yield
    gc.collect()
