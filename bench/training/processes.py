"""Which of the processes that train together this one is."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.training.settings import RunConfig

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
"""Where Lightning looks for a process's number before training begins."""


def first_process(config: RunConfig) -> bool:
    """Whether this process is the one that writes and speaks. A run of one process is, whatever number a cluster has
    given it."""
    return config.processes == 1 or rank() == 0


def rank() -> int:
    """This process's number: Lightning's where that is loaded, else the environment's."""
    loaded = sys.modules.get("lightning_utilities.core.rank_zero")
    known = getattr(loaded.rank_zero_only, "rank", None) if loaded else None
    if known is not None:
        return int(known)
    return next((int(os.environ[name]) for name in RANKS if os.environ.get(name, "").isdecimal()), 0)


def stand_alone(config: RunConfig) -> None:
    """Tell Lightning that a run of one process is the first, as `first_process` does."""
    from lightning_utilities.core.rank_zero import rank_zero_only

    if config.processes == 1:
        rank_zero_only.rank = 0  # type: ignore[attr-defined]
