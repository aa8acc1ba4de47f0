"""What the last bits of a number depend on beside model and inputs: versions, processor, threads."""

from __future__ import annotations

import functools
import os
import platform
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfxai.version import __version__


def environment() -> dict[str, Any]:
    """Versions, devices and threads of this process, as a receipt holds them."""
    return {
        **_fixed(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "tensor_float_32": tf.config.experimental.tensor_float_32_execution_enabled(),
        "deterministic": _is_deterministic(),
    }


@functools.cache
def _fixed() -> dict[str, Any]:
    """What does not change once TensorFlow has run something in this process."""
    return {
        "tfxai": __version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "device": _device(),
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _device() -> str:
    """What runs the model: the GPUs that TensorFlow sees, else the processor."""
    found = tf.config.get_visible_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in found]
    return ", ".join(names) or "CPU"


def _is_deterministic() -> bool:
    """Whether operations keep to one order, which TensorFlow promises of processors only."""
    from tensorflow.python.framework import config  # no public function tells

    return bool(config.is_op_determinism_enabled())
