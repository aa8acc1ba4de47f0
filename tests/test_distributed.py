"""Models made under a tf.distribute strategy: values are those of one device, and every copy of the weights is left alone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parent / "distributed.py"
pytestmark = pytest.mark.slow  # devices are chosen before TensorFlow starts: processes of their own


def started(kind: str, out: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), kind, str(out)],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def told(process: subprocess.Popen[str], out: Path) -> dict[str, Any]:
    _, words = process.communicate(timeout=300)
    assert process.returncode == 0, words[-3000:]
    return json.loads(out.read_text())


def check(found: dict[str, Any]) -> None:
    assert found["replicas"] == 2 and found["untouched"]
    assert len(found["furthest"]) == 12
    assert max(found["furthest"].values()) < 1e-5, found["furthest"]


def test_two_devices_of_one_process(tmp_path: Path) -> None:
    check(told(started("mirrored", tmp_path / "told"), tmp_path / "told"))


def test_two_processes(tmp_path: Path) -> None:
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    processes = [
        started(
            "workers",
            tmp_path / str(index),
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
        )
        for index in range(2)
    ]
    for index, process in enumerate(processes):
        check(told(process, tmp_path / str(index)))
