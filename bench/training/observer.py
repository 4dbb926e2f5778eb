"""What a command hangs on a run, as its plan, its progress and its results on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning.pytorch import Callback

    from bench.training.prepare import Prepared
    from bench.training.record import Record
    from bench.training.settings import RunConfig


class Observer:
    """Is told how a run goes, and by itself does nothing. On every process of a run that has several."""

    def found(self, config: RunConfig, record: Record) -> None:
        """An equal run was finished before: nothing is trained."""

    def starting(self, prepared: Prepared) -> list[Callback]:
        """Everything is checked, and training is about to begin. Returns callbacks that watch it."""
        return []

    def measured(self, record: Record) -> None:
        """Training has ended, well or not; its record is not written yet."""
