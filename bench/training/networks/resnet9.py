"""A residual network that trains without normalization."""

from __future__ import annotations

from typing import Annotated

from torch import nn

from bench.training.networks._layers import Residual, conv, init_he
from bench.training.networks._registry import register
from recipes import Slot, Whole


def block(channels: int, depth: float) -> list[nn.Module]:
    """A residual block of two convolutions without normalization, with its slots."""
    last = nn.Conv2d(channels, channels, 3, padding=1)
    branch = [*conv(channels, channels), last, Slot("norm", channels, 2), Slot("branch", channels, 2, depth)]
    return [Residual(nn.Sequential(*branch), act=nn.ReLU()), Slot("hidden", channels, 2)]


@register(least_side=8)
def resnet9(shape: tuple[int, ...], classes: int, width: Annotated[int, Whole(1, 4096)] = 64) -> nn.Module:
    """Nine-layer residual network (Page 2018, DAWNBench), trainable without normalization.

    The last convolution of each residual branch starts at zero, so that at first every branch is the identity (Zhang,
    Dauphin and Ma 2019, Fixup), and the others by He et al. (2015), which keeps the activations' variance. The
    activation follows the addition: behind a zero it would pass no gradient.

    Args:
        shape: (C, H, W) of one image.
        classes: K.
        width: maps of the first convolution; the last have eight times as many.
    """
    w = width
    net = nn.Sequential(
        *conv(shape[0], w),
        *conv(w, 2 * w),
        nn.MaxPool2d(2),
        *block(2 * w, depth=0.5),
        *conv(2 * w, 4 * w),
        nn.MaxPool2d(2),
        *conv(4 * w, 8 * w),
        nn.MaxPool2d(2),
        *block(8 * w, depth=1.0),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        Slot("hidden", 8 * w, dims=0),
        nn.Linear(8 * w, classes),
    )
    init_he(net)
    for residual in (m for m in net.modules() if isinstance(m, Residual)):
        nn.init.zeros_([m for m in residual.modules() if isinstance(m, nn.Conv2d)][-1].weight)
    return net
