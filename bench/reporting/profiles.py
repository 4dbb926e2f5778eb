"""Performance profiles: whole distributions over datasets and runs in place of one mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bench.reporting.statistics import LEVEL, RESAMPLES, Array


@dataclass(frozen=True, slots=True)
class Profile:
    """A curve over thresholds with its pointwise band; arrays have shape (thresholds,)."""

    share: Array
    low: Array
    high: Array


def score_distribution(scores: Sequence[ArrayLike], thresholds: ArrayLike, level: float = LEVEL) -> Profile:
    """Share of runs that score above each threshold, the mean over datasets: the run-score distribution of rliable.

    Agarwal et al. 2021, Deep Reinforcement Learning at the Edge of the Statistical Precipice, equation 1. The band is
    pointwise, by the percentile bootstrap with runs resampled within each dataset (RESAMPLES resamples, fixed seed).

    Args:
        scores: for each dataset its runs' scores, normalized so that datasets compare, such as paired differences to
            the baseline. Every dataset counts alike, whatever its number of runs.
        thresholds: (T,).

    Raises:
        ValueError: no dataset, or one without runs.
    """
    tau = np.asarray(thresholds, dtype=np.float64)
    strata = [np.asarray(s, dtype=np.float64) for s in scores]
    if not strata or not all(len(s) for s in strata):
        raise ValueError("a profile needs at least one run of every dataset")
    above = [(s[:, None] > tau).astype(np.float64) for s in strata]
    generator = np.random.default_rng(0)
    resampled = np.zeros((RESAMPLES, len(tau)))
    for part in above:
        weights = generator.multinomial(len(part), np.full(len(part), 1 / len(part)), RESAMPLES)
        resampled += weights @ part / (len(part) * len(above))
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Profile(np.mean([part.mean(0) for part in above], axis=0), low, high)


def performance_ratios(costs: ArrayLike) -> Array:
    """(problems, m) costs divided by the lowest of each problem: 1 for the best, inf for what never got there.

    Dolan and More 2002, Benchmarking Optimization Software with Performance Profiles; in AlgoPerf the cost is the time
    to a target (Dahl et al. 2023, Benchmarking Neural Network Training Algorithms).

    Args:
        costs: (problems, m) positive; inf or NaN where the target was not reached. Where nobody reached it, all are inf.

    Raises:
        ValueError: costs that are not positive.
    """
    c = np.asarray(costs, dtype=np.float64)
    c = np.where(np.isnan(c), np.inf, c)
    if c.ndim != 2 or not (c > 0).all():
        raise ValueError("performance ratios need positive costs of shape (problems, m)")
    best = c.min(1, keepdims=True)
    return np.where(np.isfinite(c), c / np.where(np.isfinite(best), best, 1.0), np.inf)


def performance_profile(costs: ArrayLike, factors: ArrayLike, level: float = LEVEL) -> list[Profile]:
    """For each of m recipes the share of problems on which its cost is within each factor of the best.

    Dolan and More 2002. The band resamples problems (percentile bootstrap, RESAMPLES resamples, fixed seed): it says how
    the curve hangs on their choice.

    Args:
        costs: as for `performance_ratios`.
        factors: (T,) at least 1.
    """
    ratios, tau = performance_ratios(costs), np.asarray(factors, dtype=np.float64)
    problems = len(ratios)
    weights = np.random.default_rng(0).multinomial(problems, np.full(problems, 1 / problems), RESAMPLES) / problems
    found = []
    for column in ratios.T:
        within = (column[:, None] <= tau).astype(np.float64)
        low, high = np.quantile(weights @ within, [(1 - level) / 2, (1 + level) / 2], axis=0)
        found.append(Profile(within.mean(0), low, high))
    return found


def profile_score(costs: ArrayLike, largest: float = 4.0) -> Array:
    """(m,) areas under the performance profiles from 1 to `largest`, divided by its length: AlgoPerf's benchmark score.

    Dahl et al. 2023. 1 for a recipe that is the best everywhere, 0 for one that is never within `largest` times the
    best. Exact: the mean over problems of (largest - ratio) / (largest - 1), at least 0.
    """
    ratios = performance_ratios(costs)
    return np.asarray(np.maximum(largest - ratios, 0.0).mean(0) / (largest - 1))
