"""The networks: plain on purpose, so that every regularizer can be measured as something added."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.training import network_spec
from bench.training.errors import NetError
from recipes import Slot
from recipes._core.synced_batch_norm import BatchNorm


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


def linear(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Softmax regression: one linear layer on the flattened input."""
    return nn.Sequential(nn.Flatten(), nn.Linear(_size(shape), classes))


def mlp(shape: tuple[int, ...], classes: int, width: int = 256) -> nn.Module:
    """Fully connected ReLU network, D-256-128-K: two hidden layers."""
    _require_positive("mlp", width=width)
    return nn.Sequential(
        nn.Flatten(),
        *_dense(_size(shape), width),
        *_dense(width, width // 2 or 1),
        nn.Linear(width // 2 or 1, classes),
    )


def cnn(shape: tuple[int, ...], classes: int, width: int = 32) -> nn.Module:
    """Two convolutions with max pooling and one hidden fully connected layer, after LeNet-5 (LeCun et al. 1998)."""
    _require_images("cnn", shape, least=4)
    _require_positive("cnn", width=width)
    channels, height, side = shape
    flat = 2 * width * (height // 4) * (side // 4)
    return nn.Sequential(
        *_conv(channels, width),
        nn.MaxPool2d(2),
        *_conv(width, 2 * width),
        nn.MaxPool2d(2),
        nn.Flatten(),
        Slot("hidden", flat, dims=0),
        *_dense(flat, 4 * width),
        nn.Linear(4 * width, classes),
    )


def resnet9(shape: tuple[int, ...], classes: int, width: int = 64) -> nn.Module:
    """Nine-layer residual network (Page 2018, DAWNBench), trainable without normalization.

    The last convolution of each residual branch starts at zero, so that at first every branch is the identity (Zhang,
    Dauphin and Ma 2019, Fixup), and the others by He et al. (2015), which keeps the activations' variance. The
    activation follows the addition: behind a zero it would pass no gradient.
    """
    _require_images("resnet9", shape, least=8)
    _require_positive("resnet9", width=width)
    w = width
    net = nn.Sequential(
        *_conv(shape[0], w),
        *_conv(w, 2 * w),
        nn.MaxPool2d(2),
        *_plain_block(2 * w, depth=0.5),
        *_conv(2 * w, 4 * w),
        nn.MaxPool2d(2),
        *_conv(4 * w, 8 * w),
        nn.MaxPool2d(2),
        *_plain_block(8 * w, depth=1.0),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        Slot("hidden", 8 * w, dims=0),
        nn.Linear(8 * w, classes),
    )
    _init_he(net)
    for block in (m for m in net.modules() if isinstance(m, Residual)):
        nn.init.zeros_([m for m in block.modules() if isinstance(m, nn.Conv2d)][-1].weight)
    return net


def resnet18(shape: tuple[int, ...], classes: int, width: int = 64) -> nn.Module:
    """ResNet-18 (He, Zhang, Ren and Sun 2016) with its usual batch norm and the CIFAR stem: 3x3, no pooling."""
    _require_images("resnet18", shape, least=8)
    _require_positive("resnet18", width=width)
    stages = [(width * 2**i, 1 if i == 0 else 2) for i in range(4)]
    blocks: list[nn.Module] = []
    channels = width
    for out, stride in stages:
        blocks += [_basic_block(channels, out, stride, len(blocks)), _basic_block(out, out, 1, len(blocks) + 1)]
        channels = out
    net = nn.Sequential(
        _conv2d(shape[0], width),
        _batch_norm(width),
        nn.ReLU(),
        Slot("hidden", width, 2),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        Slot("hidden", channels, dims=0),
        nn.Linear(channels, classes),
    )
    _init_he(net)
    return net


NETS: dict[str, Callable[..., nn.Module]] = {f.__name__: f for f in (linear, mlp, cnn, resnet9, resnet18)}


def build(spec: str, shape: tuple[int, ...], classes: int, mean: Tensor, std: Tensor) -> nn.Module:
    """Initialize a network from torch's global random state.

    Args:
        spec: as `network_spec.parse` reads it.
        shape: of one input: (C, H, W) or (D,).
        classes: K, the number of outputs.
        mean, std: (C,) or (D,) constants of the training split.

    Raises:
        NetError: an unknown network, or one that does not fit the shape.
    """
    parsed = network_spec.parse(spec)
    body = NETS[parsed.name](shape, classes, **parsed.arguments)
    return nn.Sequential(Standardize(mean, std, dims=len(shape) - 1), body)


def _dense(inputs: int, outputs: int) -> list[nn.Module]:
    """A hidden fully connected layer with its slots."""
    return [nn.Linear(inputs, outputs), Slot("norm", outputs, 0), nn.ReLU(), Slot("hidden", outputs, 0)]


def _conv(inputs: int, outputs: int) -> list[nn.Module]:
    """A hidden 3x3 convolution with its slots."""
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1),
        Slot("norm", outputs, 2),
        nn.ReLU(),
        Slot("hidden", outputs, 2),
    ]


def _plain_block(channels: int, depth: float) -> list[nn.Module]:
    """A residual block of two convolutions without normalization, with its slots."""
    last = nn.Conv2d(channels, channels, 3, padding=1)
    branch = [*_conv(channels, channels), last, Slot("norm", channels, 2), Slot("branch", channels, 2, depth)]
    return [Residual(nn.Sequential(*branch), act=nn.ReLU()), Slot("hidden", channels, 2)]


def _conv2d(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


def _batch_norm(channels: int) -> Slot:
    return Slot("norm", channels, 2, fill=BatchNorm(channels, 2))


def _basic_block(inputs: int, outputs: int, stride: int, index: int) -> nn.Module:
    branch = nn.Sequential(
        _conv2d(inputs, outputs, stride=stride),
        _batch_norm(outputs),
        nn.ReLU(),
        Slot("hidden", outputs, 2),
        _conv2d(outputs, outputs),
        _batch_norm(outputs),
        Slot("branch", outputs, 2, depth=(index + 1) / 8),
    )
    same = stride == 1 and inputs == outputs
    shortcut = None if same else nn.Sequential(_conv2d(inputs, outputs, 1, stride), _batch_norm(outputs))
    return Residual(branch, shortcut, act=nn.ReLU())


def _init_he(net: nn.Module) -> None:
    for conv in (m for m in net.modules() if isinstance(m, nn.Conv2d)):
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)


def _size(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())


def _require_images(name: str, shape: tuple[int, ...], least: int) -> None:
    if len(shape) != 3:
        raise NetError(f"{name} needs images (C, H, W), this dataset has shape {shape}: choose linear or mlp")
    if min(shape[1:]) < least:
        raise NetError(f"{name} needs images of at least {least}x{least}, this dataset has {shape[1]}x{shape[2]}")


def _require_positive(name: str, **values: int) -> None:
    for key, value in values.items():
        if value < 1:
            raise NetError(f"{name}: {key} must be at least 1, got {value}")
