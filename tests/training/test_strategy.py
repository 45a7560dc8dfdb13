"""Which shards each replica computes; several replicas compute the same updates as one."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from translator.config.schema import TrainingConfig
from translator.training.distributed import strategy
from translator.training.distributed.strategy import Replicas, deal, shards_at_once

ROOT = Path(__file__).parents[2]


class TestDealing:
    @pytest.mark.parametrize(
        "items, num_replicas, local, rounds",
        [
            ("abc", 1, [0], ["a", "b", "c"]),
            ("abcd", 2, [0], ["a", "b"]),
            ("abcd", 2, [1], ["c", "d"]),
            ("abcd", 2, [0, 1], ["ac", "bd"]),
            ("abc", 2, [0, 1], ["ab", "-c"]),
            ("a", 2, [0, 1], ["-a"]),
            ("a", 2, [0], ["-"]),
            ("abcdef", 4, [2, 3], ["de", "-f"]),
        ],
    )
    def test_gives_each_replica_its_share_in_order(
        self, items: str, num_replicas: int, local: Sequence[int], rounds: list[str]
    ) -> None:
        dealt = deal(items, num_replicas, range(local[0], local[-1] + 1), "-")
        assert ["".join(each) for each in dealt] == rounds

    def test_gives_every_item_to_one_replica(self) -> None:
        for num_items in range(1, 9):
            for num_replicas in range(1, 9):
                computed = [
                    item
                    for replica in range(num_replicas)
                    for (item,) in deal(
                        range(num_items), num_replicas, range(replica, replica + 1), -1
                    )
                    if item >= 0
                ]
                assert computed == list(range(num_items))


def test_a_process_that_trains_alone_computes_a_shard_on_each_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def config(**keys: object) -> TrainingConfig:
        return TrainingConfig.model_validate({"max_steps": 1, "accumulation_steps": 1} | keys)

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    for num_processors, expected in ((1, 1), (2, 2), (8, 8), (64, 8)):
        monkeypatch.setattr(strategy, "num_threads", lambda n=num_processors: n)
        assert shards_at_once(config(), alone=True) == expected
    assert shards_at_once(config(), alone=False) == 1
    assert shards_at_once(config(accumulation_steps=2), alone=True) == 1
    assert shards_at_once(config(distribution="mirrored"), alone=True) == 1
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    assert shards_at_once(config(), alone=True) == 1


def test_without_a_strategy_there_is_one_replica() -> None:
    replicas = Replicas()
    assert (replicas.count, list(replicas.local)) == (1, [0])
    assert replicas.run(lambda x, y: x + y, [1], [2]) == 3


ON_TWO_DEVICES = """
import json, sys
import tensorflow as tf
from translator.training.distributed.strategy import local_strategy

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

import numpy as np
from translator.config.schema import ModelConfig, TrainingConfig
from translator.data.batches import pad
from translator.models.build import initialize
from translator.models.transformer import Transformer
from translator.training.train_step import TrainStep

random = np.random.default_rng(3)
pairs = [[random.integers(4, 11, random.integers(1, 6)) for _ in range(2)] for _ in range(9)]
cuts = [[5, 4], [9], [2, 3, 4], [1, 1, 7]]  # also fewer shards than devices, and more
results = []
for distribution in ("single", "mirrored"):
    strategy = local_strategy(distribution)
    with strategy.scope():
        model = Transformer(
            ModelConfig(num_layers=1, model_dim=8, num_heads=2, feed_forward_dim=16,
                        dropout_rate=0.3, attention_dropout_rate=0.2), 11, 11, 12, "float32")
        initialize(model, 1)
        train_step = TrainStep(model, TrainingConfig.model_validate(
            {"max_steps": 50, "accumulation_steps": 3, "r_drop": 5.0,
             "optimizer": {"epsilon": 1e-3, "weight_decay": 0.01}}))
    updates = []
    for step in range(1, 51):
        shards, start = [], 0
        for size in cuts[step % 4]:
            shards.append(pad(*zip(*pairs[start : start + size])))
            start += size
        updates.append(list(train_step.update(shards, step, 0.01)))
    state = {name: array.ravel().tolist() for name, array in train_step.state().items()}
    results.append([strategy.num_replicas_in_sync, updates, state])
print(json.dumps(results))
"""


@pytest.mark.slow
def test_two_devices_compute_the_same_updates_as_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ON_TWO_DEVICES],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (one, updates, state), (two, same_updates, same_state) = json.loads(done.stdout)
    assert (one, two) == (1, 2)
    np.testing.assert_allclose(same_updates, updates, rtol=1e-5)
    assert len({loss for loss, _ in updates}) == 50
    assert state.keys() == same_state.keys()
    for name in state:
        np.testing.assert_allclose(same_state[name], state[name], atol=1e-5, err_msg=name)
