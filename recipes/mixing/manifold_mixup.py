"""Manifold mixup."""

from typing import Annotated

import torch
from torch import Tensor, nn

from recipes._core.checks import AtLeast
from recipes._core.distributed import own_rows
from recipes._core.recipe import Recipe, StepSize, UnfitError
from recipes._core.registry import register
from recipes._core.slots import Slot, slots
from recipes.mixing._mixing import draw_lambda, draw_shift, gather_rows
from recipes.mixing.mixup import mix


class Draw:
    """What a step has drawn: `batch` sets it, the network's layers read it; nothing outside a training step."""

    shift: int
    lam: Tensor
    layer: int | None = None


class MixHere(nn.Module):
    """Mixes the rows of (N, C) or (N, C, H, W) activations in training, if the step has drawn this layer."""

    def __init__(self, draw: Draw, layer: int) -> None:
        super().__init__()
        self.draw, self.layer = draw, layer

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.draw.layer != self.layer:
            return x
        return own_rows(mix(gather_rows(x), self.draw.shift, self.draw.lam))


def eligible(net: nn.Module) -> list[Slot]:
    """Hidden layers through which everything passes: not those within a residual branch, beside which runs a shortcut.

    Raises:
        UnfitError: there is none.
    """
    branches = [m for m in net.modules() if any(isinstance(c, Slot) and c.kind == "branch" for c in m.children())]
    inside = {slot for branch in branches for slot in branch.modules()}
    found = [slot for slot in slots(net, "hidden") if slot not in inside]
    if not found:
        raise UnfitError("manifold_mixup: this network has no hidden units outside residual branches")
    return found


@register(
    paper="Verma, Lamb, Beckham, Najafi, Mitliagkas, Lopez-Paz and Bengio 2019, Manifold Mixup",
    reference="mixing by hand between the layers of a network; mixup on the input; one process beside two.",
    strength="alpha",
    grid=(0.05, 0.2, 0.5, 1.0, 2.0, 8.0),
    off=0.0,
)
def manifold_mixup(alpha: Annotated[float, AtLeast(0)] = 1.0) -> Recipe:
    """As mixup, but on a layer drawn each step: h_k <- lam h_k + (1 - lam) h_k', y likewise, lam ~ Beta(alpha, alpha).

    The layer is the input or the output of a hidden layer, all equally likely; in residual networks only those
    outside the branches: the stem, the ends of blocks and the pooled features. There the paper's code draws among the
    input and the ends of the first two stages. One lambda a batch as in the paper's code. With several processes
    partners come from the whole batch. Techniques that treat each sample in its own way, as `mixup(per_sample=True)`,
    come before this one.

    Args:
        alpha: the strength: 0 mixes nothing, 1 makes lambda uniform; 2 in the paper.

    Raises:
        UnfitError: the network has no hidden layer.
    """
    if not alpha:
        return Recipe()
    draw, layers = Draw(), [0]  # layer 0 is the input

    def model(net: nn.Module) -> nn.Module:
        for i, slot in enumerate(eligible(net), start=1):
            slot.append(MixHere(draw, i))
            layers.append(i)
        return net

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        draw.layer = layers[int(torch.randint(len(layers), ()))]
        draw.lam, draw.shift = draw_lambda(alpha), draw_shift(len(x))
        return mix(x, draw.shift, draw.lam) if draw.layer == 0 else x, mix(y, draw.shift, draw.lam)

    def project(net: nn.Module, step_size: StepSize) -> None:
        draw.layer = None  # the step is over

    return Recipe(model=model, batch=batch, project=project, mixes_layers=True)
