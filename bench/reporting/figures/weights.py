"""Distributions of the weights."""

from __future__ import annotations

import math

import numpy as np

from bench.reporting import labels
from bench.reporting.figures import svg
from bench.reporting.figures.figure import MOST_PANELS, SMALL, Figure, each_table, finished, row_panel
from bench.reporting.figures.svg import Frame, Panel
from bench.reporting.numbers import number
from bench.reporting.rows import SPARSE, Group, Row
from bench.reporting.runs import Run


@each_table
def weights(group: Group) -> Figure:
    """Histograms of the weights of recipes that make some exactly zero, beside the baseline's."""
    heading, stem = "Weights: how many are exactly zero", "weights"
    data = (("recipe", "strength", "norm of all weights", "exactly zero, %"), list(map(_weight_row, finished(group))))
    sparse = [row for row in finished(group) if not row.is_baseline and row.is_sparse]
    sparse = [row for row in sparse if row.runs[0].histogram][:MOST_PANELS]
    if not sparse:
        return Figure(stem, heading, f"Left out: no recipe made {SPARSE} % of the weights exactly zero.", data=data)
    base = next((row for row in group.baselines if row.runs[0].histogram), None)
    rows = [base, *sparse] if base else sparse
    outlines = [_outline(row.runs[0]) for row in rows]
    x = svg.linear("weight", [v for xs, _ in outlines for v in (xs[0], xs[-1])], pad=0.0, count=4)
    y = svg.logarithmic("share of weights, % (log)", [v for _, ys in outlines for v in ys if v > 0], pad=0.03)
    frame = Frame(x, y, **SMALL)
    panels = [
        _weight_panel(frame, row, outline, outlines[0] if base else None)
        for row, outline in zip(rows, outlines, strict=True)
    ]
    caption = (
        "How the weights of the linear and convolutional layers are distributed (seed "
        f"{sparse[0].runs[0].seed}, logarithmic share in each of the bins); the thin gray outline is the baseline's. Weights that are exactly "
        "zero can be removed: their share stands in each title."
    )
    return Figure(stem, heading, caption, panels, data=data)


def _weight_row(row: Row) -> list[str]:
    norm = float(np.mean([run.weights.get("l2_norm", math.nan) for run in row.runs]))
    return [labels.names(row.recipe), labels.strengths(row.recipe), number(norm), number(row.zeros.mean)]


def _outline(run: Run) -> tuple[list[float], list[float]]:
    """Edges and heights of a histogram as the corners of a staircase."""
    limit, counts = run.histogram or (1.0, np.ones(1))
    edges = np.linspace(-limit, limit, len(counts) + 1)
    shares = 100 * counts / counts.sum()
    return [float(v) for v in np.repeat(edges, 2)[1:-1]], [float(v) for v in np.repeat(shares, 2)]


def _weight_panel(
    frame: Frame, row: Row, outline: tuple[list[float], list[float]], reference: tuple[list[float], list[float]] | None
) -> Panel:
    floor = frame.y.low
    placed = frame.points(outline[0], [max(v, floor) for v in outline[1]])
    bottom = [(placed[0][0], frame.py(floor)), (placed[-1][0], frame.py(floor))]
    marks = [svg.area(placed, bottom, "a c1"), svg.path(placed, "l c1")]
    if reference and not row.is_baseline:
        marks.insert(0, svg.path(frame.points(reference[0], [max(v, floor) for v in reference[1]]), "l b cs"))
    return row_panel(frame, row, marks, f"{number(row.zeros.mean, 1)} % zero")
