"""Datasets, one file each, served from memory: `DataModule("digits")`."""

from datamodules._base import (
    TRANSFORMATIONS,
    Arrays,
    DataError,
    DataModule,
    Dataset,
    Split,
    datasets,
    epoch_order,
    find,
    fingerprint,
    register,
)

__all__ = [
    "TRANSFORMATIONS",
    "Arrays",
    "DataError",
    "DataModule",
    "Dataset",
    "Split",
    "datasets",
    "epoch_order",
    "find",
    "fingerprint",
    "register",
]
