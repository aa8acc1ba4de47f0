"""What the lxt package makes of the models of test_lxt.py; run by a Python that has torch, transformers and lxt.

python lxt_values.py decoder|encoder given.npz found.npz
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from lxt.efficient import monkey_patch, patches, rules
from transformers import LlamaConfig
from transformers.models.llama import modeling_llama


def put(parameter: Any, value: Any) -> None:
    with torch.no_grad():
        parameter.copy_(torch.tensor(value))


def linear(module: Any, given: Any, name: str) -> Any:
    put(module.weight, given[f"{name}.kernel"].T)
    if f"{name}.bias" in given:
        put(module.bias, given[f"{name}.bias"])
    return module


def decoder(given: Any, embedded: Any) -> Any:
    monkey_patch(modeling_llama)
    config = LlamaConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=13, rms_norm_eps=1e-6, attn_implementation="eager",
    )  # fmt: skip
    model = modeling_llama.LlamaForCausalLM(config).eval()
    for i, layer in enumerate(model.model.layers):
        for name in "qkvo":
            linear(getattr(layer.self_attn, f"{name}_proj"), given, f"{i}.{name}")
        for name in ("gate", "up", "down"):
            linear(getattr(layer.mlp, f"{name}_proj"), given, f"{i}.{name}")
        put(layer.input_layernorm.weight, given[f"{i}.norm1.gain"])
        put(layer.post_attention_layernorm.weight, given[f"{i}.norm2.gain"])
    put(model.model.norm.weight, given["last.gain"])
    linear(model.lm_head, given, "head")
    return model(inputs_embeds=embedded, use_cache=False).logits[:, -1]


def encoder(given: Any, x: Any) -> Any:
    def dense(name: str) -> Any:
        n, m = given[f"{name}.kernel"].shape
        return linear(torch.nn.Linear(n, m), given, name)

    def norm(number: int) -> Any:
        layer = torch.nn.LayerNorm(16, eps=1e-5)
        put(layer.weight, given[f"0.norm{number}.gain"])
        put(layer.bias, given[f"0.norm{number}.shift"])
        return layer

    h = patches.layer_norm_forward(norm(1), x)
    q, k, v = (dense(f"0.{name}")(h).view(2, 6, 4, 4).transpose(1, 2) for name in "qkv")
    attend = patches.wrap_attention_forward(
        lambda module, q, k, v: torch.softmax(q @ k.transpose(2, 3) / 2, -1) @ v
    )
    x = x + dense("0.o")(attend(None, q, k, v).transpose(1, 2).reshape(2, 6, 16))
    h = patches.layer_norm_forward(norm(2), x)
    x = x + dense("0.down")(rules.identity_rule_implicit(torch.nn.functional.gelu, dense("0.up")(h)))
    return dense("head")(x.mean(1))


if __name__ == "__main__":
    kind, before, after = sys.argv[1:]
    given = dict(np.load(before))
    points = torch.tensor(given["points"], requires_grad=True)
    scores = {"decoder": decoder, "encoder": encoder}[kind](given, points)[:, 1]
    scores.sum().backward()
    np.savez(after, scores=scores.detach().numpy(), values=(points.grad * points).detach().numpy())
