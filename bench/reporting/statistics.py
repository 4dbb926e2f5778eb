"""The statistics of the report: paired by seed, for few seeds, with the source of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special  # scipy.stats takes three times as long to import

Array = NDArray[np.float64]

ALPHA = 0.05
LEVEL = 0.95
EXACT_LIMIT = 30
"""Up to that many pairs the sign-flip distribution is exact: two halves of 2^15 sums each are enough to count it."""
DRAWS = 9_999
"""Random sign patterns beyond that; the smallest p is then 1 / 10,000."""
BLOCK = 500
"""Patterns drawn at a time: all at once would take 400 MB at 5,000 pairs."""
RESAMPLES = 2_000
"""Bootstrap resamples: the ends of a 95 % interval then rest on 50 of them."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its interval. With one value the ends are NaN, with none the mean is too."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def half(self) -> float:
        """Half the width; meant for intervals that lie evenly about their mean."""
        return (self.high - self.low) / 2


def t_interval(values: Sequence[float] | Array, level: float = LEVEL) -> Interval:
    """Student's t interval of a mean: mean ± t * sd / sqrt(n), sd with ddof=1.

    At n = 5 it covers 93 to 95 %; the percentile bootstrap 82 %.
    """
    x = np.asarray(values, dtype=np.float64)
    n = len(x)
    if n < 2:
        return Interval(float(x[0]) if n else math.nan, math.nan, math.nan, n)
    mean, half = float(x.mean()), _t_quantile(n - 1, level) * standard_deviation(x) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def standard_deviation(values: Sequence[float] | Array) -> float:
    """With ddof=1. Exactly 0 for equal values, whose computed mean may differ from them in the last bit."""
    x = np.asarray(values, dtype=np.float64)
    return 0.0 if len(x) and bool((x == x[0]).all()) else float(x.std(ddof=1))


@lru_cache
def _t_quantile(df: int, level: float) -> float:
    return float(special.stdtrit(df, (1 + level) / 2))


def paired_t(differences: Sequence[float] | Array) -> float:
    """Two-sided p of Student's paired t test: 1 where nothing differs, NaN below 2 pairs.

    Where all differ alike there is no spread to judge by: that of a few seeds which all gain one test sample says
    little. p is then the sign-flip test's.
    """
    d = np.asarray(differences, dtype=np.float64)
    if len(d) < 2:
        return math.nan
    sd, mean = standard_deviation(d), float(d.mean())
    if sd == 0:
        return 1.0 if mean == 0 else smallest_p(len(d))
    return float(2 * special.stdtr(len(d) - 1, -abs(mean) / sd * math.sqrt(len(d))))


def sign_flip(differences: Sequence[float] | Array) -> float:
    """Two-sided p of the sign-flip permutation test on paired differences (Fisher 1935, The Design of Experiments).

    If the recipe changes nothing, each pair's difference could as well have had the other sign. p is the share of all
    2^n sign patterns whose sum is at least as far from 0 as the observed one. Exact up to EXACT_LIMIT pairs; beyond,
    DRAWS random patterns with a fixed seed, the observed one counted among them (Phipson and Smyth 2010).
    """
    d = np.asarray(differences, dtype=np.float64)
    if len(d) == 0:
        return math.nan
    # Sums that are equal on paper may differ in the last bits.
    limit = abs(float(d.sum())) - 1e-10 * float(np.abs(d).sum())
    if len(d) <= EXACT_LIMIT:
        return float(_as_extreme(d, limit) / 2 ** len(d))
    return (1 + _drawn_as_extreme(d, limit)) / (DRAWS + 1)


def _as_extreme(d: Array, limit: float) -> int:
    """How many sign patterns have |sum| >= limit, from the sorted sums of either half."""
    if limit <= 0:
        return int(2 ** len(d))
    left, right = _all_sums(d[: len(d) // 2]), np.sort(_all_sums(d[len(d) // 2 :]))
    above = len(right) - np.searchsorted(right, limit - left, side="left")
    below = np.searchsorted(right, -limit - left, side="right")
    return int(above.sum() + below.sum())


def _all_sums(d: Array) -> Array:
    sums = np.zeros(1)
    for value in d:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _drawn_as_extreme(d: Array, limit: float) -> int:
    """How many of DRAWS random sign patterns have |sum| >= limit."""
    generator, found = np.random.default_rng(0), 0
    for start in range(0, DRAWS, BLOCK):
        patterns = generator.integers(0, 256, (min(BLOCK, DRAWS - start), (len(d) + 7) // 8), dtype=np.uint8)
        positive = np.unpackbits(patterns, axis=1, count=len(d)) @ d
        found += int((np.abs(2 * positive - d.sum()) >= limit).sum())
    return found


def smallest_p(n: int) -> float:
    """The smallest two-sided p that a sign-flip test of n pairs can give: 2 / 2^n."""
    return 2.0 ** (1 - n) if n <= EXACT_LIMIT else 1 / (DRAWS + 1)


def seeds_needed(comparisons: int, alpha: float = ALPHA) -> int:
    """The fewest pairs at which `comparisons` sign-flip tests can be decided at all after Holm's correction."""
    return 1 + math.ceil(math.log2(max(comparisons, 1) / alpha) - 1e-12)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Holm 1979); NaN stays NaN and does not count as a comparison."""
    order = sorted((i for i, value in enumerate(p) if not math.isnan(value)), key=lambda i: p[i])
    adjusted, running = [math.nan] * len(p), 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * p[i]))
        adjusted[i] = running
    return adjusted


def improvement(differences: Sequence[float] | Array) -> float:
    """Probability of improvement: the share of pairs in which the recipe is better, ties counting one half.

    P(A > B) over paired runs, as in Bouthillier et al. 2021, Accounting for Variance in Machine Learning Benchmarks.
    """
    d = np.asarray(differences, dtype=np.float64)
    return float(((d > 0) + 0.5 * (d == 0)).mean()) if len(d) else math.nan


def detectable(differences: Sequence[float] | Array, alpha: float = ALPHA, power: float = 0.8) -> float:
    """The smallest true difference that this many pairs would have found with that power, given their spread.

    Of the two-sided paired t test (Cohen 1988), without correction for the number of recipes. NaN below 2 pairs.
    """
    n = len(differences)
    return math.nan if n < 2 else standard_deviation(differences) * effect_size(n, alpha, power)


@lru_cache
def effect_size(n: int, alpha: float = ALPHA, power: float = 0.8) -> float:
    """The smallest mean difference, in standard deviations of the differences, that n pairs find with that power."""
    df = n - 1
    critical = -float(special.stdtrit(df, alpha / 2))

    def missed(noncentrality: float) -> float:
        return float(special.nctdtr(df, noncentrality, critical)) - (1 - power)

    # SciPy's inverse is right to seven digits; a step of the secant method makes it right to twelve. The other tail, a
    # significant result of the wrong sign, adds less than 1e-5 at any power worth having.
    near = float(special.nctdtrinc(df, 1 - power, critical))
    step = 1e-5 * near
    slope = (missed(near + step) - missed(near - step)) / (2 * step)
    return (near - missed(near) / slope) / math.sqrt(n)


def interquartile_mean(values: Sequence[float] | Array) -> float:
    """Mean of the middle half: outliers on either side do not count, unlike in a mean, and half the data do, unlike in
    a median (Agarwal et al. 2021, Deep Reinforcement Learning at the Edge of the Statistical Precipice)."""
    from scipy import stats

    return float(stats.trim_mean(np.asarray(values, dtype=np.float64), 0.25))


def stratified_interval(strata: Sequence[Sequence[float] | Array], level: float = LEVEL) -> Interval:
    """Interquartile mean over datasets with its stratified bootstrap interval: runs are resampled within each dataset.

    Percentile intervals of RESAMPLES resamples with a fixed seed (Agarwal et al. 2021), which cover less than `level`
    where a dataset has few values, and are NaN where one has a single value. n is the number of values.
    """
    from scipy import stats

    generator = np.random.default_rng(0)
    parts = [np.asarray(s, dtype=np.float64) for s in strata]
    drawn = [part[generator.integers(0, len(part), (RESAMPLES, len(part)))] for part in parts]
    means = stats.trim_mean(np.concatenate(drawn, axis=1), 0.25, axis=1)
    spread = all(len(part) > 1 for part in parts)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2]) if spread else (math.nan, math.nan)
    pooled = np.concatenate(parts)
    return Interval(interquartile_mean(pooled), float(low), float(high), len(pooled))
