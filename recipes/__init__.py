"""Regularization recipes: one file a technique, named as on the command line; `_*` files are their tools."""

from recipes._core.recipe import Recipe, RecipeError, Step, StepSize, Task, UnfitError, compose
from recipes._core.registry import Technique, build, find, parse, register, techniques
from recipes._core.slots import Slot, insert, slots, weights

__all__ = [
    "Recipe",
    "RecipeError",
    "Slot",
    "Step",
    "StepSize",
    "Task",
    "Technique",
    "UnfitError",
    "build",
    "compose",
    "find",
    "insert",
    "parse",
    "register",
    "slots",
    "techniques",
    "weights",
]
