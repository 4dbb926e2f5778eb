"""Layers that change over training."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn


class Scheduled(nn.Module):
    """A layer that may depend on `progress`: the share of the training steps already done, in [0, 1)."""

    progress = 0.0


class Progress(Callback):
    """Tells every `Scheduled` layer the progress before each step. It derives from the step's number, so that a
    resumed run needs nothing else."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        progress = trainer.global_step / trainer.estimated_stepping_batches
        for layer in pl_module.modules():
            if isinstance(layer, Scheduled):
                layer.progress = progress
