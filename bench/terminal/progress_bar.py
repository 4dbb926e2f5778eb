"""The progress of one run, on one line."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

REFRESH = 0.1
"""Seconds between two drawings of the progress bar; reading the loss more often would wait for the GPU."""


class TimeLeft(ProgressColumn):
    """Time left, from the epochs done so far."""

    def render(self, task: Task) -> Text:
        left = task.time_remaining
        return Text("--:-- left" if left is None else f"{int(left) // 60:d}:{int(left) % 60:02d} left", style="cyan")


class ProgressBar(Callback):
    """One line: epoch, training objective, gap, time left. Draws nothing where the output is no terminal."""

    def __init__(self, console: Console, label: str) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("epoch {task.fields[epoch]}  loss {task.fields[loss]}  gap {task.fields[gap]}"),
            TimeLeft(),
            console=console,
            transient=True,
            auto_refresh=False,
            disable=not console.is_terminal,
        )
        self.label = label
        self.drawn = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        steps = int(trainer.num_training_batches) * (trainer.max_epochs or 0)
        self.task = self.progress.add_task(self.label, total=steps, epoch="1", loss="-", gap="-")
        self.progress.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        if now - self.drawn > REFRESH:
            self.drawn = now
            self._draw(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.progress.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.progress.stop()

    def _draw(self, trainer: Trainer, module: Any) -> None:
        last = module.history[-1] if module.history else {}
        self.progress.update(
            self.task,
            completed=trainer.global_step,
            epoch=f"{trainer.current_epoch + 1}/{trainer.max_epochs}",
            loss=f"{float(module.objective) / max(module.batches, 1):.4f}",
            gap=f"{last['gap/loss']:+.4f}" if last else "-",
        )
        self.progress.refresh()
