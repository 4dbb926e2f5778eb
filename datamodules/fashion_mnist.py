"""fashion_mnist: the format of MNIST, but harder."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from datamodules._registry import TRANSFORMATIONS, Arrays, register
from datamodules._torchvision import idx_arrays, idx_files

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@register(
    kind="image",
    keeps=TRANSFORMATIONS,
    val_fraction=0.1,
    source="Xiao, Rasul & Vollgraf 2017, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning "
    "Algorithms, https://arxiv.org/abs/1708.07747",
    files=partial(idx_files, "FashionMNIST"),
)
def fashion_mnist(data_dir: Path, image_size: int | None) -> Arrays:
    """70,000 pieces of clothing of 28x28 gray pixels in 10 classes.

    Read from `data_dir/FashionMNIST/raw`, downloaded on first use.

    Returns:
        uint8 images (60000, 1, 28, 28) for training and (10000, 1, 28, 28) for testing.

    Raises:
        DataError: a missing file that cannot be downloaded; an empty, truncated or corrupt one.
    """
    # The archives' checksums guard the download; the authors give none for the unpacked files.
    return idx_arrays("FashionMNIST", data_dir, CLASSES, md5={})
