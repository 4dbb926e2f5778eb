"""The Ray engine: an existing cluster (by RAY_ADDRESS) or a local one; cells are tasks, retried when a worker dies."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Sequence
from typing import Any

import ray
import torch

from bench.engines.cell import LOST_TRIES, Outcome, run_cell, with_whole_paths
from bench.training.errors import ConfigError
from bench.training.settings import RunConfig

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


class Ray:
    """Cells as Ray tasks.

    Args:
        workers: cells at a time on a local cluster; None takes all processors. An existing cluster has its own.
        threads: processors of each cell.
        gpus: share of a GPU that each cell takes, as 0.25 for four cells to a GPU.
    """

    def __init__(self, workers: int | None, threads: int, gpus: float = 0.0) -> None:
        address = os.environ.get("RAY_ADDRESS")
        local: dict[str, Any] = (
            {} if address else {"num_cpus": workers and workers * threads, "include_dashboard": False}
        )
        try:
            _reach(address)
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **local)
        except (OSError, ValueError, RuntimeError) as error:
            text = str(error).splitlines()[0]
            raise ConfigError(f"engine ray: no cluster at {address or 'this machine'}: {text}") from None
        _check_room(threads, gpus)
        self.threads = threads
        self.task: Any = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=LOST_TRIES)(_task)
        self.cells: dict[Any, RunConfig] = {}

    def submit(self, configs: Sequence[RunConfig]) -> None:
        self.cells.update({self.task.remote(with_whole_paths(config), self.threads): config for config in configs})

    def wait(self, seconds: float) -> list[Outcome]:
        done, _ = ray.wait(list(self.cells), num_returns=1, timeout=seconds)
        return [self._outcome(reference) for reference in done]

    def running(self) -> int:
        free = float(ray.available_resources().get("CPU", 0.0))
        busy = float(ray.cluster_resources().get("CPU", 0.0)) - free
        return min(len(self.cells), round(busy / self.threads))

    def close(self) -> None:
        ray.shutdown()

    def _outcome(self, reference: Any) -> Outcome:
        config = self.cells.pop(reference)
        try:
            outcome: Outcome = ray.get(reference)
            return outcome
        except ray.exceptions.RayError as error:
            return Outcome(config, "failed", None, f"{type(error).__name__}: {str(error).splitlines()[0]}")


def _check_room(threads: int, gpus: float) -> None:
    """Ray waits for ever for what its cluster does not have. Raises ConfigError."""
    total = ray.cluster_resources()
    for what, name, wanted in (("processors", "CPU", threads), ("GPUs", "GPU", gpus)):
        if wanted > total.get(name, 0.0):
            ray.shutdown()
            raise ConfigError(f"engine ray: a cell takes {wanted:g} {what}, the cluster has {total.get(name, 0.0):g}")


def _reach(address: str | None) -> None:
    """Knock before Ray does, which tries for minutes. Raises OSError."""
    found = re.fullmatch(r"(?:ray://)?([^/:]+):(\d+)", address or "")
    if found:
        socket.create_connection((found[1], int(found[2])), timeout=5).close()


def _task(config: RunConfig, threads: int) -> Outcome:
    torch.set_num_threads(threads)
    return run_cell(config)
