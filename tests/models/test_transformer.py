"""The Transformer: step by step equals all at once, padding changes nothing, seeds decide dropout.

B batch, K hypotheses, R rows, S source length, T target length, D model width, V vocabulary.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
from conftest import MakeModel

from translator.config.schema import ModelConfig
from translator.data.tokenizer import BEGIN_ID, END_ID, PAD_ID
from translator.layers import attention, feed_forward, residual
from translator.layers.cross_attention import Rows
from translator.layers.dropout import dropout
from translator.models import transformer
from translator.models.build import initialize
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


def logits(model: Transformer, source: tf.Tensor, target: tf.Tensor) -> np.ndarray:
    """[B, T, V]"""
    return np.asarray(model.logits(model(source, target)))


class TestDecoding:
    @pytest.mark.parametrize("share_embeddings", ["all", "target", "none"])
    @pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
    @pytest.mark.parametrize("normalization", ["pre", "post"])
    def test_step_by_step_equals_all_at_once(
        self, make_model: MakeModel, normalization: str, positions: str, share_embeddings: str
    ) -> None:
        model = make_model(
            normalization=normalization, positions=positions, share_embeddings=share_embeddings
        )
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
            np.testing.assert_allclose(stepped, expected, atol=1e-5)

    def test_is_causal(self, make_model: MakeModel) -> None:
        model = make_model()
        memory = model.encode(SOURCE)
        states = model.decode(TARGET, memory).numpy()
        for t in range(1, 4):
            changed = model.decode(TARGET + tf.one_hot(t, 4, dtype=tf.int32), memory).numpy()
            np.testing.assert_allclose(changed[:, :t], states[:, :t], atol=1e-6)
            assert (np.abs(changed - states)[:, t:].max(axis=-1) > 1e-3).all()

    def test_looks_at_every_piece_of_the_source(self, make_model: MakeModel) -> None:
        model = make_model()
        before = logits(model, SOURCE[:1], TARGET[:1])
        for s in range(5):
            after = logits(model, SOURCE[:1] + tf.one_hot(s, 5, dtype=tf.int32), TARGET[:1])
            assert (np.abs(after - before).max(axis=-1) > 1e-4).all()

    def test_depends_on_the_order_of_source_and_target(self, make_model: MakeModel) -> None:
        model = make_model()
        before = logits(model, SOURCE[:1], TARGET[:1])[:, -1]
        swapped = tf.gather(SOURCE[:1], [1, 0, 2, 3, 4], axis=1)
        assert not np.allclose(logits(model, swapped, TARGET[:1])[:, -1], before, atol=1e-3)
        swapped = tf.gather(TARGET[:1], [0, 2, 1, 3], axis=1)
        assert not np.allclose(logits(model, SOURCE[:1], swapped)[:, -1], before, atol=1e-3)


@pytest.mark.parametrize("normalization", ["pre", "post"])
class TestPadding:
    def test_of_the_source_changes_nothing(self, make_model: MakeModel, normalization: str) -> None:
        model = make_model(normalization=normalization)
        padded = tf.pad(SOURCE, [[0, 0], [0, 4]], constant_values=PAD_ID)
        np.testing.assert_allclose(
            logits(model, padded, TARGET), logits(model, SOURCE, TARGET), atol=1e-5
        )

    def test_of_the_target_changes_nothing_before_it(
        self, make_model: MakeModel, normalization: str
    ) -> None:
        model = make_model(normalization=normalization)
        padded = tf.pad(TARGET, [[0, 0], [0, 3]], constant_values=PAD_ID)
        np.testing.assert_allclose(
            logits(model, SOURCE, padded)[:, :4], logits(model, SOURCE, TARGET), atol=1e-5
        )

    def test_by_longer_neighbours_changes_nothing(
        self, make_model: MakeModel, normalization: str
    ) -> None:
        model = make_model(normalization=normalization)
        alone = logits(model, SOURCE[1:, :3], TARGET[1:])
        np.testing.assert_allclose(logits(model, SOURCE, TARGET)[1:], alone, atol=1e-5)


class TestDropout:
    def test_is_off_without_a_seed(self, make_model: MakeModel) -> None:
        rates = dict.fromkeys(DROPOUT_KEYS, 0.5)
        np.testing.assert_array_equal(
            make_model(**rates)(SOURCE, TARGET), make_model()(SOURCE, TARGET)
        )

    @pytest.mark.parametrize("key", DROPOUT_KEYS)
    def test_of_each_kind_is_decided_by_the_seed(self, make_model: MakeModel, key: str) -> None:
        model = make_model(**{key: 0.5})
        dropped = model(SOURCE, TARGET, seed=SEED)
        np.testing.assert_array_equal(model(SOURCE, TARGET, seed=SEED), dropped)
        assert not np.allclose(model(SOURCE, TARGET, seed=SEED + 1), dropped, atol=1e-2)
        assert not np.allclose(model(SOURCE, TARGET), dropped, atol=1e-2)

    def test_has_a_different_seed_at_every_call(
        self, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seeds: list[tuple[int, ...]] = []

        def spy(x: tf.Tensor, rate: float, seed: tf.Tensor) -> tf.Tensor:
            seeds.append(tuple(seed.numpy()))
            return dropout(x, rate, seed)

        for module in (attention, feed_forward, residual, transformer):
            monkeypatch.setattr(module, "dropout", spy)
        make_model()(SOURCE, TARGET, seed=SEED)
        assert len(seeds) == (1 + 2 * 4) + (1 + 2 * 6)  # embedding and two layers, twice
        assert len(set(seeds)) == len(seeds)


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
    def test_computes_in_bfloat16_on_weights_of_float32(self, make_model: MakeModel) -> None:
        model = make_model(dtype="mixed_bfloat16")
        states = model(SOURCE, TARGET)
        assert states.dtype == tf.bfloat16
        assert model.logits(states).dtype == tf.float32
        assert {weight.dtype for weight in model_weights(model).values()} == {np.dtype("float32")}

    def test_computes_the_same_on_kernels_kept_in_bfloat16(self, make_model: MakeModel) -> None:
        kept, cast = make_model(dtype="bfloat16"), make_model(dtype="mixed_bfloat16")
        kernels = {w.dtype for w in kept.trainable_variables if w.name in ("kernel", "bias")}
        assert kernels == {"bfloat16"}
        np.testing.assert_array_equal(logits(kept, SOURCE, TARGET), logits(cast, SOURCE, TARGET))

    @pytest.mark.parametrize("normalization", ["pre", "post"])
    def test_is_near_float32(self, make_model: MakeModel, normalization: str) -> None:
        low, full = (
            make_model(dtype=d, normalization=normalization) for d in ("bfloat16", "float32")
        )
        np.testing.assert_allclose(
            logits(low, SOURCE, TARGET), logits(full, SOURCE, TARGET), atol=0.1
        )
