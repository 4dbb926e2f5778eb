"""Every statistic against SciPy, statsmodels, plain enumeration or numbers computed by hand."""

from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from scipy import optimize, stats

from bench.reporting import statistics as s


def sample(n: int, mean: float = 0.3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1.0, n)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 1000])
def test_t_interval_is_scipys(n: int) -> None:
    x = sample(n)
    expected = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    found = s.t_interval(x)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.mean, found.n) == (pytest.approx(x.mean()), n)


def test_t_interval_by_hand() -> None:
    # 1, 2, 3: mean 2, sd 1, t(2) = 4.30265, so 4.30265 / sqrt(3) = 2.48414.
    assert s.t_interval([1, 2, 3]).half == pytest.approx(2.48414, abs=1e-5)


def test_interval_of_one_value_of_none_and_of_equal_values() -> None:
    one, none = s.t_interval([0.5]), s.t_interval([])
    assert one.mean == 0.5
    assert math.isnan(one.low)
    assert math.isnan(none.mean)
    equal = s.t_interval([0.1] * 3)  # whose floating-point mean is not 0.1
    assert equal.half == 0
    assert s.standard_deviation([0.1] * 3) == 0


def test_t_intervals_cover_what_they_say() -> None:
    x = np.random.default_rng(1).normal(0, 1, (4000, 5))
    covered = [s.t_interval(row).low <= 0 <= s.t_interval(row).high for row in x[:1000]]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize("n", [2, 3, 8, 40])
def test_paired_t_is_scipys(n: int) -> None:
    a, b = sample(n, 0.5), sample(n, 0.0, seed=1)
    assert s.paired_t(a - b) == pytest.approx(stats.ttest_rel(a, b).pvalue)


def test_paired_t_without_variance() -> None:
    assert s.paired_t([0.0, 0.0, 0.0]) == 1
    assert s.paired_t([0.1, 0.1, 0.1]) == s.sign_flip([0.1, 0.1, 0.1]) == 0.25
    assert math.isnan(s.paired_t([0.1]))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 11])
def test_sign_flip_counts_every_pattern(n: int) -> None:
    for d in (sample(n), np.round(sample(n), 1), np.abs(sample(n)), np.zeros(n)):
        sums = [abs(np.dot(signs, d)) for signs in itertools.product([1, -1], repeat=n)]
        assert s.sign_flip(d) == np.mean([v >= abs(d.sum()) - 1e-9 for v in sums])


def test_sign_flip_is_scipys_permutation_test() -> None:
    d = sample(12)
    reference = stats.permutation_test(
        (d,), lambda x, axis: np.sum(x, axis=axis), permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert s.sign_flip(d) == pytest.approx(reference.pvalue)


def test_sign_flip_of_integers_is_wilcoxons_of_ranks() -> None:
    # On signed ranks the sign-flip test is Wilcoxon's signed-rank test, which SciPy computes exactly.
    ranks = np.arange(1, 21) * np.where(sample(20, 0.5) > 0, 1, -1)
    assert s.sign_flip(ranks) == pytest.approx(stats.wilcoxon(ranks, method="exact").pvalue)


@pytest.mark.parametrize(("n", "p"), [(3, 0.25), (5, 0.0625), (6, 0.03125), (10, 0.001953125)])
def test_smallest_p(n: int, p: float) -> None:
    assert s.smallest_p(n) == p
    assert s.sign_flip(np.arange(1, n + 1)) == p


def test_many_pairs_are_drawn_and_agree_with_the_exact_p() -> None:
    d = sample(30, 0.25)
    exact = s.sign_flip(d)
    sums = np.abs(np.random.default_rng(0).choice([-1.0, 1.0], (200_000, 30)) @ d)
    assert exact == pytest.approx(np.mean(sums >= abs(d.sum())), rel=0.05)
    more = sample(1000, 0.06)
    assert s.sign_flip(more) == pytest.approx(s.paired_t(more), rel=0.15)
    assert s.sign_flip(more) == s.sign_flip(more)
    assert s.sign_flip(np.ones(1000)) == s.smallest_p(1000) == 1e-4


def test_many_pairs_take_little_memory() -> None:
    """All patterns at once would take 400 MB."""
    tracemalloc.start()
    s.sign_flip(sample(5000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6


@pytest.mark.parametrize(("comparisons", "n"), [(1, 6), (2, 7), (12, 9), (60, 12)])
def test_seeds_needed(comparisons: int, n: int) -> None:
    assert s.seeds_needed(comparisons) == n
    assert comparisons * s.smallest_p(n) <= s.ALPHA < comparisons * s.smallest_p(n - 1)


def test_holm_by_hand() -> None:
    # Sorted: 0.01 * 4, 0.02 * 3, 0.03 * 2 (not below 0.06), 0.5 * 1.
    assert s.holm([0.5, 0.01, 0.03, 0.02]) == pytest.approx([0.5, 0.04, 0.06, 0.06])
    assert s.holm([0.01, math.nan, 0.04])[::2] == pytest.approx([0.02, 0.04])
    assert s.holm([]) == []
    assert s.holm([0.9, 0.8]) == [1.0, 1.0]


def test_holm_is_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(0).uniform(0, 0.2, 40)
    assert s.holm(list(p)) == pytest.approx(multitest.multipletests(p, method="holm")[1])


def test_improvement_counts_ties_as_half() -> None:
    assert s.improvement([0.1, 0.2, 0.0, -0.1]) == 0.625
    assert s.improvement([0.0]) == 0.5
    assert math.isnan(s.improvement([]))


@pytest.mark.parametrize(("n", "d"), [(5, 1.6819), (10, 0.9962), (34, 0.4949)])
def test_effect_size_is_the_published_one(n: int, d: float) -> None:
    """Power 0.8, two-sided alpha 0.05, paired t test: 34 pairs find d = 0.5 (Cohen 1988; G*Power)."""
    assert s.effect_size(n) == pytest.approx(d, abs=0.005)


def test_effect_size_is_statsmodels() -> None:
    power = pytest.importorskip("statsmodels.stats.power")
    for n in (3, 5, 10, 100):
        assert s.effect_size(n) == pytest.approx(
            power.TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8), rel=1e-4
        )


@pytest.mark.parametrize(("alpha", "power"), [(0.05, 0.8), (0.05 / 18, 0.8), (0.01, 0.9)])
def test_effect_size_is_the_root_of_scipys_noncentral_t(alpha: float, power: float) -> None:
    for n in (2, 3, 5, 12, 40, 1000):
        critical = stats.t.isf(alpha / 2, n - 1)
        root = optimize.brentq(lambda nc, df=n - 1, c=critical: stats.nct.sf(c, df, nc) - power, 1e-3, 3 * critical + 3)
        assert s.effect_size(n, alpha, power) == pytest.approx(root / math.sqrt(n), rel=1e-9)


def test_detectable_difference_is_detected_as_often_as_said() -> None:
    x = np.random.default_rng(0).normal(s.effect_size(5), 1, (2000, 5))
    assert np.mean([s.paired_t(row) < 0.05 for row in x]) == pytest.approx(0.8, abs=0.03)
    assert s.detectable([0.2, 0.2]) == 0
    assert math.isnan(s.detectable([0.2]))


def test_interquartile_mean() -> None:
    assert s.interquartile_mean([0, 1, 2, 3, 4, 5, 6, 700]) == 3.5
    assert s.interquartile_mean(sample(41)) == pytest.approx(stats.trim_mean(sample(41), 0.25))


def test_stratified_interval_of_one_stratum_is_scipys_bootstrap() -> None:
    x = sample(60)
    found = s.stratified_interval([x])
    reference = stats.bootstrap(
        (x,), lambda v, axis: stats.trim_mean(v, 0.25, axis=axis), n_resamples=5000, method="percentile", rng=1
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=0.05)


def test_strata_are_resampled_on_their_own() -> None:
    """Datasets that differ, without spread inside: nothing is left to vary."""
    found = s.stratified_interval([[1.0] * 3, [2.0] * 3, [3.0] * 3, [4.0] * 3])
    assert found.mean == found.low == found.high == 2.5


def test_one_value_of_a_dataset_leaves_no_interval() -> None:
    found = s.stratified_interval([[1.0, 2.0], [3.0]])
    assert found.mean == 2.0
    assert math.isnan(found.low)
    assert math.isnan(found.high)
