"""Names of files."""

from __future__ import annotations

import re


def is_file_name(name: str) -> bool:
    return re.fullmatch(r"[^/\\:*?\"<>|\x00-\x1f]+", name) is not None and name not in (".", "..")
