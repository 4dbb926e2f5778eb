"""digits: small enough to train on in a second, and always there."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from datamodules._registry import TRANSFORMATIONS, Arrays, register
from datamodules._split import stratified

TEST_FRACTION, TEST_SEED = 0.2, 1797  # the dataset has no official test split: this one is the same for everybody


@register(
    kind="image",
    keeps=TRANSFORMATIONS.keys() - {"hflip"},
    val_fraction=0.2,
    source="Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, "
    "https://archive.ics.uci.edu/dataset/80",
)
def digits(data_dir: Path, image_size: int | None) -> Arrays:
    """1,797 handwritten digits of 8x8 pixels in 10 classes, part of scikit-learn.

    Intensities of 0 to 16 become 0 to 255. A fixed stratified fifth is the test split. Nothing is read from `data_dir`.

    Returns:
        uint8 images (1438, 1, 8, 8) for training and (359, 1, 8, 8) for testing.
    """
    spec = find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    # What `sklearn.datasets.load_digits` reads: scikit-learn itself takes longer to import than digits to train on.
    table = np.loadtxt(Path(spec.origin).with_name("datasets") / "data" / "digits.csv.gz", delimiter=",")
    images = np.round(table[:, :-1] * 255 / 16).astype(np.uint8).reshape(-1, 1, 8, 8)
    labels = table[:, -1].astype(np.int64)
    test = stratified(labels, round(TEST_FRACTION * len(labels)), np.random.Generator(np.random.PCG64(TEST_SEED)))
    train = np.setdiff1d(np.arange(len(labels)), test)
    return Arrays(images[train], labels[train], images[test], labels[test], tuple(str(d) for d in range(10)))
