"""Loss and accuracy over the epochs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.reporting.figures import svg
from bench.reporting.figures.figure import SMALL, Figure, each_table, panel_rows, row_panel
from bench.reporting.figures.svg import Frame, Panel
from bench.reporting.rows import Group, Row
from bench.reporting.runs import CURVES, Run
from bench.reporting.statistics import Array

MOST_POINTS = 120
"""Points of a drawn curve."""
MOST_EPOCHS = 2_000
"""Epochs at which curves are averaged."""


@dataclass(frozen=True)
class Means:
    """Curves averaged over runs."""

    epochs: Array
    """(points,): each epoch, or of very long runs every k-th."""
    values: Array
    """(points, 4): at those epochs, a column for each of CURVES."""


def mean_curves(runs: Sequence[Run]) -> Means:
    """The mean over runs, as far as at least half of them go on."""
    last = int(max((run.epochs[-1] for run in runs if len(run.epochs)), default=0))
    epochs = np.arange(1, last + 1, math.ceil(last / MOST_EPOCHS) or 1, dtype=np.float64)
    stacked = np.full((len(runs), len(epochs), len(CURVES)), np.nan)
    for i, run in enumerate(runs):
        values = _at(run, epochs)
        stacked[i, : len(values)] = values
    enough = np.isfinite(stacked).sum(axis=0) * 2 >= max(len(runs), 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is NaN, as meant
        return Means(epochs, np.where(enough, np.nanmean(stacked, axis=0), np.nan))


def _at(run: Run, epochs: Array) -> Array:
    """A run's curves at those of the epochs that it reached, on lines between the epochs that its record tells of."""
    reached = epochs[: np.searchsorted(epochs, run.epochs[-1], side="right")] if len(run.epochs) else epochs[:0]
    if np.array_equal(reached, run.epochs):
        return run.history
    return np.stack([np.interp(reached, run.epochs, column) for column in run.history.T], axis=1)


@each_table
def curves(group: Group) -> Figure:
    """Loss by epoch on the train probe and on validation, against the baseline's."""
    rows, more = panel_rows(group)
    base = group.baselines[0] if group.baselines else None
    rows = [base, *rows] if base else rows
    means = [mean_curves(row.runs) for row in rows]
    heading, stem = "Learning curves", "curves"
    losses = [float(v) for m in means for v in m.values[:, :2].flatten() if v > 0 and math.isfinite(v)]
    if not losses:
        return Figure(stem, heading, "Left out: the records hold no history of epochs.")
    x = svg.linear("epoch", [1, int(max(m.epochs[-1] for m in means if len(m.epochs)))], pad=0.02, count=4)
    y = svg.logarithmic("loss, nats", [max(v, 1e-4) for v in losses], pad=0.03)
    frame = Frame(x, y, **SMALL)
    reference = means[0] if base else None
    panels = [
        _curve_panel(frame, row, m, None if row is base else reference) for row, m in zip(rows, means, strict=True)
    ]
    caption = (
        "Loss after each epoch, in evaluation mode and on clean data: on the train probe (dashed, a fixed part of the "
        "training data as large as the validation split) and on validation data (solid). The shaded area between them "
        "is the gap; thin gray lines are the baseline's. Means over seeds; the axes are shared." + more
    )
    legend = [
        (svg.key_line("l c1"), "validation"),
        (svg.key_line("l c1", "4 3"), "train probe"),
        *(
            [(svg.key_line("l b cs"), "validation, baseline"), (svg.key_line("l b cs", "1 3"), "train probe, baseline")]
            if base
            else []
        ),
    ]
    return Figure(stem, heading, caption, panels, legend)


def _curve_panel(frame: Frame, row: Row, means: Means, reference: Means | None) -> Panel:
    marks = []
    if reference is not None:
        marks += [svg.path(_curve(frame, reference, i), "l b cs", dash) for i, dash in ((0, "1 3"), (1, ""))]
    train, val = _curve(frame, means, 0), _curve(frame, means, 1)
    marks += [svg.area(val, train, "a c1"), svg.path(train, "l c1", "4 3"), svg.path(val, "l c1")]
    return row_panel(frame, row, marks)


def _curve(frame: Frame, means: Means, column: int) -> list[tuple[float, float]]:
    step = max(1, math.ceil(len(means.epochs) / MOST_POINTS))
    ys = [float(v) for v in means.values[::step, column]]
    low, high = frame.y.low, frame.y.high
    xs = [int(v) for v in means.epochs[::step]]
    return frame.points(xs, [min(max(v, low), high) if v == v else v for v in ys])
