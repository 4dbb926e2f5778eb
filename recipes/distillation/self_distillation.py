"""Self-distillation: a network learns from an equal one that was trained before it."""

from typing import Annotated

import torch
from torch import Tensor, nn

from recipes._core.checks import In
from recipes._core.recipe import Recipe
from recipes._core.registry import register


@register(
    paper="Furlanello, Lipton, Tschannen, Itti and Anandkumar 2018, Born-Again Neural Networks; Hinton et al. 2015",
    reference="Hinton et al.'s loss written out: (1 - w) * CE(y) + w * CE(teacher).",
    strength="weight",
    grid=(0.1, 0.3, 0.5, 0.7, 0.9),
    off=0.0,
)
def self_distillation(weight: Annotated[float, In(0, 1)] = 0.5) -> Recipe:
    """Targets are mixed with an equal, trained network's: y <- (1 - weight) * y + weight * softmax(teacher(x)).

    The teacher is a born-again one: the same network, data and settings with no recipe at all, from another seed,
    trained by the suite and kept as a record of its own. It sees the batch as the student does (after what stands to
    the left in a composition) and in evaluation mode. Temperature 1, as in Born-Again Networks.

    Args:
        weight: the strength: the teacher's share of the target.
    """
    teachers: list[nn.Module] = []

    def receive(net: nn.Module) -> None:
        teachers[:] = [net.eval()]

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            taught = teachers[0].to(x.device)(x).float().softmax(1)
        return x, (1 - weight) * y + weight * taught

    return Recipe(teacher=receive, batch=batch, row_by_row=True) if weight else Recipe()
