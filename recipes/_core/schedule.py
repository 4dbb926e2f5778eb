"""Layers that change over training."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn


class Scheduled(nn.Module):
    """A layer that may depend on how far training has come."""

    progress = 0.0
    """The share of the training steps already done, in [0, 1)."""
    steps: int | None = None
    """How many steps training takes in all; None outside of training."""


class Progress(Callback):
    """Tells every `Scheduled` layer the progress before each step. It derives from the step's number, so that a
    resumed run needs nothing else."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        steps = int(trainer.estimated_stepping_batches)
        for layer in pl_module.modules():
            if isinstance(layer, Scheduled):
                layer.progress, layer.steps = trainer.global_step / steps, steps
