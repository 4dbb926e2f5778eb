"""Named places in a network where a recipe may put a layer, and the parameters that count as weights.

A network marks its places with `Slot`s, so that a recipe needs no knowledge of any particular network: anybody's
network that has them can be regularized by every technique.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from recipes._core.recipe import UnfitError

Kind = Literal["norm", "hidden", "branch"]
PLACES: dict[str, str] = {
    "norm": "hidden layers whose outputs could be normalized",
    "hidden": "hidden units",
    "branch": "residual branches",
}


class Slot(nn.Module):
    """A place that holds nothing until a recipe fills it.

    Args:
        kind: `norm` (after a hidden linear or convolutional layer, before its activation), `hidden` (after a hidden
            activation) or `branch` (the end of a residual branch, before it is added).
        channels: the number of channels or units there.
        dims: spatial dimensions of the activations: 0 for vectors (N, C), 2 for feature maps (N, C, H, W).
        depth: how deep it lies, in (0, 1]; 1 is the last slot of its kind.
        fill: what it holds from the start, as the usual batch norm of a network.
    """

    def __init__(self, kind: Kind, channels: int, dims: int, depth: float = 1.0, fill: nn.Module | None = None) -> None:
        super().__init__()
        self.kind, self.channels, self.dims, self.depth = kind, channels, dims, depth
        self.fill = nn.Identity() if fill is None else fill

    @property
    def empty(self) -> bool:
        return isinstance(self.fill, nn.Identity)

    def append(self, module: nn.Module) -> None:
        self.fill = module if self.empty else nn.Sequential(self.fill, module)

    def forward(self, x: Tensor) -> Tensor:
        return self.fill(x)  # type: ignore[no-any-return]


def slots(net: nn.Module, kind: Kind, dims: int | None = None) -> list[Slot]:
    """The network's slots of a kind, in order, optionally only those on vectors (0) or on feature maps (2).

    Raises:
        UnfitError: if it has none.
    """
    found = [m for m in net.modules() if isinstance(m, Slot) and m.kind == kind and dims in (None, m.dims)]
    if not found:
        where = {None: "", 0: " in fully connected layers", 2: " in feature maps"}[dims]
        raise UnfitError(f"this network has no {PLACES[kind]}{where}")
    return found


def insert(make: Callable[[Slot], nn.Module], kind: Kind, dims: int | None = None) -> Callable[[nn.Module], nn.Module]:
    """Surgery that adds `make(slot)` to every slot of a kind; for a recipe's `model`."""

    def surgery(net: nn.Module) -> nn.Module:
        for slot in slots(net, kind, dims):
            slot.append(make(slot))
        return net

    return surgery


def weights(net: nn.Module) -> list[nn.Parameter]:
    """The weights of linear and convolutional layers; biases and normalization parameters have one dimension."""
    return [p for p in net.parameters() if p.requires_grad and p.ndim >= 2]
