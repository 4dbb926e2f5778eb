"""Every column of every table, said once: `runs.csv`, `summary.csv`, Markdown, LaTeX, HTML, W&B and the glossary.

To add a column, write it into COLUMNS and name it in the views where it stands. A metric of `bench/training/metrics.py`
has its columns by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

from bench.reporting import labels
from bench.reporting.column import Better, Cell, Column
from bench.reporting.numbers import DASH, number, p_value, span, times
from bench.reporting.rows import HEADLINE, Comparison, Group, Row
from bench.reporting.runs import SPLITS
from bench.reporting.statistics import EXACT_LIMIT, Interval
from bench.training.metrics import METRICS, Metric

MARKS = {"best": "★", "tied": "≈", "": ""}


def _attribute(name: str) -> Column:
    return Column(name=name, value=attrgetter(name))


def _setting(name: str) -> Column:
    return Column(name=name, value=lambda run: run.config.get(name))


def _number(name: str, group: str) -> Column:
    """A number that a record holds outside of its metrics, by its full name."""
    return Column(name=f"{group}/{name}", value=lambda run: getattr(run, group).get(name))


def _count(name: str) -> Column:
    """How many seeds of a row came to that end."""
    return Column(name=name, value=lambda row: len(getattr(row, name)))


def _metric_of_run(split: str, metric: Metric) -> Column:
    return Column(
        name=f"{split}/{metric.name}",
        value=lambda run: run.metrics.get(split, {}).get(metric.name),
        optional=True,
    )


def _metric_of_row(metric: Metric) -> Column:
    """The mean over seeds, on the test split."""
    scale, digits = (100, 2) if metric.unit == "%" else (1, 4)

    def value(row: Row) -> float:
        return row.measured("test", metric.name, scale).mean

    where = "" if metric.title else " on the test split"
    return Column(
        name=metric.name,
        heading=metric.title or f"test {metric.heading}",
        term=metric.heading,
        unit=metric.unit,
        meaning=f"{metric.meaning.rstrip('.')}{where}; {metric.better} is better.",
        value=value,
        format=lambda row: Cell(number(value(row), digits), sort=value(row)),
        better=metric.better,
        optional=True,
    )


def _mean(
    name: str,
    heading: str,
    unit: str,
    value: Callable[[Row], Interval],
    better: Better,
    *,
    meaning: str = "",
    signed: bool = False,
) -> Column:
    """A mean over seeds with its interval."""

    def cell(row: Row) -> Cell:
        found = value(row)
        half = (f"± {number(found.half)}",) if math.isfinite(found.low) else ()
        return Cell(number(found.mean, signed=signed), half, sort=found.mean)

    return Column(
        name=name, heading=heading, unit=unit, meaning=meaning, value=value, format=cell, better=better, interval=True
    )


def _compared(name: str, pick: Callable[[Comparison], Any], **settings: Any) -> Column:
    """A quantity of a row's comparison with the baseline."""
    return Column(
        name=name,
        value=lambda row: pick(row.comparison) if row.comparison else None,
        on_page=lambda group: group.comparisons > 0,
        **settings,
    )


def _recipe_cell(row: Row) -> Cell:
    return Cell(f"{MARKS[row.mark]} {labels.names(row.recipe)}".strip())


def _seeds_cell(row: Row) -> Cell:
    notes = (f"({row.incidents})",) if row.incidents else ()
    return Cell(f"{row.n}", notes, below=True, warning=True, sort=row.n)


def _difference_cell(row: Row) -> Cell:
    if row.comparison is None:
        return Cell("", ("baseline" if row.is_baseline else DASH,))
    found = row.comparison.difference
    return Cell(number(found.mean, signed=True), tuple(filter(None, (span(found),))), below=True, sort=found.mean)


def _improvement_cell(row: Row) -> Cell:
    c = row.comparison
    return Cell(number(c.improvement), sort=c.improvement) if c else Cell()


def _p_cell(row: Row) -> Cell:
    c = row.comparison
    if c is None:
        return Cell()
    if not c.decidable:
        return Cell("", ("cannot be decided", f"at n={len(c.differences)}"))
    return Cell(p_value(c.p_adjusted), sort=c.p_adjusted)


def _cost_cell(row: Row) -> Cell:
    if row.comparison:
        return Cell(times(row.comparison.cost), sort=row.comparison.cost)
    return Cell("1", sort=1.0) if row.is_baseline else Cell()


COLUMNS: Sequence[Column] = (
    # What runs and rows are.
    *map(_attribute, ("dataset", "model", "train_size", "lr", "fingerprint", "suite")),
    Column(
        name="recipe",
        value=attrgetter("recipe"),
        heading="recipe",
        meaning="What was added to the baseline. ★ has the highest mean test accuracy, ≈ cannot be told from it.",
        format=_recipe_cell,
    ),
    # Of a run.
    *map(_attribute, ("seed", "run_id", "status", "parameters", "epochs_run", "best_epoch")),
    *map(_setting, ("epochs", "batch_size", "optimizer", "schedule", "split_seed", "precision")),
    *(_metric_of_run(split, metric) for split in SPLITS for metric in METRICS),
    *(_number(name, group) for group in ("gap", "test_gap") for name in ("loss", "accuracy")),
    *(_number(name, "weights") for name in ("l2_norm", "zero_fraction")),
    # Of a row: percent and percentage points of accuracy.
    Column(
        name="strength",
        value=attrgetter("note"),
        heading="strength",
        meaning="The recipe's strength, what else is not its default, and the learning rate if it is not the "
        "baseline's; tuned ones were chosen on validation data.",
        format=lambda row: Cell(row.note),
    ),
    _attribute("mark"),
    Column(
        name="n",
        value=attrgetter("n"),
        heading="n",
        meaning="Paired seeds that ended well; diverged, failed and missing ones are counted beside it.",
        format=_seeds_cell,
    ),
    *map(_count, ("diverged", "failed", "missing")),
    _mean(
        "test",
        "test accuracy",
        "%",
        attrgetter("test"),
        "higher",
        meaning="Percent of test samples classified rightly: mean and 95 % t interval over seeds.",
    ),
    _mean("val", "validation accuracy", "%", lambda row: row.accuracy("val"), "higher"),
    _mean("train", "train accuracy", "%", lambda row: row.accuracy("train"), "higher"),
    _mean(
        "gap",
        "gap",
        "points",
        attrgetter("gap"),
        "lower",
        meaning="Train accuracy minus validation accuracy, in points: what regularization is meant to shrink.",
        signed=True,
    ),
    _compared(
        "difference",
        attrgetter("difference"),
        heading="difference to baseline",
        unit="points",
        meaning="Test accuracy minus that of the baseline of the same seed, in percentage points, with its interval.",
        format=_difference_cell,
        better="higher",
        term="difference",
        interval=True,
    ),
    _compared(
        "improvement",
        attrgetter("improvement"),
        heading="P(better)",
        meaning="Probability of improvement: share of seeds in which the recipe beats the baseline, ties counting half.",
        format=_improvement_cell,
        better="higher",
    ),
    _compared("p", attrgetter("p")),
    _compared(
        "p_adjusted",
        attrgetter("p_adjusted"),
        heading="p (Holm)",
        meaning=f"Sign-flip test of the paired differences, exact up to {EXACT_LIMIT} pairs, corrected for the number "
        "of recipes.",
        format=_p_cell,
        better="lower",
    ),
    _compared("decidable", lambda c: int(c.decidable)),
    _compared("detectable", attrgetter("detectable")),
    _compared("gap_change", attrgetter("gap"), interval=True),
    Column(name="gap_loss", value=lambda row: row.gap_loss.mean),
    *(_metric_of_row(metric) for metric in METRICS if metric.name != HEADLINE),
    _compared(
        "cost",
        attrgetter("cost"),
        heading="time",
        unit="× baseline",
        unit_in_cells=True,
        meaning="Training time relative to the baseline's, median over paired seeds; each table says whether it is the "
        "processor's time, of the seeds for which that was measured, or wall time, as on a GPU.",
        format=_cost_cell,
        better="lower",
    ),
    Column(
        name="zeros",
        value=lambda row: row.zeros.mean,
        heading="zeros",
        unit="%",
        meaning="Percent of weights that are exactly zero.",
        format=lambda row: Cell(number(row.zeros.mean, 1), sort=row.zeros.mean),
        on_page=lambda group: any(row.is_sparse for row in group.rows),
    ),
)
BY_NAME = {column.name: column for column in COLUMNS}

# Which columns stand where, in order.
OTHER_METRICS = tuple(metric.name for metric in METRICS if metric.name != HEADLINE)
RUNS = (
    *("dataset", "model", "train_size", "recipe", "seed", "run_id", "status", "fingerprint", "suite", "parameters"),
    *("epochs", "batch_size", "lr", "optimizer", "schedule", "split_seed", "precision", "epochs_run", "best_epoch"),
    *(f"{split}/{metric.name}" for split in SPLITS for metric in METRICS),
    *("gap/loss", "gap/accuracy", "test_gap/loss", "test_gap/accuracy", "weights/l2_norm", "weights/zero_fraction"),
)
"""`runs.csv`."""
SUMMARY = (
    *("dataset", "model", "train_size", "recipe", "lr", "fingerprint", "suite", "mark", "n", "diverged", "failed"),
    *("missing", "test", "val", "train", "gap", "difference", "improvement", "p", "p_adjusted", "decidable"),
    *("detectable", "gap_change", "gap_loss", *OTHER_METRICS, "cost", "zeros"),
)
"""`summary.csv` and W&B."""
TABLE = (
    *("recipe", "strength", "n", "test", "difference", "improvement", "p_adjusted", "gap", "cost", "val", "train"),
    *(*OTHER_METRICS, "zeros"),
)
"""Markdown."""
PAPER = ("recipe", "strength", "n", "test", "difference", "p_adjusted", "gap", "cost")
"""LaTeX: what fits the width of a page."""
PAGE = (
    *("test", "difference", "p_adjusted", "improvement", "gap", "cost", "val", "train", *OTHER_METRICS, "zeros", "n"),
)
"""HTML, behind the recipe and its strength."""
GLOSSARY = (
    *("recipe", "strength", "n", "test", "difference", "improvement", "p_adjusted", "gap", *OTHER_METRICS, "cost"),
    "zeros",
)


def of(view: Iterable[str], subjects: Sequence[Any]) -> list[Column]:
    """The columns of a view, without those of metrics that these runs or rows, being older, all lack."""
    columns, measured = [BY_NAME[name] for name in view], [subject for subject in subjects if subject.ok]
    return [c for c in columns if not c.optional or not measured or any(map(c.known, measured))]


def glossary(groups: Sequence[Group]) -> list[tuple[str, str]]:
    """What the columns of the tables mean."""
    rows = [row for group in groups for row in group.rows]
    return [(column.term or column.heading, column.meaning) for column in of(GLOSSARY, rows)]
