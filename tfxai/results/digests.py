"""Digests of arrays, which anybody can compute again: SHA-256 of the numbers in C order."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray


def array_digest(array: NDArray) -> dict[str, Any]:
    """An array by its shape, its type and the digest of what it holds: `{"shape": [2, 3], "dtype": "float32", "sha256": "..."}`.

    Of words and other objects it is the digest of their JSON list.
    """
    held = np.asarray(array)
    content: Any
    if held.dtype.kind in "OUS":
        content = json.dumps(held.tolist(), ensure_ascii=True, default=repr).encode()
    else:
        content = np.ascontiguousarray(held).reshape(-1).view(np.uint8)
    kind = "words" if held.dtype.kind in "OUS" else str(held.dtype)
    return {"shape": list(held.shape), "dtype": kind, "sha256": hashlib.sha256(content).hexdigest()}


def text_digest(text: str) -> str:
    """SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()
