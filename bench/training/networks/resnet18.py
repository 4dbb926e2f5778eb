"""The residual network that everybody knows."""

from __future__ import annotations

from typing import Annotated

from torch import nn

from bench.training.networks._layers import Residual, init_he
from bench.training.networks._registry import register
from recipes import Slot, Whole
from recipes._core.synced_batch_norm import BatchNorm


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size at stride 1; the normalization behind it has the bias."""
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


def norm(channels: int) -> Slot:
    """Batch norm in a slot, so that another normalization can take its place."""
    return Slot("norm", channels, 2, fill=BatchNorm(channels, 2))


def block(inputs: int, outputs: int, stride: int, index: int) -> nn.Module:
    """A basic block, the `index`-th of eight from 0 on, with its slots."""
    branch = nn.Sequential(
        conv(inputs, outputs, stride=stride),
        norm(outputs),
        nn.ReLU(),
        Slot("hidden", outputs, 2),
        conv(outputs, outputs),
        norm(outputs),
        Slot("branch", outputs, 2, depth=(index + 1) / 8),
    )
    same = stride == 1 and inputs == outputs
    shortcut = None if same else nn.Sequential(conv(inputs, outputs, 1, stride), norm(outputs))
    return Residual(branch, shortcut, act=nn.Sequential(nn.ReLU(), Slot("hidden", outputs, 2)))


@register(least_side=8)
def resnet18(shape: tuple[int, ...], classes: int, width: Annotated[int, Whole(1, 4096)] = 64) -> nn.Module:
    """ResNet-18 (He, Zhang, Ren and Sun 2016) with its usual batch norm and the CIFAR stem: 3x3, no pooling.

    Args:
        shape: (C, H, W) of one image.
        classes: K.
        width: maps of the first stage; each of the three that follow has twice as many.
    """
    stages = [(width * 2**i, 1 if i == 0 else 2) for i in range(4)]
    blocks: list[nn.Module] = []
    channels = width
    for out, stride in stages:
        blocks += [block(channels, out, stride, len(blocks)), block(out, out, 1, len(blocks) + 1)]
        channels = out
    net = nn.Sequential(
        conv(shape[0], width),
        norm(width),
        nn.ReLU(),
        Slot("hidden", width, 2),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        Slot("hidden", channels, dims=0),
        nn.Linear(channels, classes),
    )
    init_he(net)
    return net
