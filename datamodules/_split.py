"""The split law: stratified, keyed by a seed, with subsets that nest. Indices only, no data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules._registry import DataError

Indices = NDArray[np.int64]


class Parts(NamedTuple):
    """Sorted indices into a dataset's training part."""

    train: Indices
    val: Indices
    probe: Indices


def stratified(labels: Indices, n: int, rng: np.random.Generator) -> Indices:
    """Draw n rows so that each class has its share, and at least one row as soon as n reaches the number of classes.

    Seats go to classes by the method of Webster and Sainte-Laguë: the j-th row of a class with m rows comes at place
    (j + 1/2) / m. Counts then sum to n exactly, and the draw of a smaller n is contained in that of a larger one.

    Args:
        labels: (N,) class of each row.
        n: how many to draw, 0 to N.
        rng: decides which rows, and which class goes first at equal places.

    Returns:
        (n,) sorted indices.
    """
    shuffled = rng.permutation(len(labels))
    _, group, counts = np.unique(labels[shuffled], return_inverse=True, return_counts=True)
    by_class = np.argsort(group, kind="stable")
    rank = np.empty(len(labels), dtype=np.int64)
    rank[by_class] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    place = np.where(rank == 0, 0.0, (rank + 0.5) / counts[group])
    tie = rng.permutation(len(counts))[group]
    return np.sort(shuffled[np.lexsort((tie, -counts[group], place))[:n]])


class Again(NamedTuple):
    """Another training split, made from the usual one: a fold left out, or a resample."""

    fold: int | None = None
    """Which of the `folds` becomes the validation split, from 0; the usual validation split is not used then."""
    folds: int | None = None
    resample: int | None = None
    """Number of a bootstrap resample: as many rows, drawn with replacement (Efron 1979)."""


def split(
    name: str,
    labels: Indices,
    val_rows: int | None,
    train_size: int | None,
    val_fraction: float,
    seed: int,
    again: Again | None = None,
) -> Parts:
    """Divide a dataset's training part.

    The validation split depends on `val_fraction` and the seed only, so all training sizes share it, and a smaller
    training split is contained in a larger one.

    Args:
        name: the dataset's name, for errors.
        labels: (N,) classes of the training part.
        val_rows: the size of the dataset's own validation split, if it has one: then no row is taken for it.
        train_size: rows to keep for training; None keeps all.
        val_fraction: the share of rows for validation.
        seed: keys every draw.
        again: leaves a fold out, or resamples.

    Returns:
        Train, validation and the train probe: a subset of train as large as validation, if train has that many rows.

    Raises:
        DataError: a size or fraction that this dataset cannot give.
    """
    val = np.empty(0, dtype=np.int64) if val_rows is not None else _validation(name, labels, val_fraction, seed)
    rest = np.setdiff1d(np.arange(len(labels)), val)
    if train_size is not None:
        _check_train_size(name, train_size, len(rest), len(np.unique(labels)))
        rest = rest[stratified(labels[rest], train_size, _rng(seed, 1))]
    again = again or Again()
    if again.fold is not None and again.folds is not None:
        rest, val = _leave_out(name, labels, rest, again.fold, again.folds, seed)
        val_rows = None
    if again.resample is not None:
        rest = np.sort(_rng(seed, 4 + again.resample).choice(rest, len(rest)))
    probe_size = min(len(val) if val_rows is None else val_rows, len(rest))
    return Parts(rest, val, rest[stratified(labels[rest], probe_size, _rng(seed, 2))])


def folds_of(labels: Indices, folds: int, rng: np.random.Generator) -> Indices:
    """Number each row with its fold, (N,) from 0 to folds - 1; evenly, over all and in each class."""
    shuffled = rng.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    number = np.empty(len(labels), dtype=np.int64)
    number[by_class] = np.arange(len(labels)) % folds
    return number


def _leave_out(name: str, labels: Indices, rest: Indices, fold: int, folds: int, seed: int) -> tuple[Indices, Indices]:
    fewest = int(np.unique(labels[rest], return_counts=True)[1].min())
    if not 2 <= folds <= fewest:
        raise DataError(f"folds {folds}: must lie between 2 and {fewest}, the rows of {name}'s smallest training class")
    held = folds_of(labels[rest], folds, _rng(seed, 3)) == fold
    return rest[~held], rest[held]


def _validation(name: str, labels: Indices, fraction: float, seed: int) -> Indices:
    if not 0 < fraction < 1:
        raise DataError(f"--val_fraction {fraction}: must lie between 0 and 1")
    val = stratified(labels, round(fraction * len(labels)), _rng(seed, 0))
    classes, counts = np.unique(labels, return_counts=True)
    held = np.array([np.sum(labels[val] == c) for c in classes])
    if np.any(held == 0):
        raise DataError(
            f"--val_fraction {fraction}: {len(val)} of the {len(labels)} training rows of {name} "
            f"leave a class without a validation row; give at least {len(classes) / len(labels):.2g}"
        )
    if np.any(held == counts):
        short = int(np.argmax(held == counts))
        raise DataError(
            f"--val_fraction {fraction}: class {classes[short]} of {name} has {counts[short]} row(s), "
            "which leaves none for training; add data or give a smaller fraction"
        )
    return val


def _check_train_size(name: str, train_size: int, available: int, classes: int) -> None:
    if train_size > available:
        raise DataError(f"--train_size {train_size}: {name} has {available} training rows")
    if train_size < classes:
        raise DataError(f"--train_size {train_size}: {name} has {classes} classes; give at least one row a class")


def _rng(seed: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, purpose]))
