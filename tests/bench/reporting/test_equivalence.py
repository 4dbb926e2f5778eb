"""Practical equivalence and corrected intervals against baycomp, SciPy, numbers computed by hand, and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.reporting import equivalence as e

BASELINE = np.array([97.1, 96.8, 97.4, 97.0, 96.5, 97.2, 96.9, 97.3])
RECIPE = np.array([97.3, 97.1, 97.4, 97.4, 96.6, 97.5, 97.3, 97.4])
GAINS = RECIPE - BASELINE


@pytest.mark.parametrize(
    ("rope", "correlation", "expected"),
    [
        # baycomp 1.0.3: two_on_single(BASELINE, RECIPE, rope=0.1), rope=0.2, and rope=0.1 with runs=2.
        (0.1, 1 / 8, [0.0019682442448761316, 0.07233194153956846, 0.9256998142155554]),
        (0.2, 1 / 8, [0.0004444864425570144, 0.37703366336238553, 0.6225218501950575]),
        (0.1, 1 / 4, [0.007265170149589436, 0.12005903930075434, 0.8726757905496563]),
    ],
)
def test_probabilities_are_those_of_baycomp(rope: float, correlation: float, expected: list[float]) -> None:
    found = e.equivalence(GAINS, rope, correlation)
    assert [found.worse, found.equal, found.better] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("n", [3, 10])
def test_probabilities_are_those_of_baycomp_on_any_data(n: int) -> None:
    baycomp = pytest.importorskip("baycomp")
    x, y = np.random.default_rng(n).normal(90, 1, (2, n))
    found = e.equivalence(y - x, 0.5, e.holdout_correlation(n - 1, 1))
    assert [found.worse, found.equal, found.better] == pytest.approx(list(baycomp.two_on_single(x, y, rope=0.5)))


def test_without_correlation_and_region_it_is_the_one_sided_t_test() -> None:
    found = e.equivalence(GAINS, rope=0.0)
    assert found.worse == pytest.approx(stats.ttest_1samp(GAINS, 0, alternative="greater").pvalue)
    assert found.better == pytest.approx(1 - found.worse)
    assert found.equal == pytest.approx(0, abs=1e-12)


def test_by_hand() -> None:
    # 1, 2, 3: mean 2, standard error 1 / sqrt(3). Student's t with 2 degrees of freedom is 0.5 + x / (2 sqrt(2 + x^2)).
    def cdf(x: float) -> float:
        return 0.5 + x / (2 * math.sqrt(2 + x * x))

    found = e.equivalence([1, 2, 3], rope=1.0)
    assert found.better == pytest.approx(cdf(math.sqrt(3)))
    assert found.worse == pytest.approx(cdf(-3 * math.sqrt(3)))
    assert found.better + found.equal + found.worse == pytest.approx(1)


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([0.5, 0.6, 0.55, 0.5, 0.45], "better"),
        ([-0.5, -0.6, -0.55, -0.5, -0.45], "worse"),
        ([0.05, -0.02, 0.03, -0.04, 0.01], "equal in practice"),
        ([0.5, -0.6, 0.2, 0.9, -0.1], "cannot be told"),
        ([0.25, 0.3, 0.1, 0.2, 0.35], "cannot be told"),  # better than 0, but perhaps not by more than 0.2
        ([0.9], "cannot be told"),
        ([], "cannot be told"),
        ([0.5, math.nan, 0.6, 0.55, 0.5, 0.45], "better"),
    ],
)
def test_verdict(differences: list[float], verdict: str) -> None:
    assert e.equivalence(differences).verdict() == verdict


def test_verdict_from_a_stated_probability_on() -> None:
    assert e.Equivalence(0.9, 0.08, 0.02).verdict() == "cannot be told"
    assert e.Equivalence(0.9, 0.08, 0.02).verdict(probability=0.9) == "better"
    assert e.Equivalence(0.05, 0.95, 0.0).verdict() == "equal in practice"


def test_equal_differences_are_certain_only_as_far_as_they_can_be_seen() -> None:
    assert e.equivalence([0.3] * 3) == e.Equivalence(1.0, 0.0, 0.0)
    assert e.equivalence([0.0] * 3) == e.Equivalence(0.0, 1.0, 0.0)
    assert e.equivalence([-0.3] * 3).verdict() == "worse"
    # Three seeds that all gain one image of 359.
    step = 100 / 359
    found = e.equivalence([step] * 3, resolution=step)
    scale = step / math.sqrt(12) / math.sqrt(3)
    assert found.better == pytest.approx(stats.t.sf((0.2 - step) / scale, 2))
    assert found.verdict() == "cannot be told"
    assert e.equivalence(GAINS, resolution=0.01) == e.equivalence(GAINS)  # their spread is larger


def test_overlap_of_all_data_says_nothing_about_other_data() -> None:
    assert e.corrected_interval(GAINS, 1.0).half == math.inf
    assert e.equivalence(GAINS, correlation=1.0).verdict() == "cannot be told"


def test_wrong_sizes_and_correlations_are_refused() -> None:
    for sizes in ((0, 10), (11, 10)):
        with pytest.raises(ValueError, match="pool of 10"):
            e.overlap_correlation(*sizes)
    with pytest.raises(ValueError, match="0 training and 5 test"):
        e.holdout_correlation(0, 5)
    with pytest.raises(ValueError, match=r"correlation of 1\.2"):
        e.corrected_interval(GAINS, 1.2)
    with pytest.raises(ValueError, match="-1"):
        e.equivalence(GAINS, rope=-1)


def test_interval_without_overlap_is_scipys() -> None:
    expected = stats.ttest_1samp(GAINS, 0).confidence_interval(0.9)
    found = e.corrected_interval(GAINS, level=0.9)
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert (found.mean, found.n) == (pytest.approx(0.225), 8)


def test_correction_is_that_of_nadeau_and_bengio() -> None:
    # 90 training and 10 test samples, 8 splits: 1 / 8 + 10 / 90.
    rho = e.holdout_correlation(90, 10)
    assert rho == pytest.approx(0.1)
    plain, found = e.corrected_interval(GAINS), e.corrected_interval(GAINS, rho)
    assert found.half / plain.half == pytest.approx(math.sqrt((1 / 8 + 10 / 90) / (1 / 8)))
    # 1,000 images of 50,000: 1 / 8 + 1,000 / 49,000.
    overlapping = e.corrected_interval(GAINS, e.overlap_correlation(1000, 50_000))
    assert overlapping.half / plain.half == pytest.approx(math.sqrt((1 / 8 + 1 / 49) / (1 / 8)))


def test_interval_of_one_difference_of_none_and_of_equal_ones() -> None:
    assert e.corrected_interval([0.3]).mean == 0.3
    assert math.isnan(e.corrected_interval([0.3]).low)
    assert math.isnan(e.corrected_interval([]).mean)
    assert e.corrected_interval([0.1] * 3, 0.2).half == 0


def test_corrected_intervals_cover_the_population_where_training_sets_overlap() -> None:
    """Differences that are sums over 100 training images of a pool of 300: plain intervals hold for the pool only."""
    generator, n = np.random.default_rng(0), 6
    plain = corrected = of_pool = 0
    for _ in range(600):
        pool = generator.normal(0, 1, 300)  # what each image adds; 0 in the population
        d = [generator.choice(pool, 100, replace=False).mean() for _ in range(n)]
        usual, wide = e.corrected_interval(d), e.corrected_interval(d, e.overlap_correlation(100, 300))
        plain += usual.low <= 0 <= usual.high
        of_pool += usual.low <= pool.mean() <= usual.high
        corrected += wide.low <= 0 <= wide.high
    assert corrected / 600 == pytest.approx(0.95, abs=0.03)
    assert of_pool / 600 == pytest.approx(0.95, abs=0.03)
    assert plain / 600 < 0.8


def test_corrected_intervals_cover_more_where_seeds_vary_by_themselves() -> None:
    generator, held = np.random.default_rng(1), 0
    for _ in range(400):
        pool = generator.normal(0, 1, 300)
        d = [generator.choice(pool, 100, replace=False).mean() + generator.normal(0, 0.1) for _ in range(6)]
        found = e.corrected_interval(d, e.overlap_correlation(100, 300))
        held += found.low <= 0 <= found.high
    assert held / 400 > 0.95
