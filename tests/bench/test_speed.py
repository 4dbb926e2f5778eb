"""What the comparison of speeds compares: the same networks, and every contestant runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench import speed
from bench.timing.everyday import TASKS
from bench.training import networks


@pytest.mark.parametrize("task", TASKS)
def test_everyday_networks_are_the_suites(task: str) -> None:
    shape = (1, 28, 28) if task == "mnist" else (3, 32, 32)
    mean, std = torch.zeros(shape[0]), torch.ones(shape[0])
    ours, theirs = networks.build(TASKS[task].model, shape, 10, mean, std), TASKS[task].net()
    weights = [p.detach().clone().normal_(0, 0.1) for p in ours.parameters()]
    assert [p.shape for p in theirs.parameters()] == [w.shape for w in weights]
    with torch.no_grad():
        for p, q, w in zip(ours.parameters(), theirs.parameters(), weights, strict=True):
            p.copy_(w)
            q.copy_(w)
    x = torch.rand(4, *shape)
    torch.testing.assert_close(ours(x), theirs(x))


def test_every_contestant_trains_an_epoch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(speed, "IMAGES", {"train": 20, "val": 5, "test": 1})
    assert speed.main(["--task", "images", "--rounds", "1", "--save", str(tmp_path / "speed.txt")]) == 0
    out = capsys.readouterr().out
    assert set((tmp_path / "speed.txt").read_text().splitlines()) <= set(out.splitlines())
    assert all(name in out for name in ("suite", "bare PyTorch", "fused Adam", "usual Lightning script"))


def test_without_mnist_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert speed.main(["--task", "mnist", "--data_dir", str(tmp_path / "absent")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
