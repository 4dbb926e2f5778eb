"""Average ranks of recipes over datasets, and how far apart they must be to mean anything."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bench.reporting.statistics import ALPHA, LEVEL, RESAMPLES, Array

ENOUGH_DATASETS = 4
"""Ranks over fewer are not computed: with three datasets, one of which turns, every order is possible."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """Ranks of m recipes, 1 is best; arrays have shape (m,)."""

    mean: Array
    low: Array
    high: Array
    """Percentile bootstrap over datasets: how the mean rank changes with the choice of datasets."""
    critical_difference: float
    """Nemenyi's: mean ranks that differ by less cannot be told apart, with a family-wise error of alpha."""
    p: float
    """Friedman's test that all recipes are alike; where it is above alpha, no difference of ranks counts."""
    datasets: int


def ranks(scores: ArrayLike, alpha: float = ALPHA, level: float = LEVEL) -> Ranks:
    """Mean ranks with Friedman's test, Nemenyi's critical difference and bootstrap intervals.

    Demsar 2006, Statistical Comparisons of Classifiers over Multiple Data Sets. Ties share their mean rank.

    Args:
        scores: (datasets, m), larger is better, complete.
        alpha: of the critical difference.
        level: of the bootstrap intervals (RESAMPLES resamples of whole datasets, fixed seed).

    Raises:
        ValueError: fewer than ENOUGH_DATASETS datasets, fewer than two recipes, or a missing value.
    """
    x = np.asarray(scores, dtype=np.float64)
    if x.ndim != 2 or len(x) < ENOUGH_DATASETS or x.shape[1] < 2:
        raise ValueError(f"shape {x.shape}: ranks need {ENOUGH_DATASETS} or more datasets and two or more recipes")
    if not np.isfinite(x).all():
        raise ValueError("ranks need a score of every recipe on every dataset")
    table = stats.rankdata(-x, axis=1)
    weights = np.random.default_rng(0).multinomial(len(x), np.full(len(x), 1 / len(x)), RESAMPLES) / len(x)
    low, high = np.quantile(weights @ table, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Ranks(table.mean(0), low, high, critical_difference(len(x), x.shape[1], alpha), friedman(table), len(x))


def critical_difference(datasets: int, recipes: int, alpha: float = ALPHA) -> float:
    """Nemenyi's critical difference of mean ranks: q / sqrt(2) sqrt(k (k + 1) / (6 N)), q the studentized range's."""
    q = float(stats.studentized_range.isf(alpha, recipes, math.inf))
    return q / math.sqrt(2) * math.sqrt(recipes * (recipes + 1) / (6 * datasets))


def friedman(table: Array) -> float:
    """p of Friedman's chi-square test, corrected for ties, of (datasets, m) ranks within datasets; 1 if all are tied."""
    n, k = table.shape
    between = n * float(((table.mean(0) - (k + 1) / 2) ** 2).sum())
    within = float(((table - (k + 1) / 2) ** 2).sum()) / (n * (k - 1))
    return float(stats.chi2.sf(between / within, k - 1)) if within > 0 else 1.0
