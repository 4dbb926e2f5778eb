"""The registry, and digits against scikit-learn."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import datamodules
from datamodules import DataError, datasets, find, register

FOLDER = Path(datamodules.__file__).parent


def test_every_file_is_a_dataset() -> None:
    files = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
    assert list(datasets()) == files
    assert {"cifar10", "cifar100", "dense_features", "digits", "fashion_mnist", "imagefolder", "mnist"} <= set(files)


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(DataError, match="unknown dataset 'minst': did you mean 'mnist'"):
        find("minst")


def test_only_known_transformations_can_be_kept() -> None:
    with pytest.raises(ValueError, match="unknown transformation 'melt'"):
        register(kind="image", val_fraction=0.1, source="", keeps={"melt", "crop"})


def test_no_mirror_images_of_digits() -> None:
    assert [name for name, info in datasets().items() if info.kind == "image" and "hflip" not in info.keeps] == [
        "digits",
        "mnist",
    ]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_torchvision_is_imported_late(path: Path) -> None:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not any(name.split(".")[0] in ("torchvision", "sklearn", "bench", "recipes") for name in names)


def test_digits_are_those_of_scikit_learn(tmp_path: Path) -> None:
    x, y = load_digits(return_X_y=True)
    arrays = find("digits").load(tmp_path, None)
    images = np.concatenate([arrays.train_x, arrays.test_x]).reshape(-1, 64)
    labels = np.concatenate([arrays.train_y, arrays.test_y])
    expected = sorted(
        (row.tobytes(), int(c)) for row, c in zip(np.round(x * 255 / 16).astype(np.uint8), y, strict=True)
    )
    assert sorted((row.tobytes(), int(c)) for row, c in zip(images, labels, strict=True)) == expected
    assert images.max() == 255
    assert images.min() == 0
    shares = np.bincount(arrays.test_y) / np.bincount(labels)
    assert np.all(np.abs(shares - 0.2) < 0.01)
