"""What a run computes on: versions, hardware and the suite's commit."""

from __future__ import annotations

import functools
import platform
import subprocess
from pathlib import Path
from typing import Any

from bench.training.settings import SUITE_VERSION, RunConfig

ROOT = Path(__file__).resolve().parents[2]
CODE = ("bench", "recipes", "datamodules")


def device_name(config: RunConfig) -> str:
    """What the run computes on, for people and for the record."""
    import torch

    cuda = config.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    name = torch.cuda.get_device_name() if cuda else _processor()
    processes = config.processes
    return (
        name + ("" if cuda else f", {torch.get_num_threads()} threads") + (f" x {processes}" if processes > 1 else "")
    )


def environment(config: RunConfig) -> dict[str, Any]:
    """Versions and hardware."""
    import lightning
    import numpy
    import torch

    return {
        "suite": SUITE_VERSION,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "numpy": numpy.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "device": device_name(config),
        "devices": config.devices,
        "num_nodes": config.num_nodes,
        "git": _git(),
        **_data_dir(config),
    }


def _data_dir(config: RunConfig) -> dict[str, str]:
    """Where the data lay if not in the usual place: whoever repeats the run must say so too."""
    path = Path(config.data_dir).expanduser()
    here = Path.cwd()
    shown = str(path.relative_to(here) if path.is_relative_to(here) else path)
    return {} if shown == RunConfig().data_dir else {"data_dir": shown}


@functools.cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@functools.cache
def _git() -> str | None:
    """The suite's commit, with `+` where code that decides the numbers differs from it: results do not."""
    git = ["git", "-C", str(ROOT)]
    asked = [*git, "rev-parse", "--show-toplevel", "--short=12", "HEAD"]
    try:
        top, commit = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.splitlines()
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", *CODE], capture_output=True, timeout=5)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    if Path(top).resolve() != ROOT:  # the suite is installed somewhere inside another repository
        return None
    return commit + ("+" if changed.returncode else "")
