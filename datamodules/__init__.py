"""Datasets, one file each, served from memory: `DataModule("digits")`.

What serves data needs torch, and is imported when it is asked for: names and errors are known without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datamodules._memory import available_memory, memory_needed
from datamodules._registry import TRANSFORMATIONS, Arrays, DataError, Dataset, datasets, find, register

if TYPE_CHECKING:
    from datamodules._base import DataModule, Split, clear_cache, epoch_order, fingerprint

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


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from datamodules import _base

    return getattr(_base, name)
