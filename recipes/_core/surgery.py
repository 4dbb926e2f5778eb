"""Surgery on networks that several techniques share: normalization put into slots, weights computed from others."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize

from recipes._core.recipe import UnfitError
from recipes._core.slots import Slot, slots


class Normalization(nn.Module):
    """A normalization layer with the name of the recipe that has put it there, by which a second one is refused."""

    def __init__(self, recipe: str, layer: nn.Module) -> None:
        super().__init__()
        self.recipe, self.layer = recipe, layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)  # type: ignore[no-any-return]


def normalize(
    recipe: str, make: Callable[[Slot], nn.Module], *, replace: bool = True
) -> Callable[[nn.Module], nn.Module]:
    """Surgery that puts `make(slot)` into every slot for normalization; for a recipe's `model`.

    Args:
        recipe: the technique's name.
        make: makes the layer for a slot.
        replace: whether the network's own normalization gives way; it is refused otherwise.

    Raises:
        UnfitError: from the surgery, where there is no slot or normalization that stays.
    """

    def surgery(net: nn.Module) -> nn.Module:
        for slot in slots(net, "norm"):
            if isinstance(slot.fill, Normalization):
                raise UnfitError(f"{recipe}: {slot.fill.recipe} normalizes this network's hidden layers already")
            if not (slot.empty or replace):
                raise UnfitError(f"{recipe}: this network's hidden layers are normalized already")
            slot.fill = Normalization(recipe, make(slot))
        return net

    return surgery


def weighted(net: nn.Module) -> list[nn.Linear | _ConvNd]:
    """The linear and convolutional layers, in order."""
    return [m for m in net.modules() if isinstance(m, nn.Linear | _ConvNd)]


def reparametrize(layer: nn.Module, make: Callable[[Tensor], nn.Module], name: str = "weight") -> None:
    """From now on the layer's weight is `make(weight)`'s output for it, anew in each pass; the parameter stays."""
    parametrize.register_parametrization(layer, name, make(getattr(layer, name)))
