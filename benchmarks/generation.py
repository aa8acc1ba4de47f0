"""How much quicker all output tokens of a language model are explained together than one after the other.

    python benchmarks/generation.py [METHOD ...]

"Anew" is a call of the method for each output token, on the text before it; both run twice, and the second time counts, so that
no trace is in it. All lengths are one to the compiler there only after the third.
"""

import sys
import time
import warnings

import keras
import numpy as np
import tensorflow as tf

import tfxai

PROMPT, OUTPUT, VOCABULARY, WIDTH, BLOCKS = 48, 32, 2000, 128, 4
METHODS = {
    "InputXGradient": tfxai.InputXGradient(),
    "IntegratedGradients": tfxai.IntegratedGradients(steps=10),
    "LRP": tfxai.LRP(rule="attention"),
    "Occlusion": tfxai.Occlusion(),
    "KernelSHAP": tfxai.KernelSHAP(samples=500),
    "LIME": tfxai.LIME(samples=500),
}


def decoder() -> keras.Model:
    keras.utils.set_random_seed(0)
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(VOCABULARY, WIDTH)(ids)
    for _ in range(BLOCKS):
        y = keras.layers.LayerNormalization()(x)
        x = x + keras.layers.MultiHeadAttention(4, WIDTH // 4)(y, y, use_causal_mask=True)
        y = keras.layers.Dense(4 * WIDTH, activation="gelu")(keras.layers.LayerNormalization()(x))
        x = x + keras.layers.Dense(WIDTH)(y)
    return keras.Model(ids, keras.layers.Dense(VOCABULARY)(keras.layers.LayerNormalization()(x)))


def score(outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    said = tf.nn.log_softmax(outputs[:, -1])
    return tf.gather(said, targets, axis=1, batch_dims=1)


def seconds(call: object) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    warnings.simplefilter("ignore", UserWarning)
    lm = decoder()
    ids = np.random.default_rng(0).integers(1, VOCABULARY, PROMPT + OUTPUT)
    prompt, output = ids[:PROMPT], ids[PROMPT:]
    print(f"{PROMPT} + {OUTPUT} tokens, {BLOCKS} blocks of {WIDTH}")
    for name in sys.argv[1:] or METHODS:
        method = METHODS[name]

        def together(method=method) -> None:
            tfxai.explain_generation(method, lm, prompt, output)

        def anew(method=method) -> None:
            for j, token in enumerate(output):
                method(lm, ids[None, : PROMPT + j], int(token), score=score)

        first = seconds(anew), seconds(together)
        second = seconds(anew), seconds(together)
        print(
            f"{name:20} anew {second[0]:7.2f} s   together {second[1]:6.2f} s   {second[0] / second[1]:5.1f} times quicker"
            f"   (first time {first[0]:6.1f} s, {first[1]:5.1f} s: {first[0] / first[1]:.1f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
