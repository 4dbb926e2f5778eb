"""Packed bits, the pigeonhole bootstrap, McNemar's test and churn against statsmodels, SciPy and plain loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from bench.reporting import correctness as c


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 10_000])
def test_bits_come_back(rows: int) -> None:
    bits = np.random.default_rng(0).random(rows) < 0.9
    assert (c.unpack(c.pack(bits), rows) == bits).all()


def test_bits_by_hand_and_their_size() -> None:
    assert c.pack([True, False, False, False, False, False, False, True]) == "gQ=="  # the byte 0x81
    assert len(c.pack(np.ones(10_000))) == 1668


@pytest.mark.parametrize(("text", "rows", "words"), [("g", 8, "base64"), ("gQ==", 9, "9 rows"), ("gQ==", 7, "row 7")])
def test_other_bits_are_refused(text: str, rows: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        c.unpack(text, rows)
    with pytest.raises(ValueError, match="shape"):
        c.pack(np.ones((2, 2)))


def test_pigeonhole_means_have_the_moments_of_plain_resampling() -> None:
    values = np.random.default_rng(0).integers(-1, 2, (4, 30)).astype(float)
    generator = np.random.default_rng(1)
    plain = [values[np.ix_(generator.integers(0, 4, 4), generator.integers(0, 30, 30))].mean() for _ in range(20_000)]
    found = c.pigeonhole_means(values, 20_000)
    assert found.mean() == pytest.approx(values.mean(), abs=0.003)
    assert found.std() == pytest.approx(np.std(plain), rel=0.03)
    assert np.quantile(found, [0.025, 0.975]) == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=0.02)


def test_pigeonhole_variance_is_owens() -> None:
    """Exactly: counts of seeds and of rows are independent multinomials, so second moments multiply."""
    values = np.random.default_rng(2).integers(-1, 2, (5, 12)).astype(float)

    def moments(k: int) -> np.ndarray:
        """E[w w'] of multinomial(k, 1 / k) counts: 1 - 1 / k everywhere, and 1 more on the diagonal."""
        return np.eye(k) + (1 - 1 / k)

    second = np.einsum("sr,ut,su,rt->", values, values, moments(5), moments(12)) / values.size**2
    expected = second - values.mean() ** 2
    assert c.pigeonhole_means(values, 40_000).var() == pytest.approx(expected, rel=0.03)


def test_with_seeds_that_all_agree_it_is_the_bootstrap_over_rows() -> None:
    row = np.random.default_rng(3).integers(-1, 2, 80).astype(float)
    found = np.quantile(c.pigeonhole_means(np.tile(row, (3, 1)), 10_000), [0.025, 0.975])
    expected = stats.bootstrap((row,), np.mean, n_resamples=9999, method="percentile", rng=0).confidence_interval
    assert found == pytest.approx([expected.low, expected.high], abs=0.02)


def test_interval_of_accuracies_without_row_noise_is_about_students() -> None:
    """Every seed is right in all rows or in none: only seeds vary."""
    gains = np.array([1, 1, 0, 1, 0, 1, 1, 1, 0, 1])
    right = np.repeat(gains[:, None] == 1, 20, axis=1)
    found = c.two_way_interval(right, np.zeros_like(right))
    expected = stats.ttest_1samp(100 * gains, 0).confidence_interval()
    assert found.mean == pytest.approx(70)
    assert found.high - found.low == pytest.approx(expected.high - expected.low, rel=0.1)


def test_interval_covers_the_draw_of_seeds_and_rows() -> None:
    """Rows that differ in how hard they are, seeds that differ in how good: the true difference is 2 points."""
    generator, held, width, seeds_only = np.random.default_rng(4), 0, [], []
    for _ in range(150):
        hard, better = generator.normal(0, 1, 300), generator.normal(0, 0.1, (2, 6, 1))
        latent = hard + generator.normal(0, 0.5, (2, 6, 300)) + better
        score = np.sqrt(1 + 0.25 + 0.01)
        a, b = latent[0] < score * stats.norm.ppf(0.92), latent[1] < score * stats.norm.ppf(0.90)
        found = c.two_way_interval(a, b)
        held += found.low <= 2.0 <= found.high
        width.append(found.high - found.low)
        gains = 100 * (a.mean(1) - b.mean(1))
        seeds_only.append(2 * stats.t.ppf(0.975, 5) * gains.std(ddof=1) / math.sqrt(6))
    assert held / 150 > 0.92
    assert np.mean(width) > np.mean(seeds_only)


def test_interval_of_one_seed_one_row_or_none() -> None:
    one = c.two_way_interval([[True, False, True]], [[False, False, True]])
    assert one.mean == pytest.approx(100 / 3)
    assert math.isnan(one.low)
    assert math.isnan(c.two_way_interval([[True], [True]], [[False], [True]]).high)
    assert math.isnan(c.two_way_interval(np.ones((0, 5)), np.ones((0, 5))).mean)
    with pytest.raises(ValueError, match="seeds, rows"):
        c.two_way_interval(np.ones((2, 5)), np.ones((2, 4)))


def test_equal_runs_differ_by_nothing() -> None:
    right = np.random.default_rng(5).random((4, 50)) < 0.8
    found = c.two_way_interval(right, right)
    assert (found.mean, found.low, found.high) == (0, 0, 0)


def test_ten_thousand_rows_and_twenty_seeds_are_resampled_by_counts() -> None:
    generator = np.random.default_rng(6)
    right = generator.random((20, 10_000)) < 0.99
    found = c.two_way_interval(right, np.roll(right, 1, axis=0))
    assert found.low < 0 < found.high


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (3, 9), (15, 15), (40, 12)])
def test_mcnemar_is_statsmodels(gained: int, lost: int) -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    a = np.array([True] * gained + [False] * lost + [True] * 50 + [False] * 5)
    b = np.array([False] * gained + [True] * lost + [True] * 50 + [False] * 5)
    expected = tables.mcnemar([[50, gained], [lost, 5]], exact=True).pvalue
    assert c.mcnemar(a, b) == pytest.approx(min(1.0, expected))


def test_mcnemar_by_hand() -> None:
    # 5 rows gained and none lost: 2 / 2^5.
    assert c.mcnemar([True] * 5 + [False] * 3, [False] * 8) == 2 / 2**5
    with pytest.raises(ValueError, match="rows"):
        c.mcnemar([True], [True, False])


def test_disagreement_is_the_mean_over_pairs() -> None:
    predictions = np.random.default_rng(7).integers(0, 4, (6, 40))
    expected = np.mean([np.mean(x != y) for x, y in itertools.combinations(predictions, 2)])
    assert c.disagreement(predictions) == pytest.approx(expected)
    assert c.disagreement(predictions == 0) <= c.disagreement(predictions)


def test_disagreement_by_hand() -> None:
    assert c.disagreement([[0, 1, 2, 3], [0, 1, 1, 3]]) == 0.25
    assert c.disagreement([[0, 1], [0, 1]]) == 0
    assert math.isnan(c.disagreement([[0, 1]]))
    # Two rows of eight are wrong, mean error 0.25, and they differ in a quarter.
    assert c.normalized_disagreement([[0, 1, 2, 3], [0, 1, 1, 0]], [0, 1, 2, 3]) == pytest.approx(0.5 / 0.25)
    assert math.isnan(c.normalized_disagreement([[0, 1], [0, 1]], [0, 1]))
