"""What everybody's script has: networks, torchvision's data, loaders. It needs torch and torchvision, not the suite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset, random_split
from torchvision import datasets, transforms

BATCH = 128
WIDTH = 8
"""Of resnet9."""
Pair = tuple["Dataset[Any]", "Dataset[Any]"]


def mlp() -> nn.Module:
    """The suite's `mlp`."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    )


class Residual(nn.Module):
    """relu(x + branch(x)) with two convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(*_conv(channels, channels), nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.branch(x))


def resnet9(w: int = WIDTH) -> nn.Module:
    """The suite's `resnet9`, but for its initialization, which costs no time."""
    return nn.Sequential(
        *_conv(3, w),
        *_conv(w, 2 * w),
        nn.MaxPool2d(2),
        Residual(2 * w),
        *_conv(2 * w, 4 * w),
        nn.MaxPool2d(2),
        *_conv(4 * w, 8 * w),
        nn.MaxPool2d(2),
        Residual(8 * w),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(8 * w, 10),
    )


def _conv(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]


def mnist(folder: Path) -> Pair:
    """Training and validation images, with ToTensor and Normalize."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    train, val = random_split(datasets.MNIST(str(folder), train=True, transform=transform), [54_000, 6_000])
    return train, val


def images(folder: Path) -> Pair:
    """Training and validation images of a folder with a folder a class."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.25,) * 3)])
    train, val = (datasets.ImageFolder(str(folder / split), transform) for split in ("train", "val"))
    return train, val


@dataclass(frozen=True)
class Task:
    """A network, the data that it is trained on, and their names in the suite."""

    net: Callable[[], nn.Module]
    data: Callable[[Path], Pair]
    dataset: str
    model: str
    words: str


TASKS = {
    "mnist": Task(mlp, mnist, "mnist", "mlp", "One MNIST epoch of the mlp"),
    "images": Task(
        resnet9,
        images,
        "imagefolder",
        f"resnet9(width={WIDTH})",
        f"One epoch of resnet9(width={WIDTH}) on 5,000 images of 3x32x32",
    ),
}


def loaders(task: str, folder: Path, size: int | None = None, batch: int = BATCH) -> tuple[Any, Any]:
    """The usual DataLoaders of a task; `size` takes that many training images."""
    train, val = TASKS[task].data(folder)
    kept = train if size is None else Subset(train, range(size))
    return DataLoader(kept, batch, shuffle=True), DataLoader(val, batch)
