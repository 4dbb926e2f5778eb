"""Interactions against the two-way analysis of variance of statsmodels and numbers computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.reporting.interactions import contrasts, interactions
from bench.reporting.joint_test import joint_test


def test_contrast_by_hand() -> None:
    # Gains of 1 and 2, together 4: one more than their sum.
    assert contrasts([[94.0]], [[91.0]], [[92.0]], [90.0]).tolist() == [[1.0]]
    assert math.isnan(contrasts([[94.0]], [[math.nan]], [[92.0]], [90.0])[0, 0])


def test_contrasts_are_the_interaction_term_of_a_linear_model() -> None:
    ols = pytest.importorskip("statsmodels.api")
    n = 7
    scores = np.random.default_rng(0).normal(90, 1, (4, n))  # none, a, b, ab
    a, b = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    columns = [np.repeat(v, n) for v in (a, b, a * b)]
    seeds = np.tile(np.eye(n), (4, 1))
    fitted = ols.OLS(scores.ravel(), np.column_stack([*columns, seeds])).fit()
    none, first, second, both = scores
    found = contrasts(both[:, None], first[:, None], second[:, None], none)
    assert found.mean() == pytest.approx(fitted.params[2])


def test_all_pairs_are_tested_at_once() -> None:
    generator = np.random.default_rng(1)
    baseline, first, second = (
        generator.normal(90, 1, 9),
        generator.normal(91, 1, (9, 3)),
        generator.normal(92, 1, (9, 3)),
    )
    both = first + second - baseline[:, None] + generator.normal(0, 0.1, (9, 3)) - [0, 0, 2]
    found = interactions(both, first, second, baseline)
    expected = joint_test(contrasts(both, first, second, baseline))
    assert found.p.tolist() == expected.p.tolist()
    assert found.significant.tolist() == [False, False, True]
    assert found.high[2] < 0


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 1\)"):
        contrasts(np.zeros((2, 2)), np.zeros((2, 1)), np.zeros((2, 2)), np.zeros(2))
    with pytest.raises(ValueError, match=r"\(3,\)"):
        contrasts(np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 2)), np.zeros(3))
