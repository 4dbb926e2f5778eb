"""The index of a folder of studies: a `README.md` that lists every study with a report."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from bench.reporting import labels
from bench.reporting.markdown import code, markdown
from bench.reporting.numbers import number, span
from bench.reporting.statistics import Interval
from bench.training.errors import ConfigError
from bench.training.files import read_regular, write_atomically

INDEX_MARK = "<!-- made by bench/report.py -->"
MOST_WINNERS = 8
"""Tables of a study whose best row is named."""


def has_index(results: Path) -> bool:
    """Whether an index was made in this folder, which is then to be kept up to date."""
    try:
        return read_regular(results / "README.md").startswith(INDEX_MARK.encode())
    except (OSError, ValueError):
        return False


def write_index(results: Path) -> None:
    """Make or renew the index of a folder of studies.

    Raises:
        ConfigError: there is another README.md, which somebody wrote.
    """
    path = results / "README.md"
    if os.path.lexists(path) and not has_index(results):
        raise ConfigError(f"{str(path)!r} was not made by report.py, and stays; give it another name to get an index")
    studies = [file.parent for file in sorted(results.glob("*/study.yaml"))]
    rows = [_row(folder) for folder in studies if (folder / "summary.csv").exists()]
    headings = ("study", "tables", "recipes", "runs", "highest test accuracy")
    table = "\n".join(["| " + " | ".join(cells) + " |" for cells in (headings, ["---"] * 5, *rows)])
    write_atomically(
        path,
        f"{INDEX_MARK}\n# Results\n\nOne folder a study, complete in itself: its `study.yaml`, records and report.\n\n{table}\n\n"
        "Recipes are counted without the baseline. Behind the accuracy stands its difference to the baseline in points, with its 95 % "
        "interval, and how many other rows cannot be told from the highest (≈).\n",
    )


def _row(folder: Path) -> list[str]:
    link = f"[{markdown(folder.name)}]({quote(folder.name)}/report.md)"
    try:
        return [link, *_cells(_read(folder / "summary.csv"))]
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return [link, *["not readable"] * 4]


def _read(summary: Path) -> list[dict[str, str]]:
    table = csv.DictReader(io.StringIO(read_regular(summary).decode(), newline=""))
    if "mark" not in (table.fieldnames or ()):
        raise ValueError("no summary of a report")
    return list(table)


def _cells(rows: Sequence[Mapping[str, str]]) -> list[str]:
    best = [row for row in rows if row["mark"] == "best"]
    winners = "<br>".join(_winner(row, rows) for row in best[:MOST_WINNERS])
    recipes = len({labels.names(row["recipe"]) for row in rows} - {labels.BASELINE})
    tables = {_table_of(row) for row in rows}
    runs = sum(int(row["n"]) for row in rows)
    return [str(len(tables)), str(recipes), str(runs), winners + ("<br>..." if len(best) > MOST_WINNERS else "")]


def _table_of(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row[key] for key in ("dataset", "model", "train_size", "fingerprint"))


def _winner(row: Mapping[str, str], rows: Sequence[Mapping[str, str]]) -> str:
    place = labels.place(row["dataset"], row["model"], int(row["train_size"] or 0))
    tied = sum(other["mark"] == "tied" and _table_of(other) == _table_of(row) for other in rows)
    mean, low, high = (float(row[f"difference{end}"] or "nan") for end in ("", "_low", "_high"))
    gain = f", {number(mean, signed=True)} {span(Interval(mean, low, high, 0))}".rstrip() if math.isfinite(mean) else ""
    return (
        f"{markdown(place)}: {code(labels.short(row['recipe'], 60))} {float(row['test']):.2f} %{gain}"
        f"{f', ≈ {tied}' if tied else ''}"
    )
