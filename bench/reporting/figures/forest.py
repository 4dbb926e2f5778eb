"""Differences to the baseline with their intervals: a forest plot."""

from __future__ import annotations

import math
from typing import Any

from bench.reporting.figures import svg
from bench.reporting.figures.figure import Figure, each_table, family_legend, family_style, recipe_mark
from bench.reporting.figures.svg import Frame
from bench.reporting.numbers import number, span
from bench.reporting.rows import Group, Row


def forest_axis(group: Group) -> svg.Axis:
    """The axis that every row's difference to the baseline shares."""
    compared = [row.comparison.difference for row in group.rows if row.comparison]
    ends = [v for i in compared for v in (i.low, i.high, i.mean)]
    return svg.linear("difference in test accuracy, percentage points", [0.0, *ends], signed=True)


def forest_marks(row: Row, x: Any, y: float) -> str:
    """A difference and its interval, filled where it is significant; `x` places a value."""
    c = row.comparison
    if c is None:
        return svg.shape("diamond", x(0), y, "m c0", 4) if row.is_baseline and row.n else ""
    color, kind, _ = family_style(row.family)
    low, high = c.difference.low, c.difference.high
    bar = "" if not math.isfinite(low) else svg.line(x(low), y, x(high), y, f"w {color}")
    return bar + svg.shape(kind, x(c.difference.mean), y, f"{'m' if c.significant else 'o'} {color}", 4)


@each_table
def forest(group: Group) -> Figure:
    """Differences to the baseline with their intervals, one line a recipe."""
    rows = [row for row in group.rows if row.comparison or (row.is_baseline and row.n)]
    heading, stem = "Difference to the baseline", "forest"
    if not group.comparisons:
        return Figure(
            stem, heading, "Left out: no recipe shares a seed with a baseline of the same setting.", in_table=True
        )
    height = 21.0 * len(rows) + 74
    y = svg.Axis("", 0, len(rows), ())
    frame = Frame(forest_axis(group), y, width=760, height=height, left=250, right=170, top=26, bottom=48)
    marks = [svg.line(frame.px(v), 26, frame.px(v), height - 48, "g") for v, _ in frame.x.ticks]
    marks.append(svg.line(frame.px(0), 26, frame.px(0), height - 48, "z"))
    for i, row in enumerate(rows):
        at = 26 + 21 * (i + 0.5)
        values = _difference_words(row)
        body = svg.text(240, at + 4, row.label(), "", "end") + svg.text(600, at + 4, values, "s")
        marks.append(recipe_mark(row, body + forest_marks(row, frame.px, at), values))
    panel = frame.panel(group.title, marks)
    caption = (
        "Each line is a recipe: the marker is the mean difference in test accuracy to the baseline of the same seeds, "
        "the bar its 95 % t interval. Right of the dashed line is better. A filled marker is significant after Holm's "
        "correction; a hollow one is not, or cannot be at this number of seeds."
    )
    return Figure(stem, heading, caption, [panel], family_legend(rows), 1, in_table=True)


def _difference_words(row: Row) -> str:
    c = row.comparison
    return f"{number(c.difference.mean, signed=True)} {span(c.difference)}".strip() if c else "baseline"
