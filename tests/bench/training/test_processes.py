"""Which process writes and speaks, by what Lightning and clusters set."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from lightning_utilities.core.rank_zero import rank_zero_only

from bench import RunConfig
from bench.training.processes import RANKS, first_process, rank

ROOT = Path(__file__).resolve().parents[3]


def test_lightnings_number_counts_once_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 3, raising=False)
    monkeypatch.setenv("RANK", "0")
    assert rank() == 3
    assert first_process(RunConfig())
    assert not first_process(RunConfig(devices=2))


@pytest.mark.parametrize("name", RANKS)
def test_before_that_the_environments(name: str) -> None:
    code = "from bench.training.processes import rank; print(rank())"
    for value, number in (("2", "2"), ("0", "0"), ("", "0"), ("x", "0")):
        environment = {name: value, "PATH": "", "PYTHONPATH": ":".join(sys.path)}
        done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, check=True)
        assert done.stdout.decode().strip() == number


def test_these_are_the_names_that_lightning_looks_at() -> None:
    from lightning.fabric.utilities import rank_zero

    source = Path(rank_zero.__file__).read_text()
    assert re.findall(r'"(\w*RANK|SLURM_PROCID)"', source)[: len(RANKS)] == list(RANKS)
