"""mnist: the handwritten digits everybody knows."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from datamodules._registry import TRANSFORMATIONS, Arrays, register
from datamodules._torchvision import idx_arrays, idx_files

MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


@register(
    kind="image",
    keeps=TRANSFORMATIONS.keys() - {"hflip"},
    val_fraction=0.1,
    source="LeCun, Bottou, Bengio & Haffner 1998, Gradient-Based Learning Applied to Document Recognition, "
    "https://yann.lecun.com/exdb/mnist",
    files=partial(idx_files, "MNIST"),
)
def mnist(data_dir: Path, image_size: int | None) -> Arrays:
    """70,000 handwritten digits of 28x28 gray pixels in 10 classes.

    Read from `data_dir/MNIST/raw`, downloaded on first use.

    Returns:
        uint8 images (60000, 1, 28, 28) for training and (10000, 1, 28, 28) for testing.

    Raises:
        DataError: a missing file that cannot be downloaded; an empty, truncated or corrupt one.
    """
    return idx_arrays("MNIST", data_dir, tuple(str(digit) for digit in range(10)), MD5)
