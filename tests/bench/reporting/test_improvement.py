"""P(better) against statsmodels, SciPy and its textbook value."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.reporting.improvement import improvement_interval


@pytest.mark.parametrize(("wins", "n"), [(0, 5), (5, 5), (3, 10), (19, 20)])
def test_interval_is_scipys(wins: int, n: int) -> None:
    found = improvement_interval([1.0] * wins + [-1.0] * (n - wins))
    expected = stats.binomtest(wins, n).proportion_ci(method="wilson")
    assert (found.low, found.high) == (pytest.approx(expected.low, abs=1e-12), pytest.approx(expected.high, abs=1e-12))
    assert (found.mean, found.n) == (wins / n, n)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_interval_with_ties_is_statsmodels(level: float) -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    low, high = proportion.proportion_confint(4.5, 8, alpha=1 - level, method="wilson")
    found = improvement_interval([0.1, 0.2, 0.3, 0.4, 0.0, -0.1, -0.2, -0.3], level)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.mean == 4.5 / 8


def test_all_of_ten_by_hand() -> None:
    # Wilson: all of n won leaves p0 >= n / (n + z^2) = 10 / 13.8415.
    assert improvement_interval(np.ones(10)).low == pytest.approx(10 / (10 + 1.959964**2))
    assert improvement_interval(np.ones(10)).high == 1.0


def test_missing_pairs_do_not_count() -> None:
    assert improvement_interval([0.1, math.nan, -0.1]) == improvement_interval([0.1, -0.1])
    assert math.isnan(improvement_interval([]).mean)
    assert math.isnan(improvement_interval([math.nan]).low)


def test_intervals_cover_what_they_say() -> None:
    generator = np.random.default_rng(0)
    for p in (0.5, 0.7, 0.9):
        found = [improvement_interval(p - generator.random(12)) for _ in range(600)]
        assert np.mean([i.low <= p <= i.high for i in found]) > 0.92
