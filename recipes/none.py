"""No regularization: the baseline of every table."""

from recipes._core.recipe import Recipe
from recipes._core.registry import register


@register(
    paper="",
    reference="softmax regression by a training loop written by hand, with torch's own optimizers and schedule.",
)
def none() -> Recipe:
    """No regularization: the baseline of every comparison, and the empty composition."""
    return Recipe()
