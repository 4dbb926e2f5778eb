"""Networks that teach others: what a recipe distils from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from lightning.pytorch import Callback
from torch import nn

from bench.training import checkpoints, files
from bench.training.errors import LostRecordError
from bench.training.execute import claimed, train
from bench.training.lookup import identify
from bench.training.messages import warn
from bench.training.observer import Observer
from bench.training.prepare import Prepared, prepare
from bench.training.processes import first_process
from bench.training.record import Record
from bench.training.settings import RunConfig

TEACHER_SEED = 2_000_000
"""Added to a run's seed for its teacher's: no study's seed and no tuning seed reaches it."""


def teacher_of(config: RunConfig) -> nn.Module:
    """The trained network of the same run without any recipe, from a seed of its own; trained once, then kept."""
    config = replace(config, recipe="none", seed=config.seed + TEACHER_SEED, trial=True)
    path = config.results / "teachers" / f"{identify(config)}.pt"
    with claimed(config, path):
        weights = checkpoints.load_or_set_aside(path, "the teacher is trained again")
        if weights is None:
            return _train(config, path).requires_grad_(False)
    net = prepare(config).net
    net.load_state_dict(weights)
    return net.requires_grad_(False)


def _train(config: RunConfig, path: Path) -> nn.Module:
    watcher = _Trained()
    try:
        train(config, force=True, observer=watcher)
    except LostRecordError as error:
        warn(f"of the teacher: {error}")
    if watcher.record.status != "ok":
        raise RuntimeError(f"the teacher {watcher.record.status}: {watcher.record.error}")
    if first_process(config):
        try:
            files.write_with_digest(path, lambda file: torch.save(watcher.net.state_dict(), file))
        except (OSError, RuntimeError) as error:  # torch says RuntimeError where the disk is full
            warn(f"cannot keep the teacher {path}: {error}; the next run trains it again")
    return watcher.net


class _Trained(Observer):
    """Keeps hold of the network that a run trains, and of its record."""

    net: nn.Module
    record: Record

    def starting(self, prepared: Prepared) -> list[Callback]:
        self.net = prepared.net
        return []

    def measured(self, record: Record) -> None:
        self.record = record
