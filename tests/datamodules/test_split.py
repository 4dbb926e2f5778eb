"""The split law against its definition."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from datamodules import DataError
from datamodules._split import Again, split, stratified

UNEVEN = np.repeat(np.arange(4), [100, 40, 9, 1])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("n", [0, 1, 4, 5, 15, 75, 149, 150])
def test_counts_sum_and_keep_shares(n: int) -> None:
    rows = stratified(UNEVEN, n, rng())
    assert len(rows) == len(set(rows)) == n
    assert np.all(np.diff(rows) > 0)
    counts = np.bincount(UNEVEN[rows], minlength=4)
    # one row above or below the exact share, beside the row that each class is granted first
    assert np.all(np.abs(counts - n * np.bincount(UNEVEN) / 150) < 2)
    assert n < 4 or np.all(counts >= 1)


def test_counts_are_those_of_webster() -> None:
    """An independent count: give each next seat to the largest m / (2 s + 1)."""
    seats = np.ones(4, dtype=int)
    sizes = np.bincount(UNEVEN)
    while seats.sum() < 77:
        quotient = np.where(seats < sizes, sizes / (2 * seats + 1), 0)
        seats[np.argmax(quotient)] += 1
    assert np.bincount(UNEVEN[stratified(UNEVEN, 77, rng())]).tolist() == seats.tolist()


def test_balanced_classes_stay_balanced() -> None:
    labels = np.tile(np.arange(10), 30)
    assert np.bincount(labels[stratified(labels, 120, rng())]).tolist() == [12] * 10
    assert sorted(np.bincount(labels[stratified(labels, 123, rng())])) == [12] * 7 + [13] * 3


def test_smaller_draws_are_contained_in_larger_ones() -> None:
    draws = [set(stratified(UNEVEN, n, rng(7))) for n in (5, 20, 100, 150)]
    assert all(a < b for a, b in pairwise(draws))


def test_draws_follow_the_generator_only() -> None:
    np.random.seed(1)
    first = stratified(UNEVEN, 50, rng(1))
    np.random.seed(2)
    assert np.array_equal(first, stratified(UNEVEN, 50, rng(1)))
    assert not np.array_equal(first, stratified(UNEVEN, 50, rng(2)))


def test_validation_is_shared_by_all_training_sizes() -> None:
    labels = np.tile(np.arange(3), 100)
    parts = {n: split("d", labels, None, n, 0.2, 9) for n in (30, 100, None)}
    assert np.array_equal(parts[30].val, parts[None].val)
    assert set(parts[30].train) < set(parts[100].train) < set(parts[None].train)
    assert [len(parts[n].probe) for n in parts] == [30, 60, 60]


def test_own_validation_split_leaves_all_rows_for_training() -> None:
    parts = split("d", UNEVEN, 20, None, 0.2, 0)
    assert len(parts.train) == 150
    assert len(parts.val) == 0
    assert len(parts.probe) == 20


@pytest.mark.parametrize(
    ("counts", "fraction", "train_size", "message"),
    [
        ([50, 50], 0.2, 81, "--train_size 81: d has 80 training rows"),
        ([50, 50], 0.2, 1, "--train_size 1: d has 2 classes"),
        ([50, 50], 1.0, None, "--val_fraction 1.0: must lie between 0 and 1"),
        ([50, 50], 0.0, None, "--val_fraction 0.0"),
        ([50, 50], float("nan"), None, "--val_fraction nan"),
        ([50, 50], 0.01, None, "leave a class without a validation row; give at least 0.02"),
        ([50, 1], 0.2, None, "d has 1 row in class 1, where training and validation need one each"),
        ([2, 2], 0.9, None, "leave a class without a row for training; give at least 0.50 and at most 0.50"),
    ],
)
def test_refusals(counts: list[int], fraction: float, train_size: int | None, message: str) -> None:
    with pytest.raises(DataError) as error:
        split("d", np.repeat([0, 1], counts), None, train_size, fraction, 0)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_nested_rows_are_all_that_there_is() -> None:
    """1,000 rows are 800 to train on and 200 to validate on, each class with its share; other seeds draw others."""
    labels = np.repeat(np.arange(5), 1000)
    first, second = (split("rows", labels, None, 1000, 0.2, seed, nested=True) for seed in (0, 1))
    for parts in (first, second):
        assert (len(parts.train), len(parts.val), len(parts.probe)) == (800, 200, 200)
        assert not np.intersect1d(parts.train, parts.val).size
        assert set(np.bincount(labels[parts.train])) == {160}
        assert set(np.bincount(labels[parts.val])) == {40}
    assert len(np.intersect1d(first.train, second.train)) == pytest.approx(800 * 800 / 5000, abs=40)
    assert len(np.intersect1d(first.val, second.val)) < 25


def test_nested_without_a_size_divides_all_rows() -> None:
    labels = np.repeat(np.arange(3), 40)
    parts = split("rows", labels, None, None, 0.25, 3, nested=True)
    assert sorted([*parts.train, *parts.val]) == list(range(120))
    assert len(parts.val) == 30


def test_nested_leaves_a_validation_split_of_the_datasets_own_alone() -> None:
    parts = split("rows", np.repeat(np.arange(3), 40), 50, 60, 0.25, 3, nested=True)
    assert (len(parts.train), len(parts.val), len(parts.probe)) == (60, 0, 50)


def test_parts_share_no_row_and_the_first_is_the_usual_subset() -> None:
    labels = np.tile(np.arange(4), 250)
    parts = [split("rows", labels, None, 200, 0.2, 7, Again(part=i), nested=True) for i in range(5)]
    rows = np.concatenate([np.concatenate([p.train, p.val]) for p in parts])
    assert len(np.unique(rows)) == 1000
    assert all(set(np.bincount(labels[np.concatenate([p.train, p.val])])) == {50} for p in parts)
    usual = split("rows", labels, None, 200, 0.2, 7, nested=True)
    assert np.array_equal(parts[0].train, usual.train)
    with pytest.raises(DataError, match="part 5: rows has 5 parts of 200 rows, numbered from 0"):
        split("rows", labels, None, 200, 0.2, 7, Again(part=5), nested=True)


def test_advice_about_a_nested_size_holds() -> None:
    labels = np.tile(np.arange(4), 250)
    with pytest.raises(DataError, match=r"give at least --train_size (\d+)") as refused:
        split("rows", labels, None, 5, 0.5, 0, nested=True)
    size = int(str(refused.value).split("--train_size ")[1].split(",")[0])
    parts = split("rows", labels, None, size, 0.5, 0, nested=True)
    assert set(labels[parts.train]) == set(labels[parts.val]) == set(range(4))
