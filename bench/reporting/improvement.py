"""P(better): how often a run with a recipe beats the baseline's run of the same seed, with its interval."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bench.reporting.statistics import LEVEL, Interval


def improvement_interval(differences: ArrayLike, level: float = LEVEL) -> Interval:
    """The share of (n,) paired differences above 0, ties counting one half, with Wilson's score interval.

    The probability of improvement of Bouthillier et al. 2021 (Accounting for Variance in Machine Learning Benchmarks),
    over pairs of one seed. Wilson 1927, Probable Inference: all p0 whose score test |p - p0| <= z sqrt(p0 (1 - p0) / n)
    keeps. A bootstrap would give no interval at all where every pair was won. A tie varies less than a coin's throw, so
    that with ties the interval is a little too wide. NaN values are left out; without any, all is NaN.
    """
    d = np.asarray(differences, dtype=np.float64)
    d = d[np.isfinite(d)]
    n = len(d)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    share = float(((d > 0) + 0.5 * (d == 0)).mean())
    z2 = float(stats.norm.ppf((1 + level) / 2)) ** 2
    center = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return Interval(share, max(0.0, center - half), min(1.0, center + half), n)
