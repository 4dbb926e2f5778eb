"""Better, worse, equal in practice, or not to be told: the correlated Bayesian t-test, and intervals of one variance.

Seeds whose training sets overlap tell less than as many independent ones. If two seeds' differences correlate by rho,
their variance s^2 underestimates sigma^2 by 1 - rho, and the variance of the mean of n is best estimated by
(1 / n + rho / (1 - rho)) s^2 (Nadeau and Bengio 2003, Inference for the Generalization Error, equation 7). They set rho
to the share of the data that two repetitions have in common where it matters: for test sets drawn anew, n_test /
(n_train + n_test), which gives the known 1 / n + n_test / n_train.

This suite has one fixed test set, and what two seeds have in common is training data. If seed s trains on k images drawn
from a pool of N, two seeds share k / N of their images on average. To first order (Hajek's projection) a difference is a
sum over its training images plus noise of its own, so rho is at most k / N: `overlap_correlation`. It gives
1 / n + k / (N - k), which is 1 / n for k much smaller than N and has no bound for k = N, where seeds show nothing of the
spread over other data. Disjoint subsets have rho = 0 and the plain t.

Which data the statement is about follows from rho: with 0 for overlapping subsets the interval holds for this pool of
images (given the pool, seeds are independent draws); with the overlap it holds for the population behind the pool.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bench.reporting.statistics import LEVEL, Array, Interval, standard_deviation

ROPE = 0.2
"""Half the width of the region of practical equivalence, in percentage points of accuracy."""
PROBABILITY = 0.95
"""A statement is made from that probability on."""


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Posterior probabilities that the mean difference is above, inside or below the region of practical equivalence.

    They add up to 1; all are NaN below two differences.
    """

    better: float
    equal: float
    worse: float

    def verdict(self, probability: float = PROBABILITY) -> str:
        """`better`, `equal in practice`, `worse`, or `cannot be told`."""
        found = {"better": self.better, "equal in practice": self.equal, "worse": self.worse}
        return next((name for name, p in found.items() if p >= probability), "cannot be told")


def overlap_correlation(train_size: int, pool: int) -> float:
    """Upper bound of the correlation of two seeds that train on `train_size` images drawn at random from `pool`.

    Raises:
        ValueError: sizes that do not satisfy 0 < train_size <= pool.
    """
    if not 0 < train_size <= pool:
        raise ValueError(f"{train_size} training images of a pool of {pool}: from 1 to the pool's size are possible")
    return train_size / pool


def holdout_correlation(train_size: int, test_size: int) -> float:
    """Nadeau and Bengio's correlation of two repetitions that each split the same data into training and test anew.

    For scores on a part that is drawn with the split, such as validation. `test_size / train_size` is then what is
    added to 1 / n.
    """
    if train_size <= 0 or test_size <= 0:
        raise ValueError(f"{train_size} training and {test_size} test samples: both must be positive")
    return test_size / (train_size + test_size)


def corrected_interval(differences: ArrayLike, correlation: float = 0.0, level: float = LEVEL) -> Interval:
    """Student's t interval of the mean of (n,) paired differences that correlate between seeds; NaN ends below two.

    mean +- t(n - 1) s sqrt(1 / n + rho / (1 - rho)). Infinite for a correlation of 1.
    """
    d = _finite(differences)
    if len(d) < 2:
        return Interval(float(d[0]) if len(d) else math.nan, math.nan, math.nan, len(d))
    half = float(stats.t.ppf((1 + level) / 2, len(d) - 1)) * _standard_error(d, correlation)
    mean = float(d.mean())
    return Interval(mean, mean - half, mean + half, len(d))


def equivalence(
    differences: ArrayLike, rope: float = ROPE, correlation: float = 0.0, resolution: float = 0.0
) -> Equivalence:
    """Correlated Bayesian t-test (Corani and Benavoli 2015; Benavoli, Corani, Demsar and Zaffalon 2017, Time for a Change).

    The posterior of the mean difference, under the usual uninformative prior, is Student's t with n - 1 degrees of
    freedom about the mean with the scale s sqrt(1 / n + rho / (1 - rho)).

    Args:
        differences: (n,) paired differences, larger is better; NaN is left out.
        rope: a mean difference of at most that size, either way, makes no difference in practice.
        correlation: between the differences of two seeds.
        resolution: the smallest step of a difference, such as 100 / test images. Rounding to steps of g hides a
            standard deviation of g / sqrt(12) (Sheppard 1898), so s is at least that: a few seeds that all gain one
            image do not make a gain certain. With 0 the posterior of equal differences is a single point.
    """
    d = _finite(differences)
    if rope < 0:
        raise ValueError(f"a region of practical equivalence of {rope:g}: it must not be negative")
    if len(d) < 2:
        return Equivalence(math.nan, math.nan, math.nan)
    mean, scale = float(d.mean()), _standard_error(d, correlation, resolution / math.sqrt(12))
    if scale == 0:
        return Equivalence(float(mean > rope), float(abs(mean) <= rope), float(mean < -rope))
    if math.isinf(scale):
        return Equivalence(0.5, 0.0, 0.5)
    better = float(stats.t.sf((rope - mean) / scale, len(d) - 1))
    worse = float(stats.t.cdf((-rope - mean) / scale, len(d) - 1))
    return Equivalence(better, max(0.0, 1 - better - worse), worse)


def _standard_error(d: Array, correlation: float, least: float = 0.0) -> float:
    if not 0 <= correlation <= 1:
        raise ValueError(f"a correlation of {correlation:g}: it lies between 0 and 1")
    sd = max(standard_deviation(d), least)
    if sd == 0:
        return 0.0
    return sd * math.sqrt(1 / len(d) + correlation / (1 - correlation)) if correlation < 1 else math.inf


def _finite(differences: ArrayLike) -> Array:
    d = np.asarray(differences, dtype=np.float64)
    return np.asarray(d[np.isfinite(d)])
