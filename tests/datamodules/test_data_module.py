"""The data module: order of batches, Lightning, refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from PIL import Image

from datamodules import DataError, DataModule, _files, clear_cache, epoch_order, fingerprint
from datamodules._base import _moments

Write = Callable[..., Path]


def test_order_is_a_permutation_keyed_by_seed_and_epoch() -> None:
    orders = {(seed, epoch): epoch_order(100, seed, epoch) for seed in range(3) for epoch in range(3)}
    assert all(sorted(order.tolist()) == list(range(100)) for order in orders.values())
    assert len({tuple(order.tolist()) for order in orders.values()}) == 9


def test_order_neither_reads_nor_moves_global_random_state() -> None:
    torch.manual_seed(1)
    first, state = epoch_order(50, 3, 1), torch.get_rng_state()
    torch.manual_seed(2)
    second = epoch_order(50, 3, 1)
    assert torch.equal(first, second)
    torch.manual_seed(1)
    assert torch.equal(state, torch.get_rng_state())


def test_batch_size_is_at_most_the_training_split() -> None:
    data = DataModule("digits", train_size=50, batch_size=128)
    assert data.batch_size == 50
    assert [len(y) for _, y in data.train_dataloader()] == [50]


def test_sizes_of_digits() -> None:
    data = DataModule("digits")
    assert data.sizes == {"train": 1150, "val": 288, "test": 359, "train_probe": 288}
    assert data.shape == (1, 8, 8)
    assert data.classes == tuple("0123456789")


def test_a_batch_does_not_share_memory_with_the_data() -> None:
    data = DataModule("sparse_features")
    before = data.splits["val"].x.clone()
    for x, _ in data.loader("val"):
        x.zero_()
    for x, _ in data.train_dataloader():
        x.zero_()
    assert torch.equal(data.splits["val"].x, before)
    assert data.splits["train"].x.abs().sum() > 0


def test_a_constant_feature_has_std_one() -> None:
    assert _moments(torch.zeros(5, 2))[1].tolist() == [1, 1]
    assert _moments(torch.full((5, 1, 2, 2), 9, dtype=torch.uint8))[1].tolist() == [1]


def test_runs_share_decoded_data() -> None:
    first, second = DataModule("digits", seed=1), DataModule("digits", seed=2)
    assert first.splits["train"].x is second.splits["train"].x


def test_changed_images_are_new_data_in_the_same_process(tmp_path: Path, write_folder: Write) -> None:
    """Same paths, same sizes, changed twice within a moment: never the old pixels, never the old fingerprint."""
    options = {"data_dir": write_folder(tmp_path, count=5), "val_fraction": 0.2}
    seen = set()
    for value in (50, 60, 70):
        for path in (tmp_path / "train").rglob("*.png"):
            Image.new("RGB", (6, 5), (value, value, value)).save(path)
        data = DataModule("imagefolder", **options)
        assert {int(v) for v in data.splits["train"].x.unique()} == {value}
        assert data.fingerprint == fingerprint("imagefolder", **options)
        seen.add(data.fingerprint)
    assert len(seen) == 3


def test_changed_idx_files_are_new_data_in_the_same_process(tmp_path: Path, write_idx: Write) -> None:
    options = {"data_dir": write_idx(tmp_path, "FashionMNIST"), "val_fraction": 0.2}
    path = tmp_path / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    before = DataModule("fashion_mnist", **options)
    path.write_bytes(path.read_bytes()[:-784] + bytes(784))
    after = DataModule("fashion_mnist", **options)
    assert before.fingerprint != after.fingerprint == fingerprint("fashion_mnist", **options)


@pytest.mark.parametrize("dataset", ["imagefolder", "mnist", "cifar10"])
def test_unchanged_files_are_decoded_once(
    dataset: str, tmp_path: Path, place: Callable[[str, Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_files, "TICK", 0)  # these files are old enough
    options = {"data_dir": place(dataset, tmp_path), "val_fraction": 0.2}
    first, second = (DataModule(dataset, seed=seed, **options) for seed in (1, 2))
    assert first.splits["train"].x is second.splits["train"].x
    clear_cache()
    assert DataModule(dataset, **options).splits["train"].x is not first.splits["train"].x


def test_files_that_are_gone_are_not_remembered(tmp_path: Path, write_idx: Write, no_download: None) -> None:
    options = {"data_dir": write_idx(tmp_path), "val_fraction": 0.2}
    fingerprint("mnist", **options)
    (tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").unlink()
    for use in (DataModule, fingerprint):
        with pytest.raises(DataError, match="missing in"):
            use("mnist", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "digit"}, "unknown dataset 'digit': did you mean 'digits'? choose from cifar10,"),
        ({"dataset": "zzz"}, "unknown dataset 'zzz': choose from"),
        ({"train_size": 99999}, "--train_size 99999: digits has 1150 training rows"),
        ({"train_size": 9}, "--train_size 9: digits has 10 classes"),
        ({"train_size": 0}, "--train_size 0: digits has 10 classes"),
        ({"val_fraction": 1.5}, "--val_fraction 1.5: must lie between 0 and 1"),
        ({"val_fraction": 0.001}, "--val_fraction 0.001"),
        ({"batch_size": 0}, "--batch_size 0: must be at least 1"),
        ({"eval_batch_size": -1}, "--eval_batch_size -1"),
        ({"split_seed": -1}, "--split_seed -1: must be at least 0"),
        ({"seed": -2}, "--seed -2"),
        ({"resample": -1}, "--resample -1: must be at least 0"),
        ({"fold": 0}, "fold 0, folds None: give both or none"),
        ({"folds": 3}, "fold None, folds 3: give both or none"),
        ({"fold": 3, "folds": 3}, "fold 3: must lie between 0 and 2"),
        ({"fold": -1, "folds": 3}, "fold -1: must lie between 0 and 2"),
        ({"image_size": 0}, "--image_size 0"),
        ({"image_size": 16}, "--image_size 16: digits comes in one size; only imagefolder can be resized"),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as error:
        DataModule(**{"dataset": "digits", **options})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


class Spy(pl.LightningModule):
    """Notes the labels that each step sees, without learning."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.trained: dict[int, list[torch.Tensor]] = {}
        self.validated: list[tuple[int, torch.Tensor]] = []

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> torch.Tensor:
        self.trained.setdefault(self.current_epoch, []).append(batch[1].argmax(1))
        return self.layer(torch.zeros(1, 1)).sum()

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int, dataloader_idx: int = 0) -> None:
        self.validated.append((dataloader_idx, batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def fit(data: DataModule, epochs: int, folder: Path, resume: Path | None = None) -> tuple[Spy, pl.Trainer]:
    spy = Spy()
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
    )
    trainer.fit(spy, datamodule=data, ckpt_path=resume, weights_only=True)
    return spy, trainer


def expected_labels(data: DataModule, epoch: int) -> torch.Tensor:
    steps = data.sizes["train"] // data.batch_size
    order = epoch_order(data.sizes["train"], data.seed, epoch)[: steps * data.batch_size]
    return data.splits["train"].y[order]


def test_lightning_sees_every_epochs_own_order(tmp_path: Path) -> None:
    data = DataModule("digits", train_size=100, batch_size=32, seed=6, eval_batch_size=100)
    spy, _ = fit(data, 3, tmp_path)
    assert list(spy.trained) == [0, 1, 2]
    for epoch, labels in spy.trained.items():
        assert torch.equal(torch.cat(labels), expected_labels(data, epoch))
    for i, part in enumerate(("val", "train_probe")):
        seen = torch.cat([y for loader, y in spy.validated if loader == i])
        assert torch.equal(seen, data.splits[part].y.repeat(3))


def test_a_resumed_run_goes_on_with_the_next_epochs_order(tmp_path: Path) -> None:
    def new() -> DataModule:
        return DataModule("digits", train_size=64, batch_size=16)

    _, trainer = fit(new(), 2, tmp_path)
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    data = new()
    spy, _ = fit(data, 4, tmp_path, resume=tmp_path / "two.ckpt")
    assert list(spy.trained) == [2, 3]
    for epoch, labels in spy.trained.items():
        assert torch.equal(torch.cat(labels), expected_labels(data, epoch))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_order_on_a_gpu_is_that_of_the_cpu(tmp_path: Path) -> None:
    data = DataModule("digits", batch_size=64)
    on_cpu = list(data.train_dataloader())
    data.splits = {name: type(rows)(rows.x.cuda(), rows.y.cuda()) for name, rows in data.splits.items()}
    for (x, y), (a, b) in zip(data.train_dataloader(), on_cpu, strict=True):
        assert x.is_cuda
        assert y.is_cuda
        assert torch.equal(x.cpu(), a)
        assert torch.equal(y.cpu(), b)
