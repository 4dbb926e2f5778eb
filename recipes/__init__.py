"""Regularization recipes: one file a technique, named as on the command line; its folder is its family.

What works on networks needs torch, and is imported when it is asked for: the catalogue is read without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recipes._core.checks import Above, AtLeast, In, OneOf, Whole
from recipes._core.recipe import Recipe, RecipeError, Step, StepSize, Task, UnfitError, compose
from recipes._core.registry import Technique, build, canonical, find, parse, register, techniques

if TYPE_CHECKING:
    from recipes._core.slots import Slot, insert, slots, weights

__all__ = [
    "Above",
    "AtLeast",
    "In",
    "OneOf",
    "Recipe",
    "RecipeError",
    "Slot",
    "Step",
    "StepSize",
    "Task",
    "Technique",
    "UnfitError",
    "Whole",
    "build",
    "canonical",
    "compose",
    "find",
    "insert",
    "parse",
    "register",
    "slots",
    "techniques",
    "weights",
]


def __getattr__(name: str) -> Any:
    if name not in ("Slot", "insert", "slots", "weights"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from recipes._core import slots

    return getattr(slots, name)
