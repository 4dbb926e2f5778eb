"""Datasets, one file each, served from memory: `DataModule("digits")`."""

from datamodules._base import (
    TRANSFORMATIONS,
    Arrays,
    DataError,
    DataModule,
    Dataset,
    Split,
    clear_cache,
    datasets,
    epoch_order,
    find,
    fingerprint,
    register,
)
from datamodules._memory import available_memory, memory_needed

__all__ = [
    "TRANSFORMATIONS",
    "Arrays",
    "DataError",
    "DataModule",
    "Dataset",
    "Split",
    "available_memory",
    "clear_cache",
    "datasets",
    "epoch_order",
    "find",
    "fingerprint",
    "memory_needed",
    "register",
]
