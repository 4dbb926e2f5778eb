"""Reliability diagrams: accuracy by confidence."""

from __future__ import annotations

import math

import numpy as np

from bench.reporting.figures import svg
from bench.reporting.figures.figure import SMALL, Figure, each_table, panel_rows, row_panel
from bench.reporting.figures.svg import Frame, Panel
from bench.reporting.numbers import number
from bench.reporting.rows import Group, Row
from bench.reporting.statistics import Array

FEWEST = 10
"""Samples of a bin of confidence: below that its accuracy is chance."""


@each_table
def reliability(group: Group) -> Figure:
    """Accuracy against confidence on the test split."""
    rows, more = panel_rows(group)
    heading, stem = "Reliability: does 90 % sure mean 90 % right?", "reliability"
    base = next((row for row in group.baselines if _pooled(row) is not None), None)
    bins = [(row, _pooled(row)) for row in ([base, *rows] if base else rows)]
    shown = [(row, b) for row, b in bins if b is not None]
    if not shown:
        return Figure(stem, heading, "Left out: the records hold no reliability bins.")
    percent = svg.Axis("", 0, 104, tuple((v, str(v)) for v in (0, 25, 50, 75, 100)))
    frame = Frame(
        svg.Axis("confidence, %", 0, 104, percent.ticks), svg.Axis("accuracy, %", 0, 104, percent.ticks), **SMALL
    )
    reference = shown[0][1] if base else None
    panels = [_reliability_panel(frame, row, b, None if row is base else reference) for row, b in shown]
    caption = (
        "Test samples sorted by how sure the network is, in 15 bins: how often it is right against how sure it says it "
        "is. On the diagonal the two agree; below it the network is too sure, above it not sure enough. A dot's area is "
        "the bin's share of samples; the thin gray line is the baseline. Bins are pooled over seeds; those of fewer than "
        f"{FEWEST} samples are left out." + more
    )
    return Figure(stem, heading, caption, panels)


def _pooled(row: Row) -> Array | None:
    """(3, bins): counts, mean confidence and accuracy over all seeds."""
    found = [run.reliability for run in row.runs if run.reliability is not None]
    found = [f for f in found if f.shape == found[0].shape]
    if not found:
        return None
    stacked = np.stack(found)
    count = stacked[:, 0].sum(axis=0)
    weighted = (stacked[:, 0:1] * stacked[:, 1:]).sum(axis=0) / np.maximum(count, 1)
    return np.vstack([count, weighted])


def _reliability_panel(frame: Frame, row: Row, bins: Array, reference: Array | None) -> Panel:
    marks = [svg.line(frame.px(0), frame.py(0), frame.px(100), frame.py(100), "z")]
    if reference is not None:
        marks.append(svg.path(_bin_points(frame, reference), "l b cs"))
    points, shares = _bin_points(frame, bins), [c / bins[0].sum() for c in bins[0] if c >= FEWEST]
    marks.append(svg.path(points, "l c1"))
    marks += [svg.shape("circle", x, y, "m c1", 2 + 7 * math.sqrt(s)) for (x, y), s in zip(points, shares, strict=True)]
    return row_panel(frame, row, marks, f"ECE {number(row.measured('test', 'ece').mean, 3)}")


def _bin_points(frame: Frame, bins: Array) -> list[tuple[float, float]]:
    used = bins[0] >= FEWEST
    return frame.points([float(v) for v in 100 * bins[1][used]], [float(v) for v in 100 * bins[2][used]])
