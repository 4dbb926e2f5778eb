"""Exponential moving average of the weights."""

from typing import Annotated

from recipes._core.checks import In
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes.averaging._averaging import Averaging


def newest_weight(decay: float, updates: int, debias: bool) -> float:
    """The weight of the newest of t + 1 weights after t updates: 1 - decay, over 1 - decay ** (t + 1) if debiased."""
    return (1 - decay) / (1 - decay ** (updates + 1)) if debias else 1 - decay


@register(
    paper="Polyak and Juditsky 1992, Acceleration of Stochastic Approximation by Averaging; Tarvainen and Valpola 2017",
    reference="torch's AveragedModel with its EMA function over a real run's trajectory; debiased, the weighted mean.",
    strength="decay",
    grid=(0.9, 0.97, 0.99, 0.997, 0.9999),
    off=0.0,
)
def ema(decay: Annotated[float, In(0, 1, right=False)] = 0.99, debias: bool = True) -> Recipe:
    """An average of the last weights is evaluated: a <- decay * a + (1 - decay) * w after each step.

    Debiased as Adam's moments are (Kingma and Ba 2015, section 3): a is divided by 1 - decay^t, so that the weights
    count decay^age and nothing else. Libraries differ: torch's AveragedModel lets the first weights linger, which in a
    short run outweigh all others; TensorFlow may cap the decay by (1 + t) / (10 + t), timm's ModelEmaV3 by one less a
    power of t, which makes all large decays equal there. Buffers such as batch norm's statistics are averaged alike, as
    in timm's ModelEmaV3; AveragedModel copies them unless told otherwise.

    Args:
        decay: the strength: about 1 / (1 - decay) steps are averaged, all of them alike in a shorter run.
        debias: else the first step's weights begin the average with full weight.
    """

    def weight(step: int, updates: int, last: bool, progress: float) -> float:
        return newest_weight(decay, updates, debias)

    return Recipe(average=(lambda: Averaging(weight)) if decay else None)
