"""What is decoded of a dataset, which rows are which split, and the fingerprint of both: arrays only, without torch."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules._errors import DataError
from datamodules._files import state
from datamodules._registry import Arrays, datasets, find
from datamodules._split import Again, Parts, split


def fingerprint(
    dataset: str,
    *,
    data_dir: str | Path = "data",
    image_size: int | None = None,
    train_size: int | None = None,
    val_fraction: float | None = None,
    split_seed: int = 0,
    fold: int | None = None,
    folds: int | None = None,
    resample: int | None = None,
    part: int | None = None,
    nested: bool = False,
) -> str:
    """`DataModule(...).fingerprint` of the same settings, without making the splits.

    It is that of the files as they are now: each call looks at all of them, though it reads only changed ones.
    """
    again, files = Again(fold, folds, resample, part), files_now(dataset, data_dir)
    return _fingerprint(Wanted(files, image_size, train_size, val_fraction, split_seed, again, nested))


class DataFiles(NamedTuple):
    """A dataset as its files are now: what decoded data are remembered by."""

    name: str
    data_dir: Path
    state: object


def files_now(name: str, data_dir: str | Path) -> DataFiles:
    info = find(name)
    if "\0" in str(data_dir):
        raise DataError(f"--data_dir {data_dir}: no path has a zero byte")
    try:
        folder = Path(data_dir).expanduser().absolute()
    except RuntimeError as error:  # nobody has that home folder
        raise DataError(f"--data_dir {data_dir}: {error}") from None
    return DataFiles(name, folder, state(info.files(folder)))


class Wanted(NamedTuple):
    """What is to be made of a dataset."""

    files: DataFiles
    image_size: int | None
    train_size: int | None
    val_fraction: float | None
    split_seed: int
    again: Again
    nested: bool


@lru_cache(maxsize=4096)
def _fingerprint(wanted: Wanted) -> str:
    return divide(wanted)[1]


def divide(wanted: Wanted) -> tuple[Parts, str]:
    """The rows of each split, and the fingerprint of data and split."""
    name, fraction = wanted.files.name, wanted.val_fraction
    arrays, digest = decode(wanted.files, wanted.image_size)
    own_val = None if arrays.val_y is None else len(arrays.val_y)
    if own_val is not None and fraction is not None:
        raise DataError(
            f"--val_fraction {fraction}: {name} has its own validation split of {own_val} rows; leave it out"
        )
    fraction = find(name).val_fraction if fraction is None else fraction
    parts = split(
        name,
        arrays.train_y,
        own_val,
        wanted.train_size,
        fraction,
        wanted.split_seed,
        wanted.again,
        arrays.classes,
        wanted.nested,
    )
    return parts, _sha256(digest.encode(), *parts)


@lru_cache(maxsize=2)
def decode(files: DataFiles, image_size: int | None) -> tuple[Arrays, str]:
    info = find(files.name)
    if image_size is not None and not info.resizes:
        able = ", ".join(d.name for d in datasets().values() if d.resizes)
        raise DataError(f"--image_size {image_size}: {files.name} comes in one size; only {able} can be resized")
    arrays = info.load(files.data_dir, image_size)
    own_val = [] if arrays.val_x is None or arrays.val_y is None else [arrays.val_x, arrays.val_y]
    names = "\0".join(arrays.classes).encode()
    return arrays, _sha256(names, arrays.train_x, arrays.train_y, arrays.test_x, arrays.test_y, *own_val)


def _sha256(*parts: bytes | NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        header = f"bytes {len(part)};" if isinstance(part, bytes) else f"{part.dtype.str} {part.shape};"
        digest.update(header.encode())
        digest.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).data)
    return digest.hexdigest()


def clear() -> None:
    """Forget what was decoded."""
    _fingerprint.cache_clear()
    decode.cache_clear()
