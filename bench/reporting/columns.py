"""The same table four times: CSV for programs, Markdown for GitHub, LaTeX for papers, cells for W&B."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from bench.reporting import labels
from bench.reporting.comparison import Group, Row
from bench.reporting.numbers import DASH, incidents, number, p_value, plus_minus, span, times
from bench.reporting.runs import METRICS, SPLITS, Run
from bench.reporting.statistics import Interval

MARKS = {"best": "★", "tied": "≈", "": ""}
MARK_WORDS = {"best": "highest mean test accuracy", "tied": "cannot be told from the best", "": ""}

RUN_SETTINGS = ("epochs", "batch_size", "lr", "optimizer", "schedule", "split_seed", "precision")
RUN_COLUMNS = (
    *("dataset", "model", "train_size", "recipe", "seed", "run_id", "status", "fingerprint", "suite", "parameters"),
    *RUN_SETTINGS,
    *("epochs_run", "best_epoch"),
    *(f"{split}/{metric}" for split in SPLITS for metric in METRICS),
    *("gap/loss", "gap/accuracy", "test_gap/loss", "test_gap/accuracy", "weights/l2_norm", "weights/zero_fraction"),
)


def runs_csv(runs: Sequence[Run]) -> str:
    """One line a final run, without times, dates and devices: equal experiments give equal bytes."""
    final = [run for run in runs if run.final]
    final.sort(key=lambda r: (r.dataset, r.model, _train_size(r), r.recipe, r.seed, r.run_id))
    return _csv(RUN_COLUMNS, [_run_cells(run) for run in final])


def _train_size(run: Run) -> int:
    return int(run.config.get("train_size") or 0)


def _run_cells(run: Run) -> list[Any]:
    groups = {**run.metrics, "gap": run.gap, "test_gap": run.test_gap, "weights": run.weights}
    flat = {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
    known: dict[str, Any] = {
        **{k: getattr(run, k) for k in RUN_COLUMNS if hasattr(run, k)},
        **{k: run.config.get(k) for k in (*RUN_SETTINGS, "train_size")},
        **flat,
    }
    return [known.get(column) for column in RUN_COLUMNS]


SUMMARY_COLUMNS = (
    *("dataset", "model", "train_size", "recipe", "lr", "fingerprint", "suite", "mark", "n", "diverged", "failed"),
    "missing",
    *(f"{name}{end}" for name in ("test", "val", "train", "gap") for end in ("", "_low", "_high")),
    *("difference", "difference_low", "difference_high", "improvement", "p", "p_holm", "decidable", "detectable"),
    *("gap_change", "gap_change_low", "gap_change_high", "gap_loss", "loss", "ece", "brier", "cost", "zeros"),
)
"""Accuracies, gaps and differences are in percent and percentage points."""


def summary_csv(groups: Sequence[Group]) -> str:
    """One line a row of the tables."""
    return _csv(SUMMARY_COLUMNS, summary_cells(groups))


def summary_cells(groups: Sequence[Group]) -> list[list[Any]]:
    return [_summary_cells(group, row) for group in groups for row in group.rows]


def _summary_cells(group: Group, row: Row) -> list[Any]:
    s, c = group.setting, row.comparison
    who = [s.dataset, s.model, s.train_size or None, row.recipe, row.lr, s.fingerprint, s.suite, row.mark]
    counts = [row.n, len(row.diverged), len(row.failed), len(row.missing)]
    intervals = [*(row.accuracy[split] for split in ("test", "val", "train")), row.gap]
    compared: list[Any] = [None] * 11
    if c:
        p = [c.improvement, c.p, c.p_adjusted, int(c.decidable), c.detectable]
        compared = [*_ends(c.difference), *p, *_ends(c.gap)]
    plain = [row.gap_loss.mean, row.loss.mean, row.ece.mean, row.brier.mean, c.cost if c else None, row.zeros.mean]
    return [*who, *counts, *(end for i in intervals for end in _ends(i)), *compared, *plain]


def _ends(interval: Interval) -> list[float]:
    return [interval.mean, interval.low, interval.high]


def _csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_csv_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _csv_cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.10g}"
    text = str(value).encode("utf-8", "replace").decode()  # JSON can hold halves of characters, UTF-8 cannot
    # A spreadsheet would run a text that begins like a formula.
    return f"'{text}" if isinstance(value, str) and text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


HEADINGS = (
    *("recipe", "strength", "n", "test accuracy, %", "difference to baseline, points", "P(better)", "p (Holm)"),
    *("gap, points", "time", "validation accuracy, %", "train accuracy, %", "test loss, nats", "ECE", "Brier"),
    "zeros, %",
)


def cells(row: Row) -> list[str]:
    """The row of the Markdown and LaTeX tables, not yet escaped."""
    c = row.comparison
    difference = f"{number(c.difference.mean, signed=True)} {span(c.difference)}".strip() if c else DASH
    return [
        f"{MARKS[row.mark]} {labels.names(row.recipe)}".strip(),
        row.note or DASH,
        f"{row.n}" + (f" ({incidents(row)})" if incidents(row) else ""),
        plus_minus(row.test),
        "baseline" if row.is_baseline else difference,
        number(c.improvement) if c else DASH,
        p_value(c),
        plus_minus(row.gap, signed=True),
        times(c.cost) if c else ("1" if row.is_baseline else DASH),
        plus_minus(row.accuracy["val"]),
        plus_minus(row.accuracy["train"]),
        number(row.loss.mean, 4),
        number(row.ece.mean, 4),
        number(row.brier.mean, 4),
        number(row.zeros.mean, 1),
    ]
