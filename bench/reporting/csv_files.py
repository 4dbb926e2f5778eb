"""The tables for programs: `runs.csv` and `summary.csv`."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any

from bench.reporting import columns
from bench.reporting.rows import Group
from bench.reporting.runs import Run


def runs_csv(runs: Sequence[Run]) -> str:
    """One line a final run, without times, dates and devices: equal experiments give equal bytes."""
    final = [run for run in runs if run.final]
    final.sort(key=lambda r: (r.dataset, r.model, r.train_size or 0, r.recipe, r.seed, r.run_id))
    return _csv(*table(columns.RUNS, final))


def summary_csv(groups: Sequence[Group]) -> str:
    """One line a row of the tables. Accuracies, gaps and differences are in percent and percentage points."""
    return _csv(*summary_table(groups))


def summary_table(groups: Sequence[Group]) -> tuple[list[str], list[list[Any]]]:
    """Names and values of `summary.csv`."""
    return table(columns.SUMMARY, [row for group in groups for row in group.rows])


def table(view: Iterable[str], subjects: Sequence[Any]) -> tuple[list[str], list[list[Any]]]:
    """The names of a view's columns, and the values of each run or row."""
    found = columns.of(view, subjects)
    names = [name for column in found for name in column.names]
    return names, [[value for column in found for value in column.values(subject)] for subject in subjects]


def _csv(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.10g}"
    text = str(value).encode("utf-8", "replace").decode()  # JSON can hold halves of characters, UTF-8 cannot
    # A spreadsheet would run a text that begins like a formula.
    return f"'{text}" if isinstance(value, str) and text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
