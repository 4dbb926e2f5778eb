"""Engines by name."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bench.engines.cell import Engine
from bench.engines.local import Local
from bench.training.errors import ConfigError


def make(
    name: str,
    workers: int | None,
    threads: int,
    folder: Path,
    gpus: float = 0.0,
    slurm: Mapping[str, Any] | None = None,
) -> Engine:
    """An engine by name.

    Args:
        name: local, ray or slurm.
        workers: cells at a time.
        threads: processors of each cell.
        folder: the study's, where an engine may keep its logs.
        gpus: of each cell, or the share of one; local deals out the GPUs in turn.
        slurm: further submitit parameters, as slurm_partition.

    Raises:
        ConfigError: it needs a package that is not installed.
    """
    if name == "local":
        return Local(workers or usual_workers(name, threads, gpus), threads)
    with _needs(name):
        if name == "ray":
            from bench.engines.ray import Ray

            return Ray(workers, threads, gpus)
        from bench.engines.slurm import Slurm

        return Slurm(workers or usual_workers(name, threads), threads, folder / "slurm", gpus, slurm)


def usual_workers(name: str, threads: int, gpus: float = 0.0) -> int:
    """Cells at a time where the user does not say: as many as this machine's cores, and GPUs if they are asked for."""
    if name == "slurm":
        return 8
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    by_gpu = int(torch.cuda.device_count() / gpus + 1e-9) if gpus else cores
    return max(1, min(cores // threads, by_gpu))


@contextlib.contextmanager
def _needs(extra: str) -> Any:
    try:
        yield
    except ImportError as error:
        raise ConfigError(f"engine {extra} needs {error.name}: pip install 'regularization-bench[{extra}]'") from None
