"""Our loop beside the alternatives, in one run: `python bench/speed.py --data_dir DIR`.

One MNIST epoch of the `mlp` (batches of 128, Adam), each contestant evaluating the validation set once:

- suite: this project, with its progress bar, the validation set and the train probe;
- bare: a plain PyTorch loop over tensors that are in memory, standardized beforehand;
- lightning: the usual script: torchvision's dataset with ToTensor and Normalize, a DataLoader, torchmetrics' accuracy.

The contestants take turns, so that a machine whose speed drifts slows all of them; ratios are medians over rounds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from bench._augment_speed import measure_augmentations
from bench.config import RunConfig
from bench.console import ProgressBar
from bench.module import Classifier
from bench.training import Prepared, make_trainer, prepare, quiet, total_steps
from datamodules import DataError

BATCH = 128
MEAN, STD = 0.1307, 0.3081
"""MNIST's pixel mean and standard deviation, as everybody's script has them."""


def suite(prepared: Prepared) -> float:
    """Seconds of one epoch of ours, evaluation included."""
    torch.manual_seed(0)
    module = Classifier(prepared.net, prepared.recipe, prepared.config, total_steps(prepared))
    bar = ProgressBar(Console(stderr=True), "suite")
    with quiet():
        trainer = make_trainer(replace(prepared.config, epochs=1), [bar])
        module.on_train_end = lambda: None  # type: ignore[method-assign]  # the final measurement is no part of an epoch
        trainer.fit(module, datamodule=prepared.data)
    return module.seconds


def plain_mlp() -> nn.Module:
    """The same network without the suite."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    )


def bare(prepared: Prepared, *, fused: bool) -> float:
    """Seconds of one epoch of a plain loop over float tensors in memory."""
    (x, y), (val_x, val_y) = (_standardized(prepared, split) for split in ("train", "val"))
    net = plain_mlp()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=fused)
    start = time.perf_counter()
    net.train()
    order = torch.randperm(len(y))
    for i in range(0, len(y) - BATCH + 1, BATCH):
        rows = order[i : i + BATCH]
        optimizer.zero_grad()
        F.cross_entropy(net(x[rows]), y[rows]).backward()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        logits = net(val_x)
        F.cross_entropy(logits, val_y).item(), (logits.argmax(1) == val_y).float().mean().item()
    return time.perf_counter() - start


class UsualModule(LightningModule):
    """What a Lightning tutorial trains."""

    def __init__(self) -> None:
        super().__init__()
        from torchmetrics.classification import MulticlassAccuracy

        self.net = plain_mlp()
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


def usual_lightning(data_dir: Path) -> float:
    """Seconds of one epoch of the usual script."""
    from torch.utils.data import DataLoader, random_split
    from torchvision import datasets, transforms

    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))])
    whole = datasets.MNIST(str(data_dir), train=True, transform=transform)
    train, val = random_split(whole, [54_000, 6_000])
    module = UsualModule()
    with warnings.catch_warnings(), quiet():
        warnings.simplefilter("ignore")
        trainer = Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False
        )
        trainer.fit(module, DataLoader(train, BATCH, shuffle=True), DataLoader(val, BATCH))
    return module.seconds


def measure(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contestant, round by round, after a round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for i in range(rounds + 1):
        for name, run in contestants.items():
            elapsed = run()
            if i > 0:
                seconds[name].append(elapsed)
    return seconds


def show(seconds: dict[str, list[float]]) -> None:
    """Median seconds, and the suite's time relative to each alternative, round by round."""
    table = Table(title="One MNIST epoch, mlp, batch 128", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in ("loop", "seconds", "suite / loop", "min", "max"):
        table.add_column(heading, justify="left" if heading == "loop" else "right")
    for name, values in seconds.items():
        ratios = [ours / other for ours, other in zip(seconds["suite"], values, strict=True)]
        row = (statistics.median(values), statistics.median(ratios), min(ratios), max(ratios))
        table.add_row(name, *(f"{v:.3f}" for v in row))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {len(seconds['suite'])} rounds")


def show_augmentations(rounds: int) -> None:
    """Milliseconds a batch, on as many threads as torch uses now."""
    console = Console(highlight=False)
    title = f"Augmenting a batch, ms, {torch.get_num_threads()} threads"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in ("recipe", "batch", "suite", "torchvision, per image", "kornia", "loop / suite", "kornia / suite"):
        table.add_column(heading, justify="left" if heading == "recipe" else "right")
    for row in measure_augmentations(rounds=rounds):
        others = [row.torchvision, row.kornia]
        times = [row.ours, *others]
        ratios = [None if t is None else t / row.ours for t in others]
        cells = ["-" if v is None else f"{v:.1f}" for v in (*times, *ratios)]
        table.add_row(row.recipe, "x".join(map(str, row.size)), *cells)
    console.print(table)


def main(argv: list[str] | None = None) -> int:
    """Print the table; exit status 2 without MNIST."""
    parser = argparse.ArgumentParser(prog="speed.py", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data_dir", default="data", help="where MNIST lies or is downloaded to")
    parser.add_argument("--augmentations", action="store_true", help="time the augmentations instead of an epoch")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    options = parser.parse_args(argv)
    if options.augmentations:
        show_augmentations(options.rounds)
        return 0
    config = RunConfig(dataset="mnist", model="mlp", epochs=1, batch_size=BATCH, data_dir=options.data_dir)
    config = replace(config, accelerator="cpu", wandb="disabled")
    try:
        prepared = prepare(config)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    contestants: dict[str, Callable[[], float]] = {
        "suite": lambda: suite(prepare(config)),
        "bare PyTorch": lambda: bare(prepared, fused=False),
        "bare PyTorch, fused Adam": lambda: bare(prepared, fused=True),
        "usual Lightning script": lambda: usual_lightning(Path(options.data_dir)),
    }
    show(measure(contestants, options.rounds))
    return 0


def _standardized(prepared: Prepared, split: str) -> tuple[Tensor, Any]:
    x, y = prepared.data.splits[split]
    return (x.float() / 255 - MEAN) / STD, y


if __name__ == "__main__":
    sys.exit(main())
