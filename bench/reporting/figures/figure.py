"""What a figure is, and what several of them share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps

from bench.reporting import labels
from bench.reporting.figures import svg
from bench.reporting.figures.svg import Frame, Panel
from bench.reporting.model import Report
from bench.reporting.rows import Group, Row

MOST_PANELS = 24
"""Small multiples beyond that many are left out: nobody reads them."""
MOST_LABELS = 8
SMALL = {"width": 250.0, "height": 204.0, "top": 42.0}
WIDE = {"width": 430.0, "height": 300.0}


@dataclass(frozen=True)
class Figure:
    """A heading, how to read it, and its panels; without panels the caption says why there are none."""

    stem: str
    """The file's name in figures/."""
    heading: str
    caption: str
    panels: list[Panel] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)
    """(sample, words)."""
    columns: int = 4
    data: tuple[Sequence[str], Sequence[Sequence[str]]] = ((), ())
    """The numbers that were drawn, to be read: headings and rows."""
    table: str = ""
    """The stem of the table that it belongs to; empty for a figure across tables."""
    in_table: bool = False
    """Whether the page draws the same in the table's own rows."""

    @property
    def is_wide(self) -> bool:
        """Whether a panel is too wide to stand beside others."""
        return any(panel.width > 500 for panel in self.panels)

    def file(self) -> str:
        """The figure as a file of its own."""
        return svg.standalone(self.panels, self.columns, self.legend, self.heading)


def each_table(draw: Callable[[Group], Figure]) -> Callable[[Report], list[Figure]]:
    """Make the function that draws one table's figure into one that draws it for every table of a report."""

    @wraps(draw)
    def draw_all(report: Report) -> list[Figure]:
        drawn = [(group.stem, draw(group)) for group in report.groups]
        return [replace(figure, stem=f"{figure.stem}-{stem}", table=stem) for stem, figure in drawn]

    return draw_all


def key_of(recipe: str) -> str:
    """The short name by which the page's script finds a recipe in every figure."""
    return "r" + labels.digest(recipe)


def family_style(family: str) -> tuple[str, str, str]:
    """A family's color class, shape and dash, the same in every report."""
    known = labels.families()
    i = known.index(family) if family in known else len(known) - 1
    if i == 0:
        return "c0", svg.SHAPES[0], svg.DASHES[2]
    color = 1 + (i - 1) % svg.COLORS
    return f"c{color}", svg.SHAPES[i % len(svg.SHAPES)], svg.DASHES[(i - 1) % len(svg.DASHES)]


def family_legend(rows: Iterable[Row]) -> list[tuple[str, str]]:
    present = {row.family for row in rows}
    return [
        (svg.key_shape(family_style(f)[1], f"m {family_style(f)[0]}"), f) for f in labels.families() if f in present
    ]


def recipe_mark(row: Row, body: str, words: str) -> str:
    return svg.mark(body, f"{row.label()}: {words}", key_of(row.recipe), row.family)


def finished(group: Group) -> list[Row]:
    return [row for row in group.rows if row.n and math.isfinite(row.test.mean)]


def row_panel(frame: Frame, row: Row, marks: Sequence[str], measured: str = "") -> Panel:
    """A small panel of one recipe: its name, and below it its strengths and what was measured."""
    note = "; ".join(filter(None, [labels.visible(row.note, 34 - len(measured)), measured]))
    name = labels.short(labels.names(row.recipe).replace(" ", ""), 26)
    return frame.panel(name, [svg.text(frame.left, 30, note, "s h"), *marks], key_of(row.recipe), row.family)


def panel_rows(group: Group) -> tuple[list[Row], str]:
    """The rows that get a panel, and a sentence on those that do not."""
    rows = [row for row in finished(group) if not row.is_baseline]
    more = (
        f" Shown are the {MOST_PANELS} recipes of highest test accuracy, of {len(rows)}."
        if len(rows) > MOST_PANELS
        else ""
    )
    return rows[:MOST_PANELS], more


def strength_axis(name: str, parameter: str, values: Sequence[float]) -> svg.Axis:
    """Stronger regularization to the right, whichever way the parameter runs."""
    technique = labels.Term(name).technique
    grid = [v for v in (technique.grid if technique else ()) if isinstance(v, (int, float))]
    flip = len(grid) > 1 and grid[0] > grid[-1]
    ordered = sorted(set(values))
    if spans_decades(ordered):
        names = [f"{v:g}" for v in ordered]
        return svg.at_values(f"{parameter} (stronger →)", logarithmic_places(ordered), log=True, flip=flip, names=names)
    axis = svg.at_values(f"{parameter} (stronger →)", ordered, log=False)
    return svg.Axis(axis.label, axis.low, axis.high, axis.ticks, flip=flip)


def spans_decades(values: Sequence[float]) -> bool:
    """Whether values, apart from 0, want a logarithmic axis."""
    positive = [v for v in values if v > 0]
    return min(values) >= 0 and len(positive) > 1 and max(positive) / min(positive) > 8


def logarithmic_places(values: Sequence[float]) -> list[float]:
    """Where values stand on a logarithmic axis: 0 as far left of the smallest as that is of the next."""
    low, second = sorted(v for v in values if v > 0)[:2]
    return [v or low * low / second for v in values]
