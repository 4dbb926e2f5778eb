"""What a person sees on the terminal: the run's plan, its progress, and the table at the end."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Table
from rich.text import Text

from bench import catalogue
from bench.training.metrics import METRICS, Metric
from bench.training.record import Record
from datamodules import datasets

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


@dataclass(frozen=True)
class Plan:
    """What a run is about to do, in the words of the terminal."""

    dataset: str
    sizes: dict[str, int]
    model: str
    parameters: int
    recipe: str
    summary: str
    paper: str
    epochs: int
    batch_size: int
    device: str


def show_plan(console: Console, plan: Plan) -> None:
    sizes = ", ".join(f"{plan.sizes[k]:,} {word}" for k, word in SPLIT_WORDS.items())
    grid = Table.grid(padding=(0, 2))
    grid.add_row("[bold]dataset[/]", Text(f"{plan.dataset}  ({sizes})"))
    grid.add_row("[bold]network[/]", Text(f"{plan.model}  ({plan.parameters:,} parameters)"))
    grid.add_row("[bold]recipe[/]", Text(f"{plan.recipe}"))
    for line in (plan.summary, plan.paper):
        if line:
            grid.add_row("", Text(line, style="dim"))
    grid.add_row("[bold]training[/]", Text(f"{plan.epochs} epochs, batches of {plan.batch_size}, on {plan.device}"))
    console.print(grid)


SPLIT_WORDS = {"train": "to train on", "val": "to validate", "test": "to test"}
SPLITS = ("train", "val", "test")


def show_results(console: Console, records: Sequence[Record], baseline: Sequence[Record], how: str) -> None:
    """The table of a recipe's records (one a seed) above the baseline's; `how`: the command for a missing one."""
    console.print()
    console.print(Text(_title(records), style="italic"), soft_wrap=True)
    console.print(Text(_row("", ["train", "validation", "test", "gap to val."]), style="bold"), soft_wrap=True)
    for group in (records, baseline):
        if group:
            _show_rows(console, group)
    console.print(Text(_footnote(records), style="dim"), soft_wrap=True)
    if not baseline and how:
        console.print(Text(f"no baseline with these settings yet: {how}", style="dim"), soft_wrap=True)


def show_catalogue(console: Console, networks: dict[str, str]) -> None:
    """Every recipe, dataset and network, with what a person must know to choose."""
    for family, members in catalogue.by_family():
        console.print(Text(f"\n{family}", style="bold"))
        for t in members:
            heading = Text(t.name, style="bold cyan")
            heading.append(f"  {catalogue.grid(t)}", style="not bold default")
            console.print(heading)
            console.print(Padding(Text(t.summary), (0, 0, 0, 4)))
            for what, text in (("refused where", t.refused), ("paper", t.paper), ("tested against", t.reference)):
                if text:
                    console.print(Padding(Text(f"{what}: {text}", style="dim"), (0, 0, 0, 4)))
    for title, rows in (("datasets", {d.name: d.summary for d in datasets().values()}), ("networks", networks)):
        console.print(Text(f"\n{title}", style="bold"))
        for name, summary in rows.items():
            console.print(Text(name, style="bold cyan"))
            console.print(Padding(Text(summary), (0, 0, 0, 4)))


def _title(records: Sequence[Record]) -> str:
    first = records[0]
    n = len(records)
    which = f"{n} paired seeds, mean ± standard deviation" if n > 1 else f"seed {first.config['seed']}"
    return f"{first.dataset['name']}, {first.model['name']}, {which}"


def _show_rows(console: Console, records: Sequence[Record]) -> None:
    done = [r for r in records if r.status == "ok"]
    console.print(Text(records[0].recipe, style="bold cyan"), soft_wrap=True)
    if len(done) < len(records):
        states = ", ".join(f"seed {r.config['seed']} {r.status}" for r in records if r.status != "ok")
        console.print(Text(f"  {states}", style="bold red"), soft_wrap=True)
    if done:
        for metric in METRICS:
            if metric.name in done[0].gap:
                console.print(_metric_row(metric, done), soft_wrap=True)


def _metric_row(metric: Metric, done: Sequence[Record]) -> str:
    scale, places = (100, 2) if metric.unit == "%" else (1, 4)
    name = metric.name
    splits = [[scale * r.metrics[s][name] for r in done if s in r.metrics] for s in SPLITS]
    cells = [_cell(values, f"{{:.{places}f}}") for values in splits]
    gap = _cell([scale * r.gap[name] for r in done], f"{{:+.{places}f}}")
    return _row(f"  {metric.heading}, {metric.unit}", [*cells, gap])


def _row(label: str, cells: Sequence[str]) -> str:
    return f"{label:<13}" + "".join(f"{cell:>17}" for cell in cells)


def _cell(values: Sequence[float], form: str) -> str:
    if not values:  # a tuning trial measures no test split
        return "-"
    mean = form.format(statistics.fmean(values))
    return mean if len(values) == 1 else f"{mean} ± {form.replace('+', '').format(statistics.stdev(values))}"


def _footnote(records: Sequence[Record]) -> str:
    done = [r for r in records if r.status == "ok"]
    if not done:
        return ""
    mean = statistics.fmean
    split = "test" if "test" in done[0].metrics else "val"
    lines = [
        f"{split}: {', '.join(_other_metrics(done, split))}",
        f"weights: norm {mean(r.weights['l2_norm'] for r in done):.2f}, "
        f"{100 * mean(r.weights['zero_fraction'] for r in done):.1f} % exactly zero",
        f"{mean(r.epochs_run for r in done):.3g} epochs, lowest validation loss in epoch "
        f"{mean(r.best_epoch or 0 for r in done):.3g}; {mean(r.seconds for r in done):.1f} s, "
        f"{mean(r.images_per_second for r in done):,.0f} samples/s",
    ]
    return "\n".join(lines)


def _other_metrics(done: Sequence[Record], split: str) -> list[str]:
    """The metrics that have no row of their own, as `macro F1 0.9731`; older records lack some."""
    found = []
    for metric in METRICS:
        values = [r.metrics[split][metric.name] for r in done if metric.name in r.metrics[split]]
        if metric.name not in done[0].gap and len(values) == len(done):
            mean = statistics.fmean(values)
            found.append(f"{metric.heading} " + (f"{100 * mean:.2f} %" if metric.unit == "%" else f"{mean:.4f}"))
    return found
