"""What a dataset is, and the registry: every file of this package without a leading underscore is one."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from datamodules._errors import DataError

Kind = Literal["image", "features"]

TRANSFORMATIONS: dict[str, str] = {
    "rotate": "rotation by some degrees",
    "translate": "shift by some pixels",
    "scale": "a little larger or smaller",
    "shear": "slant by some degrees",
    "hflip": "mirror image",
    "crop": "a part of the image, or of the padded image",
    "erase": "a hidden patch",
    "color": "other brightness, contrast, saturation or hue",
    "invert": "inverted, solarized or posterized intensities",
}
"""Image transformations, each of which may or may not keep the labels of a dataset."""


@dataclass(frozen=True)
class Arrays:
    """A decoded dataset.

    Images are uint8 (N, C, H, W), features float32 (N, D), labels int64 (N,) from 0 to `len(classes) - 1`.
    `val_x` and `val_y` are set where the dataset has a validation split of its own.
    """

    train_x: NDArray[Any]
    train_y: NDArray[np.int64]
    test_x: NDArray[Any]
    test_y: NDArray[np.int64]
    classes: tuple[str, ...]
    val_x: NDArray[Any] | None = None
    val_y: NDArray[np.int64] | None = None
    title: str | None = None
    """How tables call the data, where that is not the dataset's name."""


Load = Callable[[Path, int | None], Arrays]
Files = Callable[[Path], Sequence[Path | str]]


@dataclass(frozen=True)
class Dataset:
    """A function that loads a dataset, and what the suite must know to list and use it."""

    name: str
    load: Load
    kind: Kind
    keeps: frozenset[str]
    """The `TRANSFORMATIONS` that keep its labels."""
    val_fraction: float
    """The share of the training part that becomes the validation split."""
    source: str
    """Who made it, and where it is described."""
    resizes: bool
    """Whether it takes an image size."""
    files: Files
    """The files in a data folder that it reads, there or not: data in memory are good until one of them changes."""

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.load) or self.name).splitlines()[0]


def register(
    *,
    kind: Kind,
    val_fraction: float,
    source: str,
    keeps: Iterable[str] = (),
    resizes: bool = False,
    files: Files = lambda data_dir: (),
) -> Callable[[Load], Load]:
    """Describe a dataset beside its function, which becomes its entry in the registry under the function's name."""
    if unknown := sorted(set(keeps) - set(TRANSFORMATIONS)):
        raise ValueError(f"unknown transformation {unknown[0]!r}: choose from {', '.join(TRANSFORMATIONS)}")

    def describe(load: Load) -> Load:
        name: str = getattr(load, "__name__")  # noqa: B009 - a Callable has no name in the type system
        entry = Dataset(name, load, kind, frozenset(keeps), val_fraction, source, resizes, files)
        load.dataset = entry  # type: ignore[attr-defined]
        return load

    return describe


@cache
def datasets() -> dict[str, Dataset]:
    """The registry: one dataset from each file of this package, sorted by name."""
    package = importlib.import_module("datamodules")
    names = sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))
    return {name: getattr(importlib.import_module(f"datamodules.{name}"), name).dataset for name in names}


def find(name: str) -> Dataset:
    """The dataset of that name.

    Raises:
        DataError: if there is none; it names the nearest and all others.
    """
    known = datasets()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise DataError(f"unknown dataset {name!r}: {hint}choose from {', '.join(known)}")
    return known[name]
