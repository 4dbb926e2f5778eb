"""No regularization: the baseline of every table."""

from recipes._core.recipe import Recipe
from recipes._core.registry import register


@register(family="baseline", paper="")
def none() -> Recipe:
    """No regularization: the baseline of every comparison, and the empty composition."""
    return Recipe()
