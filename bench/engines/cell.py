"""One cell of a study, as every engine runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from bench.training import lookup
from bench.training.execute import train
from bench.training.settings import RunConfig

LOST_TRIES = 3
"""A cell whose worker dies this often is given up: it may be what kills them."""


@dataclass(frozen=True)
class Outcome:
    """What became of a cell; its record, if there is one, lies in the study's folder."""

    config: RunConfig
    status: str
    run_id: str | None = None
    error: str | None = None


class Engine(Protocol):
    """Runs cells, each an idempotent call of `run_cell`."""

    def submit(self, configs: Sequence[RunConfig]) -> None:
        """Take cells; returns at once."""

    def wait(self, seconds: float) -> list[Outcome]:
        """The cells that ended since the last call, waiting at most that long for one."""

    def running(self) -> int:
        """How many cells are being trained."""

    def close(self) -> None:
        """Stop everything within seconds; cells in progress are lost and will be trained again."""


def run_cell(config: RunConfig) -> Outcome:
    """Train one cell, unless a finished record exists or another command makes one; any failure becomes an outcome."""
    try:
        record = train(config)
        return Outcome(config, record.status, record.run_id, record.error)
    except Exception as error:  # wrong settings of one cell must not end the study
        return Outcome(config, "failed", None, f"{type(error).__name__}: {error}")


def finished(config: RunConfig) -> Outcome | None:
    """What became of a cell by the record that it left; None if it left none."""
    record = lookup.finished(config)
    return Outcome(config, record.status, record.run_id, record.error) if record else None


def with_whole_paths(config: RunConfig) -> RunConfig:
    """The same cell for a process that starts in another folder."""
    results, data = (str(Path(p).expanduser().absolute()) for p in (config.results_dir, config.data_dir))
    return replace(config, results_dir=results, data_dir=data)
