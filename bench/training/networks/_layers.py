"""Layers that networks share, with the slots that recipes fill."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recipes import Slot


class Standardize(nn.Module):
    """(x - mean) / std by channel or feature, with the training split's constants; every network's first layer."""

    def __init__(self, mean: Tensor, std: Tensor, dims: int) -> None:
        super().__init__()
        self.shift: Tensor
        self.scale: Tensor
        shape = (1, -1, *[1] * dims)
        self.register_buffer("shift", (-mean / std).float().view(shape))
        self.register_buffer("scale", (1 / std).float().view(shape))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.shift, x, self.scale)


class Residual(nn.Module):
    """act(shortcut(x) + branch(x)), with act the identity where the paper has none."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module | None = None, act: nn.Module | None = None) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut or nn.Identity()
        self.act = act or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.shortcut(x) + self.branch(x))  # type: ignore[no-any-return]


def dense(inputs: int, outputs: int) -> list[nn.Module]:
    """A hidden fully connected layer with its slots: (N, inputs) -> (N, outputs)."""
    return [nn.Linear(inputs, outputs), Slot("norm", outputs, 0), nn.ReLU(), Slot("hidden", outputs, 0)]


def conv(inputs: int, outputs: int) -> list[nn.Module]:
    """A hidden 3x3 convolution with its slots: (N, inputs, H, W) -> (N, outputs, H, W)."""
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1),
        Slot("norm", outputs, 2),
        nn.ReLU(),
        Slot("hidden", outputs, 2),
    ]


def init_he(net: nn.Module) -> None:
    """Initialize all convolutions by He et al. (2015), which keeps the variance of gradients; biases are zero."""
    for layer in (m for m in net.modules() if isinstance(m, nn.Conv2d)):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
