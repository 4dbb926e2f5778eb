"""Stochastic weight averaging."""

from typing import Annotated

from recipes._core.checks import In
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes.averaging._averaging import Averaging


@register(
    paper="Izmailov, Podoprikhin, Garipov, Vetrov and Wilson 2018, Averaging Weights Leads to Wider Optima",
    reference="torch's AveragedModel over the trajectory of a real run; batch statistics by hand.",
    strength="start",
    grid=(0.9, 0.75, 0.5, 0.25, 0.0),
    off=1.0,
)
def swa(start: Annotated[float, In(0, 1)] = 0.75) -> Recipe:
    """The mean of the weights at the ends of the last epochs is evaluated, each of them with the same weight.

    Batch norm's statistics are recomputed for the mean by a pass over the clean training data, as the paper demands,
    before every evaluation. The paper keeps the learning rate constant or cyclic while it averages; here the run's own
    schedule goes on, so under the cosine the last epochs lie close together: `--schedule constant` is the paper's.
    Lightning's callback sets a learning rate of its own and spends one more epoch where the network has batch norm.

    Args:
        start: the strength, the smaller the stronger: the share of the run after which averaging begins; at 1 nothing
            is averaged.
    """

    def weight(step: int, updates: int, last: bool, progress: float) -> float | None:
        return 1 / (updates + 1) if last and progress > start else None

    return Recipe(average=(lambda: Averaging(weight, recompute=True)) if start < 1 else None)
