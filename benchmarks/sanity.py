"""What the bookkeeping of a sanity check costs beside the explanations it makes, in one run.

    python benchmarks/sanity.py

EfficientNet-Lite0, 4 photos, 20 layers, and the 5 methods that are mostly compared. Asked for: at most 1.15.
"""

from __future__ import annotations

import os
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import tfxai
from tfxai import photos, sanity, weights, zoo


class Timed:
    """A method with a clock."""

    def __init__(self, method: Any) -> None:
        self.method, self.seconds = method, 0.0

    def __call__(self, model: Any, inputs: Any, targets: Any, *, batch_size: int) -> tfxai.Explanation:
        start = time.perf_counter()
        found = self.method(model, inputs, targets, batch_size=batch_size)
        self.seconds += time.perf_counter() - start
        return found


def main() -> None:
    """Prints one line."""
    model = zoo.efficientnet_lite0()
    names = ("chelsea", "coffee", "rocket", "motorcycle")
    images = np.stack([photos.fit(zoo.sample_photos()[name], (224, 224), crop=0.875) for name in names])
    methods = {
        "gradient": tfxai.Gradient(),
        "smooth_grad": tfxai.SmoothGrad(),
        "input_x_gradient": tfxai.InputXGradient(),
        "guided_backprop": tfxai.GuidedBackprop(),
        "integrated_gradients": tfxai.IntegratedGradients(),
    }
    layers = [layer.path for layer in weights.weighted_layers(model, images)][-20:]
    for method in methods.values():
        method(model, images)  # traced before the clock starts
    timed = {name: Timed(method) for name, method in methods.items()}
    start = time.perf_counter()
    sanity.randomize_model(timed, model, images, layers=layers)
    whole, explaining = time.perf_counter() - start, sum(method.seconds for method in timed.values())
    print(
        f"20 layers x 5 methods x 4 images: {whole:.1f} s, explanations {explaining:.1f} s, ratio {whole / explaining:.3f}"
    )


if __name__ == "__main__":
    main()
