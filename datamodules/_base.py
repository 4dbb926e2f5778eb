"""The data module: one dataset, decoded and split once, then served from tensors on the training device.

There is no `DataLoader` and no worker process: a batch is one gather from memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch import LongTensor, Tensor

from datamodules import _decoded
from datamodules._decoded import Wanted, decode, divide, files_now
from datamodules._errors import DataError
from datamodules._registry import Arrays, find
from datamodules._split import Again, Parts


class Split(NamedTuple):
    """Rows of a dataset: x uint8 (N, C, H, W) or float32 (N, D), y int64 (N,)."""

    x: Tensor
    y: Tensor


@final
class DataModule(LightningDataModule):
    """Serve a dataset to Lightning.

    Args:
        dataset: its name in the registry.
        data_dir: where its files lie, or are downloaded to.
        image_size: height and width in pixels, for datasets whose images can be resized.
        train_size: training rows to keep, stratified; None keeps all. Smaller sizes are subsets of larger ones.
        val_fraction: share of the training part held out for validation; None takes the dataset's own.
        nested: `train_size` counts training and validation rows together, and `val_fraction` is the share of these.
        split_seed: keys the split.
        seed: keys the order of the training batches.
        batch_size: rows of a training step over all processes; at most the training split's size.
        eval_batch_size: rows of an evaluation step on each process.
        fold, folds: cross-validation: validate on that one (from 0) of so many stratified folds of the training split.
        resample: train on that bootstrap resample of the training split.
        part: with `nested`, which of the parts of `train_size` rows without a common row to take, from 0.

    Attributes:
        info, kind, keeps: the registry's entry.
        title: how tables call the data: the dataset's name, or that of the user's own folder.
        classes, shape: class names; (C, H, W) or (D,).
        splits, sizes: `train`, `val`, `test` and `train_probe`, which is part of `train` and as large as `val`.
        mean, std: of the training split, float32: (C,) in units of [0, 1] pixels, or (D,); a zero std is 1.
        fingerprint: sha256 over decoded data, labels, class names and the split.
        batch_size: the size in use.

    Raises:
        DataError: an unknown dataset, an impossible size, missing or corrupt files.
    """

    def __init__(
        self,
        dataset: str,
        *,
        data_dir: str | Path = "data",
        image_size: int | None = None,
        train_size: int | None = None,
        val_fraction: float | None = None,
        split_seed: int = 0,
        seed: int = 0,
        batch_size: int = 128,
        eval_batch_size: int = 2048,
        fold: int | None = None,
        folds: int | None = None,
        resample: int | None = None,
        part: int | None = None,
        nested: bool = False,
    ) -> None:
        super().__init__()
        _check_least(image_size=(image_size, 1), split_seed=(split_seed, 0), seed=(seed, 0))
        _check_least(batch_size=(batch_size, 1), eval_batch_size=(eval_batch_size, 1), resample=(resample, 0))
        self.info = find(dataset)
        self.kind, self.keeps = self.info.kind, self.info.keeps
        again, files = Again(fold, folds, resample, part), files_now(dataset, data_dir)
        data = _prepare(Wanted(files, image_size, train_size, val_fraction, split_seed, again, nested))
        self.splits, self.classes, self.fingerprint = data.splits, data.classes, data.fingerprint
        self.mean, self.std, self.title = data.mean, data.std, data.title
        self.shape = tuple(data.splits["train"].x.shape[1:])
        self.sizes = {name: len(rows.y) for name, rows in data.splits.items()}
        self.batch_size, self.eval_batch_size, self.seed = min(batch_size, self.sizes["train"]), eval_batch_size, seed

    def setup(self, stage: str) -> None:
        """Move the data to the trainer's device, if there is a trainer."""
        if self.trainer is not None:
            device = self.trainer.strategy.root_device
            self.splits = {name: Split(rows.x.to(device), rows.y.to(device)) for name, rows in self.splits.items()}

    def train_dataloader(self) -> TrainLoader:
        """Batches of the training split, the same on every process."""
        epoch = 0 if self.trainer is None else self.trainer.current_epoch
        return TrainLoader(self.splits["train"], self.batch_size, len(self.classes), self.seed, epoch)

    def val_dataloader(self) -> list[EvalLoader]:
        """This process's rows of the validation split and of the train probe."""
        return [self.loader("val"), self.loader("train_probe")]

    def loader(self, name: str) -> EvalLoader:
        """This process's rows of a split, in order."""
        rank, world = (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        return EvalLoader(shard(self.splits[name], rank, world), self.eval_batch_size)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """The batch itself: `setup` put the data on the device."""
        return batch


@final
@dataclass
class TrainLoader:
    """An epoch of training batches: every step sees exactly `batch_size` rows, the remainder waits for another epoch.

    Yields x float32 in [0, 1] or features, and y float32 one-hot (B, K): the whole batch, on every process.
    """

    rows: Split
    batch_size: int
    classes: int
    seed: int
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.rows.y) // self.batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        # A generator: Lightning makes the first iterator before it sets the epoch, which is read at the first batch.
        x, y = self.rows
        flat = x.flatten(1)  # gathers color images three times faster than four dimensions do
        onehot = torch.eye(self.classes, device=y.device)
        order = epoch_order(len(y), self.seed, self.epoch)[: len(self) * self.batch_size].to(y.device)
        for rows in torch.split(order, self.batch_size):
            batch = _to_float(flat.index_select(0, rows)).view(-1, *x.shape[1:])
            yield batch, onehot.index_select(0, y.index_select(0, rows))

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    @property
    def sampler(self) -> TrainLoader:
        """Itself: Lightning calls `loader.sampler.set_epoch` before each epoch, also on resuming."""
        return self


@final
@dataclass(frozen=True)
class EvalLoader:
    """Rows in order. Yields x float32 in [0, 1] or features, and y int64 (B,)."""

    rows: Split
    batch_size: int

    def __len__(self) -> int:
        return math.ceil(len(self.rows.y) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self.rows.y), self.batch_size):
            batch = slice(start, start + self.batch_size)
            yield _to_float(self.rows.x[batch]), self.rows.y[batch]


def epoch_order(n: int, seed: int, epoch: int) -> LongTensor:
    """The permutation of n rows that (seed, epoch) names: (n,) int64 on the CPU; no other random state is involved."""
    key = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
    return torch.randperm(n, generator=torch.Generator().manual_seed(key))  # type: ignore[return-value]


def shard(rows: Split, rank: int, world: int) -> Split:
    """Every `world`-th row from `rank` on: over all ranks each row occurs once, none is padded."""
    return Split(rows.x[rank::world], rows.y[rank::world])


def clear_cache() -> None:
    """Forget decoded datasets, which frees their memory. Changed files are read again without it."""
    _prepare.cache_clear()
    _decoded.clear()


def _to_float(x: Tensor) -> Tensor:
    # A copy in either case: nobody downstream can change the data in place.
    return x.float().div_(255) if x.dtype == torch.uint8 else x.to(torch.float32, copy=True)


class _Prepared(NamedTuple):
    splits: dict[str, Split]
    classes: tuple[str, ...]
    mean: Tensor
    std: Tensor
    fingerprint: str
    title: str


# Many runs of one process share a dataset, and the folds of a cross-validation take turns. CIFAR-10 takes 180 MB each.
@lru_cache(maxsize=6)
def _prepare(wanted: Wanted) -> _Prepared:
    arrays, _ = decode(wanted.files, wanted.image_size)
    parts, digest = divide(wanted)
    splits = _splits(arrays, parts, arrays.val_y is not None and wanted.again.fold is None)
    mean, std = _moments(splits["train"].x)
    return _Prepared(splits, arrays.classes, mean, std, digest, arrays.title or wanted.files.name)


def _splits(arrays: Arrays, parts: Parts, own_val: bool) -> dict[str, Split]:
    def take(rows: NDArray[np.int64]) -> Split:
        return _as_split(arrays.train_x[rows], arrays.train_y[rows])

    return {
        "train": take(parts.train),
        "val": _as_split(arrays.val_x, arrays.val_y) if own_val else take(parts.val),
        "test": _as_split(arrays.test_x, arrays.test_y),
        "train_probe": take(parts.probe),
    }


def _as_split(x: NDArray[Any] | None, y: NDArray[np.int64] | None) -> Split:
    return Split(torch.tensor(x), torch.tensor(y))


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population standard deviation, in float64 from exact counts for images; returned as float32."""
    if x.dtype == torch.uint8:
        counts = torch.stack([x[:, c].flatten().bincount(minlength=256) for c in range(x.shape[1])]).double()
        levels = torch.arange(256, dtype=torch.float64) / 255
        weights = counts / counts.sum(1, keepdim=True)
        mean = weights @ levels
        variance = (weights * (levels - mean[:, None]) ** 2).sum(1)
    else:
        mean, variance = x.double().mean(0), x.double().var(0, correction=0)
    std = variance.sqrt()
    return mean.float(), torch.where(std > 0, std, torch.ones_like(std)).float()


def _check_least(**options: tuple[int | None, int]) -> None:
    for name, (value, least) in options.items():
        if value is not None and value < least:
            raise DataError(f"--{name} {value}: must be at least {least}")
