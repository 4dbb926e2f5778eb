"""What follows from which test rows were right: intervals that cover the draw of the test set, McNemar's test, churn.

A record keeps one bit a test row, eight to a byte and as base64 text: 1,668 characters for 10,000 rows.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bench.reporting.statistics import LEVEL, RESAMPLES, Array, Interval

Bits = NDArray[np.bool_]

BLOCK = 2**22
"""Counts drawn at a time, 32 MB."""


def pack(correct: ArrayLike) -> str:
    """(rows,) whether each test row was right, as text: the first row is the highest bit of the first byte."""
    bits = np.asarray(correct, dtype=np.bool_)
    if bits.ndim != 1:
        raise ValueError(f"shape {bits.shape}: one value a row is needed")
    return base64.b64encode(np.packbits(bits).tobytes()).decode("ascii")


def unpack(text: str, rows: int) -> Bits:
    """The inverse of `pack`.

    Raises:
        ValueError: no base64 text, not that of `rows` rows, or bits set behind the last.
    """
    try:
        data = np.frombuffer(base64.b64decode(text, validate=True), dtype=np.uint8)
    except (binascii.Error, ValueError):
        raise ValueError(f"{text[:20]!r}: not base64") from None
    if rows < 0 or len(data) != (rows + 7) // 8:
        raise ValueError(f"{len(data)} bytes of packed bits: {rows} rows have {(max(rows, 0) + 7) // 8}")
    bits = np.unpackbits(data).astype(np.bool_)
    if bits[rows:].any():
        raise ValueError(f"packed bits beyond row {rows}")
    return bits[:rows]


def two_way_interval(correct: ArrayLike, baseline: ArrayLike, level: float = LEVEL) -> Interval:
    """Difference in accuracy with an interval over seeds and test rows, in percentage points.

    The pigeonhole bootstrap (Owen 2007, The Pigeonhole Bootstrap): seeds and rows are resampled independently of each
    other, and every pair of a drawn seed and a drawn row counts. Percentile interval of RESAMPLES resamples, fixed
    seed. It errs on the wide side: noise that belongs to neither seed nor row counts up to three times. With few seeds
    a bootstrap is too narrow, so their weights are spread by t(n - 1) / z sqrt(n / (n - 1)), which gives Student's
    interval where seeds are all that varies (Hesterberg 2015, What Teachers Should Know About the Bootstrap).

    Args:
        correct: (n, rows) whether the recipe's run of each seed was right.
        baseline: (n, rows) the same of the baseline, seed by seed.

    Returns:
        n is the number of seeds; NaN ends with one seed or one row, all NaN with none.
    """
    a, b = np.asarray(correct, dtype=np.bool_), np.asarray(baseline, dtype=np.bool_)
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(f"shapes {a.shape} and {b.shape}: both must be (seeds, rows)")
    n, rows = a.shape
    if not a.size:
        return Interval(math.nan, math.nan, math.nan, n)
    differences = 100.0 * (a.astype(np.float64) - b)
    mean = float(differences.mean())
    if n < 2 or rows < 2:
        return Interval(mean, math.nan, math.nan, n)
    tail = (1 + level) / 2
    spread = float(stats.t.ppf(tail, n - 1) / stats.norm.ppf(tail)) * math.sqrt(n / (n - 1))
    low, high = np.quantile(pigeonhole_means(differences, spread=spread), [1 - tail, tail])
    return Interval(mean, float(low), float(high), n)


def pigeonhole_means(values: Array, resamples: int = RESAMPLES, spread: float = 1.0) -> Array:
    """(resamples,) means of (n, rows) values whose rows and columns are resampled independently; fixed seed.

    A resample is how often each row and each column was drawn. Columns with equal values are one column with a weight,
    so that 10,000 test rows, most of which all seeds predict alike, cost no more than a few hundred.

    Args:
        values: (n, rows).
        spread: factor on what the seeds' weights deviate from 1.
    """
    n, rows = values.shape
    distinct, counts = np.unique(values, axis=1, return_counts=True)
    generator = np.random.default_rng(0)
    means = []
    for size in _sizes(resamples, max(1, BLOCK // (n + len(counts)))):
        seeds = generator.multinomial(n, np.full(n, 1 / n), size)
        columns = generator.multinomial(rows, counts / rows, size)
        means.append(((1 + spread * (seeds - 1.0)) @ distinct * columns).sum(1) / (n * rows))
    return np.concatenate(means)


def mcnemar(correct: ArrayLike, baseline: ArrayLike) -> float:
    """Two-sided exact p of McNemar's test of two runs over the same (rows,) of the test set; 1 if none differs.

    Of the rows that just one of both has right, each is as likely the one's as the other's if both are equally good:
    a binomial test (McNemar 1947; Dietterich 1998, Approximate Statistical Tests). It speaks of these two networks, not
    of the recipes that made them.
    """
    a, b = np.asarray(correct, dtype=np.bool_), np.asarray(baseline, dtype=np.bool_)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"shapes {a.shape} and {b.shape}: both must be (rows,)")
    gained, lost = int((a & ~b).sum()), int((b & ~a).sum())
    return float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def disagreement(predictions: ArrayLike) -> float:
    """Mean share of test rows on which two seeds differ, over all pairs of (n, rows) predictions; NaN below two seeds.

    Churn, or the diversity of Fort, Hu and Lakshminarayanan 2019 (Deep Ensembles: A Loss Landscape Perspective), of
    predicted classes. Of bits of correctness, it is the share on which just one of two seeds is right: a lower bound,
    since two seeds can be wrong in different ways.
    """
    found = np.asarray(predictions)
    n = len(found)
    if n < 2 or not found.size:
        return math.nan
    # Seeds that share a value in a row are the pairs that agree there.
    agreeing = sum(int((of_value * (of_value - 1)).sum()) for of_value in _value_counts(found))
    return float(1 - agreeing / (n * (n - 1) * found.shape[1]))


def normalized_disagreement(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Disagreement divided by the seeds' mean error, as in Fort et al. 2019: less accurate runs have more room to differ.

    Of (n, rows) predicted classes and (rows,) labels. 0: all alike. NaN where no prediction is wrong.
    """
    found, truth = np.asarray(predictions), np.asarray(labels)
    error = float((found != truth).mean()) if found.size else math.nan
    return disagreement(found) / error if error > 0 else math.nan


def _value_counts(found: NDArray[np.generic]) -> Iterator[NDArray[np.int64]]:
    """For each distinct value how many of the n rows have it, by column."""
    for value in np.unique(found):
        yield (found == value).sum(0)


def _sizes(total: int, most: int) -> Iterator[int]:
    for start in range(0, total, most):
        yield min(most, total - start)
