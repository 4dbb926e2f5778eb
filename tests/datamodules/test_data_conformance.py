"""What holds for every dataset of the registry, and so for a new one the moment it exists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules import TRANSFORMATIONS, DataError, DataModule, datasets, epoch_order, find
from datamodules._base import clear_cache, shard
from datamodules._split import split

Place = Callable[[str, Path], Path]
Make = Callable[..., DataModule]


@pytest.fixture(params=list(datasets()))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make(name: str, place: Place, tmp_path: Path) -> Make:
    data_dir = place(name, tmp_path / "data")
    # The small versions have few rows a class: a fifth leaves one for validation in each.
    options = {"val_fraction": 0.2, "data_dir": data_dir}
    return lambda **given: DataModule(name, **{**options, **given})


def row_keys(x: torch.Tensor) -> list[bytes]:
    return [row.numpy().tobytes() for row in x]


def test_entry_says_what_it_is(name: str) -> None:
    info = find(name)
    assert info.name == name
    assert 10 < len(info.summary) < 100
    assert "\n" not in info.summary
    assert len(info.source) > 10
    assert info.keeps <= set(TRANSFORMATIONS)
    assert 0 < info.val_fraction < 1
    assert info.kind == "image" or not info.keeps


def test_types_shapes_and_labels(make: Make) -> None:
    data = make()
    for part in data.splits.values():
        assert part.x.dtype == (torch.uint8 if data.kind == "image" else torch.float32)
        assert tuple(part.x.shape[1:]) == data.shape
        assert len(data.shape) == (3 if data.kind == "image" else 1)
        assert part.y.dtype == torch.int64
        assert len(part.y) == len(part.x)
        assert set(part.y.tolist()) == set(range(len(data.classes)))
    assert data.sizes == {part: len(rows.y) for part, rows in data.splits.items()}
    assert list(data.sizes) == ["train", "val", "test", "train_probe"]


def test_train_and_val_are_the_training_part_and_stratified(make: Make, name: str, tmp_path: Path) -> None:
    data = make()
    arrays = find(name).load(tmp_path / "data", None)
    train, val = (row_keys(data.splits[part].x) for part in ("train", "val"))
    whole = row_keys(torch.tensor(arrays.train_x))
    assert sorted(train + val) == sorted(whole)
    shares = [np.bincount(data.splits[part].y) / data.sizes[part] for part in ("train", "val")]
    expected = np.bincount(arrays.train_y) / len(arrays.train_y)
    for share, part in zip(shares, ("train", "val"), strict=True):
        assert np.abs(share - expected).max() < 1 / data.sizes[part]


@pytest.mark.usefixtures("make")
def test_no_validation_row_in_train_and_probe_in_train(name: str, tmp_path: Path) -> None:
    labels = find(name).load(tmp_path / "data", None).train_y
    parts = split(name, labels, None, None, 0.2, 0)
    assert not set(parts.train) & set(parts.val)
    assert set(parts.train) | set(parts.val) == set(range(len(labels)))
    assert set(parts.probe) <= set(parts.train)
    assert len(parts.probe) == min(len(parts.val), len(parts.train))


def test_splits_are_those_of_the_split_law(make: Make, name: str, tmp_path: Path) -> None:
    data = make(split_seed=3)
    arrays = find(name).load(tmp_path / "data", None)
    parts = split(name, arrays.train_y, None, None, 0.2, 3)
    for part, rows in (("train", parts.train), ("val", parts.val), ("train_probe", parts.probe)):
        assert np.array_equal(data.splits[part].x.numpy(), arrays.train_x[rows])
        assert np.array_equal(data.splits[part].y.numpy(), arrays.train_y[rows])
    assert np.array_equal(data.splits["test"].x.numpy(), arrays.test_x)


def test_fingerprint_is_stable_and_follows_the_split(make: Make) -> None:
    first = make()
    clear_cache()
    again = make(seed=5, batch_size=7)
    assert first.fingerprint == again.fingerprint
    assert len(first.fingerprint) == 64
    assert torch.equal(first.splits["train"].x, again.splits["train"].x)
    smaller = make(train_size=first.sizes["train"] - 1)
    assert len({first.fingerprint, make(split_seed=1).fingerprint, smaller.fingerprint}) == 3


def test_training_batches_are_the_permutation(make: Make) -> None:
    data = make(batch_size=8, seed=4)
    loader = data.train_dataloader()
    loader.set_epoch(2)
    order = epoch_order(data.sizes["train"], 4, 2)
    batches = list(loader)
    assert len(batches) == len(loader) == data.sizes["train"] // 8
    for i, (x, y) in enumerate(batches):
        rows = order[i * 8 : (i + 1) * 8]
        expected = data.splits["train"].x[rows].numpy().astype(np.float64) / (255 if data.kind == "image" else 1)
        np.testing.assert_allclose(x.numpy(), expected, rtol=1e-6)
        assert x.dtype == y.dtype == torch.float32
        assert torch.equal(y, torch.nn.functional.one_hot(data.splits["train"].y[rows], len(data.classes)).float())
        assert torch.all(y.sum(1) == 1)
        assert data.kind == "features" or (x.min() >= 0 and x.max() <= 1)


def test_evaluation_batches_give_the_split_in_order(make: Make) -> None:
    data = make(eval_batch_size=7)
    for part in data.splits:
        loader = data.loader(part)
        batches = list(loader)
        assert len(batches) == len(loader)
        assert torch.equal(torch.cat([y for _, y in batches]), data.splits[part].y)
        x = torch.cat([x for x, _ in batches])
        assert x.dtype == torch.float32
        scale = 255 if data.kind == "image" else 1
        assert torch.equal((x * scale).round() if scale > 1 else x, data.splits[part].x.float())
    assert [len(loader.rows.y) for loader in data.val_dataloader()] == [data.sizes["val"], data.sizes["train_probe"]]


@pytest.mark.parametrize("world", [1, 2, 3])
def test_ranks_share_a_split_exactly(make: Make, world: int) -> None:
    rows = make().splits["val"]
    shards = [shard(rows, rank, world) for rank in range(world)]
    assert sum(len(part.y) for part in shards) == len(rows.y)
    assert max(len(part.y) for part in shards) - min(len(part.y) for part in shards) <= 1
    assert sorted(key for part in shards for key in row_keys(part.x)) == sorted(row_keys(rows.x))


def test_moments_are_those_of_the_training_split(make: Make) -> None:
    data = make()
    x = data.splits["train"].x.numpy().astype(np.float64)
    axes = (0, 2, 3) if data.kind == "image" else (0,)
    x = x / 255 if data.kind == "image" else x
    np.testing.assert_allclose(data.mean, x.mean(axes), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(data.std, np.where(x.std(axes) > 0, x.std(axes), 1), rtol=1e-5)


def test_val_fraction_is_the_datasets_own_by_default(make: Make, name: str, tmp_path: Path) -> None:
    rows = len(find(name).load(tmp_path / "data", None).train_y)
    expected = round(find(name).val_fraction * rows)
    if expected < len(make().classes):  # the small version has too few rows for that share
        with pytest.raises(DataError, match=f"--val_fraction {find(name).val_fraction}"):
            make(val_fraction=None)
    else:
        assert make(val_fraction=None).sizes["val"] == expected
