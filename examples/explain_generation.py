"""Why "bark" and not "barks"? A small decoder, trained here on sentences with a distracting noun. Pictures go to FOLDER."""

import sys
from pathlib import Path

import keras
import numpy as np

import tfxai

folder = Path(*sys.argv[1:2])
rng = np.random.default_rng(0)
keras.utils.set_random_seed(0)
VERBS = {"dog": "bark", "cat": "sleep", "bird": "sing", "horse": "run"}


def sentence():
    # The verb goes with the first noun, in kind and number; the second noun misleads.
    (one, other), (many, others) = rng.choice([*VERBS], 2), rng.integers(2, size=2)
    subject = f"<s> the {rng.choice(['old', 'small'])} {one}{'s' * many}"
    phrase = f"{rng.choice(['near', 'behind'])} the {rng.choice(['old', 'small'])} {other}{'s' * others}"
    reason = "because they are glad ." if many else "because it is glad ."
    return f"{subject} {phrase} {VERBS[one]}{'s' * (1 - many)} {reason}".split()


class Tokenizer:  # anything that cuts a text and names its pieces
    def __call__(self, text):
        return np.array([words.index(word) for word in text.split()])

    def id_to_token(self, number):
        return words[number]


texts = np.array([sentence() for _ in range(20000)])
found, ids = np.unique(texts, return_inverse=True)
words, ids = found.tolist(), ids.reshape(texts.shape)

L, tokens = keras.layers, keras.Input((None,), dtype="int32")
x = L.Embedding(len(words), 32)(tokens)
for _ in range(2):
    y = L.LayerNormalization()(x)
    x = x + L.MultiHeadAttention(4, 8)(y, y, use_causal_mask=True)
    x = x + L.Dense(32)(L.Dense(64, activation="gelu")(L.LayerNormalization()(x)))
lm = keras.Model(tokens, L.Dense(len(words))(L.LayerNormalization()(x)))
lm.compile(keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
lm.fit(ids[:, :-1], ids[:, 1:], batch_size=128, epochs=4, verbose=0)

# A hidden word is one that stands in its place in another sentence.
PROMPT, cut = "<s> the old dogs behind the small cat", Tokenizer()
shap = tfxai.KernelSHAP(background=ids[:40, :12], samples=1000)
written = tfxai.explain_generation(shap, lm, PROMPT, length=5, tokenizer=cut)
print("It goes on:", " ".join(written.pieces[written.prompt :]))
tfxai.plots.generation(written).savefig(folder / "generation.png")
for other in ("barks", "sleep"):
    shap = tfxai.KernelSHAP(background=ids[:40, :8])
    rather = tfxai.explain_generation(shap, lm, PROMPT, "bark", against=other, tokenizer=cut)
    source = rather.pieces[rather.matrix[0].argmax()]
    print(f'"bark" rather than "{other}" ({rather.scores[0]:+.1f}): most of all for "{source}"')
    tfxai.plots.generation(rather).savefig(folder / f"bark_not_{other}.png")
