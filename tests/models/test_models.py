"""Step by step equals all at once, padding changes nothing, seeds decide dropout.

Tests with `make_any_model` run for each kind of model.

B batch, K hypotheses, R rows, S source length, T target length, D model width, V vocabulary.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import MakeModel

from translator.config.schema import ModelConfig
from translator.data.tokenizer import BEGIN_ID, END_ID, PAD_ID
from translator.decoding.beam import beam_search
from translator.decoding.search import Hypotheses, length_penalty
from translator.layers import attention, convolution, feed_forward, residual
from translator.layers.cross_attention import Rows
from translator.layers.dropout import dropout
from translator.layers.feed_forward import FeedForward
from translator.models import decoder_only, transformer
from translator.models.build import initialize
from translator.models.seq2seq import Seq2SeqModel
from translator.models.transformer import Transformer
from translator.models.weights import model_weights

SEED = tf.constant([1, 2], tf.int64)
DROPOUT_KEYS = (
    "dropout_rate",
    "attention_dropout_rate",
    "activation_dropout_rate",
    "embedding_dropout_rate",
)
SOURCE = tf.constant([[4, 5, 6, 7, END_ID], [8, 9, END_ID, PAD_ID, PAD_ID]])
TARGET = tf.constant([[BEGIN_ID, 4, 5, 6], [BEGIN_ID, 9, 7, 8]])


def logits(model: Seq2SeqModel, source: tf.Tensor, target: tf.Tensor) -> np.ndarray:
    """[B, T, V]"""
    return np.asarray(model.logits(model(source, target)))


def check_steps(model: Seq2SeqModel, tolerance: float) -> None:
    """Assert that a search, step by step, computes what the model computes all at once."""
    others = tf.constant([[BEGIN_ID, 10, 4, 4], [BEGIN_ID, 5, 5, 9]])
    targets = tf.reshape(tf.stack([TARGET, others], axis=1), [4, 4])  # K = 2 for each sentence
    at_once = logits(model, tf.repeat(SOURCE, 2, axis=0), targets)

    step, fixed, cache = model.start(model.encode(SOURCE))
    alive = tf.range(4)
    cache = tf.nest.map_structure(lambda x: tf.repeat(x, 2, axis=0), cache)
    for t in range(4):
        if t == 2:  # The first hypothesis of sentence 0 and the second of sentence 1 end.
            alive = tf.constant([1, 2])
            cache = tf.nest.map_structure(lambda x: tf.gather(x, [1, 2]), cache)
        ids, rows = tf.gather(targets[:, t], alive), Rows.of(alive, tf.constant([2, 2]))
        positions = tf.fill([len(alive)], t)
        stepped, cache = step(ids, positions, fixed._replace(rows=rows), cache)
        expected = tf.gather(at_once[:, t], alive) - math.log(at_once.shape[2])
        np.testing.assert_allclose(tf.cast(stepped, tf.float32), expected, atol=tolerance)


class TestDecoding:
    @pytest.mark.parametrize(
        ("changes", "tolerance"),
        [
            ({}, 1e-5),
            ({"normalization": "post"}, 1e-5),
            ({"positions": "learned"}, 1e-5),
            ({"share_embeddings": "all"}, 1e-5),
            ({"share_embeddings": "none"}, 1e-5),
            ({"dtype": "bfloat16"}, 0.06),
        ],
        ids=str,
    )
    def test_step_by_step_equals_all_at_once(
        self, make_any_model: MakeModel, changes: dict[str, object], tolerance: float
    ) -> None:
        check_steps(make_any_model(**changes), tolerance)

    def test_with_a_window_step_by_step_equals_all_at_once(self, make_model: MakeModel) -> None:
        check_steps(make_model(attention_window=1), 1e-5)
        check_steps(make_model(attention_window=1, encoder="recurrence"), 1e-5)

    def test_in_a_search_each_hypothesis_has_the_log_probability_that_the_model_gives_it(
        self, make_any_model: MakeModel
    ) -> None:
        model = make_any_model()

        def search(source: tf.Tensor) -> Hypotheses:
            step, fixed, cache = model.start(model.encode(source))
            limits = tf.fill([source.shape[0]], 7)
            return beam_search(
                step,
                fixed,
                cache,
                limits,
                beam_size=4,
                num_returned=4,
                penalty=lambda length: length_penalty(length, 0.0),
            )

        found = search(SOURCE)
        for i, source in enumerate((SOURCE[:1], SOURCE[1:, :3])):
            alone = search(source)
            np.testing.assert_array_equal(found.ids[i, :, : alone.ids.shape[2]], alone.ids[0])
            for ids, score in zip(alone.ids[0], found.scores[i], strict=True):
                target = tf.concat([[BEGIN_ID], ids[:-1]], axis=0)[tf.newaxis]
                log_probs = tf.nn.log_softmax(logits(model, source, target)[0])
                of_pieces = tf.gather(log_probs, ids, batch_dims=1)
                expected = tf.reduce_sum(tf.where(ids == PAD_ID, 0.0, of_pieces))
                np.testing.assert_allclose(score, expected, atol=1e-4)

    @pytest.mark.parametrize("kind", ["recurrence", "convolution"])
    def test_without_attention_the_cache_does_not_grow(
        self, make_model: MakeModel, kind: str
    ) -> None:
        model = make_model(decoder=kind)
        step, fixed, cache = model.start(model.encode(SOURCE))
        first = [x.shape for x in tf.nest.flatten(cache)]
        for t in range(3):
            _, cache = step(TARGET[:, t], tf.fill([2], t), fixed, cache)
        assert [x.shape for x in tf.nest.flatten(cache)] == first

    def test_is_causal(self, make_any_model: MakeModel) -> None:
        model = make_any_model()
        memory = model.encode(SOURCE)
        states = model.decode(TARGET, memory).numpy()
        for t in range(1, 4):
            changed = model.decode(TARGET + tf.one_hot(t, 4, dtype=tf.int32), memory).numpy()
            np.testing.assert_allclose(changed[:, :t], states[:, :t], atol=1e-6)
            assert (np.abs(changed - states)[:, t:].max(axis=-1) > 1e-3).all()

    def test_looks_at_every_piece_of_the_source(self, make_any_model: MakeModel) -> None:
        model = make_any_model()
        before = logits(model, SOURCE[:1], TARGET[:1])
        for s in range(5):
            after = logits(model, SOURCE[:1] + tf.one_hot(s, 5, dtype=tf.int32), TARGET[:1])
            assert (np.abs(after - before).max(axis=-1) > 1e-4).all()

    def test_depends_on_the_order_of_source_and_target(self, make_any_model: MakeModel) -> None:
        model = make_any_model()
        before = logits(model, SOURCE[:1], TARGET[:1])[:, -1]
        swapped = tf.gather(SOURCE[:1], [1, 0, 2, 3, 4], axis=1)
        assert not np.allclose(logits(model, swapped, TARGET[:1])[:, -1], before, atol=1e-3)
        swapped = tf.gather(TARGET[:1], [0, 2, 1, 3], axis=1)
        assert not np.allclose(logits(model, SOURCE[:1], swapped)[:, -1], before, atol=1e-3)


class TestWindow:
    def test_limits_what_a_layer_sees_in_encoder_and_decoder(self, make_model: MakeModel) -> None:
        model = make_model(num_layers=1, attention_window=1)
        before = model.encode(SOURCE[:1]).states.numpy()
        after = model.encode(SOURCE[:1] + tf.one_hot(0, 5, dtype=tf.int32)).states.numpy()
        changed = np.abs(after - before)[0].max(axis=-1) > 1e-4
        np.testing.assert_array_equal(changed, [True, True, False, False, False])
        memory = model.encode(SOURCE)
        before = model.decode(TARGET, memory).numpy()
        after = model.decode(TARGET + tf.one_hot(1, 4, dtype=tf.int32), memory).numpy()
        changed = np.abs(after - before)[0].max(axis=-1) > 1e-4
        np.testing.assert_array_equal(changed, [False, True, True, False])

    def test_as_long_as_the_text_changes_nothing(self, make_model: MakeModel) -> None:
        np.testing.assert_array_equal(
            make_model(attention_window=4)(SOURCE, TARGET), make_model()(SOURCE, TARGET)
        )


class TestDecoderOnly:
    @pytest.mark.parametrize("normalization", ["pre", "post"])
    def test_is_one_sequence_under_a_prefix_mask(
        self, make_model: MakeModel, normalization: str
    ) -> None:
        model = make_model(kind="decoder_only", normalization=normalization)
        in_parts = model(SOURCE, TARGET)
        x = tf.concat(
            [
                model.source_embedding(SOURCE) + model.side_embedding(tf.zeros([5], tf.int32)),
                model.target_embedding(TARGET) + model.side_embedding(tf.ones([4], tf.int32)),
            ],
            axis=1,
        )
        positions = tf.constant([0, 1, 2, 3, 4, 0, 1, 2, 3])
        x += model.positions(positions)
        is_source = np.arange(9) < 5
        earlier = np.arange(9) <= np.arange(9)[:, np.newaxis]
        not_padding = tf.concat([SOURCE != PAD_ID, tf.fill([2, 4], True)], axis=1)
        mask = (is_source | earlier) & not_padding[:, tf.newaxis, tf.newaxis, :]
        for layer in model.stack:
            query, key_value = layer.attention.queries_keys_values(
                layer.attention_residual.before(x)
            )
            key, value = key_value
            heads, _ = attention.dot_product_attention(query, key, value, mask)
            y = tf.reshape(tf.transpose(heads, [0, 2, 1, 3]), x.shape)
            x = layer.attention_residual(x, layer.attention.output_projection(y))
            y = layer.feed_forward(layer.feed_forward_residual.before(x))
            x = layer.feed_forward_residual(x, y)
        whole = x if model.norm is None else model.norm(x)
        np.testing.assert_allclose(in_parts, whole[:, 5:], atol=1e-5)

    def test_tells_source_and_target_apart(self, make_model: MakeModel) -> None:
        model = make_model(kind="decoder_only", share_embeddings="all")
        before = model(SOURCE, TARGET)
        model.side_embedding.table.assign(model.side_embedding.table.value[::-1])
        assert not np.allclose(model(SOURCE, TARGET), before, atol=1e-2)


@pytest.mark.parametrize("normalization", ["pre", "post"])
class TestPadding:
    def test_of_the_source_changes_nothing(
        self, make_any_model: MakeModel, normalization: str
    ) -> None:
        model = make_any_model(normalization=normalization)
        padded = tf.pad(SOURCE, [[0, 0], [0, 4]], constant_values=PAD_ID)
        np.testing.assert_allclose(
            logits(model, padded, TARGET), logits(model, SOURCE, TARGET), atol=1e-5
        )

    def test_of_the_target_changes_nothing_before_it(
        self, make_any_model: MakeModel, normalization: str
    ) -> None:
        model = make_any_model(normalization=normalization)
        padded = tf.pad(TARGET, [[0, 0], [0, 3]], constant_values=PAD_ID)
        np.testing.assert_allclose(
            logits(model, SOURCE, padded)[:, :4], logits(model, SOURCE, TARGET), atol=1e-5
        )

    def test_by_longer_neighbours_changes_nothing(
        self, make_any_model: MakeModel, normalization: str
    ) -> None:
        model = make_any_model(normalization=normalization)
        alone = logits(model, SOURCE[1:, :3], TARGET[1:])
        np.testing.assert_allclose(logits(model, SOURCE, TARGET)[1:], alone, atol=1e-5)


class TestDropout:
    def test_is_off_without_a_seed(self, make_any_model: MakeModel) -> None:
        rates = dict.fromkeys(DROPOUT_KEYS, 0.5)
        np.testing.assert_array_equal(
            make_any_model(**rates)(SOURCE, TARGET), make_any_model()(SOURCE, TARGET)
        )

    @pytest.mark.parametrize("key", DROPOUT_KEYS)
    def test_of_each_kind_is_decided_by_the_seed(self, make_any_model: MakeModel, key: str) -> None:
        model = make_any_model(**{key: 0.5})
        dropped = model(SOURCE, TARGET, seed=SEED)
        np.testing.assert_array_equal(model(SOURCE, TARGET, seed=SEED), dropped)
        assert not np.allclose(model(SOURCE, TARGET, seed=SEED + 1), dropped, atol=1e-2)
        assert not np.allclose(model(SOURCE, TARGET), dropped, atol=1e-2)

    def test_has_a_different_seed_at_every_call(
        self, make_any_model: MakeModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seeds: list[tuple[int, ...]] = []

        def spy(x: tf.Tensor, rate: float, seed: tf.Tensor) -> tf.Tensor:
            seeds.append(tuple(seed.numpy()))
            return dropout(x, rate, seed)

        for module in (attention, convolution, feed_forward, residual, transformer, decoder_only):
            monkeypatch.setattr(module, "dropout", spy)
        model = make_any_model()
        model(SOURCE, TARGET, seed=SEED)
        # An embedding and two layers, twice. A layer has one in each mixer but a recurrence, in its
        # cross-attention and feed-forward block, and in each residual.
        number = (1 + 2 * 4) + (1 + 2 * 6)
        if model.config.kind == "decoder_only":
            number = 2 * (1 + 2 * 4)
        number -= 2 * [model.config.encoder, model.config.decoder].count("recurrence")
        assert len(seeds) == number
        assert len(set(seeds)) == len(seeds)


def test_recomputed_activations_take_a_second_run_of_each_layer(
    make_any_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = FeedForward.call
    num_runs = 0

    def counting(*arguments: Any) -> tf.Tensor:
        nonlocal num_runs
        num_runs += 1
        return call(*arguments)

    monkeypatch.setattr(FeedForward, "call", counting)
    model = make_any_model()
    for model.recompute_activations, runs_a_layer in ((False, 1), (True, 2)):
        num_runs = 0
        with tf.GradientTape() as tape:
            states = model(SOURCE, TARGET)
        tape.gradient(states, model.trainable_variables, unconnected_gradients="zero")
        assert num_runs == 4 * runs_a_layer  # two layers pass over the source, two over the target


class TestWeights:
    @pytest.mark.parametrize(
        ("changes", "number"),
        [
            # D = 4, inner width 8. An attention has 4·4·D = 64 weights, a feed-forward block
            # 2·4·8 + 8 + 4 = 76, a norm 8; so an encoder layer 64 + 76 + 2·8 = 156, a decoder layer
            # 2·64 + 76 + 3·8 = 228; a table of 10 pieces 40, of 7 pieces 28.
            ({}, 40 + 156 + 228 + 2 * 8),
            ({"normalization": "post"}, 40 + 156 + 228),
            ({"num_layers": 3, "num_decoder_layers": 2}, 40 + 3 * 156 + 2 * 228 + 2 * 8),
            ({"share_embeddings": "target"}, 28 + 40 + 156 + 228 + 2 * 8),
            ({"share_embeddings": "none"}, 28 + 40 + 40 + 156 + 228 + 2 * 8),
            ({"positions": "learned"}, 2 * 4 * (5 + 1) + 40 + 156 + 228 + 2 * 8),
            # A recurrence has 2·4·4 + 4 = 36; a convolution of 3 positions and 2 heads 3·4·4 + 12
            # biases + 2·3 taps = 66.
            ({"decoder": "recurrence"}, 40 + 156 + (228 - 64 + 36) + 2 * 8),
            ({"encoder": "convolution"}, 40 + (156 - 64 + 66) + 228 + 2 * 8),
        ],
    )
    def test_number_is_as_counted_by_hand(self, changes: dict[str, object], number: int) -> None:
        small = {"num_layers": 1, "model_dim": 4, "num_heads": 2, "feed_forward_dim": 8}
        config = ModelConfig.model_validate(small | changes)
        source_size = 10 if config.share_embeddings == "all" else 7
        model = Transformer(config, source_size, 10, max_length=5)
        assert model.count_params() == number
        assert sum(weight.size for weight in model_weights(model).values()) == number

    def test_are_a_function_of_seed_and_name(self, make_model: MakeModel) -> None:
        def kernels(seed: int, **changes: object) -> dict[str, np.ndarray]:
            model = make_model(seed=seed, **changes)
            initialize(model, seed)
            weights = model_weights(model)
            return {name: w for name, w in weights.items() if w.ndim == 2}

        one, again, other = kernels(1), kernels(1), kernels(2)
        deeper = kernels(1, num_layers=3, share_embeddings="none")
        assert one.keys() == again.keys() < deeper.keys()
        for name, weight in one.items():
            np.testing.assert_array_equal(weight, again[name])
            np.testing.assert_array_equal(weight, deeper[name])
            assert not np.allclose(weight, other[name])
        of_one_shape = [w.tobytes() for w in deeper.values() if w.shape == (8, 8)]
        assert len(set(of_one_shape)) == len(of_one_shape)

    def test_start_with_the_spread_of_their_papers(self) -> None:
        config = ModelConfig(num_layers=1, model_dim=64, num_heads=2, feed_forward_dim=128)
        model = Transformer(config, 500, 500, max_length=5)
        initialize(model, 1)
        weights = model_weights(model)
        assert weights["target_embedding/table"].std() == pytest.approx(1 / 8, rel=0.02)
        inner = weights["encoder_0/feed_forward/inner/kernel"]
        limit = np.sqrt(6 / (64 + 128))
        assert 0.99 * limit < np.abs(inner).max() <= limit
        assert inner.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)
        assert not weights["encoder_0/feed_forward/inner/bias"].any()
        assert (weights["decoder_norm/scale"] == 1).all()

    def test_logits_are_products_with_the_output_table(self, make_model: MakeModel) -> None:
        model = make_model(target_size=5)
        model.output_table.assign(np.eye(5, 8))
        states = tf.reshape(tf.range(32.0), [2, 2, 8])
        np.testing.assert_array_equal(model.logits(states), states[:, :, :5])


class TestBfloat16:
    def test_computes_in_bfloat16_on_weights_of_float32(self, make_any_model: MakeModel) -> None:
        model = make_any_model(dtype="mixed_bfloat16")
        states = model(SOURCE, TARGET)
        assert states.dtype == tf.bfloat16
        assert model.logits(states).dtype == tf.float32
        assert {weight.dtype for weight in model_weights(model).values()} == {np.dtype("float32")}

    def test_computes_the_same_on_kernels_kept_in_bfloat16(self, make_any_model: MakeModel) -> None:
        kept, cast = make_any_model(dtype="bfloat16"), make_any_model(dtype="mixed_bfloat16")
        kernels = {w.dtype for w in kept.trainable_variables if w.name in ("kernel", "bias")}
        assert kernels == {"bfloat16"}
        np.testing.assert_array_equal(logits(kept, SOURCE, TARGET), logits(cast, SOURCE, TARGET))

    @pytest.mark.parametrize("normalization", ["pre", "post"])
    def test_is_near_float32(self, make_any_model: MakeModel, normalization: str) -> None:
        low, full = (
            make_any_model(dtype=d, normalization=normalization) for d in ("bfloat16", "float32")
        )
        np.testing.assert_allclose(
            logits(low, SOURCE, TARGET), logits(full, SOURCE, TARGET), atol=0.1
        )
