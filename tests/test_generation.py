"""Each token of a generated text: against explaining it anew, against a tape, and on texts whose source is known."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from decoders import COUNT, Positions, copying, decoder, recalling, trained
from kinds import seeded

import tfxai

K = keras.ops
PROMPT, OUTPUT = np.array([1, 7, 12]), np.array([5, 7, 20])
WHOLE = np.concatenate([PROMPT, OUTPUT])


@pytest.fixture(scope="module")
def lm() -> keras.Model:
    return decoder(blocks=1)


def quietly(*arguments: Any, **more: Any) -> tfxai.GenerationExplanation:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return tfxai.explain_generation(*arguments, **more)


ANEW: dict[str, Any] = {
    "gradient": tfxai.Gradient(),
    "input_x_gradient": tfxai.InputXGradient(),
    "smooth_grad_without_noise": tfxai.SmoothGrad(samples=2, noise=0.0),
    "integrated_gradients": tfxai.IntegratedGradients(steps=8),
    "conductance": tfxai.Conductance(steps=4),
    "guided_ig": tfxai.GuidedIG(steps=4, max_distance=0.0),
    "deep_lift": tfxai.DeepLIFT(),
    "lrp": tfxai.LRP(rule="attention"),
    "occlusion": tfxai.Occlusion(),
    "kernel_shap": tfxai.KernelSHAP(),  # of so few tokens all subsets
}


@pytest.mark.parametrize(
    ("method", "unit"), [(method, ("log_probability", "logit")[i % 2]) for i, method in enumerate(ANEW)]
)
def test_every_row_is_that_of_the_token_explained_anew(lm: keras.Model, method: str, unit: Any) -> None:
    found = quietly(ANEW[method], lm, PROMPT, OUTPUT, score=unit)
    assert found.matrix.shape == (3, 6) and found.prompt == 3
    for j in (0, 2):
        before, token = WHOLE[: 3 + j][None], int(OUTPUT[j])

        def score(outputs: Any, targets: Any, token: int = token) -> Any:
            said = outputs[:, -1] if unit == "logit" else tf.nn.log_softmax(outputs[:, -1])
            return said[:, token]

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            alone = ANEW[method](lm, before, score=score)
        scale = np.abs(alone.values).max()
        np.testing.assert_allclose(found.matrix[j, : 3 + j], alone.values[0], atol=2e-4 * scale)
        np.testing.assert_allclose(found.scores[j], alone.scores[0], rtol=1e-4, atol=1e-5)
        assert not found.matrix[j, 3 + j :].any()


def test_gradients_are_those_of_a_tape(lm: keras.Model) -> None:
    words = lm.get_layer("words")
    rest = keras.Model(words.output, lm.output)
    found = tfxai.explain_generation(tfxai.InputXGradient(), lm, PROMPT, OUTPUT)
    for j, token in enumerate(OUTPUT):
        vectors = tf.convert_to_tensor(words(WHOLE[None, : 3 + j]))
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            score = tf.nn.log_softmax(rest(vectors)[0, -1])[token]
        wanted = (tape.gradient(score, vectors) * vectors).numpy()[0].sum(-1)
        np.testing.assert_allclose(found.matrix[j, : 3 + j], wanted, rtol=1e-3, atol=1e-6)


def log_probability(lm: Any, ids: np.ndarray, token: int) -> float:
    return float(tf.nn.log_softmax(lm(ids[None])[0, -1])[token])


@pytest.mark.parametrize(
    "method",
    [
        tfxai.IntegratedGradients(steps=200, baseline=np.full(5, 2)),
        tfxai.KernelSHAP(background=np.full((1, 5), 2)),
        tfxai.DeepLIFT(baseline=np.full(5, 2)),
    ],
    ids=["integrated_gradients", "kernel_shap", "deep_lift"],
)
def test_sums_are_changes_of_the_models_own_scores(lm: keras.Model, method: Any) -> None:
    found = quietly(method, lm, PROMPT, OUTPUT)
    for j, token in enumerate(OUTPUT):
        hidden = np.full(3 + j, 2)
        change = log_probability(lm, WHOLE[: 3 + j], token) - log_probability(lm, hidden, token)
        np.testing.assert_allclose(found.matrix[j].sum(), change, rtol=2e-2, atol=2e-3)
        assert found.delta is not None
        np.testing.assert_allclose(found.delta[j], found.matrix[j].sum() - change, atol=2e-4)


def test_improbable_tokens_have_finite_scores_and_true_gradients() -> None:
    """At any distance: the logarithm of a sum is cut nowhere."""
    logits = np.zeros((2, 3, 24), np.float32)
    logits[:, :, 4], logits[1, :, 4] = 50.0, 500.0
    ids = keras.Input((3, 24))
    seeded(0)
    direct = keras.Model(ids, keras.layers.Dense(24, kernel_initializer="identity", name="same")(ids))
    score = tfxai.scores.continuation([7], 2)
    found = tfxai.InputXGradient()(direct, logits, score=score, at="same")
    np.testing.assert_allclose(found.scores[:, 0], [-50, -500], rtol=1e-5)
    slopes = tfxai.Gradient()(direct, logits, score=score).values[:, 0, 1]
    wanted = np.zeros((2, 24))
    wanted[:, 7], wanted[:, 4] = 1, -1
    np.testing.assert_allclose(slopes, wanted, atol=1e-6)


def test_what_is_generated_is_the_likeliest_token_after_token(lm: keras.Model) -> None:
    ids = list(PROMPT)
    for _ in range(4):
        ids.append(int(np.argmax(lm(np.array([ids]))[0, -1])))
    found = tfxai.explain_generation(tfxai.Gradient(), lm, PROMPT, length=4)
    np.testing.assert_array_equal(found.tokens, ids)
    assert found.pieces == [str(i) for i in ids]
    with pytest.raises(ValueError, match=r"length=30: .*Give a smaller length"):
        tfxai.explain_generation(tfxai.Gradient(), lm, PROMPT, length=30)


def test_against_other_tokens_is_the_difference_of_two_maps(lm: keras.Model) -> None:
    other = np.array([6, 8, 9])
    both = tfxai.explain_generation(tfxai.InputXGradient(), lm, PROMPT, OUTPUT, against=other)
    one = tfxai.explain_generation(tfxai.InputXGradient(), lm, PROMPT, OUTPUT, score="logit")
    np.testing.assert_array_equal(both.against, other)
    said = np.asarray(lm(WHOLE[None, :-1]))[0, 2:]
    np.testing.assert_allclose(
        both.scores, said[range(3), OUTPUT] - said[range(3), other], rtol=1e-4, atol=1e-5
    )
    for j, token in enumerate(other):
        swapped = np.concatenate([OUTPUT[:j], [token]])
        two = tfxai.explain_generation(tfxai.InputXGradient(), lm, PROMPT, swapped, score="logit")
        np.testing.assert_allclose(
            both.matrix[j, : 3 + j], (one.matrix[j] - two_padded(two, j))[: 3 + j], atol=1e-5
        )
    with pytest.raises(ValueError, match="against has 2 tokens, the output 3"):
        tfxai.explain_generation(tfxai.Gradient(), lm, PROMPT, OUTPUT, against=[6, 8])


def two_padded(found: tfxai.GenerationExplanation, j: int) -> np.ndarray:
    row = np.zeros(6, np.float32)
    row[: 3 + j] = found.matrix[j, : 3 + j]
    return row


# Other ways in which decoders are made


class Tied(keras.Model):
    """One table at both ends, logits under a soft cap, ids and mask as a dict."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.words = keras.layers.Embedding(24, 16, name="words")
        self.places, self.norm = Positions(16, name="places"), keras.layers.LayerNormalization()
        self.attention = keras.layers.MultiHeadAttention(2, 8, name="attention")

    def call(self, inputs: Any) -> Any:
        x = self.places(self.words(inputs["token_ids"]) * 4.0)
        mask = K.cast(inputs["padding_mask"], "bool")[:, None, :]
        x = self.norm(x + self.attention(x, x, attention_mask=mask, use_causal_mask=True))
        logits = K.matmul(x, K.transpose(K.cast(self.words.embeddings, x.dtype)))
        return 5.0 * K.tanh(K.cast(logits, "float32") / 5.0)


def fed(ids: np.ndarray) -> dict[str, np.ndarray]:
    return {"token_ids": ids, "padding_mask": np.ones_like(ids)}


def tied(policy: str | None = None) -> Tied:
    seeded(4)
    model = Tied(dtype=policy)
    model(fed(WHOLE[None]))
    return model


def as_functional() -> keras.Model:
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask")}
    return keras.Model(inputs, tied()(inputs))


def test_one_table_at_both_ends_a_cap_and_inputs_by_name() -> None:
    by_hand = tfxai.explain_generation(tfxai.Gradient(), tied(), PROMPT, OUTPUT, inputs=fed)
    by_name = tfxai.explain_generation(tfxai.Gradient(), as_functional(), PROMPT, OUTPUT)
    np.testing.assert_allclose(by_hand.matrix, by_name.matrix, rtol=1e-4, atol=1e-7)
    model = tied()
    table = model.words.embeddings.value
    said: list[float] = []
    for j, token in enumerate(OUTPUT):
        ids = WHOLE[: 3 + j]
        said.append(float(tf.nn.log_softmax(model(fed(ids[None]))[0, -1])[token]))
    np.testing.assert_allclose(by_hand.scores, said, rtol=1e-4)
    assert table.shape == (24, 16)
    # By differences: where a token's vector alone is moved, and the table at the end stays.
    places, norm, attention = model.places, model.norm, model.attention

    def score(vectors: Any) -> Any:
        x = places(vectors * 4.0)
        x = norm(x + attention(x, x, use_causal_mask=True))
        return tf.nn.log_softmax(5.0 * K.tanh(K.matmul(x, K.transpose(table)) / 5.0))[0, -1, OUTPUT[2]]

    vectors = tf.convert_to_tensor(model.words(WHOLE[None, :5]))
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        value = score(vectors)
    wanted = np.linalg.norm(tape.gradient(value, vectors).numpy()[0], axis=-1)
    np.testing.assert_allclose(by_hand.matrix[2, :5], wanted, rtol=1e-3)


def test_half_precision_is_summed_in_single() -> None:
    exact = tfxai.explain_generation(tfxai.Gradient(), tied(), PROMPT, OUTPUT, inputs=fed)
    half = tfxai.explain_generation(tfxai.Gradient(), tied("mixed_bfloat16"), PROMPT, OUTPUT, inputs=fed)
    assert half.matrix.dtype == half.scores.dtype == np.float32
    np.testing.assert_allclose(half.matrix, exact.matrix, atol=0.05 * exact.matrix.max())
    np.testing.assert_allclose(half.scores, exact.scores, rtol=0.03)


def test_probabilities_and_a_fixed_length_change_nothing(lm: keras.Model) -> None:
    wanted = tfxai.explain_generation(tfxai.InputXGradient(), lm, PROMPT, OUTPUT)
    chances = decoder(blocks=1, softmax=True)
    chances.set_weights(lm.get_weights())
    ids = keras.Input((9,), dtype="int32")
    alone = keras.Input(batch_shape=(1, 9), dtype="int32")
    for other in (chances, keras.Model(ids, lm(ids)), keras.Model(alone, lm(alone))):
        found = tfxai.explain_generation(tfxai.InputXGradient(), other, PROMPT, OUTPUT)
        np.testing.assert_allclose(found.matrix, wanted.matrix, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-4)
    with pytest.raises(ValueError, match="11 tokens, and the model reads 9"):
        tfxai.explain_generation(tfxai.Gradient(), keras.Model(ids, lm(ids)), PROMPT, np.arange(3, 11))
    assert (
        len(tfxai.explain_generation(tfxai.Gradient(), keras.Model(ids, lm(ids)), PROMPT)) == 7
    )  # all it can read


# Words


class Tokenizer:
    """As KerasHub's, of pieces that know whether they begin a word."""

    pieces = ("<pad>", "<s>", "Ġun", "believ", "able", "Ġcat", "Ġs", "at", ".", "Ċ")
    end_token_id = 8

    def __call__(self, text: str) -> np.ndarray:
        left, found = " " + text, []
        while left:
            best = max((p for p in self.pieces if left.startswith(p.replace("Ġ", " "))), key=len)
            found.append(self.pieces.index(best))
            left = left[len(best) :]
        return np.array(found, np.int32)

    def id_to_token(self, number: int) -> str:
        return self.pieces[number]

    def token_to_id(self, token: str) -> int:
        return self.pieces.index(token)

    def detokenize(self, ids: list[int]) -> str:
        return "".join(self.pieces[i] for i in ids).replace("Ġ", " ").strip()


def test_texts_are_cut_and_joined_by_their_tokenizer(lm: keras.Model) -> None:
    found = tfxai.explain_generation(
        tfxai.InputXGradient(), lm, "unbelievable cat", "sat unbelievable.", tokenizer=Tokenizer()
    )
    assert found.pieces == ["Ġun", "believ", "able", "Ġcat", "Ġs", "at", "Ġun", "believ", "able", "."]
    words = found.words()
    assert words.pieces == ["unbelievable", "cat", "sat", "unbelievable."]
    assert words.prompt == 2 and words.matrix.shape == (2, 4)
    np.testing.assert_allclose(words.matrix[0], [found.matrix[:2, :3].sum(), *found.matrix[:2, 3:4].sum(1).sum(keepdims=True),
                                                 found.matrix[:2, 4:6].sum(), 0], rtol=1e-4, atol=1e-6)  # fmt: skip
    np.testing.assert_allclose(words.matrix.sum(), found.matrix.sum(), rtol=1e-4)
    np.testing.assert_allclose(words.scores, [found.scores[:2].sum(), found.scores[2:].sum()], rtol=1e-5)


def test_texts_are_hidden_piece_by_piece_as_their_tokenizer_cuts_them() -> None:
    text = tfxai.Text.of(["cat unbelievable", "sat"], Tokenizer())

    def cats(texts: Any) -> np.ndarray:
        return np.array([[each.count("cat") + 2.0 * each.count("able")] for each in texts], np.float32)

    found = tfxai.KernelSHAP()(cats, text, targets=0, score="output")
    assert found.tokens == [["Ġcat", "Ġun", "believ", "able"], ["Ġs", "at"]]
    np.testing.assert_allclose(found.weights[0], [1, 0, 0, 2], atol=1e-4)
    with pytest.raises(ValueError, match="does not know the mask"):
        tfxai.Text.of(["cat"], Tokenizer(), "[MASK]")
    with pytest.raises(ValueError, match="has no id_to_token"):
        tfxai.Text.of(["cat"], str.split)


def test_a_heading_is_no_wordpiece() -> None:
    pieces = ["##", "ĠTit", "le", "Ċ", "big", "Ġ##", "Ġwor", "ld"]
    found = tfxai.GenerationExplanation(
        np.ones((2, 8), np.float32), np.arange(8), pieces, 6, np.ones(2, np.float32)
    ).words()
    assert found.pieces == ["##", "Title", "\nbig".strip(), "##", "world"]
    figure = tfxai.plots.generation(found)
    image = figure.axes[1].images[0].get_array()
    assert image[0, 4] == found.matrix[0, 4] != 0  # what a word's first piece says for its second


def test_a_cache_beside_the_scores_is_left_alone(lm: keras.Model) -> None:
    ids = keras.Input((None,), dtype="int32")
    model = keras.Model(ids, {"scores": lm(ids), "cache": keras.layers.Embedding(24, 3)(ids)})
    with pytest.raises(ValueError, match="has 2 outputs"):
        tfxai.explain_generation(tfxai.Gradient(), model, PROMPT, OUTPUT)
    found = tfxai.explain_generation(tfxai.Gradient(), model, PROMPT, OUTPUT, logits="scores")
    wanted = tfxai.explain_generation(tfxai.Gradient(), lm, PROMPT, OUTPUT)
    np.testing.assert_allclose(found.matrix, wanted.matrix, rtol=1e-4)
    assert len(tfxai.explain_generation(tfxai.Gradient(), model, PROMPT, logits="scores", length=2)) == 2


def test_what_is_none_among_the_outputs_is_no_output(lm: keras.Model) -> None:
    """As decoders return a cache that they do not keep."""

    class WithoutCache(keras.Model):
        def __init__(self, as_dict: bool) -> None:
            super().__init__()
            self.inner, self.as_dict = lm, as_dict

        def call(self, ids: Any) -> Any:
            return {"logits": self.inner(ids), "cache": None} if self.as_dict else (self.inner(ids), None)

    wanted = tfxai.explain_generation(tfxai.InputXGradient(), lm, PROMPT, OUTPUT)
    for as_dict in (True, False):
        model = WithoutCache(as_dict)
        model(WHOLE[None])
        found = tfxai.explain_generation(tfxai.InputXGradient(), model, PROMPT, OUTPUT)
        np.testing.assert_allclose(found.matrix, wanted.matrix, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("ahead", [1, 2, 3])
def test_a_look_ahead_of_any_length_is_told(ahead: int) -> None:
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(24, 8)(ids)
    later = K.concatenate([x[:, ahead:], 0 * x[:, :ahead]], 1)
    model = keras.Model(ids, keras.layers.Dense(24)(x + later))
    with pytest.warns(UserWarning, match="no causal model"):
        tfxai.explain_generation(tfxai.Gradient(), model, [3, 1, 4, 1, 5], [9, 2, 6])


@pytest.mark.filterwarnings("error")
def test_inputs_that_are_made_here_are_nobodys_question() -> None:
    for method in (tfxai.Gradient(), tfxai.Occlusion()):
        tfxai.explain_generation(method, as_functional(), PROMPT, OUTPUT)


def test_wordpieces_go_on_with_two_signs() -> None:
    found = tfxai.GenerationExplanation(
        np.ones((2, 5), np.float32),
        np.arange(5),
        ["play", "##ing", "now", "go", "##ne"],
        3,
        np.ones(2, np.float32),
    ).words()
    assert found.pieces == ["playing", "now", "gone"]
    np.testing.assert_array_equal(found.matrix, [[4, 2, 4]])


def test_generation_ends_where_the_tokenizer_says(lm: keras.Model) -> None:
    likeliest = int(np.argmax(lm(PROMPT[None])[0, -1]))
    stop = Tokenizer()
    stop.end_token_id = likeliest
    stop.pieces = tuple(map(str, range(24)))
    found = tfxai.explain_generation(tfxai.Gradient(), lm, PROMPT, tokenizer=stop)
    assert len(found) == 1 and found.tokens[-1] == likeliest


def test_results_are_kept_and_drawn(lm: keras.Model, tmp_path: Any) -> None:
    found = tfxai.explain_generation(
        tfxai.IntegratedGradients(steps=3), lm, PROMPT, OUTPUT, against=[6, 8, 9]
    )
    found.save(tmp_path / "text.npz")
    again = tfxai.GenerationExplanation.load(tmp_path / "text.npz")
    np.testing.assert_array_equal(again.matrix, found.matrix)
    np.testing.assert_array_equal(again.against, found.against)
    assert again.against_pieces == ["6", "8", "9"]
    assert again.pieces == found.pieces and again.prompt == 3
    figure = tfxai.plots.generation(again, -1)
    text, heat = figure.axes[:2]
    image = heat.images[0].get_array()
    np.testing.assert_allclose(image[2, :5], found.matrix[2, :5])
    assert np.ma.getmaskarray(np.ma.masked_invalid(image))[0].tolist() == [False] * 3 + [True] * 3
    framed = [patch for patch in text.patches if patch.get_linewidth() > 0]
    assert len(framed) == 1
    assert text.get_title("left") == "why '20', not '9'?"
    with pytest.raises(ValueError, match="3 output tokens"):
        tfxai.plots.generation(found, 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("a text",), "no tokenizer"),
        (([],), "at least one"),
        (([1.5, 2.0],), "whole numbers"),
        ((PROMPT, [-1]), "from 0"),
        ((PROMPT, [99]), "99|vocabulary|classes"),
    ],
)
def test_what_is_no_text_is_refused(lm: keras.Model, arguments: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tfxai.explain_generation(tfxai.Gradient(), lm, *arguments)


def test_models_that_are_no_decoders_are_told(lm: keras.Model) -> None:
    ids = keras.Input((None,), dtype="int32")
    one = keras.Model(ids, keras.layers.GlobalMaxPooling1D()(keras.layers.Embedding(24, 8)(ids)))
    with pytest.raises(ValueError, match="something of each token"):
        tfxai.explain_generation(tfxai.Gradient(), one, PROMPT, OUTPUT)
    x = keras.layers.Embedding(24, 8)(ids)
    both = keras.Model(ids, keras.layers.Dense(24)(keras.layers.MultiHeadAttention(1, 8)(x, x)))
    with pytest.warns(UserWarning, match="no causal model"):
        tfxai.explain_generation(tfxai.Gradient(), both, PROMPT, OUTPUT)
    pair = {
        "left": keras.Input((None,), dtype="int32", name="left"),
        "right": keras.Input((None,), dtype="int32", name="right"),
    }
    with pytest.raises(ValueError, match="inputs=lambda ids"):
        tfxai.explain_generation(
            tfxai.Gradient(), keras.Model(pair, lm(pair["left"] + pair["right"])), PROMPT, OUTPUT
        )
    with pytest.raises(ValueError, match="a method, such as"):
        tfxai.explain_generation("gradient", lm, PROMPT, OUTPUT)


# The real thing: a decoder that was trained to copy


@pytest.fixture(scope="module")
def copier() -> keras.Model:
    model = trained()
    texts = copying(200, np.random.default_rng(99))
    said = np.asarray(model(texts[:, :-1]))[:, COUNT + 1 :].argmax(-1)
    assert (said == texts[:, COUNT + 2 :]).mean() > 0.99
    return model


KNOWING: dict[str, Any] = {
    "gradient": tfxai.Gradient(),
    "smooth_grad": tfxai.SmoothGrad(samples=30),
    "integrated_gradients": tfxai.IntegratedGradients(steps=20),
    "conductance": tfxai.Conductance(steps=20),
    "deep_lift": tfxai.DeepLIFT(),
    "lrp": tfxai.LRP(rule="attention"),
    "occlusion": tfxai.Occlusion(),
    "kernel_shap": tfxai.KernelSHAP(),
    "lime": tfxai.LIME(),
}


@pytest.mark.slow
@pytest.mark.parametrize("method", KNOWING)
def test_a_copied_word_leans_on_its_source(copier: keras.Model, method: str) -> None:
    """At least 95 % of the largest values lie on the one token that was copied."""
    hits: list[bool] = []
    for text in copying(12, np.random.default_rng(7)):
        prompt, output = text[: COUNT + 2], text[COUNT + 2 :]
        unit = "logit" if method == "lrp" else "log_probability"
        found = quietly(KNOWING[method], copier, prompt, output, score=unit)
        hits += (found.matrix.argmax(1) == 1 + np.arange(COUNT)).tolist()
    assert np.mean(hits) >= 0.95


@pytest.fixture(scope="module")
def recaller() -> keras.Model:
    model = trained(recalling, slice(COUNT + 3, None, 2), steps=1000)
    texts = recalling(100, np.random.default_rng(3))
    said = np.asarray(model(texts[:, :-1])).argmax(-1)[:, COUNT + 2 :: 2]
    assert (said == texts[:, COUNT + 3 :: 2]).mean() > 0.99
    return model


# A gradient is only of what is near, where the answer is sure already: it names another token for one in seven.
BACKGROUND = recalling(50, np.random.default_rng(1))[:, :-1]
RECALLING: dict[str, Any] = {
    **{
        name: KNOWING[name]
        for name in ("integrated_gradients", "deep_lift", "lrp", "occlusion", "kernel_shap", "lime")
    },
    "expected_gradients": tfxai.ExpectedGradients(BACKGROUND, samples=100),
}


@pytest.mark.slow
@pytest.mark.parametrize("method", RECALLING)
def test_a_recalled_word_leans_on_the_pair_that_it_comes_from(recaller: keras.Model, method: str) -> None:
    """Induction: what came after this word before? At least 95 % of the largest values lie on it, on the word that came
    before it there, or on the same word here: without any of the three nobody could tell. LRP names the answer itself."""
    on_pair, on_answer = [], []
    for text in recalling(12, np.random.default_rng(7)):
        prompt, output = text[: COUNT + 2], text[COUNT + 2 :]
        found = quietly(RECALLING[method], recaller, prompt, output, score="logit")
        for j in range(1, len(output), 2):
            largest, place = found.matrix[j].argmax(), int(np.argwhere(prompt == output[j])[0, 0])
            on_pair.append(largest in (place, place - 1, COUNT + 1 + j))
            on_answer.append(largest == place)
    assert np.mean(on_answer if method == "lrp" else on_pair) >= 0.95
