"""The Lightning logger that mirrors a run to Weights & Biases."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any, final

from lightning.pytorch.loggers import Logger

from bench.training import wandb_tracker
from bench.training.processes import first_process
from bench.training.record import Record
from bench.training.settings import RunConfig


@final
class WandbMirror(Logger):
    """Sends what a run logs to Weights & Biases by way of a process of its own, which cannot hold up or fail the run.

    Lightning's `WandbLogger` runs wandb in the training process: a server that does not answer holds it up, and a
    second run in the process logs into the first.

    Args:
        config: resolved settings of the run.
        described: what else the W&B run's config shall hold.
    """

    def __init__(self, config: RunConfig, described: Mapping[str, object]) -> None:
        super().__init__()
        self.run_id = str(described["run_id"])
        self.tracker = wandb_tracker.start(
            config.wandb if first_process(config) else "disabled",
            project=config.project,
            group=config.group,
            job_type=config.recipe,
            tags=[config.dataset, config.model],
            name=f"{config.recipe} {config.dataset} seed {config.seed}",
            config={**config.identity(), **described},
            directory=config.results,
        )

    @property
    def name(self) -> str:
        return "wandb"

    @property
    def version(self) -> str:
        """The run's id in the suite: W&B's own is known once its server has answered, for which nothing waits here."""
        return self.run_id

    @property
    def described(self) -> dict[str, Any]:
        """The W&B run's id, if it has one, and what the mirror really is: online, offline or disabled."""
        return {"id": self.tracker.id, "mode": self.tracker.mode}

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send an epoch's row."""
        self.tracker.log(metrics, step=int(metrics.get("epoch", step or 0)))

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: the settings went with the run's start."""

    def finish(self, record: Record) -> None:
        """Close the W&B run with the final numbers. Lightning's `finalize` comes before they are known."""
        plain = ("status", "epochs_run", "best_epoch", "seconds", "images_per_second")
        summary = {**record.flat(), **{name: getattr(record, name) for name in plain}}
        self.tracker.finish(summary, failed=record.status != "ok")
