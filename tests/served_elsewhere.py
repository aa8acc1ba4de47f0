"""A process of its own without TensorFlow: runs exported ONNX and LiteRT files, and writes what they answer.

    python served_elsewhere.py JOBS.json

Each job has a folder, a file of inputs by name (.npz), and a file for the answers: "file/output" -> array.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def by_onnx(file: Path, given: dict[str, Any]) -> dict[str, Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file))
    taken = {each.name: given[each.name] for each in session.get_inputs()}
    return dict(zip([each.name for each in session.get_outputs()], session.run(None, taken), strict=True))


def by_litert(file: Path, given: dict[str, Any]) -> dict[str, Any]:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(file), num_threads=1).get_signature_runner("serving_default")
    return runner(**{name: given[name] for name in runner.get_input_details()})


def main() -> None:
    for job in json.loads(Path(sys.argv[1]).read_text()):
        inputs, answers = dict(np.load(job["inputs"])), {}
        for file in sorted(Path(job["folder"]).iterdir()):
            found = (by_onnx if file.suffix == ".onnx" else by_litert)(file, inputs)
            answers |= {f"{file.stem}/{name}": answer for name, answer in found.items()}
        np.savez(job["answers"], **answers)
    assert "tensorflow" not in sys.modules and "tfxai" not in sys.modules


if __name__ == "__main__":
    main()
