"""What a person sees of a run on the terminal: its plan, and the table at the end."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.training.metrics import METRICS, Metric
from bench.training.record import Record
from bench.training.settings import RunConfig
from datamodules import visible
from recipes import parse


@dataclass(frozen=True)
class Plan:
    """What a run is about to do."""

    config: RunConfig
    """Resolved."""
    sizes: Mapping[str, int]
    """Samples by split."""
    parameters: int
    device: str
    """What it computes on."""


def show_plan(console: Console, plan: Plan) -> None:
    """The run in words, with its techniques' one-line summaries and papers."""
    config = plan.config
    sizes = ", ".join(f"{plan.sizes[k]:,} {word}" for k, word in SPLIT_WORDS.items())
    batch = min(config.batch_size or 1, plan.sizes["train"])
    techniques = [technique for technique, _ in parse(config.recipe)]
    about = [*(t.summary for t in techniques), *(t.paper for t in techniques if t.paper)]
    grid = Table.grid(padding=(0, 2))
    grid.add_row("[bold]dataset[/]", Text(visible(f"{config.dataset}  ({sizes})")))
    grid.add_row("[bold]network[/]", Text(visible(f"{config.model}  ({plan.parameters:,} parameters)")))
    grid.add_row("[bold]recipe[/]", Text(visible(config.recipe)))
    for text in about:
        grid.add_row("", Text(visible(text), style="dim"))
    grid.add_row("[bold]training[/]", Text(f"{config.epochs} epochs, batches of {batch}, on {visible(plan.device)}"))
    console.print(grid)


def show_line(console: Console, text: str, style: str = "") -> None:
    """One line, however long, on which nothing hides."""
    console.print(Text(visible(text), style=style), soft_wrap=True)


def result_line(record: Record) -> str:
    """What a run measured, as `seed 0: test accuracy 97.21 %, loss 0.1034 nats`."""
    split = "test" if "test" in record.metrics else "val"
    values = ", ".join(f"{m.heading} {_value(m, record.metrics[split][m.name])}" for m in _with_gap(record))
    return f"seed {record.config['seed']}: {split} {values}"


SPLIT_WORDS = {"train": "to train on", "val": "to validate", "test": "to test"}
SPLITS = ("train", "val", "test")


def show_results(console: Console, records: Sequence[Record], baseline: Sequence[Record], how: str) -> None:
    """The table of a recipe's records (one a seed) above the baseline's; `how`: the command for a missing one."""
    console.print()
    show_line(console, _title(records), "italic")
    show_line(console, _row("", ["train", "validation", "test", "gap to val."]), "bold")
    for group in (records, baseline):
        if group:
            _show_rows(console, group)
    for line in _footnote(records):
        show_line(console, line, "dim")
    if not baseline and how:
        show_line(console, f"no baseline with these settings yet: {how}", "dim")


def _title(records: Sequence[Record]) -> str:
    first = records[0]
    n = len(records)
    which = f"{n} paired seeds, mean ± standard deviation" if n > 1 else f"seed {first.config['seed']}"
    return f"{first.dataset['name']}, {first.model['name']}, {which}"


def _show_rows(console: Console, records: Sequence[Record]) -> None:
    done = [r for r in records if r.status == "ok"]
    show_line(console, records[0].recipe, "bold cyan")
    if len(done) < len(records):
        states = ", ".join(f"seed {r.config['seed']} {r.status}" for r in records if r.status != "ok")
        show_line(console, f"  {states}", "bold red")
    if done:
        for metric in _with_gap(done[0]):
            show_line(console, _metric_row(metric, done))


def _with_gap(record: Record) -> list[Metric]:
    """The metrics that have rows of their own, shares first."""
    return sorted((m for m in METRICS if m.name in record.gap), key=lambda m: m.unit != "%")


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


def _value(metric: Metric, value: float) -> str:
    text = f"{100 * value:.2f}" if metric.unit == "%" else f"{value:.4f}"
    return f"{text} {metric.unit}".rstrip()


def _footnote(records: Sequence[Record]) -> list[str]:
    done = [r for r in records if r.status == "ok"]
    if not done:
        return []
    mean = statistics.fmean
    split = "test" if "test" in done[0].metrics else "val"
    return [
        f"{split}: {', '.join(_other_metrics(done, split))}",
        f"weights: norm {mean(r.weights['l2_norm'] for r in done):.2f}, "
        f"{100 * mean(r.weights['zero_fraction'] for r in done):.1f} % exactly zero",
        f"{mean(r.epochs_run for r in done):.3g} epochs, lowest validation loss in epoch "
        f"{mean(r.best_epoch or 0 for r in done):.3g}; {mean(r.seconds for r in done):.1f} s, "
        f"{mean(r.images_per_second for r in done):,.0f} samples/s",
    ]


def _other_metrics(done: Sequence[Record], split: str) -> list[str]:
    """The metrics that have no row of their own, as `macro F1 0.9731`; older records lack some."""
    found = []
    for metric in METRICS:
        values = [r.metrics[split][metric.name] for r in done if metric.name in r.metrics[split]]
        if metric.name not in done[0].gap and len(values) == len(done):
            found.append(f"{metric.heading} {_value(metric, statistics.fmean(values))}")
    return found
