"""Studies in the test's own process: no workers, which import torch for seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.engines import registry
from bench.engines.cell import Outcome, run_cell
from bench.study import main
from bench.training.settings import RunConfig

Call = Callable[..., tuple[int, str, str]]


class Here:
    """An engine that trains one cell at a time, when it is waited for."""

    def __init__(self) -> None:
        self.queue: list[RunConfig] = []
        self.after: Callable[[], None] = lambda: None
        """Called after each cell."""

    def submit(self, configs: Sequence[RunConfig]) -> None:
        self.queue.extend(configs)

    def wait(self, seconds: float) -> list[Outcome]:
        outcomes = [run_cell(self.queue.pop(0))] if self.queue else []
        self.after()
        return outcomes

    def running(self) -> int:
        return 0

    def close(self) -> None:
        self.queue.clear()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Here:
    """The engine of every study of this test."""
    here = Here()
    monkeypatch.setattr(registry, "make", lambda *_: here)
    return here


@pytest.fixture
def study(engine: Here, tmp_path: Path, capsys: Any) -> Call:
    """Run a study of this text; returns (exit status, stdout, stderr)."""

    def call(text: str, *flags: str) -> tuple[int, str, str]:
        (tmp_path / "study.yaml").write_text(text)
        capsys.readouterr()
        status = main([str(tmp_path / "study.yaml"), "--workers", "1", *flags])
        return (status, *capsys.readouterr())

    return call
