"""A process of its own with TensorFlow alone: runs signatures of exported folders, and writes what they answer.

    python served.py JOBS.json

Each job has a folder, a file of inputs by name (.npz), and a file for the answers: "signature/output" -> array.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf


def main() -> None:
    for job in json.loads(Path(sys.argv[1]).read_text()):
        inputs = dict(np.load(job["inputs"]))
        answers = {}
        for name, signature in tf.saved_model.load(job["folder"]).signatures.items():
            wanted = signature.structured_input_signature[1]
            given = {key: tf.cast(inputs[key], spec.dtype) for key, spec in wanted.items()}
            answers |= {f"{name}/{key}": answer.numpy() for key, answer in signature(**given).items()}
        np.savez(job["answers"], **answers)
    assert "tfxai" not in sys.modules


if __name__ == "__main__":
    main()
