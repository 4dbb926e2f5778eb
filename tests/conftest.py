"""Every test runs without a network of its own, without the user's W&B account and outside the repository's results."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# One thread: the networks of tests are small, and several processes share the machine.
os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the packages, also where the project is not installed
sys.path.append(str(ROOT / "tests"))
sys.path.append(str(ROOT / "tests" / "bench" / "reporting"))  # what several tests share


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., Any]:
    """Settings of a small run on digits whose record goes to a temporary folder."""
    from bench import RunConfig

    def make(**settings: Any) -> RunConfig:
        usual = {"epochs": 2, "results_dir": str(tmp_path / "results"), "wandb": "disabled", "accelerator": "cpu"}
        return RunConfig(**{**usual, **settings})

    return make
