"""Which figures a report has, in order. To add one, write its file and put its function into FIGURES."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.reporting.figures.bias_variance import bias_variance
from bench.reporting.figures.curves import curves
from bench.reporting.figures.figure import Figure
from bench.reporting.figures.forest import forest
from bench.reporting.figures.gap import gap
from bench.reporting.figures.pairs import pairs
from bench.reporting.figures.reliability import reliability
from bench.reporting.figures.sizes import sizes
from bench.reporting.figures.strength import strength
from bench.reporting.figures.weights import weights
from bench.reporting.model import Report

Draw = Callable[[Report], list[Figure]]

FIGURES: Sequence[Draw] = (forest, gap, curves, reliability, weights, pairs, strength, bias_variance, sizes)


def draw(report: Report) -> list[Figure]:
    """All figures of a report; a figure that cannot be drawn from its records says why."""
    return [figure for each in FIGURES for figure in each(report)]
