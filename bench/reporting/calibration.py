"""Expected calibration error without its bias, and after temperature scaling.

The calibration error of Naeini et al. 2015 and Guo et al. 2017 adds up |accuracy - confidence| over bins. Chance alone
makes these gaps: a perfectly calibrated predictor scores above 0, the more the fewer samples there are. Given its
confidences, the number of right answers in a bin of n samples with mean confidence c is then binomial (n, c), and its
mean absolute deviation has a closed form (de Moivre 1730; Diaconis and Zabell 1991, Closed Form Summation for Classical
Distributions). Their sum is the score to expect under perfect calibration at this n (Brocker and Smith 2007 draw the same
from resampled labels), and the error minus it is 0 on average for a calibrated predictor. For a badly calibrated one the
bias is smaller than what is taken off, so the corrected error is then a little too small: at most by the bias.

Only bins are needed, so it applies to records as they are. Within a bin confidences differ by up to 1 / 15, which makes
the count vary slightly less than a binomial one; tests/bench/reporting/test_calibration.py shows how little that is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from bench.reporting.statistics import Array

BINS = 15
"""Equal-width confidence bins (b / 15, (b + 1) / 15], the lowest closed on both sides, as in Guo et al. (2017)."""
COLDEST, HOTTEST = 1e-3, 1e3
"""Temperatures between which the best is sought: a network that is right everywhere, or no better than chance, has none."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Of each confidence bin, shape (bins,): samples, mean confidence, accuracy (both anything where it is empty)."""

    count: Array
    confidence: Array
    accuracy: Array


def confidence_bins(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> Bins:
    """Bins of (N,) confidences in [0, 1] and (N,) whether the prediction was right."""
    p, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    index = np.clip(np.ceil(p * bins).astype(np.int64), 1, bins) - 1
    count, *sums = (np.bincount(index, w, bins).astype(np.float64) for w in (np.ones_like(p), p, right))
    filled = np.maximum(count, 1)
    return Bins(count, sums[0] / filled, sums[1] / filled)


def calibration_error(bins: Bins) -> float:
    """Expected calibration error: sum over bins of (count / N) |accuracy - confidence|; NaN without samples."""
    total = float(bins.count.sum())
    return float((bins.count * np.abs(bins.accuracy - bins.confidence)).sum()) / total if total else math.nan


def calibration_bias(bins: Bins) -> float:
    """The calibration error to expect, with these confidences and counts, of a perfectly calibrated predictor.

    The mean of |K / n - c| for K ~ binomial(n, c) is 2 c (1 - c) times the binomial(n - 1, c) probability of
    floor(n c) (de Moivre's formula).
    """
    total = float(bins.count.sum())
    if not total:
        return math.nan
    n, c = bins.count, np.clip(bins.confidence, 0.0, 1.0)
    deviation = 2 * c * (1 - c) * stats.binom.pmf(np.floor(n * c), np.maximum(n - 1, 0), c)
    return float((n * deviation).sum()) / total


def corrected_calibration_error(bins: Bins) -> float:
    """The calibration error minus its bias. About 0 on average if calibrated, so single values may be negative."""
    return calibration_error(bins) - calibration_bias(bins)


def top_label(logits: ArrayLike, labels: ArrayLike, temperature: float = 1.0) -> tuple[Array, Array]:
    """(N,) confidences of the predicted classes of (N, K) logits divided by a temperature, and 1 where right, else 0."""
    z = np.asarray(logits, dtype=np.float64) / temperature
    right = z.argmax(1) == np.asarray(labels)
    return np.asarray(special.softmax(z, axis=1).max(1)), right.astype(np.float64)


def negative_log_likelihood(logits: ArrayLike, labels: ArrayLike, temperature: float = 1.0) -> float:
    """Mean over samples of -log softmax(logits / temperature) at the label, in nats; (N, K) logits and (N,) labels."""
    z = np.asarray(logits, dtype=np.float64) / temperature
    return float((special.logsumexp(z, axis=1) - _at_label(z, labels)).mean())


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The temperature that minimizes the negative log likelihood of validation data (Guo et al. 2017, On Calibration).

    The likelihood is convex in 1 / T, so the zero of its derivative, mean(sum_k softmax_k z_k - z_label), is unique. It
    is COLDEST for logits that are right everywhere, HOTTEST for those that no temperature makes better than chance, and 1
    for those that do not tell classes apart.

    Args:
        logits: (N, K) finite outputs.
        labels: (N,) class numbers.

    Raises:
        ValueError: no samples, or values that are not finite.
    """
    z = np.asarray(logits, dtype=np.float64)
    if not z.size or not np.isfinite(z).all():
        raise ValueError("logits of validation data: at least one sample and finite values are needed")
    z = z - z.max(1, keepdims=True)
    at_label = _at_label(z, labels)

    def slope(log_inverse: float) -> float:
        return float(((special.softmax(math.exp(log_inverse) * z, axis=1) * z).sum(1) - at_label).mean())

    low, high = -math.log(HOTTEST), -math.log(COLDEST)
    falls, rises = slope(high) <= 0, slope(low) >= 0
    if falls or rises:
        return 1.0 if falls and rises else COLDEST if falls else HOTTEST
    return math.exp(-float(optimize.brentq(slope, low, high, xtol=1e-12)))


def scaled_bins(val_logits: ArrayLike, val_labels: ArrayLike, logits: ArrayLike, labels: ArrayLike) -> Bins:
    """Confidence bins of test logits after temperature scaling fitted on validation: for reliability and error alike.

    Shapes (V, K), (V,), (N, K), (N,). The predicted classes, and so the accuracy, stay as they are.
    """
    return confidence_bins(*top_label(logits, labels, fit_temperature(val_logits, val_labels)))


def _at_label(z: Array, labels: ArrayLike) -> Array:
    return np.asarray(z[np.arange(len(z)), np.asarray(labels, dtype=np.int64)])
