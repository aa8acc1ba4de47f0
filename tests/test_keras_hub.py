"""Families of keras-hub in small, with random weights: gradients against a tape, sums against the model's own scores."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_boxes import by_hand

import tfxai

# pip install --no-deps keras-hub kagglehub kagglesdk: with its dependencies comes tensorflow-text, which pins TensorFlow.
keras_hub = pytest.importorskip("keras_hub")
M = keras_hub.models
pytestmark = pytest.mark.slow

TOKENS = np.array([[3, 7, 1, 9, 4], [2, 2, 8, 5, 6]], np.int32)
FULL = np.ones_like(TOKENS)


def images(size: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, (2, size, size, 3)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Family:
    """A model, inputs, and what is explained. layer: the default of class activation maps, by the end of its name."""

    model: Any
    inputs: Any
    score: Callable[[Any, Any], Any]
    layer: str | None = None

    def scores(self, inputs: Any) -> np.ndarray:
        return np.asarray(self.score(self.model(inputs, training=False), None))


def word(outputs: Any, targets: Any) -> Any:
    return outputs[:, -1, 7]


def vit() -> Family:
    backbone = M.ViTBackbone((16, 16, 3), (4, 4), 2, 2, 8, 16)
    model = M.ViTImageClassifier(backbone, num_classes=3, pooling="token", preprocessor=None)
    return Family(model, images(16), lambda y, t: y[:, 1])


def clip() -> Family:
    vision = M.CLIPVisionEncoder(4, 8, 2, 2, 16, image_shape=(16, 16, 3))
    text = M.CLIPTextEncoder(20, 8, 8, 2, 2, 16, max_sequence_length=5)
    model = M.CLIPBackbone(vision, text, projection_dim=8)
    inputs = {"images": images(16), "token_ids": TOKENS}
    return Family(model, inputs, lambda y, t: tf.linalg.diag_part(y["vision_logits"]))


def bert() -> Family:
    backbone = M.BertBackbone(20, 2, 2, 8, 16, max_sequence_length=5)
    model = M.BertTextClassifier(backbone, num_classes=3, preprocessor=None)
    inputs = {"token_ids": TOKENS, "segment_ids": 0 * TOKENS, "padding_mask": FULL}
    return Family(model, inputs, lambda y, t: y[:, 1])


def roberta() -> Family:
    backbone = M.RobertaBackbone(20, 2, 2, 8, 16, max_sequence_length=5)
    model = M.RobertaTextClassifier(backbone, num_classes=3, preprocessor=None)
    return Family(model, {"token_ids": TOKENS, "padding_mask": FULL}, lambda y, t: y[:, 1])


def distil_bert() -> Family:
    backbone = M.DistilBertBackbone(20, 2, 2, 8, 16, max_sequence_length=5)
    model = M.DistilBertTextClassifier(backbone, num_classes=3, preprocessor=None)
    return Family(model, {"token_ids": TOKENS, "padding_mask": FULL}, lambda y, t: y[:, 1])


def gpt2() -> Family:
    backbone = M.GPT2Backbone(20, 2, 2, 8, 16, max_sequence_length=5)
    model = M.GPT2CausalLM(backbone, preprocessor=None)
    return Family(model, {"token_ids": TOKENS, "padding_mask": FULL}, word)


def gemma() -> Family:
    model = M.GemmaCausalLM(M.GemmaBackbone(20, 2, 2, 1, 8, 16, 4), preprocessor=None)
    return Family(model, {"token_ids": TOKENS, "padding_mask": FULL}, word)


def llama() -> Family:
    model = M.LlamaCausalLM(M.LlamaBackbone(20, 2, 2, 8, 16, 1), preprocessor=None)
    return Family(model, {"token_ids": TOKENS, "padding_mask": FULL}, word)


def opt() -> Family:
    backbone = M.OPTBackbone(20, 2, 2, 8, 16, max_sequence_length=5)
    return Family(
        M.OPTCausalLM(backbone, preprocessor=None), {"token_ids": TOKENS, "padding_mask": FULL}, word
    )


def causal(model: type, backbone: Any) -> Family:
    return Family(model(backbone, preprocessor=None), {"token_ids": TOKENS, "padding_mask": FULL}, word)


def mistral() -> Family:
    return causal(M.MistralCausalLM, M.MistralBackbone(20, 2, 2, 8, 16, 1, sliding_window=3))


def qwen() -> Family:
    return causal(M.QwenCausalLM, M.QwenBackbone(20, 2, 2, 1, 8, 16))


def bloom() -> Family:
    return causal(M.BloomCausalLM, M.BloomBackbone(20, 2, 2, 8, 16))


def falcon() -> Family:
    return causal(M.FalconCausalLM, M.FalconBackbone(20, 2, 2, 8, 16))


def phi3() -> Family:
    return causal(M.Phi3CausalLM, M.Phi3Backbone(20, 2, 8, 16, 2, 1))


def t5() -> Family:
    inputs = {
        "encoder_token_ids": TOKENS,
        "encoder_padding_mask": FULL,
        "decoder_token_ids": TOKENS[:, :3],
        "decoder_padding_mask": FULL[:, :3],
    }
    return Family(M.T5Backbone(20, 2, 2, 8, 16), inputs, lambda y, t: y["decoder_sequence_output"][:, -1, 3])


def segformer() -> Family:
    encoder = M.MiTBackbone(
        [1, 1, 1, 1],
        4,
        [1, 1, 2, 2],
        [8, 4, 2, 1],
        0.0,
        [7, 3, 3, 3],
        [4, 2, 2, 2],
        (64, 64, 3),
        [4, 6, 8, 12],
    )
    backbone = M.SegFormerBackbone(encoder, projection_filters=8)
    model = M.SegFormerImageSegmenter(backbone, num_classes=3, preprocessor=None)
    return Family(model, images(64), tfxai.scores.box((8, 8, 16, 16), channel=1))


def swin() -> Family:
    backbone = M.SwinTransformerBackbone(
        image_shape=(32, 32, 3), patch_size=4, embed_dim=8, depths=(2, 2), num_heads=(2, 2), window_size=2
    )
    return Family(backbone, images(32), lambda y, t: y[:, 1, 3])


def deeplab() -> Family:
    encoder = M.ResNetBackbone(
        [64], [7], [64, 64, 64, 64], [1, 1, 1, 1], [1, 2, 2, 2], "basic_block", image_shape=(64, 64, 3)
    )
    backbone = M.DeepLabV3Backbone(encoder, "P5", 8, [2, 4], "P2", 8, (64, 64, 3))
    model = M.DeepLabV3ImageSegmenter(backbone, num_classes=3, preprocessor=None)
    return Family(model, images(64), tfxai.scores.box((8, 8, 16, 16), channel=2))


def depth() -> Family:
    """How far away a part of the picture is."""
    encoder = M.DINOV2Backbone(
        14,
        4,
        8,
        2,
        16,
        image_shape=(112, 112, 3),
        position_embedding_shape=(112, 112, 3),
        apply_layernorm=True,
    )
    backbone = M.DepthAnythingBackbone(
        encoder, [4, 2, 1, 0.5], [4, 6, 8, 8], 8, 4, -1, ["stage1", "stage2", "stage3", "stage4"]
    )
    model = M.DepthAnythingDepthEstimator(backbone, "relative", preprocessor=None)
    return Family(model, images(112), lambda y, t: tf.reduce_mean(y["depths"][:, 8:16, 8:16], (1, 2, 3)))


def d_fine() -> Family:
    """A query is asked for: which candidates become queries is decided by ranks."""
    encoder = M.HGNetV2Backbone(
        [1, 1, 1, 1],
        4,
        [8, 8, 8, 8],
        [3, 4, 4],
        "relu",
        True,
        [[4, 4, 8, 1, 1, 3], [8, 4, 8, 1, 1, 3], [8, 4, 8, 1, 1, 3], [8, 4, 8, 1, 1, 3]],
        [False, True, True, True],
        [False, False, True, True],
        image_shape=(64, 64, 3),
        out_features=["stage3", "stage4"],
    )
    backbone = M.DFineBackbone(
        encoder, [8, 8], 8, 3, 0, False, 10, (64, 64), [16, 32], 2, 8, [8, 8], [1], 2, 8, 1, 0.34, 0.5, -1, 2, 2, 8,
        [2, 2], 8, 2, out_features=["stage3", "stage4"], image_shape=(64, 64, 3), seed=0,
    )  # fmt: skip
    model = M.DFineObjectDetector(backbone, num_classes=3, preprocessor=None)
    return Family(model, images(64), lambda y, t: y["logits"][:, 4, 1])


def retinanet() -> Family:
    encoder = M.ResNetBackbone(
        [64], [7], [64, 64, 64, 64], [1, 1, 1, 1], [1, 2, 2, 2], "basic_block", image_shape=(64, 64, 3)
    )
    backbone = M.RetinaNetBackbone(encoder, 3, 4, use_p5=False, image_shape=(64, 64, 3))
    model = M.RetinaNetObjectDetector(backbone, num_classes=3, preprocessor=None)
    return Family(model, images(64), lambda y, t: y["cls_logits"][:, 100, 1])


BUILDERS = {
    each.__name__: each
    for each in (
        *(
            vit,
            clip,
            bert,
            roberta,
            distil_bert,
            gpt2,
            gemma,
            llama,
            mistral,
            qwen,
            bloom,
            falcon,
            phi3,
            opt,
            t5,
        ),
        *(segformer, swin, deeplab, depth, d_fine, retinanet),
    )
}


@functools.cache
def family(name: str) -> Family:
    """The model, with weights that are neither symmetric nor zero."""
    keras.utils.set_random_seed(0)
    made = BUILDERS[name]()
    generator = np.random.default_rng(1)
    for variable in made.model.trainable_variables:
        variable.assign(variable + 0.1 * generator.normal(size=variable.shape))
    return made


def tables(model: Any) -> list[Any]:
    """Embeddings of words, however deep."""
    layers = {id(layer): layer for layer in model._flatten_layers()}.values()
    return [x for x in layers if isinstance(x, keras.layers.Embedding) and x.input_dim == 20]


@contextlib.contextmanager
def moved(model: Any, steps: dict[tuple[int, int], Any]) -> Iterator[list[Any]]:
    """While it lasts, what tables put out has something added; gives what they put out."""
    seen: list[Any] = []
    with contextlib.ExitStack() as undo:
        for table in tables(model):

            def call(
                ids: Any, *args: Any, table: Any = table, original: Any = table.call, **kwargs: Any
            ) -> Any:
                output = original(ids, *args, **kwargs)
                if kwargs.get("reverse") or output.shape.rank != ids.shape.rank + 1:
                    return output
                seen.append(output)
                return output + steps[len(seen) - 1] if len(seen) - 1 in steps else output

            undo.callback(vars(table).pop, "call", None)
            vars(table)["call"] = call
        yield seen


def taped(made: Family) -> list[np.ndarray]:
    """Gradients by hand: of images as they are, of tokens at what is looked up, as lengths; in the order of inputs."""
    inputs = made.inputs if isinstance(made.inputs, dict) else {"images": made.inputs}
    pictures = {name: tf.constant(x) for name, x in inputs.items() if x.dtype == np.float32}
    with moved(made.model, {}) as seen:
        made.model(made.inputs, training=False)
    steps = {i: tf.zeros_like(output) for i, output in enumerate(seen)}
    with tf.GradientTape() as tape, moved(made.model, steps):
        tape.watch([*pictures.values(), *steps.values()])
        given = (
            {**{name: tf.constant(x) for name, x in inputs.items()}, **pictures}
            if isinstance(made.inputs, dict)
            else pictures["images"]
        )
        score = made.score(made.model(given, training=False), None)
    found = tape.gradient(score, [*pictures.values(), *steps.values()])
    found = [tf.convert_to_tensor(each) for each in found]
    return [np.asarray(x) for x in found[: len(pictures)]] + [
        np.linalg.norm(x, axis=-1) for x in found[len(pictures) :]
    ]


def flat(values: Any) -> list[np.ndarray]:
    listed = list(values.values()) if isinstance(values, dict) else [values]
    explained = [each for each in listed if each is not None]
    return sorted(explained, key=lambda x: -x.ndim)  # images come first


@contextlib.contextmanager
def silent() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", BUILDERS)
def test_the_gradient_is_that_of_a_tape(name: str) -> None:
    made = family(name)
    with silent():
        result, wanted = tfxai.Gradient()(made.model, made.inputs, score=made.score), taped(made)
    np.testing.assert_allclose(result.scores, made.scores(made.inputs), rtol=1e-4, atol=1e-5)
    found = flat(result.values)
    words = [x for x in found if x.ndim == 2]
    for one in wanted:
        same_kind = [x for x in found if x.shape == one.shape] or words
        errors = [np.abs(x - one).max() for x in same_kind]
        assert min(errors) <= 1e-4 * max(np.abs(one).max(), 1e-3)


def absent(inputs: Any) -> Any:
    """Pale images, and a token that stands for none: at vectors of zeros, layer norms have nothing to divide by.

    The largest id stays the largest: CLIP reads a text where that is, and a path cannot lead from one place to another.
    """

    def without(name: str, x: np.ndarray) -> np.ndarray:
        if x.dtype == np.float32:
            return np.float32(0.3) * x
        return np.int32(12) + (x == x.max(1, keepdims=True)) if "token_ids" in name else x

    return (
        {name: without(name, x) for name, x in inputs.items()} if isinstance(inputs, dict) else 0.3 * inputs
    )


@pytest.mark.parametrize("name", BUILDERS)
def test_sums_are_the_change_of_the_score(name: str) -> None:
    """By plain calls of the model."""
    made = family(name)
    start = absent(made.inputs)
    change = made.scores(made.inputs) - made.scores(start)
    for method, share in ((tfxai.IntegratedGradients(200, start), 2e-2), (tfxai.DeepLIFT(start), 1e-3)):
        with silent():
            result = method(made.model, made.inputs, score=made.score)
        total = sum(x.reshape(2, -1).sum(1) for x in flat(result.values))
        np.testing.assert_allclose(total - result.delta, change, rtol=1e-3, atol=1e-4)
        assert (np.abs(result.delta) <= share * np.abs(change) + 1e-3).all(), type(method).__name__


@pytest.mark.parametrize("name", BUILDERS)
def test_a_default_layer_is_chosen_that_the_score_depends_on(name: str) -> None:
    made = family(name)
    if name in ("bert", "roberta", "distil_bert", "t5", *LMS):
        with silent():
            table = str(tfxai.layers(made.model, made.inputs))
        assert table
        return
    with silent():
        maps = tfxai.GradCAM()(made.model, made.inputs, score=made.score)
    assert any(np.abs(x).max() > 0 for x in flat(maps.values))


@pytest.mark.parametrize("name", ["gemma", "t5"])
def test_an_rms_norm_from_vectors_of_zeros_is_told(name: str) -> None:
    made = family(name)
    with pytest.warns(UserWarning, match="do not add up to the change of the score .* padding token"):
        tfxai.IntegratedGradients()(made.model, made.inputs, score=made.score)


def check_the_best(found: tfxai.Explanation, boxes: np.ndarray, chances: np.ndarray) -> None:
    """The first box of each photo is the likeliest candidate, and its score the formula's; every box has a map."""
    for n in range(len(boxes)):
        best, kind = np.unravel_index(chances[n].argmax(), chances[n].shape)
        np.testing.assert_allclose(found.references["boxes"][n, 0], boxes[n, best], rtol=1e-3, atol=1e-2)
        assert found.targets[n, 0] == kind
        wanted = by_hand(boxes[n], chances[n], boxes[n, best], int(kind), 1, 1)
        assert found.scores[n, 0] == pytest.approx(wanted, rel=1e-3)
    assert (np.abs(found.values).max((2, 3, 4)) > 0).all()


def test_boxes_of_a_retinanet() -> None:
    """The reader's boxes are anchors, moved and stretched by what the head says; the best one has the formula's score."""
    keras.utils.set_random_seed(0)
    made = retinanet()  # as it begins: boxes are near their anchors
    inputs = np.asarray(made.inputs, np.float32)
    outputs = {name: np.asarray(value, np.float64) for name, value in made.model(inputs).items()}
    y0, x0, y1, x1 = np.concatenate([np.asarray(a) for a in made.model.anchor_generator(inputs).values()]).T
    dx, dy, dw, dh = np.moveaxis(outputs["bbox_regression"], -1, 0)
    x, y = (x0 + x1) / 2 + dx * (x1 - x0), (y0 + y1) / 2 + dy * (y1 - y0)
    w, h = (np.exp(np.minimum(d, 10)) * side for d, side in ((dw, x1 - x0), (dh, y1 - y0)))
    boxes = np.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], -1)
    chances = 1 / (1 + np.exp(-outputs["cls_logits"]))
    score = tfxai.scores.detection(tfxai.scores.retinanet(made.model))
    found = tfxai.Gradient()(made.model, inputs, tfxai.boxes(k=1), score=score)
    check_the_best(found, boxes, chances)


def test_boxes_of_a_d_fine() -> None:
    """One box and three logits for each query: of the best query, the score is the formula's."""
    made = family("d_fine")
    outputs = {
        name: np.asarray(value, np.float64) for name, value in made.model(made.inputs, training=False).items()
    }
    x, y, w, h = 64 * np.moveaxis(outputs["pred_boxes"], -1, 0)
    boxes = np.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], -1)
    chances = 1 / (1 + np.exp(-outputs["logits"]))
    found = tfxai.Gradient()(made.model, made.inputs, tfxai.boxes(k=2), score=tfxai.scores.detection())
    check_the_best(found, boxes, chances)


SOFT_CAPPED = "gemma_2"
LMS = ("gpt2", "gemma", "llama", "mistral", "qwen", "bloom", "falcon", "phi3", "opt", SOFT_CAPPED)


@functools.cache
def language_model(name: str) -> Any:
    """A causal model of the table above, or one with soft caps on attention and logits, and windows."""
    if name != SOFT_CAPPED:
        return family(name).model
    keras.utils.set_random_seed(0)
    backbone = M.GemmaBackbone(
        20, 2, 2, 1, 8, 16, 4, use_post_ffw_norm=True, use_post_attention_norm=True, final_logit_soft_cap=3.0,
        attention_logit_soft_cap=5.0, use_sliding_window_attention=True, sliding_window_size=3,
    )  # fmt: skip
    return M.GemmaCausalLM(backbone, preprocessor=None)


@pytest.mark.parametrize("name", LMS)
def test_generated_tokens_are_explained_by_what_the_model_says_of_them(name: str) -> None:
    lm, text = language_model(name), np.array([3, 7, 1, 9, 4])
    with silent():
        found = tfxai.explain_generation(tfxai.Gradient(), lm, text[:2], text[2:])
    assert found.matrix.shape == (3, 5)
    for j in range(3):
        ids = text[None, : 2 + j].astype(np.int32)
        made = Family(
            lm,
            {"token_ids": ids, "padding_mask": np.ones_like(ids)},
            lambda y, t, j=j: tf.nn.log_softmax(tf.cast(y[:, -1], tf.float32))[:, int(text[2 + j])],
        )
        (wanted,) = taped(made)
        np.testing.assert_allclose(found.matrix[j, : 2 + j], wanted[0], rtol=2e-3, atol=1e-5)
        np.testing.assert_allclose(found.scores[j], made.scores(made.inputs)[0], rtol=1e-4)
        assert not found.matrix[j, 2 + j :].any()


@pytest.mark.parametrize("name", LMS)
def test_all_methods_for_tokens_explain_what_is_generated(name: str) -> None:
    lm = language_model(name)
    baseline = {"token_ids": np.full((1, 4), 12, np.int32), "padding_mask": np.ones((1, 4), np.int32)}
    for method in (
        tfxai.InputXGradient(), tfxai.IntegratedGradients(200, baseline), tfxai.LRP(rule="attention"),
        tfxai.DeepLIFT(baseline), tfxai.Occlusion(), tfxai.KernelSHAP(), tfxai.LIME(samples=40),
    ):  # fmt: skip
        with silent():
            found = tfxai.explain_generation(method, lm, [3, 7], length=3)
        assert np.abs(found.matrix[:, :2]).max() > 0 and not found.matrix[:, -1].any()
        if found.delta is not None and type(method).__name__ in ("IntegratedGradients", "DeepLIFT"):
            assert np.abs(found.delta).max() <= 0.02 * np.abs(found.matrix).sum(1).max() + 1e-3, method


def test_words_positions_and_segments_of_bert_add_up() -> None:
    made = family("bert")
    start = {**made.inputs, "token_ids": np.full_like(TOKENS, 12)}
    change = made.scores(made.inputs) - made.scores(start)
    backbone = next(layer for layer in made.model.layers if "backbone" in layer.name)
    with silent():
        names = [info.path for info in tfxai.layers(made.model, made.inputs)]
    ends = ("token_embedding", "position_embedding", "segment_embedding")
    paths = [next(name for name in names if name.endswith(end)) for end in ends]
    with silent():
        found = tfxai.IntegratedGradients(200, start)(made.model, made.inputs, score=made.score, at=paths)
        slopes = tfxai.Gradient()(made.model, made.inputs, score=made.score, at=paths).values
    assert [each.shape for each in found.values.values()] == [(2, 5, 8)] * 3, backbone.name
    total = sum(each.reshape(2, -1).sum(1) for each in found.values.values())
    np.testing.assert_allclose(total, change, atol=0.02 * np.abs(change).max() + 1e-3)
    words, places, segments = slopes.values()  # which are added up, so that they are worth the same
    np.testing.assert_allclose(words, places, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(words, segments, rtol=1e-3, atol=1e-6)


def test_a_tokenizer_of_keras_hub_names_the_pieces_of_texts() -> None:
    pieces = ["[PAD]", "[UNK]", "[MASK]", "the", "qu", "##ick", "br", "##own", "fox", "jumps"]
    tokenizer = keras_hub.tokenizers.WordPieceTokenizer(pieces, dtype="int32", lowercase=True)
    lm = language_model("gpt2")
    with silent():
        found = tfxai.explain_generation(
            tfxai.InputXGradient(), lm, "the quick", "brown", tokenizer=tokenizer, length=2
        )
    assert found.pieces == ["the", "qu", "##ick", "br", "##own"]
    np.testing.assert_array_equal(found.tokens, [3, 4, 5, 6, 7])
    words = found.words()
    assert words.pieces == ["the", "quick", "brown"]
    np.testing.assert_allclose(words.matrix.sum(), found.matrix.sum(), rtol=1e-4)

    def foxes(texts: Any) -> np.ndarray:
        """How often the word is there."""
        return np.array([[text.count("quick"), text.count("fox")] for text in map(str, texts)], np.float32)

    for mask in (None, "[MASK]"):
        text = tfxai.Text.of(["the quick fox", "the fox"], tokenizer, mask)
        found = tfxai.KernelSHAP()(foxes, text, targets=[0, 1], score="output")
        assert found.tokens == [["the", "qu", "##ick", "fox"], ["the", "fox"]]
        np.testing.assert_allclose(found.weights[0, :4], [0, 0.5, 0.5, 0], atol=1e-4)  # half of it is none
        np.testing.assert_allclose(found.weights[1, :2], [0, 1], atol=1e-4)
    with pytest.raises(ValueError, match="does not know the mask"):
        tfxai.Text.of(["the fox"], tokenizer, "<hidden>")
    with pytest.raises(ValueError, match="has no id_to_token"):
        tfxai.Text.of(["the fox"], str.split)
