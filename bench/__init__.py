"""The benchmark: `from bench import RunConfig, train`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.training.execute import train
    from bench.training.record import Record
    from bench.training.settings import RunConfig

__version__ = "0.1.0"

__all__ = ["Record", "RunConfig", "train"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: the report reads names of metrics without torch (PEP 562)."""
    from importlib import import_module

    modules = {"train": "execute", "Record": "record", "RunConfig": "settings"}
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"bench.training.{modules[name]}"), name)
