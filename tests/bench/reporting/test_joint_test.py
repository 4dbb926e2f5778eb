"""The joint test against MNE, SciPy, plain enumeration by definition, and numbers computed by hand."""

from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from bench.reporting import joint_test as j

EIGHT = np.array(
    [
        [0.513, -0.217, 0.306, 1.104],
        [0.708, 0.101, -0.311, 0.913],
        [0.421, 0.304, 0.217, 1.402],
        [0.914, -0.113, -0.408, 0.209],
        [0.602, 0.211, 0.119, -0.307],
        [-0.104, 0.415, 0.503, 0.816],
        [0.807, 0.014, -0.202, 0.611],
        [0.316, 0.257, 0.351, 0.703],
    ]
)


def sample(n: int, m: int, mean: float = 0.4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1.0, (n, m))


def t_of(d: np.ndarray) -> np.ndarray:
    """|t| of every column; infinite without spread, 0 for zeros."""
    mean, sd = d.mean(0), d.std(0, ddof=1)
    t = np.abs(mean) / np.where(sd > 1e-12, sd, 1.0) * math.sqrt(len(d))
    return np.where(sd > 1e-12, t, np.where(np.abs(mean) > 1e-12, math.inf, 0.0))


def by_definition(d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Step-down and single-step p of Student's t over all 2^n patterns, as Westfall and Young write them."""
    n, m = d.shape
    observed = t_of(d)
    flipped = np.array([t_of(d * np.array(signs)[:, None]) for signs in itertools.product([1, -1], repeat=n)])
    single = np.array([np.mean(flipped.max(1) >= t - 1e-9) for t in observed])
    order = np.argsort(-observed)
    step_down, running = np.empty(m), 0.0
    for rank, column in enumerate(order):
        running = max(running, float(np.mean(flipped[:, order[rank:]].max(1) >= observed[column] - 1e-9)))
        step_down[column] = running
    return step_down, single


def test_single_step_p_is_that_of_mne() -> None:
    # mne 1.13.2: mne.stats.permutation_t_test(EIGHT, n_permutations=128)[1]
    assert j.adjusted_p(EIGHT)[1] == pytest.approx([0.03125, 0.453125, 0.953125, 0.0625], abs=1e-12)


@pytest.mark.parametrize("n", [5, 8, 11])
def test_single_step_p_is_that_of_mne_on_any_data(n: int) -> None:
    mne = pytest.importorskip("mne")
    d = sample(n, 7)
    expected = mne.stats.permutation_t_test(d, n_permutations=2 ** (n - 1), verbose=False)[1]
    assert j.adjusted_p(d)[1] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", [2, 3, 5, 8])
@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_both_p_are_those_of_t_by_definition(n: int, decimals: int) -> None:
    """Rounded to whole numbers, columns have ties, zeros, equal differences, and none at all."""
    for seed in range(6):
        d = np.round(sample(n, 4, 0.7, seed), decimals)
        found = j.adjusted_p(d)
        for one, expected in zip(found, by_definition(d), strict=True):
            assert one == pytest.approx(expected, abs=1e-12)


def test_one_recipe_is_scipys_permutation_test() -> None:
    d = sample(12, 1, 0.3)
    reference = stats.permutation_test(
        (d[:, 0],), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    for p in j.adjusted_p(d):
        assert p[0] == pytest.approx(reference.pvalue)


def test_by_hand() -> None:
    # |sum| / root of the sum of squares, for the signs +++ +-+ ++- +--: in the first column 1.604 0.535 0 1.069, in the
    # second 0.577 1.732 0.577 0.577. Two of the four maxima reach 1.604; of the second column alone all reach 0.577.
    p, single = j.adjusted_p([[1, 1], [2, -1], [3, 1]])
    assert p.tolist() == [0.5, 1.0]
    assert single.tolist() == [0.5, 1.0]


@pytest.mark.parametrize(("n", "p"), [(1, 1.0), (2, 0.5), (6, 0.03125), (12, 2 / 2**12), (20, 2 / 2**20)])
def test_the_smallest_p_is_reached_whatever_the_number_of_recipes(n: int, p: float) -> None:
    for m in (1, 3, 20):
        d = np.round(sample(n, m, 0.0), 2)
        d[:, 0] = 0.3
        assert j.adjusted_p(d)[0][0] == p
        assert j.joint_test(d).floor.tolist() == [p] * m if n < 20 else j.smallest_p(n, m) == p


def test_fewest_seeds() -> None:
    assert j.fewest_seeds() == 6
    assert j.fewest_seeds(0.01) == 8
    assert j.fewest_seeds(0.0625) == 5
    for alpha in (0.2, 0.05, 0.01, 0.001):
        assert j.smallest_p(j.fewest_seeds(alpha)) <= alpha < j.smallest_p(j.fewest_seeds(alpha) - 1)


def test_zeros_are_never_significant_and_have_no_width() -> None:
    d = sample(10, 3, 1.5)
    d[:, 1] = 0.0
    result = j.joint_test(d)
    assert result.p[1] == result.p_single_step[1] == 1.0
    assert abs(result.low[1]) == abs(result.high[1]) == 0.0
    assert result.p[[0, 2]] == pytest.approx(j.adjusted_p(d[:, [0, 2]])[0])


def test_equal_differences_are_as_significant_as_the_seeds_allow_and_no_more() -> None:
    d = sample(6, 5, 0.0)
    d[:, 2] = [97.5 - 97.2, 96.1 - 95.8, 0.3, 95.2 - 94.9, 0.1 + 0.2, 0.3]  # 0.3, but for the last bits
    result = j.joint_test(d)
    assert result.p[2] == 2 / 2**6
    assert result.significant[2]
    assert (result.low[2], result.high[2]) == (pytest.approx(0.3), pytest.approx(0.3))
    others = np.delete(np.arange(5), 2)
    assert (result.p[others] <= j.adjusted_p(d[:, others])[0] + 1e-12).all()
    assert j.joint_test(np.full((5, 3), 0.1)).p.tolist() == [2 / 2**5] * 3  # five seeds cannot decide


def test_columns_that_differ_by_scale_or_sign_have_one_p() -> None:
    d = sample(9, 3)
    p = j.adjusted_p(np.concatenate([d, -1e-180 * d, 1e180 * d], axis=1))[0]
    assert p.reshape(3, 3).max(0) == pytest.approx(p.reshape(3, 3).min(0))
    assert p[:3] == pytest.approx(j.adjusted_p(d)[0])


def test_a_missing_seed_counts_as_a_difference_of_zero() -> None:
    d = sample(9, 4, 0.8)
    missing = d.copy()
    missing[[0, 3], 1] = math.nan
    missing[5, 2] = math.nan
    for found, expected in zip(j.adjusted_p(missing), j.adjusted_p(np.nan_to_num(missing)), strict=True):
        assert found == pytest.approx(expected)
    alone = j.joint_test(missing[:, [1]])
    assert alone.p == pytest.approx(j.adjusted_p(np.delete(d[:, [1]], [0, 3], axis=0))[0])
    assert alone.floor == 2 / 2**7
    assert j.joint_test(missing).seeds.tolist() == [9, 7, 8, 9]


def test_the_interval_of_missing_seeds_is_that_of_the_seeds_there_are() -> None:
    d = sample(9, 1, 0.8)
    missing = np.concatenate([d, np.full((2, 1), math.nan)])
    for found, expected in zip(j.simultaneous_intervals(missing), j.simultaneous_intervals(d), strict=True):
        assert found == pytest.approx(expected)


def test_a_recipe_without_seeds_has_no_p_and_disturbs_nobody() -> None:
    d = np.insert(EIGHT, 1, math.nan, axis=1)
    result = j.joint_test(d)
    assert np.isnan([result.p[1], result.low[1], result.high[1], result.floor[1]]).all()
    assert not result.significant[1]
    assert not result.decidable[1]
    assert np.delete(result.p, 1) == pytest.approx(j.adjusted_p(EIGHT)[0])


def test_one_seed_no_seed_and_no_recipe() -> None:
    one = j.joint_test([[0.3, -0.1]])
    assert one.p.tolist() == [1.0, 1.0]
    assert (one.low.tolist(), one.high.tolist()) == ([-math.inf] * 2, [math.inf] * 2)
    assert np.isnan(j.joint_test(np.empty((0, 2))).p).all()
    assert j.joint_test(np.empty((7, 0))).p.shape == (0,)


def test_wrong_shapes_and_infinite_differences_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        j.joint_test([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="infinite"):
        j.joint_test([[1.0], [math.inf]])


def test_many_seeds_are_drawn_and_agree_with_the_exact_p(monkeypatch: pytest.MonkeyPatch) -> None:
    d = sample(16, 6, 0.5)
    exact, exact_low = j.adjusted_p(d), j.simultaneous_intervals(d)[0]
    monkeypatch.setattr(j, "EXACT_SEEDS", 10)
    drawn = j.adjusted_p(d)
    assert np.concatenate(drawn) == pytest.approx(np.concatenate(exact), abs=0.015)
    assert np.concatenate(drawn) == pytest.approx(np.concatenate(j.adjusted_p(d)), abs=0)
    assert j.simultaneous_intervals(d)[0] == pytest.approx(exact_low, abs=0.03)
    assert j.adjusted_p(np.ones((16, 1)))[0] == j.smallest_p(16) == 1 / (j.DRAWS + 1)


def test_many_recipes_are_drawn() -> None:
    """Pairs of a large table: counting all patterns of 20 seeds would take minutes."""
    assert j.smallest_p(20, 61) == 2 / 2**20
    assert j.smallest_p(20, 1830) == 1 / (j.DRAWS + 1)
    assert j.smallest_p(12, 1830) == 2 / 2**12


def test_twenty_seeds_and_the_whole_catalogue_take_little_memory() -> None:
    """All patterns at once would take 256 MB for each array."""
    tracemalloc.start()
    p, single = j.adjusted_p(sample(20, 61))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
    assert (p <= single).all()


def reaches(d: np.ndarray, column: int, shift: float, alpha: float = 0.05) -> bool:
    """Whether a shift is in the interval by definition: not significant beside the others as they are, or centered."""
    shifted = d - np.where(np.arange(d.shape[1]) == column, shift, 0.0)
    centered = np.where(np.arange(d.shape[1]) == column, shifted, d - d.mean(0))
    return any(j.adjusted_p(x)[1][column] > alpha for x in (shifted, centered))


@pytest.mark.parametrize("n", [6, 8, 10])
def test_intervals_hold_just_the_shifts_that_the_test_does_not_reject(n: int) -> None:
    for seed in range(3):
        d = sample(n, 4, 0.8, seed)
        for column, ends in enumerate(zip(*j.simultaneous_intervals(d), strict=True)):
            for end, outwards in zip(ends, (-1, 1), strict=True):
                if math.isfinite(end):
                    assert reaches(d, column, end - 1e-6 * outwards)
                    assert not reaches(d, column, end + 1e-6 * outwards)


def test_interval_of_one_recipe_by_hand() -> None:
    # Six seeds: 32 patterns, of which 5 % is one, the observed. The next turning point is the least mean of a subset.
    d = np.array([[0.3], [0.7], [-0.2], [1.1], [0.4], [0.6]])
    low, high = j.simultaneous_intervals(d)
    assert (low[0], high[0]) == (pytest.approx(-0.2), pytest.approx(1.1))
    # At alpha = 0.1 three: after those of {-0.2} and {-0.2, 0.3}, 0.05, comes the mean of {-0.2, 0.4}.
    low, _ = j.simultaneous_intervals(d, alpha=0.1)
    assert low[0] == pytest.approx(0.1)


def test_intervals_and_decision_agree() -> None:
    """Zero outside the interval means significant; the opposite is flagged. With ties, zeros and missing seeds."""
    flagged = 0
    for seed in range(150):
        generator = np.random.default_rng(seed)
        d = np.round(
            generator.normal(1.2, 1, (int(generator.integers(5, 10)), int(generator.integers(1, 7)))), seed % 3
        )
        d[generator.random(d.shape) < (seed % 2) / 10] = math.nan
        result = j.joint_test(d)
        outside = (result.low > 0) | (result.high < 0)
        assert not (outside & ~result.significant).any()
        assert (result.significant == (outside | result.disagrees)).all()
        flagged += int(result.disagrees.sum())
        if d.shape[1] == 1:
            assert not result.disagrees.any()
    assert flagged


def test_best_and_those_that_cannot_be_told_from_it() -> None:
    seeds = np.arange(8.0)[:, None]
    values = np.concatenate([seeds + 2, seeds + 2 + 0.1 * (-1) ** seeds, seeds], axis=1)
    values[:, 2] += 0.01 * np.cos(np.arange(8))
    p = j.worse_than_best(values)
    assert p[:2].tolist() == [1.0, 1.0]  # equal means share the star
    assert p[2] <= 0.05
    pairs = j.adjusted_p(
        np.stack([values[:, 0] - values[:, 1], values[:, 0] - values[:, 2], values[:, 1] - values[:, 2]], 1)
    )
    assert p[2] == pytest.approx(pairs[0][1:].max())


def test_best_of_two_is_the_joint_test_of_their_difference() -> None:
    values = sample(9, 2)
    values[:, 1] += 0.8
    best = int(values.mean(0).argmax())
    assert j.worse_than_best(values)[1 - best] == pytest.approx(j.adjusted_p(values[:, :1] - values[:, 1:])[0][0])


def test_best_where_seeds_are_missing() -> None:
    values = sample(8, 4)
    values[:, 3] = math.nan
    values[:4, 0], values[4:, 1] = math.nan, math.nan
    values[:, 1] += 10
    p = j.worse_than_best(values)
    assert p[1] == 1.0
    assert np.isnan(p[[0, 3]]).all()  # no seed in common with the best
    assert p[2] >= 2 / 2**4
    assert np.isnan(j.worse_than_best(np.full((3, 2), math.nan))).all()
    assert j.worse_than_best([[0.5]]).tolist() == [1.0]


@pytest.mark.parametrize(("n", "m"), [(8, 1), (10, 18)])
def test_detectable_difference_is_found_as_often_as_said(n: int, m: int) -> None:
    generator, effect = np.random.default_rng(5), j.effect_size(n, m)
    shift = effect * (np.arange(m) == 0)
    hits = 0
    for _ in range(400):
        noise = math.sqrt(0.5) * (generator.normal(size=(n, 1)) + generator.normal(size=(n, m)))
        hits += bool(j.adjusted_p(noise + shift)[0][0] <= 0.05)
    assert hits / 400 == pytest.approx(0.8, abs=0.07)


def test_detectable_difference() -> None:
    assert j.effect_size(5, 1) == math.inf
    assert j.detectable(0.5, 5, 1) == math.inf
    assert j.detectable(0.5, 10, 18) == 0.5 * j.effect_size(10, 18)
    assert j.effect_size(10, 18, repeats=200) == pytest.approx(j.effect_size(10, 18), rel=0.06)
    # Many seeds, one recipe: nearly the paired t test's, which finds 0.4949 with 34 pairs (Cohen 1988).
    assert j.effect_size(34, 1) == pytest.approx(0.4949, rel=0.05)
    sizes = [j.effect_size(n, 18) for n in (6, 8, 10, 14, 20)]
    assert sizes == sorted(sizes, reverse=True)
    assert j.effect_size(10, 1) < j.effect_size(10, 18) < j.effect_size(10, 61)


def test_detectable_difference_with_one_recipe_and_six_seeds_by_hand() -> None:
    """Six seeds decide only if all have one sign: the true difference is found if it exceeds -min of six normals."""
    # P(min of six normals > -e) = Phi(e)^6 = 0.8 at e = Phi^-1(0.8^(1/6)).
    assert j.effect_size(6, 1, repeats=4000) == pytest.approx(stats.norm.ppf(0.8 ** (1 / 6)), rel=0.02)
