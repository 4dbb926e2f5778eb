"""Train/validation gap against test accuracy."""

from __future__ import annotations

import math

from bench.reporting import labels
from bench.reporting.figures import svg
from bench.reporting.figures.figure import (
    MOST_LABELS,
    WIDE,
    Figure,
    each_table,
    family_legend,
    family_style,
    finished,
    recipe_mark,
)
from bench.reporting.figures.svg import Frame, Panel
from bench.reporting.numbers import plus_minus
from bench.reporting.rows import Group, Row
from bench.reporting.statistics import Interval


@each_table
def gap(group: Group) -> Figure:
    """Gap against test accuracy: a point a recipe."""
    rows = finished(group)
    heading, stem = "Gap against test accuracy", "gap"
    if len(rows) < 2:
        return Figure(stem, heading, "Left out: it takes at least two recipes with a finished run.")
    kinds = (("gap, accuracy points", [row.gap for row in rows]), ("gap, nats of loss", [row.gap_loss for row in rows]))
    panels = [_scatter(name, rows, intervals) for name, intervals in kinds]
    caption = (
        "Left is a smaller gap between training and validation data, up is better on test data. A recipe up and to the "
        "left of the baseline generalizes better; one that only moves left has closed the gap by fitting the training "
        "data worse. Bars are 95 % t intervals of the mean; one that meets the frame goes on beyond it."
    )
    return Figure(stem, heading, caption, panels, family_legend(rows), 2)


def _scatter(name: str, rows: list[Row], xs: list[Interval]) -> Panel:
    shown = [(row, x) for row, x in zip(rows, xs, strict=True) if math.isfinite(x.mean)]
    x = svg.linear(f"{name}, training to validation", [v for _, i in shown for v in (i.mean, i.mean)], pad=0.12)
    y = svg.linear("test accuracy, %", [row.test.mean for row, _ in shown], pad=0.12)
    frame = Frame(x, y, **WIDE)
    marks, taken = [], []
    for row, interval in sorted(shown, key=lambda p: (p[0].is_baseline, p[0].test.mean)):  # the last is on top
        color, kind, _ = family_style(row.family)
        px, py = frame.px(interval.mean), frame.py(row.test.mean)
        bars = _bar(frame, interval, row.test, color)
        words = f"gap {plus_minus(interval, 3)}, test accuracy {plus_minus(row.test)} %"
        marks.append(recipe_mark(row, bars + svg.shape(kind, px, py, f"m {color}", 5), words))
        taken.append((px - 6, py - 6, px + 6, py + 6))
    named = [row for row, _ in shown if row.is_baseline or row.mark][:MOST_LABELS]
    for row, interval in sorted(shown, key=lambda p: not p[0].is_baseline):  # which must be found
        if row in named or row.is_baseline:
            marks.append(_label(row, frame.px(interval.mean), frame.py(row.test.mean), frame, taken))
    return frame.panel("", marks)


def _bar(frame: Frame, x: Interval, y: Interval, color: str) -> str:
    """Interval bars, cut at the frame."""
    left, right, top, bottom = frame.left, frame.width - frame.right, frame.top, frame.height - frame.bottom
    px, py, parts = frame.px(x.mean), frame.py(y.mean), ""
    if math.isfinite(x.low):
        parts += svg.line(max(left, frame.px(x.low)), py, min(right, frame.px(x.high)), py, f"w e {color}")
    if math.isfinite(y.low):
        parts += svg.line(px, min(bottom, frame.py(y.low)), px, max(top, frame.py(y.high)), f"w e {color}")
    return f'<g opacity=".38">{parts}</g>'


def _label(row: Row, x: float, y: float, frame: Frame, taken: list[tuple[float, float, float, float]]) -> str:
    """The recipe's name beside its point, where it overlaps nothing; else left out, but for the baseline's."""
    words = labels.short(row.recipe, 26)
    wide = svg.text_width(words, 10)
    places = ((x + 9, y + 3.5), (x - 9 - wide, y + 3.5), (x - wide / 2, y - 9), (x - wide / 2, y + 16))
    for left, base in places:
        box = (left, base - 9, left + wide, base + 2)
        inside = (
            box[0] > frame.left and box[2] < frame.width - 2 and box[1] > 2 and box[3] < frame.height - frame.bottom
        )
        if inside and not any(_overlap(box, other) for other in taken):
            taken.append(box)
            return recipe_mark(row, svg.text(left, base, words, "h halo"), plus_minus(row.test))
    return recipe_mark(row, svg.text(x + 9, y + 3.5, words, "h halo"), plus_minus(row.test)) if row.is_baseline else ""


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
