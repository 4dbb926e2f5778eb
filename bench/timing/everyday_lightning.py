"""The usual Lightning script: DataLoaders, torchmetrics, a progress bar. As a command it trains one run and ends.

python bench/timing/everyday_lightning.py mnist DATA_DIR TRAIN_SIZE EPOCHS BATCH SEED
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy

from bench.timing.everyday import BATCH, TASKS, loaders


class Module(LightningModule):
    """What a Lightning tutorial trains."""

    def __init__(self, task: str) -> None:
        super().__init__()
        self.net = TASKS[task].net()
        self.accuracy = MulticlassAccuracy(10, average="micro")
        self.start = self.seconds = 0.0

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        loss = F.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        logits = self.net(batch[0])
        self.accuracy(logits, batch[1])
        self.log("val_loss", F.cross_entropy(logits, batch[1]), prog_bar=True)
        self.log("val_accuracy", self.accuracy, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)

    def on_train_epoch_start(self) -> None:
        self.start = time.perf_counter()

    def on_train_epoch_end(self) -> None:
        self.seconds = time.perf_counter() - self.start


def last_epoch(task: str, folder: Path, size: int | None = None, epochs: int = 1, batch: int = BATCH) -> float:
    """Seconds of the last epoch, its validation included."""
    module = Module(task)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Trainer(
            max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False
        )
        trainer.fit(module, *loaders(task, folder, size, batch))
    return module.seconds


if __name__ == "__main__":
    task, folder, size, epochs, batch, seed = sys.argv[1:]
    seed_everything(int(seed), verbose=False)
    last_epoch(task, Path(folder), int(size), int(epochs), int(batch))
