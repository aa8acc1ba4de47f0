"""The recipe of docs/serving.md: a real server answers with the method's own values, and refuses in one sentence."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

import tfxai

pytestmark = pytest.mark.slow
PAGE = (Path(__file__).parent.parent / "docs" / "serving.md").read_text(encoding="utf-8")
CATS, PHOTOS, LOGS = ("/v1/models/cats:predict", "/v1/models/photos:predict", "/v1/models/logs:predict")


def block(language: str, word: str) -> str:
    """The page's block of code in which a word stands."""
    (found,) = [
        each
        for each in re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
        if word in each
    ]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the recipe begins with, and what its first half writes; a model beside it that gives NaN for -1."""
    root = tmp_path_factory.mktemp("serving")
    keras.utils.set_random_seed(1)
    layers = [
        keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3),
    ]
    keras.Sequential([keras.Input((64, 64, 3)), *layers]).save(root / "model.keras")
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(photo).save(root / "cat.jpg")
    (root / "export.py").write_text(
        block("python", "served/cats/1") + block("python", "served/photos/1") + block("python", "for_onnx")
    )
    (root / "server.py").write_text(block("python", "class Served"))
    subprocess.run([sys.executable, "export.py"], cwd=root, check=True, timeout=120)
    logs = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(tf.math.log), keras.layers.Dense(2)])
    tfxai.export(logs, root / "served" / "logs" / "1", {"explain": tfxai.Gradient()})
    return root


class Server:
    """The recipe's server in processes of its own, on a free port."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = folder / "log"
        self.process = subprocess.Popen(
            [sys.executable, "server.py", "served", str(self.port)],
            cwd=folder,
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def ready(self) -> bool:
        """Whether it answers; fails once it has ended."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.ask("GET", "/health")[0] == 200
        except OSError:
            return False

    def ask(self, verb: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(verb, path, body)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    def predict(self, path: str, asked: Any) -> Any:
        """The answer, read as strict JSON."""
        status, body = self.ask("POST", path, json.dumps(asked).encode())
        assert status == 200, body
        return json.loads(body, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))

    def megabytes(self) -> float:
        """What all of its processes hold in memory."""
        pages = 0
        for place in Path("/proc").glob("[0-9]*"):
            try:
                of_session = (place / "stat").read_text().rpartition(")")[2].split()[3]
                held = int((place / "statm").read_text().split()[1])
            except OSError:  # it has just ended
                continue
            pages += held if int(of_session) == self.process.pid else 0
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    for package in ("litserve", "requests"):
        pytest.importorskip(package, reason='pip install ".[serving]"')
    running = Server(folder)
    try:
        until = time.monotonic() + 60
        while not running.ready():
            assert time.monotonic() < until, running.log.read_text()
            time.sleep(0.2)
        yield running
    finally:
        os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return keras.saving.load_model(folder / "model.keras")


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(count, 64, 64, 3)).round(3).astype("float32")


@pytest.mark.parametrize("name", ["cats", "photos", "logs"])
def test_a_folder_holds_no_operation_that_needs_python(folder: Path, name: str) -> None:
    graph = saved_model_pb2.SavedModel()
    graph.ParseFromString((folder / "served" / name / "1" / "saved_model.pb").read_bytes())
    library = graph.meta_graphs[0].graph_def.library.function
    found = {node.op for function in library for node in function.node_def}
    assert len(found) > 5 and not {op for op in found if "Py" in op or "Xla" in op}
    called = {function.signature.name for function in library}
    assert all(op in called or op_def_registry.get(op) is not None for op in found)


def test_rows_and_columns_give_the_values_of_the_method(server: Server, model: Any) -> None:
    images, targets = pictures(3), [2, 0, -1]
    direct = tfxai.IntegratedGradients(steps=20)(model, images[:2], targets[:2])
    columns = {"inputs": images.tolist(), "target": targets}
    found = server.predict(CATS, {"signature_name": "pixels", "inputs": columns})["outputs"]
    np.testing.assert_allclose(found["values"][:2], direct.values, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["score"][:2], direct.scores, rtol=1e-5)
    added = np.sum(found["values"], (1, 2, 3)) - np.subtract(found["score"], found["baseline_score"])
    np.testing.assert_allclose(added, found["delta"], atol=1e-4)
    rows = [{"inputs": image.tolist(), "target": k} for image, k in zip(images, targets, strict=True)]
    for path in (CATS, "/v1/models/cats/versions/1:predict"):
        answers = server.predict(path, {"signature_name": "pixels", "instances": rows})["predictions"]
        assert [row["values"] for row in answers] == found["values"]
        assert [row["target"] for row in answers] == found["target"]


def test_a_model_without_names_is_asked_by_plain_rows(server: Server, model: Any) -> None:
    images = pictures(2)
    found = server.predict(CATS, {"instances": images.tolist()})["predictions"]
    np.testing.assert_allclose(found, model.predict(images, verbose=0), rtol=1e-4, atol=1e-6)
    assert server.predict(CATS, {"inputs": images.tolist()})["outputs"] == found


def test_the_page_asks_in_python(server: Server, folder: Path, model: Any) -> None:
    names: dict[str, Any] = {}
    exec(block("python", "requests.post").replace("8501", str(server.port)), names)
    direct = tfxai.IntegratedGradients(steps=20)(model, names["images"].astype("float32")[1:], [2])
    np.testing.assert_allclose(names["found"]["values"][1:], direct.values, rtol=1e-4, atol=1e-6)


def test_the_page_asks_by_curl_with_a_photo_in_base64(server: Server, folder: Path, model: Any) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    command = block("bash", "curl -s").replace("8501", str(server.port))
    done = subprocess.run(["bash", "-ec", command], cwd=folder, capture_output=True, timeout=60, check=True)
    (found,) = json.loads(done.stdout)["predictions"]
    image = np.asarray(Image.open(folder / "cat.jpg"))[None] / 255
    direct = tfxai.GradCAM()(model, image.astype("float32"))
    np.testing.assert_allclose(found["values"], direct.values[0], rtol=1e-4, atol=1e-6)
    assert found["target"] == direct.targets[0]
    assert found["label"] == ["cat", "cup", "moon"][found["target"]]
    overlay = Image.open(io.BytesIO(base64.b64decode(found["overlay_bytes"]["b64"])))
    assert (overlay.format, overlay.size) == ("PNG", (64, 64))


IMAGE = pictures(1)[0].astype(float).round(3).tolist()


def explain(**row: Any) -> bytes:
    return json.dumps({"signature_name": "explain", "instances": [row]}).encode()


REFUSED: dict[str, tuple[str, int, Callable[[], bytes], str]] = {
    "no JSON": (CATS, 400, lambda: b"{", "no JSON"),
    "bytes that are no text": (CATS, 400, lambda: b"\xff\xfe\xfd", "no JSON"),
    "a hundred thousand brackets": (CATS, 400, lambda: b'{"inputs": ' + b"[" * 100_000, "no JSON"),
    "a list": (CATS, 400, lambda: b"[]", "must be an object"),
    "rows and columns": (CATS, 400, lambda: b'{"instances": [], "inputs": []}', "must be an object"),
    "no rows": (CATS, 400, lambda: b'{"instances": []}', "at least one row"),
    "rows that name other inputs": (CATS, 400, lambda: b'{"instances": [{"a": 1}, {"b": 1}]}', "same inputs"),
    "an unknown signature": (CATS, 400, lambda: b'{"signature_name": "x", "inputs": []}', "no signature 'x'"),
    "a signature that is a list": (CATS, 400, lambda: b'{"signature_name": [1], "inputs": []}', "no signat"),
    "an input that is missing": (
        CATS,
        400,
        lambda: explain(inputs=IMAGE),
        "takes inputs, target by name; given: inputs.",
    ),
    "two inputs without names": (
        CATS,
        400,
        lambda: b'{"signature_name": "explain", "inputs": [1]}',
        "by name",
    ),
    "a wrong shape": (CATS, 400, lambda: explain(inputs=IMAGE[1:], target=0), "its shape is (1, 63, 64, 3)"),
    "lists that are no array": (CATS, 400, lambda: explain(inputs=[[1], [1, 2]], target=0), "no such array"),
    "lists of 70 axes": (
        CATS,
        400,
        lambda: b'{"inputs": ' + b"[" * 70 + b"]" * 70 + b"}",
        "inputs must be float32",
    ),
    "words for numbers": (CATS, 400, lambda: b'{"inputs": [["a"]]}', "of another kind"),
    "null for a number": (CATS, 400, lambda: b'{"inputs": [[null]]}', "of another kind"),
    "half a class": (CATS, 400, lambda: explain(inputs=IMAGE, target=0.5), "of another kind"),
    "a target that is no class": (CATS, 400, lambda: explain(inputs=IMAGE, target=3), "from 0 to 2"),
    "a target of 33 bits": (CATS, 400, lambda: explain(inputs=IMAGE, target=2**32), "no such numbers"),
    "a target of a thousand bits": (CATS, 400, lambda: explain(inputs=IMAGE, target=2**1000), "target must"),
    "NaN": (LOGS, 400, lambda: b'{"inputs": [[NaN, 1]]}', "no such numbers"),
    "a number too large": (LOGS, 400, lambda: b'{"inputs": [[1e39, 1]]}', "no such numbers"),
    "bytes that are no photo": (
        PHOTOS,
        400,
        lambda: explain(photos={"b64": "AAAA"}, target=0),
        "cannot answer",
    ),
    "no base64": (PHOTOS, 400, lambda: explain(photos={"b64": "?"}, target=0), "no Base64"),
    "a number as base64": (PHOTOS, 400, lambda: explain(photos={"b64": 1}, target=0), "no Base64"),
    "a number as photo": (PHOTOS, 400, lambda: explain(photos=1, target=0), "no text"),
    "no such model": ("/v1/models/dogs:predict", 404, lambda: b"{}", "no model 'dogs'"),
    "no such version": (
        "/v1/models/cats/versions/9:predict",
        404,
        lambda: b"{}",
        "no model 'cats/versions/9'",
    ),
    "no such path": ("/v1/cats", 404, lambda: b"{}", "Not Found"),
    "a body too large": (CATS, 413, lambda: b'{"inputs": [' + b"1," * 5_000_000, "too large"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_answered_is_told_in_one_sentence(server: Server, case: str) -> None:
    path, status, body, words = REFUSED[case]
    got, text = server.ask("POST", path, body())
    assert got == status, text
    told = json.loads(text)
    assert [*told] == ["error"] and words in told["error"]
    assert "\n" not in told["error"] and "Traceback" not in told["error"] and len(told["error"]) < 250


def test_no_number_is_null_in_strict_json(server: Server) -> None:
    found = server.predict(LOGS, {"signature_name": "explain", "instances": [[-1, 1], [1, 1]]})["predictions"]
    assert found[0]["score"] is None and isinstance(found[1]["score"], float)
    assert np.isfinite(found[1]["values"]).all()


def test_a_thousand_requests_at_once_are_each_answered_for_their_own_row(server: Server) -> None:
    rows = np.random.default_rng(0).uniform(1, 2, (1000, 2)).round(4)
    direct = server.predict(LOGS, {"signature_name": "explain", "inputs": rows.tolist()})["outputs"]
    start = threading.Barrier(1000)

    def one(row: np.ndarray) -> Any:
        start.wait()
        return server.predict(LOGS, {"signature_name": "explain", "instances": [row.tolist()]})

    with ThreadPoolExecutor(1000) as threads:
        found = [each["predictions"][0] for each in threads.map(one, rows)]
    np.testing.assert_allclose([each["values"] for each in found], direct["values"], rtol=1e-5)
    assert [each["target"] for each in found] == direct["target"]
    assert len(np.unique(direct["values"], axis=0)) == 1000  # an answer to another's row would be seen


def test_memory_stays_flat_over_seventy_megabytes_of_requests(server: Server) -> None:
    body = json.dumps({"signature_name": "explain", "inputs": {"inputs": [IMAGE] * 20, "target": [0] * 20}})
    bad = "x" + body
    assert 20 * (len(body) + len(bad)) > 70e6

    def send(rounds: int) -> None:
        for _ in range(rounds):
            assert server.ask("POST", CATS, body.encode())[0] == 200
            assert server.ask("POST", CATS, bad.encode())[0] == 400

    send(5)
    before = server.megabytes()
    assert before > 200  # TensorFlow and two web processes: all were found
    send(20)
    assert server.megabytes() - before < 40
