"""Datasets, one file each, served from memory: `DataModule("digits")`.

What is asked for is imported when it is asked for: names, errors and fingerprints of data need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datamodules._base import DataModule, Split, clear_cache, epoch_order
    from datamodules._decoded import fingerprint
    from datamodules._errors import DataError, visible
    from datamodules._memory import available_memory, memory_needed
    from datamodules._registry import TRANSFORMATIONS, Arrays, Dataset, datasets, find, register

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
    "visible",
]
MODULES = {
    "_errors": ("DataError", "visible"),
    "_registry": ("TRANSFORMATIONS", "Arrays", "Dataset", "datasets", "find", "register"),
    "_decoded": ("fingerprint",),
    "_memory": ("available_memory", "memory_needed"),
    "_base": ("DataModule", "Split", "clear_cache", "epoch_order"),
}


def __getattr__(name: str) -> Any:
    for module, names in MODULES.items():
        if name in names:
            return getattr(import_module(f"datamodules.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
