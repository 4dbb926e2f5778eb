"""Ranks against SciPy, scikit-posthocs and Demsar's table."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.reporting import ranks as r

SCORES = np.array(
    [
        [0.91, 0.93, 0.95, 0.90],
        [0.81, 0.84, 0.83, 0.80],
        [0.71, 0.70, 0.75, 0.69],
        [0.88, 0.90, 0.91, 0.88],
        [0.60, 0.66, 0.64, 0.61],
        [0.77, 0.79, 0.80, 0.74],
    ]
)


def test_mean_ranks_by_hand() -> None:
    found = r.ranks(SCORES)
    assert found.mean.tolist() == pytest.approx([18.5 / 6, 11 / 6, 8 / 6, 22.5 / 6])
    assert found.datasets == 6
    assert (found.low <= found.mean).all()
    assert (found.mean <= found.high).all()


def test_p_is_scipys_friedman_test() -> None:
    assert r.ranks(SCORES).p == pytest.approx(stats.friedmanchisquare(*SCORES.T).pvalue)
    tied = np.round(np.random.default_rng(0).normal(0, 1, (9, 5)), 0)
    assert r.ranks(tied).p == pytest.approx(stats.friedmanchisquare(*tied.T).pvalue)
    assert r.ranks(np.ones((5, 3))).p == 1.0


@pytest.mark.parametrize(
    ("k", "q"),
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (9, 3.102), (10, 3.164)],
)
def test_critical_difference_is_demsars(k: int, q: float) -> None:
    """Table 5(a) of Demsar 2006: q at alpha 0.05, already divided by sqrt(2). Its third decimal is cut or rounded."""
    expected = q * math.sqrt(k * (k + 1) / (6 * 14))
    assert r.critical_difference(14, k) == pytest.approx(expected, rel=5e-4)


def test_recipes_that_differ_by_more_are_those_of_scikit_posthocs() -> None:
    # scikit-posthocs 0.17.1: posthoc_nemenyi_friedman(SCORES)
    expected = np.array(
        [
            [1.0, 0.3358374139517548, 0.08746638606559043, 0.8077574765130124],
            [0.3358374139517548, 1.0, 0.9081317739014174, 0.0496761660310302],
            [0.08746638606559043, 0.9081317739014174, 1.0, 0.006511682573587252],
            [0.8077574765130124, 0.0496761660310302, 0.006511682573587252, 1.0],
        ]
    )
    found = r.ranks(SCORES)
    distances = np.abs(found.mean[:, None] - found.mean)
    assert ((distances >= found.critical_difference) == (expected <= 0.05)).all()
    for (i, j), p in np.ndenumerate(expected):
        if i < j:
            assert distances[i, j] == pytest.approx(r.critical_difference(6, 4, p), rel=1e-4)


def test_interval_of_ranks_is_the_bootstrap_over_datasets() -> None:
    scores = np.random.default_rng(1).normal([0, 0.5, 1], 1, (12, 3))
    column = stats.rankdata(-scores, axis=1)[:, 1]
    expected = stats.bootstrap((column,), np.mean, n_resamples=9999, method="percentile", rng=0).confidence_interval
    found = r.ranks(scores)
    assert (found.low[1], found.high[1]) == (
        pytest.approx(expected.low, abs=0.1),
        pytest.approx(expected.high, abs=0.1),
    )


def test_too_little_for_ranks_is_refused() -> None:
    with pytest.raises(ValueError, match="4 or more datasets"):
        r.ranks(SCORES[:3])
    with pytest.raises(ValueError, match="two or more recipes"):
        r.ranks(SCORES[:, :1])
    with pytest.raises(ValueError, match="every recipe"):
        r.ranks(np.where(SCORES == 0.91, math.nan, SCORES))
