"""Exponential moving average of the weights."""

from recipes._averaging import Averaging
from recipes._checks import require_share
from recipes._recipe import Recipe
from recipes._registry import register


def present_decay(decay: float, updates: int, warmup: bool) -> float:
    """The decay at an update: min(decay, (1 + t) / (10 + t)) with warm-up, which forgets the untrained weights."""
    return min(decay, (1 + updates) / (10 + updates)) if warmup else decay


@register(
    family="averaging",
    paper="Polyak and Juditsky 1992, Acceleration of Stochastic Approximation by Averaging; Tarvainen and Valpola 2017",
    strength="decay",
    grid=(0.9, 0.97, 0.99, 0.997, 0.999),
    off=0.0,
)
def ema(decay: float = 0.99, warmup: bool = True) -> Recipe:
    """An average of the last weights is evaluated: a <- decay * a + (1 - decay) * w after each step.

    Buffers such as batch norm's statistics are averaged alike, as in timm's ModelEmaV3; torch's AveragedModel copies
    them unless told otherwise. Warm-up as in TensorFlow's ExponentialMovingAverage(num_updates=).

    Args:
        decay: the strength: about 1 / (1 - decay) steps are averaged; in [0, 1).
        warmup: lets the decay rise from 0.1, so that the untrained weights do not linger.

    Raises:
        ValueError: decay is outside [0, 1).
    """
    require_share("decay", decay)

    def weight(step: int, updates: int, last: bool, progress: float) -> float:
        return 1 - present_decay(decay, updates, warmup)

    return Recipe(average=(lambda: Averaging(weight)) if decay else None)
