"""Performance profiles against rliable, numerical integration and numbers computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.reporting import profiles as p

RUNS = np.array([[0.1, 0.4, 0.9], [0.2, 0.6, 0.7], [0.3, 0.5, 0.8], [0.25, 0.45, 0.2]])
"""Four runs of three datasets."""
THRESHOLDS = [0, 0.2, 0.3, 0.5, 0.8]


def test_score_distribution_is_that_of_rliable() -> None:
    # rliable 1.2.0: create_performance_profile({"a": RUNS}, THRESHOLDS, reps=20000)
    found = p.score_distribution(list(RUNS.T), THRESHOLDS)
    assert found.share == pytest.approx([1.0, 0.75, 0.5833333333333334, 0.3333333333333333, 0.08333333333333333])
    step = 1 / 12 + 1e-9  # one run more or less
    assert found.low == pytest.approx([1.0, 0.5, 0.4166666666666667, 0.16666666666666666, 0.0], abs=step)
    assert found.high == pytest.approx([1.0, 0.9166666666666666, 0.6666666666666666, 0.5, 0.25], abs=step)


def test_score_distribution_is_that_of_rliable_on_any_data() -> None:
    library = pytest.importorskip("rliable.library")
    runs, tau = np.random.default_rng(0).normal(0, 1, (10, 5)), np.linspace(-2, 2, 9)
    expected, bands = library.create_performance_profile({"a": runs}, tau, reps=5000)
    found = p.score_distribution(list(runs.T), tau)
    assert found.share == pytest.approx(expected["a"])
    assert np.stack([found.low, found.high]) == pytest.approx(bands["a"], abs=0.021)


def test_datasets_count_alike_whatever_their_number_of_runs() -> None:
    found = p.score_distribution([[1.0] * 9, [0.0]], [0.5])
    assert (found.share[0], found.low[0], found.high[0]) == (0.5, 0.5, 0.5)
    for scores in ([], [[1.0], []]):
        with pytest.raises(ValueError, match="at least one run"):
            p.score_distribution(scores, [0.5])


COSTS = [[10.0, 20.0, math.inf], [30.0, 15.0, 90.0], [8.0, 8.0, 10.0], [math.nan, math.inf, math.inf]]


def test_ratios_by_hand() -> None:
    assert p.performance_ratios(COSTS).tolist() == [[1, 2, math.inf], [2, 1, 6], [1, 1, 1.25], [math.inf] * 3]
    with pytest.raises(ValueError, match="positive"):
        p.performance_ratios([[0.0, 1.0]])


def test_profiles_by_hand() -> None:
    shares = [profile.share.tolist() for profile in p.performance_profile(COSTS, [1, 2, 6])]
    assert shares == [[0.5, 0.75, 0.75], [0.5, 0.75, 0.75], [0, 0.25, 0.5]]
    for profile in p.performance_profile(COSTS, [1, 2, 6]):
        assert (profile.low <= profile.share).all()
        assert (profile.share <= profile.high).all()


def test_score_is_the_area_under_the_profile() -> None:
    costs = np.random.default_rng(1).uniform(1, 6, (8, 4))
    factors = np.linspace(1, 4, 1501)
    expected = [np.trapezoid(f.share, factors) / 3 for f in p.performance_profile(costs, factors)]
    assert p.profile_score(costs) == pytest.approx(expected, abs=2e-3)


def test_score_by_hand() -> None:
    # Ratios 1 2 1 and never: (3 + 2 + 3 + 0) / 3 / 4.
    assert p.profile_score(COSTS) == pytest.approx([8 / 12, 8 / 12, 2.75 / 12])
