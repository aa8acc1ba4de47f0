"""AttnLRP beside the package of its authors, with the same weights: a decoder as of Llama and an encoder.

pip install torch transformers lxt && pytest -m slow tests/test_lxt.py
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import tfxai

pytestmark = pytest.mark.slow
L = keras.layers
RNG = np.random.default_rng(1)


class Block(L.Layer):
    """Attention and an MLP, each behind a norm; gated where there is a gate, turned and causal if it is a decoder's."""

    def __init__(self, decoder: bool) -> None:
        super().__init__()
        self.decoder = decoder
        self.norms = [
            L.RMSNormalization(epsilon=1e-6) if decoder else L.LayerNormalization(epsilon=1e-5) for _ in "12"
        ]
        self.q, self.k, self.v, self.o = (
            L.Dense(n, use_bias=not decoder) for n in ((16, 8, 8, 16) if decoder else (16,) * 4)
        )
        self.gate = L.Dense(24, use_bias=False) if decoder else None
        self.up, self.down = L.Dense(24, use_bias=not decoder), L.Dense(16, use_bias=not decoder)

    def turned(self, x: Any) -> Any:
        angle = np.arange(x.shape[1])[:, None, None] * 10000.0 ** (-np.arange(0, 4, 2) / 4)
        cos, sin = (np.concatenate([f(angle)] * 2, -1).astype(np.float32) for f in (np.cos, np.sin))
        a, b = keras.ops.split(x, 2, axis=-1)
        return x * cos + keras.ops.concatenate([-b, a], -1) * sin

    def call(self, x: Any) -> Any:
        h, t = self.norms[0](x), x.shape[1]
        q, k, v = (
            keras.ops.reshape(dense(h), (-1, t, dense.units // 4, 4)) for dense in (self.q, self.k, self.v)
        )
        if self.decoder:
            q, k = self.turned(q), keras.ops.repeat(self.turned(k), 2, 2)
            v = keras.ops.repeat(v, 2, 2)
        scores = keras.ops.einsum("nihd,njhd->nhij", q, k) / 2
        if self.decoder:
            scores = keras.ops.where(np.tril(np.ones((t, t), bool)), scores, -1e9)
        seen = keras.ops.einsum("nhij,njhd->nihd", keras.ops.softmax(scores), v)
        x = x + self.o(keras.ops.reshape(seen, (-1, t, 16)))
        h = self.norms[1](x)
        if self.gate is None:
            return x + self.down(keras.activations.gelu(self.up(h), approximate=False))
        return x + self.down(keras.activations.silu(self.gate(h)) * self.up(h))


def weights_of(blocks: list[Block], last: Any, head: Any) -> dict[str, np.ndarray]:
    """All weights by name."""
    dense = {f"{i}.{name}": getattr(block, name) for i, block in enumerate(blocks) for name in
             ("q", "k", "v", "o", "gate", "up", "down") if getattr(block, name) is not None}  # fmt: skip
    given = {}
    for name, layer in {**dense, "head": head}.items():
        given[f"{name}.kernel"] = layer.kernel
        if layer.use_bias:
            given[f"{name}.bias"] = layer.bias
    norms = {f"{i}.norm{n}": norm for i, block in enumerate(blocks) for n, norm in enumerate(block.norms, 1)}
    for name, norm in {**norms, **({"last": last} if last else {})}.items():
        given[f"{name}.gain"] = norm.scale if isinstance(norm, L.RMSNormalization) else norm.gamma
        if isinstance(norm, L.LayerNormalization):
            given[f"{name}.shift"] = norm.beta
    return {name: np.asarray(value) for name, value in given.items()}


@pytest.mark.parametrize("kind", ["decoder", "encoder"])
def test_relevance_is_that_of_lxt(kind: str, tmp_path: Path) -> None:
    python = os.environ.get("TFXAI_LXT_PYTHON")
    if not python:
        pytest.skip("TFXAI_LXT_PYTHON does not name a Python that has lxt")
    keras.utils.set_random_seed(0)
    decoder = kind == "decoder"
    inputs, head = keras.Input((6, 16)), L.Dense(13 if decoder else 3, use_bias=not decoder)
    blocks = [Block(decoder) for _ in range(2 if decoder else 1)]
    last = L.RMSNormalization(epsilon=1e-6) if decoder else None
    x = inputs
    for block in blocks:
        x = block(x)
    model = keras.Model(inputs, head(last(x)[:, -1] if last else keras.ops.mean(x, 1)))
    model.set_weights([w + RNG.normal(0, 0.2, w.shape) for w in model.get_weights()])
    points = RNG.normal(size=(2, 6, 16)).astype(np.float32)
    np.savez(tmp_path / "given.npz", points=points, **weights_of(blocks, last, head))
    script = Path(__file__).with_name("lxt_values.py")
    subprocess.run([python, script, kind, tmp_path / "given.npz", tmp_path / "found.npz"], check=True)
    wanted = np.load(tmp_path / "found.npz")
    found = tfxai.LRP(rule="attention")(model, points, 1)
    np.testing.assert_allclose(found.scores, wanted["scores"], rtol=1e-4, atol=1e-5)
    far = np.abs(found.values - wanted["values"]).max() / np.abs(wanted["values"]).max()
    print(kind, far)
    assert far <= 1e-4
