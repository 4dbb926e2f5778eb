"""Reference: the closed form of ridge regression's bias and variance, and cases by hand."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from bench.studies.bias_variance import squared, zero_one


def test_squared_by_hand() -> None:
    """Two networks, one sample of class 0: p = (1, 0) and (0.6, 0.4)."""
    p = np.array([[[1.0, 0.0]], [[0.6, 0.4]]])
    got = squared(p, np.array([0]))
    # error = (0 + 0.32) / 2; mean (0.8, 0.2); variance = (0.08 + 0.08) / (2 - 1)
    assert asdict(got) == pytest.approx({"error": 0.16, "variance": 0.16, "bias2": 0.0})


def test_zero_one_by_hand() -> None:
    """Three networks; the main prediction is right on the first sample and wrong on the second."""
    chosen = np.array([[0, 1], [0, 1], [1, 0]])
    got = zero_one(np.eye(2)[chosen], np.array([0, 0]))
    assert asdict(got) == pytest.approx({"error": 0.5, "bias": 0.5, "variance": 0.0})


def test_ridge_regression() -> None:
    """Train ridge on fresh noise many times: bias and variance of its predictions have closed forms."""
    rng = np.random.default_rng(0)
    n, d, lam, sigma, networks, tests = 40, 5, 8.0, 0.7, 4000, 60
    x, test = rng.normal(size=(n, d)), rng.normal(size=(tests, d))
    w = rng.normal(size=d)
    smoother = test @ np.linalg.solve(x.T @ x + lam * np.eye(d), x.T)
    bias2 = float((((smoother @ x) - test) @ w) ** 2 @ np.ones(tests)) / tests
    variance = sigma**2 * float((smoother**2).sum(1).mean())
    noisy = x @ w + sigma * rng.normal(size=(networks, n))
    predictions = noisy @ smoother.T
    # As a "class probability" of one output against its true value: move the truth to zero, where the label is.
    errors = (predictions - test @ w)[:, :, None]
    got = squared(np.concatenate([1 + errors, np.zeros_like(errors)], axis=2), np.zeros(tests, dtype=np.int64))
    assert got.bias2 == pytest.approx(bias2, rel=0.05)
    assert got.variance == pytest.approx(variance, rel=0.05)
    assert got.error == pytest.approx(bias2 + variance, rel=0.05)


def test_variance_is_unbiased() -> None:
    """With two networks each, the mean over many pairs is the true variance; dividing by R would give half of it."""
    rng = np.random.default_rng(1)
    p = rng.normal(0, 0.3, size=(2, 20_000, 1))
    assert squared(p, np.zeros(20_000, dtype=np.int64)).variance == pytest.approx(0.09, rel=0.03)
