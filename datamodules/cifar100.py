"""cifar100: small photographs, 100 classes, 600 images each."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from datamodules._registry import TRANSFORMATIONS, Arrays, register
from datamodules._torchvision import cifar_arrays, cifar_files


@register(
    kind="image",
    keeps=TRANSFORMATIONS,
    val_fraction=0.1,
    source="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images, "
    "https://www.cs.toronto.edu/~kriz/cifar.html",
    files=partial(cifar_files, "CIFAR100"),
)
def cifar100(data_dir: Path, image_size: int | None) -> Arrays:
    """60,000 photographs of 32x32 color pixels in 100 classes.

    Read from `data_dir/cifar-100-python`, downloaded on first use.

    Returns:
        uint8 images (50000, 3, 32, 32) for training and (10000, 3, 32, 32) for testing.

    Raises:
        DataError: a missing file that cannot be downloaded; an empty, truncated or corrupt one.
    """
    return cifar_arrays("CIFAR100", data_dir)
