"""Size, power and coverage of the joint test by simulation, from fewer tables than results/statistics/power.txt."""

from __future__ import annotations

import math

import measure_power as power
import numpy as np
import pytest

from bench.reporting import joint_test


@pytest.fixture(autouse=True)
def _random_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint_test, "EXACT_SEEDS", 12)
    monkeypatch.setattr(joint_test, "DRAWS", power.PATTERNS)


def most(p: float, repeats: int) -> float:
    """What a share of p is not seen above but once in a thousand times, about."""
    return p + 3 * math.sqrt(p * (1 - p) / repeats)


def test_six_seeds_decide_among_eighteen_where_holm_cannot() -> None:
    found = power.size_and_power("correlated 0.5", 18, 6, 100)
    assert found["joint"][0] <= most(0.05, 100)
    assert found["joint"][1] > 0.4
    assert found["Holm, flips"] == [0, 0, 0, 0]


@pytest.mark.stress
@pytest.mark.parametrize("noise", power.NOISES)
@pytest.mark.parametrize("m", power.RECIPES)
@pytest.mark.parametrize("n", power.SEEDS)
def test_size_and_power(noise: str, m: int, n: int) -> None:
    found = power.size_and_power(noise, m, n, 200)
    size, one, third, wrong = found["joint"]
    _, one_flips, third_flips, _ = found["Holm, flips"]
    assert size <= most(0.05, 200)
    assert m == 1 or wrong <= most(0.05, 200)
    assert one >= one_flips - 0.05
    assert third >= third_flips - 0.05


@pytest.mark.stress
@pytest.mark.parametrize("m", [3, 18, 61])
@pytest.mark.parametrize("n", [6, 10])
def test_equal_recipes_are_not_told_from_the_best(m: int, n: int) -> None:
    alone, pairs = power.wrongly_told_from_best(m, n, 200)
    assert pairs <= most(0.05, 200)
    assert pairs <= alone


@pytest.mark.stress
@pytest.mark.parametrize("m", power.RECIPES)
@pytest.mark.parametrize("n", [6, 10])
@pytest.mark.parametrize("effect", [0.0, 2.0, 5.0])
def test_intervals_hold_at_once(m: int, n: int, effect: float) -> None:
    held, _ = power.coverage(m, n, np.full(m, effect), 200)
    assert 1 - held <= most(0.05, 200)


@pytest.mark.stress
@pytest.mark.parametrize("m", power.RECIPES)
@pytest.mark.parametrize("n", power.SEEDS)
def test_detectable_difference_is_found(m: int, n: int) -> None:
    assert power.found_at_detectable(m, n, 400)[1] == pytest.approx(0.8, abs=0.07)
