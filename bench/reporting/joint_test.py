"""One test for all recipes of a table: sign flips drawn jointly, the maximum taken, p-values and intervals adjusted.

Each seed trained every recipe and the baseline, so each seed gives one row of paired differences. If no recipe changes
anything, a seed's whole row could as well have had the other signs. Flipping the rows in all ways gives the
distribution of the largest studentized difference (Fisher 1935, The Design of Experiments; Westfall and Young 1993,
Resampling-Based Multiple Testing; Nichols and Holmes 2002, Nonparametric Permutation Tests for Functional
Neuroimaging). What a recipe shows beyond that is more than the best of m recipes without effect would show.

The statistic is z = |sum d| / sqrt(sum d^2). Flips leave the sum of squares as it is, so z is cheap and of one scale for
all recipes. It grows with Student's t = z sqrt(n - 1) / sqrt(n - z^2), so with n seeds for every recipe both give the
same p-values. Special cases follow from it:

- All differences 0: z = 0 and p = 1.
- All differences equal and not 0: t is infinite, but z is sqrt(n), which only the observed signs and their opposite
  reach. The recipe is as significant as n seeds allow, p = 2 / 2^n, and no more; no other recipe suffers from it.
- A seed that a recipe lacks (NaN) counts as a difference of 0 in z: never in the recipe's favor. A recipe with k seeds
  has z <= sqrt(k) and p >= 2 / 2^k.

The test is exact for one recipe, because a run and the baseline's are exchangeable if the recipe changes nothing. For
several it also needs noise that is symmetric about its mean, as the differences share their baseline.
Strongly skewed noise hardly matters: see results/statistics/power.txt.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.reporting.statistics import ALPHA, Array

EXACT_SEEDS = 20
"""Up to that many seeds every sign pattern is counted: 2^19, since a pattern and its opposite give the same z."""
EXACT_VALUES = 2**26
"""Patterns times columns that are counted; beyond, patterns are drawn. 61 recipes and 20 seeds need half of it."""
DRAWS = 19_999
"""Random patterns beyond that: a p-value near 0.05 has a standard error of 0.0015, and none is below 1 / 20,000."""
BLOCK = 2**17
"""Statistics computed at a time: 1 MB stays in a processor's cache."""
TOLERANCE = 1e-9
"""Values of z that are equal on paper may differ in the last bits."""


@dataclass(frozen=True, slots=True)
class JointTest:
    """The differences of m recipes, judged together; every array has shape (m,). NaN where a recipe has no seed."""

    p: Array
    """Step-down adjusted p-values (Westfall and Young 1993): the decision. They control the family-wise error."""
    p_single_step: Array
    """Adjusted by the maximum over all recipes, also for those that are not the clearest; never below `p`."""
    low: Array
    high: Array
    """Simultaneous interval of the mean difference, with confidence 1 - alpha for all recipes at once; infinite where
    the seeds are too few, without width where all differences of a recipe are equal."""
    seeds: NDArray[np.int64]
    floor: Array
    """No p of a recipe with that many seeds is below it, whatever its differences."""
    alpha: float

    @property
    def significant(self) -> NDArray[np.bool_]:
        return np.asarray(self.p <= self.alpha)

    @property
    def decidable(self) -> NDArray[np.bool_]:
        """Whether the seeds are enough for any difference to be significant."""
        return np.asarray(self.floor <= self.alpha)

    @property
    def disagrees(self) -> NDArray[np.bool_]:
        """Significant, though the interval reaches 0.

        The p-value steps down: it compares a recipe only with those that are no clearer. The interval must hold for
        all recipes at once. The opposite never happens: where the interval excludes 0, p <= alpha.
        """
        return self.significant & (self.low <= 0) & (self.high >= 0)


def joint_test(differences: ArrayLike, alpha: float = ALPHA) -> JointTest:
    """Sign-flip test of all columns at once, with simultaneous intervals.

    Args:
        differences: (n, m) paired differences of n seeds and m recipes; NaN where a recipe lacks a seed.
        alpha: the family-wise error rate that is allowed.

    Raises:
        ValueError: not two-dimensional, or infinite values.
    """
    d = _checked(differences)
    p, single = adjusted_p(d)
    low, high = simultaneous_intervals(d, alpha)
    seeds = (~np.isnan(d)).sum(0)
    floor = np.array([smallest_p(int(k), d.shape[1], len(d)) for k in seeds])
    return JointTest(p, single, low, high, seeds, floor, alpha)


def adjusted_p(differences: ArrayLike) -> tuple[Array, Array]:
    """Two-sided adjusted p-values, step-down and single-step, each (m,), of (n, m) differences; NaN without a seed.

    The recipe of rank r by z is compared with the largest z that the flips give among the recipes of rank r and below;
    no p is then below that of a better rank (Westfall and Young 1993, algorithm 4.1). The single-step p compares it
    with the largest of all. Exact, or from DRAWS random patterns among which the observed one is counted
    (Phipson and Smyth 2010).
    """
    d = _checked(differences)
    x, _, _ = _scaled(d)
    observed = np.abs(x.sum(0))
    order = np.argsort(observed, kind="stable")  # the clearest last
    x, limits = x[:, order], observed[order] - TOLERANCE
    below, largest, patterns = np.zeros(len(order)), np.zeros(len(order)), 0
    for signs in _sign_patterns(*d.shape):
        maxima = np.maximum.accumulate(np.abs(x.T @ signs), axis=0)
        below += (maxima >= limits[:, None]).sum(1)
        largest += len(signs.T) - np.searchsorted(np.sort(maxima[-1:].ravel()), limits)
        patterns += len(signs.T)
    step_down, single = np.empty(len(order)), np.empty(len(order))
    step_down[order] = np.maximum.accumulate(below[::-1] / patterns)[::-1]
    single[order] = largest / patterns
    empty = np.isnan(d).all(0)
    return np.where(empty, math.nan, step_down), np.where(empty, math.nan, single)


def simultaneous_intervals(differences: ArrayLike, alpha: float = ALPHA) -> tuple[Array, Array]:
    """Intervals of the means of (n, m) differences that hold together with confidence 1 - alpha: ends, each (m,).

    The interval of recipe j is the set of all shifts delta for which the single-step test of d_j - delta, with the
    other recipes as they are or centered on their means, is not significant. As they are, the intervals agree with the
    single-step p; centered, they keep their confidence where other recipes have large effects, whose flips are
    all alike and leave a maximum as small as that of one recipe. The wider end of both counts.

    No search is needed. A pattern s is at least as extreme as the observed one for delta below the mean exactly if
    delta >= min(mean of the flipped seeds, mean of the others, mean - se t(M)), where M is the other recipes' largest z
    under s. The lower end is the least of these numbers that more than a share alpha of the patterns do not exceed.
    """
    d = _checked(differences)
    x, available, scale = _scaled(d)
    centered = _centered(x, available)
    n, total = _counts(available), x.sum(0)[:, None]
    allowed = int(alpha * _pattern_count(*d.shape) + TOLERANCE)
    points = np.empty((2, 2, d.shape[1], 2 * allowed + 2 + _block(d.shape[1])))  # by side, reference, recipe
    used = 0
    for signs in _sign_patterns(*d.shape):
        means = _subset_means(total, x.T @ signs, available.T @ signs, n)
        far = np.stack([_distances(_largest_of_others(np.abs(r.T @ signs)), total, n) for r in (x, centered)])
        if used + len(signs.T) > points.shape[-1]:
            points[..., :used].partition(allowed)
            used = allowed + 1  # larger ones no longer matter
        new = points[..., used : used + len(signs.T)]
        np.minimum(means[:, None], np.stack([total / n, -total / n])[:, None] - far, out=new)
        used += len(signs.T)
    points[..., :used].partition(allowed)
    low, high = points[..., allowed].min(1)  # the wider end of the two references
    ends = [np.multiply(end, scale, out=end, where=np.isfinite(end)) for end in (low, -high)]
    empty = np.isnan(d).all(0)
    return np.where(empty, math.nan, ends[0]), np.where(empty, math.nan, ends[1])


def worse_than_best(values: ArrayLike) -> Array:
    """Adjusted p, (m,), of each recipe's distance from the recipe of the highest mean.

    Above alpha a recipe cannot be told from the best. The best was chosen by the same values, so comparing it with the
    others alone finds differences too often: with ten seeds among 18 equal recipes in 22 % of tables, among 61 in 38 %
    (results/statistics/power.txt). The joint test is therefore of all pairs, of which those with the best are read (the
    logic of Tukey 1953, The Problem of Multiple Comparisons); it does so in 2 to 3 %.

    Args:
        values: (n, m), larger is better; NaN where a recipe lacks a seed.

    Returns:
        1 for the best itself. Where several share the highest mean, the largest p of a recipe against them. NaN for
        a recipe that shares no seed with the best.
    """
    v = _checked(values)
    means = np.array([round(float(c[~np.isnan(c)].mean()), 9) if (~np.isnan(c)).any() else -math.inf for c in v.T])
    if not np.isfinite(means).any():
        return np.full(len(means), math.nan)
    best = np.flatnonzero(means == means.max())
    first, second = np.triu_indices(len(means), 1)
    pairs = np.full((len(means), len(means)), math.nan)
    pairs[first, second] = pairs[second, first] = adjusted_p(v[:, first] - v[:, second])[0]
    p: Array = pairs[best].max(0)  # NaN against any of the best is NaN
    p[best] = 1.0
    return p


def smallest_p(n: int, m: int = 1, table: int | None = None) -> float:
    """The smallest p that a recipe with n seeds can have among m recipes of a table with `table` seeds: 2 / 2^n.

    It does not depend on m, as long as all patterns are counted. NaN without a seed.
    """
    if n == 0:
        return math.nan
    table = max(n, table or n)
    return 2.0 ** (1 - n) if _exact(table, m) else max(2.0 ** (1 - n), 1 / (DRAWS + 1))


def fewest_seeds(alpha: float = ALPHA) -> int:
    """The fewest seeds at which anything can be significant, whatever the number of recipes: 2 / 2^n <= alpha."""
    return 1 + math.ceil(-math.log2(alpha) - 1e-12)


@lru_cache
def effect_size(
    n: int, m: int, correlation: float = 0.5, alpha: float = ALPHA, power: float = 0.8, repeats: int = 1000
) -> float:
    """The true difference, in standard deviations of a recipe's differences, that the joint test finds with that power.

    Of one recipe among m, the others without effect: of normal differences that correlate (0.5: they share the
    baseline, whose runs vary as much as their own). Simulated with a fixed seed; 1,000 repeats are within about 2 % of
    many, and the 200 that a plan can wait for within 5 %. The lower end of the recipe's interval moves with its true
    difference, so that the answer is a quantile of that end. Infinite where n seeds can decide nothing.
    """
    if n < fewest_seeds(alpha):
        return math.inf
    generator = np.random.default_rng(0)
    signs = _few_patterns(n)
    allowed = int(alpha * len(signs.T) + TOLERANCE)
    ends = np.empty(repeats)
    for i in range(repeats):
        shared, own = generator.normal(size=(n, 1)), generator.normal(size=(n, m))
        x, available, scale = _scaled(math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * own)
        others = np.abs(x[:, 1:].T @ signs).max(0, initial=0.0)[None]
        n_first, total = _counts(available[:, :1]), x[:, :1].sum(0)[:, None]
        means = _subset_means(total, x[:, :1].T @ signs, available[:, :1].T @ signs, n_first)[0]
        points = np.minimum(means, total / n_first - _distances(others, total, n_first))
        ends[i] = np.partition(points.ravel(), allowed)[allowed] * scale[0]
    return float(np.quantile(-ends, power, method="higher"))


def detectable(sd: float, n: int, m: int, correlation: float = 0.5, alpha: float = ALPHA, power: float = 0.8) -> float:
    """The smallest true difference of one of m recipes that the joint test finds with that power, in the unit of sd.

    Args:
        sd: standard deviation of a recipe's paired differences.
        n: seeds.
        m: recipes in the table.
        correlation: between two recipes' differences.
    """
    return sd * effect_size(n, m, correlation, alpha, power)


def _checked(values: ArrayLike) -> Array:
    d = np.asarray(values, dtype=np.float64)
    if d.ndim != 2:
        raise ValueError(f"an array of shape {d.shape}: one row a seed and one column a recipe are needed")
    if np.isinf(d).any():
        raise ValueError("an infinite value: give NaN where there is none")
    return d


def _scaled(d: Array) -> tuple[Array, Array, Array]:
    """Columns divided by the root of their sum of squares (0 stays 0), what is available (0 or 1), and that root."""
    missing = np.isnan(d)
    x = np.where(missing, 0.0, d)
    largest = np.abs(x).max(0, initial=0.0)
    x = x / np.where(largest > 0, largest, 1.0)  # so that no square overflows
    root = np.sqrt((x * x).sum(0))
    return x / np.where(root > 0, root, 1.0), (~missing).astype(np.float64), root * largest


def _centered(x: Array, available: Array) -> Array:
    """Columns minus their means and scaled again; 0 where nothing but rounding is left."""
    residual = np.where(available > 0, x - x.sum(0) / np.maximum(available.sum(0), 1), 0.0)
    root = np.sqrt((residual * residual).sum(0))
    return residual / np.where(root > 1e-6, root, math.inf)


def _largest_of_others(z: Array) -> Array:
    """(m, patterns) to the same shape: the maximum over all other rows, 0 if there is none."""
    if len(z) < 2:
        return np.zeros_like(z)
    winner, columns = z.argmax(0), np.arange(z.shape[1])
    largest = z[winner, columns]
    z = z.copy()
    z[winner, columns] = -math.inf
    others = np.repeat(largest[None], len(z), axis=0)
    others[winner, columns] = z.max(0)
    return others


def _counts(available: Array) -> Array:
    """(m, 1) numbers of seeds, 1 where there is none."""
    counts: Array = np.maximum(available.sum(0), 1.0)
    return counts[:, None]


def _subset_means(total: Array, sums: Array, counts: Array, n: Array) -> Array:
    """The smaller of the means of the flipped and of the other seeds: (2, m, patterns), of the values and of -values.

    -inf where a pattern flips all or none.

    Args:
        total: (m, 1) observed sums of the scaled differences.
        sums: (m, patterns) their sums under the patterns.
        counts: (m, patterns) sums of the signs themselves, over the seeds that each recipe has.
        n: (m, 1) numbers of seeds.
    """
    flipped, others = n - counts, n + counts
    with np.errstate(divide="ignore"):
        of_flipped, of_others = np.where(flipped > 0, 1 / flipped, math.inf), np.where(others > 0, 1 / others, math.inf)
    # Sums of no seed are 0 but for rounding; the tolerance makes them negative, and infinite when divided.
    minus, plus = total - sums, total + sums
    ends = [np.minimum((s * minus - TOLERANCE) * of_flipped, (s * plus - TOLERANCE) * of_others) for s in (1, -1)]
    return np.stack(ends)


def _distances(largest: Array, total: Array, n: Array) -> Array:
    """How far from the mean a shift has as large a z as `largest`, (m, patterns): se t(largest); inf if none has."""
    residual = 1 - total * total / n
    residual = np.where(residual > 1e-12, residual, 0.0)  # equal differences, but for rounding
    reached = largest + TOLERANCE
    room = n - reached * reached
    return np.where(room > 0, reached * np.sqrt(residual / n) / np.sqrt(np.where(room > 0, room, 1.0)), math.inf)


def _exact(n: int, m: int) -> bool:
    return n <= EXACT_SEEDS and 2 ** max(n - 1, 0) * m <= EXACT_VALUES


def _pattern_count(n: int, m: int) -> int:
    return int(2 ** max(n - 1, 0)) if _exact(n, m) else DRAWS + 1


def _block(m: int) -> int:
    return max(1, BLOCK // max(m, 1))


def _sign_patterns(n: int, m: int) -> Iterator[Array]:
    """Blocks (n, patterns) of signs, the observed pattern first: all that leave the last seed as it is, or random ones."""
    size = _block(m)
    if _exact(n, m):
        for start in range(0, _pattern_count(n, m), size):
            yield _patterns(n, start, min(start + size, _pattern_count(n, m)))
        return
    generator = np.random.default_rng(0)
    yield np.ones((n, 1))
    for start in range(0, DRAWS, size):
        yield _drawn(generator, n, min(size, DRAWS - start))


def _patterns(n: int, start: int, stop: int) -> Array:
    """(n, stop - start): bit i of a pattern's number says whether seed i is flipped; that of the last seed is 0."""
    flipped = (np.arange(start, stop)[None] >> np.arange(n)[:, None]) & 1
    return np.where(flipped, -1.0, 1.0)


def _few_patterns(n: int, most: int = 12) -> Array:
    """All patterns of up to 12 seeds, else as many random ones as 12 seeds have."""
    if n <= most:
        return _patterns(n, 0, 2 ** max(n - 1, 0))
    drawn = _drawn(np.random.default_rng(1), n, 2 ** (most - 1) - 1)
    return np.concatenate([np.ones((n, 1)), drawn], axis=1)


def _drawn(generator: np.random.Generator, n: int, count: int) -> Array:
    return np.where(generator.integers(0, 2, (n, count), dtype=np.int8) > 0, -1.0, 1.0)
