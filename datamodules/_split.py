"""The split law: stratified, keyed by a seed, with subsets that nest. Indices only, no data."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules._errors import DataError

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
    return np.sort(seats(labels, rng)[:n])


def seats(labels: Indices, rng: np.random.Generator) -> Indices:
    """All rows, (N,), in the order in which `stratified` takes them."""
    shuffled = rng.permutation(len(labels))
    _, group, counts = np.unique(labels[shuffled], return_inverse=True, return_counts=True)
    by_class = np.argsort(group, kind="stable")
    rank = np.empty(len(labels), dtype=np.int64)
    rank[by_class] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    place = np.where(rank == 0, 0.0, (rank + 0.5) / counts[group])
    tie = rng.permutation(len(counts))[group]
    return shuffled[np.lexsort((tie, -counts[group], place))]


class Again(NamedTuple):
    """Another training split, made from the usual one: a fold left out, or a resample."""

    fold: int | None = None
    """Which of the `folds` becomes the validation split, from 0; the usual validation split is not used then."""
    folds: int | None = None
    resample: int | None = None
    """Number of a bootstrap resample: as many rows, drawn with replacement (Efron 1979)."""
    part: int | None = None
    """Number, from 0, of one of the parts of `train_size` rows that have no row in common."""


def split(
    name: str,
    labels: Indices,
    val_rows: int | None,
    train_size: int | None,
    val_fraction: float,
    seed: int,
    again: Again | None = None,
    classes: Sequence[str] = (),
    nested: bool = False,
) -> Parts:
    """Divide a dataset's training part, by one of two laws.

    With `nested`, `train_size` rows are all that there is, as for somebody who has no more: `val_fraction` of them
    become the validation split, and the rest is trained on. Without, the validation split is taken from the whole
    training part first. It depends on `val_fraction` and the seed only, so all training sizes share it, and a smaller
    training split is contained in a larger one.

    Args:
        name: the dataset's name, for errors.
        labels: (N,) classes of the training part.
        val_rows: the size of the dataset's own validation split, if it has one: then no row is taken for it.
        train_size: rows to keep for training, with `nested` for training and validation together; None keeps all.
        val_fraction: the share of rows for validation.
        seed: keys every draw.
        again: leaves a fold out, resamples, or takes another part.
        classes: names of the classes, for errors.
        nested: validation rows are some of the rows kept.

    Returns:
        Train, validation and the train probe: a subset of train as large as validation, if train has that many rows.

    Raises:
        DataError: a size or fraction that this dataset cannot give; it says which it can.
    """
    where, again = _Where(name, labels, classes), again or Again()
    if again.part is not None and not nested:
        raise DataError(f"part {again.part}: give --split_seed paired, of which each part is trained and validated on")
    fraction = None if val_rows is not None else val_fraction
    divide = _nested if nested else _shared_validation
    whole, rest, val = divide(where, fraction, train_size, again.part or 0, seed)
    if again.fold is not None or again.folds is not None:
        rest, val = _leave_out(where, whole, rest, again, seed)
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


def _shared_validation(
    where: _Where, fraction: float | None, train_size: int | None, part: int, seed: int
) -> tuple[Indices, Indices, Indices]:
    """All rows but those for validation, those of them that are trained on, and those for validation."""
    everything = np.arange(len(where.labels))
    val = everything[:0] if fraction is None else _validation(where, everything, fraction, seed)
    whole = np.setdiff1d(everything, val)
    return whole, whole if train_size is None else _keep(where, whole, train_size, 0, seed), val


def _nested(
    where: _Where, fraction: float | None, train_size: int | None, part: int, seed: int
) -> tuple[Indices, Indices, Indices]:
    """All rows, those of the rows kept that are trained on, and those for validation."""
    whole = np.arange(len(where.labels))
    kept = whole if train_size is None else _keep(where, whole, train_size, part, seed)
    val = kept[:0] if fraction is None else _validation(where, kept, fraction, seed)
    return whole, np.setdiff1d(kept, val), val


class _Where(NamedTuple):
    """What is divided, and how errors call it."""

    name: str
    labels: Indices
    classes: Sequence[str]

    def single(self, labels: Indices) -> str:
        """That these classes have one row: `digits has 1 row in each of the classes '3', '5', '6' and 4 more`."""
        names = [repr(self.classes[c]) if c < len(self.classes) else str(c) for c in labels[:3]]
        more = f" and {len(labels) - 3} more" if len(labels) > 3 else ""
        each = "class" if len(labels) == 1 else "each of the classes"
        return f"{self.name} has 1 row in {each} {', '.join(names)}{more}"


def _validation(where: _Where, rows: Indices, fraction: float, seed: int) -> Indices:
    labels = where.labels[rows]
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        bounds = _bounds(np.maximum(counts, 2))
        raise DataError(
            f"--val_fraction {fraction}: {where.single(classes[counts < 2])}, where training and validation need one "
            f"each; {_more_rows(where.labels, seed, keeping=len(rows) < len(where.labels))}"
            + ("" if bounds.hold(fraction) else f", and give {bounds.fractions()}")
        )
    bounds = _bounds(counts)
    if not bounds.hold(fraction):
        raise DataError(f"--val_fraction {fraction}: {_fault(where.name, fraction, bounds)}; give {bounds.fractions()}")
    return rows[stratified(labels, round(fraction * len(labels)), _rng(seed, 0))]


def _fault(name: str, fraction: float, bounds: _Bounds) -> str:
    if not 0 < fraction < 1:
        return "must lie between 0 and 1"
    rows = round(fraction * bounds.total)
    lacks = "a validation row" if rows < bounds.fewest else "a row for training"
    return f"{rows} of the {bounds.total} training rows of {name} leave a class without {lacks}"


class _Bounds(NamedTuple):
    """How many of all rows can be drawn so that each class has one in and one out."""

    fewest: int
    most: int
    total: int

    def hold(self, fraction: float) -> bool:
        return 0 < fraction < 1 and self.fewest <= round(fraction * self.total) <= self.most

    def fractions(self) -> str:
        """The share of rows that this is, in two significant digits, or in as many as it takes."""
        least, most = self.fewest / self.total, self.most / self.total
        for digits in range(1 - floor(log10(least)), 20):
            low, high = ceil(least * 10**digits) / 10**digits, floor(most * 10**digits) / 10**digits
            if self.hold(low) and self.hold(high):
                break
        return f"at least {low:.{digits}f} and at most {high:.{digits}f}"


def _bounds(counts: Indices) -> _Bounds:
    """For classes of these sizes, two rows each at the least.

    Every class has its first row before any has its second. Which class goes first at equal places depends on the seed,
    but not at which draw the first class has none left.
    """
    labels = np.repeat(np.arange(len(counts)), counts)
    order = labels[seats(labels, np.random.default_rng(0))]
    last = len(order) - 1 - np.unique(order[::-1], return_index=True)[1]
    return _Bounds(len(counts), int(last.min()), len(labels))


def _keep(where: _Where, rest: Indices, train_size: int, part: int, seed: int) -> Indices:
    """`train_size` of the rows, stratified: those of a part, of which no two share a row."""
    classes = len(np.unique(where.labels))
    if not classes <= train_size <= len(rest):
        reason = f"{len(rest)} training rows" if train_size > len(rest) else f"{classes} classes"
        raise DataError(
            f"--train_size {train_size}: {where.name} has {reason}; give at least {classes} and at most {len(rest)}"
        )
    parts = len(rest) // train_size
    if not 0 <= part < parts:
        raise DataError(f"part {part}: {where.name} has {parts} parts of {train_size} rows, numbered from 0")
    order = rest[seats(where.labels[rest], _rng(seed, 1))]
    return np.sort(order[part * train_size : (part + 1) * train_size])


def _leave_out(where: _Where, whole: Indices, rest: Indices, again: Again, seed: int) -> tuple[Indices, Indices]:
    """Divide `rest`, which is the whole training split or what is kept of it, into all folds but one, and that one."""
    fold, folds = again.fold, again.folds
    if fold is None or folds is None:
        raise DataError(f"fold {fold}, folds {folds}: give both or none")
    classes, counts = np.unique(where.labels[rest], return_counts=True)
    if counts.min() < 2:
        raise DataError(
            f"folds {folds}: the training split of {where.single(classes[counts < 2])}, where two folds need one each; "
            + _more_rows(where.labels[whole], seed)
        )
    if not 2 <= folds <= counts.min():
        raise DataError(
            f"folds {folds}: must lie between 2 and {counts.min()}, the rows of {where.name}'s smallest training class"
        )
    if not 0 <= fold < folds:
        raise DataError(f"fold {fold}: must lie between 0 and {folds - 1}")
    held = folds_of(where.labels[rest], folds, _rng(seed, 3)) == fold
    return rest[~held], rest[held]


def _more_rows(labels: Indices, seed: int, keeping: bool = True) -> str:
    """How each class comes to two rows: by keeping more of them, if there are so many."""
    if not keeping or np.unique(labels, return_counts=True)[1].min() < 2:
        return "add a row to each such class"
    order = labels[seats(labels, _rng(seed, 1))]
    second = [np.flatnonzero(order == c)[1] for c in np.unique(labels)]
    return f"give at least --train_size {max(second) + 1}"


def _rng(seed: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, purpose]))
