"""The comparison of a study as a table in Weights & Biases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.reporting.csv_files import summary_table
from bench.reporting.rows import Group
from bench.training import wandb_tracker


def log_table(name: str, groups: Sequence[Group], mode: str, project: str, folder: Path) -> None:
    """The summary as a `wandb.Table`, in a run named after the study. Whatever W&B does, the files stand.

    Args:
        name: the study's.
        groups: its tables.
        mode: auto, online, offline or disabled.
        project: W&B's.
        folder: under whose `wandb` an offline run is kept.
    """
    title = {"group": name, "job_type": "comparison", "name": f"{name}: comparison"}
    run = wandb_tracker.start(mode, project=project, tags=[], config={"study": name}, directory=folder, **title)
    run.table("comparison", *summary_table(groups))
    run.finish({"tables": len(groups), "rows": sum(len(group.rows) for group in groups)})
