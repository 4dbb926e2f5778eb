"""A small convolutional network."""

from __future__ import annotations

from typing import Annotated

from torch import nn

from bench.training.networks._layers import conv, dense
from bench.training.networks._registry import register
from recipes import Slot, Whole


@register(least_side=4)
def cnn(shape: tuple[int, ...], classes: int, width: Annotated[int, Whole(1, 4096)] = 32) -> nn.Module:
    """Two convolutions with max pooling and one hidden fully connected layer, after LeNet-5 (LeCun et al. 1998).

    Args:
        shape: (C, H, W) of one image.
        classes: K.
        width: maps of the first convolution; the second has twice as many, the hidden layer four times as many units.
    """
    channels, height, side = shape
    flat = 2 * width * (height // 4) * (side // 4)
    return nn.Sequential(
        *conv(channels, width),
        nn.MaxPool2d(2),
        *conv(width, 2 * width),
        nn.MaxPool2d(2),
        nn.Flatten(),
        Slot("hidden", flat, dims=0),
        *dense(flat, 4 * width),
        nn.Linear(4 * width, classes),
    )
