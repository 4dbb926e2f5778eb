"""Error over the number of training samples."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence

from bench.reporting import labels
from bench.reporting.figures import svg
from bench.reporting.figures.figure import Figure, family_legend, family_style, finished, recipe_mark
from bench.reporting.figures.svg import Frame
from bench.reporting.model import Report
from bench.reporting.numbers import plus_minus
from bench.reporting.rows import Group, Row


def sizes(report: Report) -> list[Figure]:
    """Test accuracy against the number of training samples, a figure for each dataset and network with several."""
    parts: dict[tuple[str, str], list[Group]] = defaultdict(list)
    for group in report.groups:
        if group.split_from == 1:
            parts[group.setting.dataset, group.setting.model].append(group)
    lines = {key: several for key, several in sorted(parts.items()) if len(several) > 1}
    found = [
        _sizes(*key, several, stem) for (key, several), stem in zip(lines.items(), labels.slugs(lines), strict=True)
    ]
    reason = "Left out: every dataset and network stands at one train size."
    return found or [Figure("sizes", "Test accuracy against train size", reason)]


def _sizes(dataset: str, model: str, groups: list[Group], stem: str) -> Figure:
    lines: dict[str, list[tuple[float, Row]]] = defaultdict(list)
    for group in groups:
        count = float(group.samples.get("train") or group.setting.train_size)
        rows = finished(group)
        names = [labels.names(row.recipe) for row in rows]
        for row in rows:
            name = labels.names(row.recipe)
            lines[name if names.count(name) == 1 else row.label()].append((count, row))
    shown = {k: sorted(v, key=lambda p: p[0]) for k, v in sorted(lines.items()) if len(v) > 1}
    if not shown:
        return Figure(
            f"sizes-{stem}",
            "Test accuracy against train size",
            "Left out: no recipe was trained at two sizes.",
        )
    counts = sorted({n for v in shown.values() for n, _ in v})
    x = svg.at_values("training samples (log)", counts, log=True, names=[f"{n:,.0f}" for n in counts])
    y = _error_axis([row.test.mean for v in shown.values() for _, row in v])
    frame = Frame(x, y, width=560, height=340, right=150)
    marks = []
    for _, points in sorted(shown.items(), key=lambda item: item[1][0][1].is_baseline):
        row = points[0][1]
        color, kind, dash = family_style(row.family)
        placed = frame.points([n for n, _ in points], [_log_error(r.test.mean) for _, r in points])
        dots = "".join(svg.shape(kind, px, py, f"m {color}", 3.5) for px, py in placed)
        words = "; ".join(f"{n:,.0f}: {plus_minus(r.test)} %" for n, r in points)
        marks.append(recipe_mark(row, svg.path(placed, f"l {color}", dash) + dots, words))
    ends = sorted(((name, v[-1][1]) for name, v in shown.items()), key=lambda end: -end[1].test.mean)
    marks += _names_at_the_right(frame, ends)
    caption = (
        "Test accuracy (mean over seeds) by the number of training samples, on an axis on which each halving of the error is "
        "one step. Regularization usually matters most on the left; lines that meet on the right say that data does the same "
        "work."
    )
    rows = [points[0][1] for points in shown.values()]
    heading = f"Test accuracy against train size: {labels.visible(dataset, 40)}, {labels.visible(model, 40)}"
    return Figure(f"sizes-{stem}", heading, caption, [frame.panel("", marks)], family_legend(rows), 1)


def _log_error(accuracy: float) -> float:
    """Percent; 100 counts as 99.99."""
    return -math.log10(max(100 - accuracy, 0.01))


ERRORS = [m * 10.0**e for e in (1, 0, -1, -2) for m in (7, 5, 3, 2, 1.5, 1)]


def _error_axis(accuracies: Sequence[float]) -> svg.Axis:
    """Accuracies in percent, placed by the logarithm of the error."""
    ends = [_log_error(v) for v in accuracies]
    pad = 0.06 * (max(ends) - min(ends) or 1)
    low, high = min(ends) - pad, max(ends) + pad
    ticks = [(_log_error(100 - e), f"{100 - e:g}") for e in ERRORS if low <= _log_error(100 - e) <= high]
    return svg.Axis("test accuracy, %", low, high, tuple(ticks))


def _names_at_the_right(frame: Frame, ends: Sequence[tuple[str, Row]]) -> list[str]:
    """Names beside the ends of lines, the best first, as many as there is room for, each with a leader to its line."""
    step, top, bottom = 12.0, frame.top, frame.height - frame.bottom
    ends = ends[: int((bottom - top) / step) + 1]
    ys = [frame.py(_log_error(row.test.mean)) for _, row in ends]
    places = list(itertools.accumulate(ys, lambda last, y: max(y, last + step)))
    limit = bottom
    for i in reversed(range(len(places))):  # what was pushed out at the bottom pushes the others up
        limit = places[i] = min(places[i], limit)
        limit -= step
    right = frame.width - frame.right
    return [
        recipe_mark(
            row,
            svg.line(right + 2, y, right + 20, at, "g") + svg.text(right + 24, at + 3.5, labels.visible(name, 22), "h"),
            plus_minus(row.test),
        )
        for (name, row), y, at in zip(ends, ys, places, strict=True)
    ]
