"""Reference: scikit-learn's StratifiedKFold for the counts; the bootstrap's expected share of distinct rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.model_selection import StratifiedKFold

from datamodules import DataError, DataModule
from datamodules._split import folds_of


def test_folds_are_as_even_as_scikit_learns() -> None:
    labels = np.repeat(np.arange(4), [50, 31, 13, 6])
    ours = folds_of(labels, 5, np.random.default_rng(0))
    counts = [np.bincount(labels[ours == f], minlength=4) for f in range(5)]
    theirs = [np.bincount(labels[held], minlength=4) for _, held in StratifiedKFold(5).split(labels, labels)]
    assert sorted(map(sum, counts)) == sorted(map(sum, theirs))
    for per_class, reference in zip(np.array(counts).T, np.array(theirs).T, strict=True):
        assert per_class.max() - per_class.min() <= 1
        assert sorted(per_class) == sorted(reference)


def test_folds_partition_the_training_split() -> None:
    whole = DataModule("digits")
    folds = [DataModule("digits", fold=f, folds=5) for f in range(5)]
    rows = torch.cat([f.splits["val"].x for f in folds]).flatten(1)
    assert torch.equal(rows.unique(dim=0), whole.splits["train"].x.flatten(1).unique(dim=0))
    assert sum(f.sizes["val"] for f in folds) == whole.sizes["train"]
    assert all(f.sizes["train"] + f.sizes["val"] == whole.sizes["train"] for f in folds)
    assert all(torch.equal(f.splits["test"].x, whole.splits["test"].x) for f in folds)
    assert len({f.fingerprint for f in [whole, *folds]}) == 6


def test_resamples_are_bootstraps() -> None:
    whole, one, two = DataModule("digits"), *(DataModule("digits", resample=r) for r in (0, 1))
    for sample in (one, two):
        assert sample.sizes == whole.sizes
        assert torch.equal(sample.splits["val"].x, whole.splits["val"].x)
        distinct = len(sample.splits["train"].x.flatten(1).unique(dim=0)) / whole.sizes["train"]
        assert distinct == pytest.approx(1 - np.exp(-1), abs=0.04)
    assert one.fingerprint != two.fingerprint
    assert one.fingerprint == DataModule("digits", resample=0).fingerprint


@pytest.mark.parametrize("folds", [1, 10_000])
def test_impossible_folds(folds: int) -> None:
    with pytest.raises(DataError, match="must lie between 2 and"):
        DataModule("digits", fold=0, folds=folds)
