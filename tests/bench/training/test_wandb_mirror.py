"""What a run leaves in Weights & Biases, read back with `wandb leet inspect`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import train

Make = Callable[..., Any]


def inspect(path: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_config_curves_and_summary_of_two_runs_in_one_process(make_config: Make, tmp_path: Path) -> None:
    records = [train(make_config(wandb="offline", seed=seed, group="a study")) for seed in (0, 1)]
    for record in records:
        assert record.wandb["mode"] == "offline"
        (path,) = (tmp_path / "results").glob(f"wandb/offline-run-*/run-{record.wandb['id']}.wandb")
        lines = inspect(path)
        text = json.dumps(lines)
        for name in ("a study", "none", "digits", "mlp", record.run_id, record.dataset["fingerprint"]):
            assert name in text, name
        rows = [line["history"]["item"] for line in lines if "history" in line]
        assert [row["epoch"] for row in rows] == [1, 2]
        for row, ours in zip(rows, record.history, strict=True):
            assert {k: row[k] for k in ours} == pytest.approx(ours, rel=1e-4)
            assert {"train_probe/loss", "train_probe/brier", "val/accuracy", "val/ece"} <= row.keys()
            assert {"gap/loss", "gap/accuracy"} <= row.keys()
        summary: dict[str, Any] = {}
        for line in lines:
            summary |= line.get("summary", {}).get("update", {})
        flat = record.flat()
        assert {k: summary[k] for k in flat} == pytest.approx(flat)
        assert {"train/loss", "test/ece", "test_gap/loss", "weights/zero_fraction"} <= flat.keys()
        assert summary["status"] == "ok"
