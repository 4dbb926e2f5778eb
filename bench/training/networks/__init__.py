"""The networks, one file each: plain on purpose, so that every regularizer can be measured as something added.

What builds them needs torch, and is imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.training.networks._registry import NetSpec, Network, Size, build, networks, parse, register, size_of

if TYPE_CHECKING:
    from bench.training.networks._layers import Residual, Standardize

__all__ = ["NetSpec", "Network", "Residual", "Size", "Standardize", "build", "networks", "parse", "register", "size_of"]


def __getattr__(name: str) -> Any:
    if name not in ("Residual", "Standardize"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bench.training.networks import _layers

    return getattr(_layers, name)
