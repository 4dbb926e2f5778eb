"""`results/README.md`: every study with a report."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from bench.reporting import labels
from bench.reporting.markdown import code, markdown
from bench.reporting.numbers import number, span
from bench.reporting.statistics import Interval
from bench.training.files import write_atomically

INDEX_MARK = "<!-- made by bench/report.py -->"


def write_index(results: Path) -> None:
    """`results/README.md`: every study with a report, unless a person wrote that file."""
    path = results / "README.md"
    if path.exists() and not path.read_text(encoding="utf-8").startswith(INDEX_MARK):
        return
    rows = [
        _index_row(file.parent)
        for file in sorted(results.glob("*/study.yaml"))
        if (file.parent / "summary.csv").exists()
    ]
    headings = ("study", "tables", "recipes", "runs", "highest test accuracy")
    table = "\n".join(["| " + " | ".join(cells) + " |" for cells in (headings, ["---"] * 5, *rows)])
    write_atomically(
        path,
        f"{INDEX_MARK}\n# Results\n\nOne folder a study, complete in itself: its `study.yaml`, records and report.\n\n{table}\n\n"
        "Recipes are counted without the baseline. Behind the accuracy stands its difference to the baseline in points, with its 95 % "
        "interval, and how many other rows cannot be told from the highest (≈).\n",
    )


def _index_row(folder: Path) -> list[str]:
    link = f"[{markdown(folder.name)}]({quote(folder.name)}/report.md)"
    try:
        return [link, *_index_cells(folder / "summary.csv")]
    except (ValueError, KeyError):
        return [link, *["not readable"] * 4]


def _index_cells(summary: Path) -> list[str]:
    with summary.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    best = [r for r in rows if r["mark"] == "best"]
    wins = "<br>".join(_index_win(row, rows) for row in best[:8]) + ("<br>..." if len(best) > 8 else "")
    recipes = len({labels.names(r["recipe"]) for r in rows} - {labels.BASELINE})
    settings = {(r["dataset"], r["model"], r["train_size"], r["fingerprint"]) for r in rows}
    return [str(len(settings)), str(recipes), str(sum(int(r["n"]) for r in rows)), wins]


def _index_win(row: Mapping[str, str], rows: Sequence[Mapping[str, str]]) -> str:
    place = labels.place(row["dataset"], row["model"], int(row["train_size"] or 0))
    keys = ("dataset", "model", "train_size", "fingerprint")
    tied = sum(other["mark"] == "tied" and all(other[k] == row[k] for k in keys) for other in rows)
    mean, low, high = (float(row[f"difference{end}"] or "nan") for end in ("", "_low", "_high"))
    gain = f", {number(mean, signed=True)} {span(Interval(mean, low, high, 0))}".rstrip() if math.isfinite(mean) else ""
    return (
        f"{markdown(place)}: {code(labels.short(row['recipe'], 60))} {float(row['test']):.2f} %{gain}"
        f"{f', ≈ {tied}' if tied else ''}"
    )
