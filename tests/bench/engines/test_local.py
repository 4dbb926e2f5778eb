"""The local engine: in which order its workers take cells, and on which GPUs."""

from __future__ import annotations

from typing import Any

import pytest

from bench.engines import local
from bench.training.settings import RunConfig


@pytest.mark.parametrize(
    ("visible", "count", "dealt"),
    [(None, 0, [None] * 3), (None, 2, ["0", "1", "0"]), ("5,7", 2, ["5", "7", "5"]), ("3", 1, ["3"] * 3)],
)
def test_gpus_are_dealt_out_in_turn(monkeypatch: Any, visible: str | None, count: int, dealt: list[str | None]) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    assert [local._gpu(number) for number in range(3)] == dealt


def test_trials_come_first_and_then_seed_by_seed() -> None:
    """What a machine does beside it then hits all recipes of a seed alike, and their times stay comparable."""
    engine = local.Local(0, 1)
    finals = [RunConfig(recipe=r, seed=seed) for r in ("none", "dropout") for seed in (0, 1)]
    trial, resample = RunConfig(recipe="l1", seed=10**6, trial=True), RunConfig(recipe="l2", resample=7)
    engine.submit(finals)
    engine.submit([trial, resample])
    taken = [engine.queue.pop() for _ in range(len(engine.queue))]
    assert taken == [trial, resample, finals[0], finals[2], finals[1], finals[3]]


def test_a_long_queue_is_emptied_in_order() -> None:
    """As sorted would, of 3,000 cells that arrive in any order; equal ones in the order in which they came."""
    queue = local.Queue()
    configs = [RunConfig(seed=i * 7919 % 100, train_size=1 + i) for i in range(3_000)]
    for config in configs:
        queue.add(config)
    assert [queue.pop() for _ in configs] == sorted(configs, key=lambda config: config.seed)
    assert len(queue) == 0
