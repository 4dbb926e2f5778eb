"""Checkpoints, teachers and predictions: what is damaged is named, set aside and made again; a full disk costs no run.

Reference: the same run without any damage.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from watching import watched

from bench import RunConfig, train
from bench.training import checkpoints, files, predictions, record
from bench.training.checkpoints import CheckpointIO

Make = Callable[..., RunConfig]
Damage = Callable[[bytes, np.random.Generator], bytes]


def flip(blob: bytes, random: np.random.Generator) -> bytes:
    place = int(random.integers(len(blob)))
    return blob[:place] + bytes([blob[place] ^ 1 << int(random.integers(8))]) + blob[place + 1 :]


def cut(blob: bytes, random: np.random.Generator) -> bytes:
    return blob[: int(random.integers(len(blob)))]


def blank(blob: bytes, random: np.random.Generator) -> bytes:
    size = min(512, len(blob))
    place = int(random.integers(len(blob) - size + 1))
    return blob[:place] + bytes(size) + blob[place + size :]


def damaged(blob: bytes, count: int) -> Iterator[bytes]:
    random = np.random.default_rng(0)
    for i in range(count):
        yield (flip, cut, blank)[i % 3](blob, random)


def contents() -> dict[str, torch.Tensor]:
    return {"weight": torch.arange(600.0).view(20, 30), "bias": torch.ones(20)}


def saved(path: Path) -> bytes:
    files.write_with_digest(path, lambda file: torch.save(contents(), file))
    return path.read_bytes()


def is_whole(found: Any) -> bool:
    return isinstance(found, dict) and all(torch.equal(found[k], v) for k, v in contents().items())


def test_what_torch_saved_is_never_read_wrongly(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    blob, refused = saved(path), 0
    for other in damaged(blob, 300):
        path.write_bytes(other)
        try:
            found = checkpoints.load(path)
        except ValueError:
            refused += 1
        else:
            assert is_whole(found)  # the damage hit the digest's mark, or nothing: a zero became a zero
    assert refused > 290


def test_what_numpy_saved_is_never_read_wrongly(tmp_path: Path, capsys: Any) -> None:
    path, random = tmp_path / "a.npz", np.random.default_rng(1)
    probabilities, labels = random.random((50, 10)).astype(np.float16), random.integers(10, size=50)
    predictions.store(path, probabilities, labels)
    blob, refused = path.read_bytes(), 0
    for other in damaged(blob, 300):
        path.write_bytes(other)
        found = predictions.load_or_set_aside(path)
        refused += found is None
        assert found is None or (np.array_equal(found[0], probabilities) and np.array_equal(found[1], labels))
    assert refused > 290
    assert capsys.readouterr().err.count("\n") == refused


def test_the_libraries_read_past_the_digest(tmp_path: Path) -> None:
    saved(tmp_path / "a.pt")
    assert is_whole(torch.load(tmp_path / "a.pt", weights_only=True))
    predictions.store(tmp_path / "a.npz", np.ones((2, 2), dtype=np.float16), np.zeros(2, dtype=np.int64))
    with np.load(tmp_path / "a.npz") as found:
        assert found["probabilities"].shape == (2, 2)


def test_files_of_earlier_versions_have_no_digest_and_are_read(tmp_path: Path) -> None:
    torch.save(contents(), tmp_path / "a.pt")
    assert is_whole(checkpoints.load(tmp_path / "a.pt"))
    torch.save(contents(), blob := io.BytesIO())
    for other in damaged(blob.getvalue()[:-1], 1):
        (tmp_path / "a.pt").write_bytes(other[:100])
        with pytest.raises(ValueError, match="cannot be read"):
            checkpoints.load(tmp_path / "a.pt")


class Stop(Callback):
    """Ends a run as a kill would, at the start of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.begun: list[int] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.begun.append(trainer.current_epoch)
        if trainer.current_epoch == self.epoch:
            raise KeyboardInterrupt


def stopped(config: RunConfig) -> Path:
    """A run that was stopped in its third epoch; its checkpoint."""
    with pytest.raises(KeyboardInterrupt):
        watched(config, Stop(2))
    (path,) = Path(config.results_dir).glob("checkpoints/*/last.ckpt")
    return path


def numbers(result: record.Record) -> list[Any]:
    return [result.metrics, result.gap, result.history, result.weights]


@pytest.mark.parametrize("damage", [flip, cut, blank])
def test_a_run_begins_again_where_its_checkpoint_is_damaged(
    make_config: Make, tmp_path: Path, capsys: Any, damage: Damage
) -> None:
    config = make_config(checkpoint=True, epochs=4, train_size=200, recipe="dropout")
    path = stopped(config)
    path.write_bytes(damage(path.read_bytes(), np.random.default_rng(2)))
    kept = path.read_bytes()
    follow = Stop(99)
    result, _ = watched(config, follow, force=False)
    assert follow.begun == [0, 1, 2, 3]
    assert path.with_name("last.ckpt.damaged").read_bytes() == kept
    assert "last.ckpt is damaged" in capsys.readouterr().err
    assert numbers(result) == numbers(train(replace(config, results_dir=str(tmp_path / "whole"))))


def test_a_run_goes_on_from_a_checkpoint_without_a_digest(make_config: Make, tmp_path: Path) -> None:
    config = make_config(checkpoint=True, epochs=4, train_size=200, recipe="dropout")
    path = stopped(config)
    path.write_bytes(files.read_checked(path))
    follow = Stop(99)
    result, _ = watched(config, follow, force=False)
    assert follow.begun == [2, 3]
    assert numbers(result) == numbers(train(replace(config, results_dir=str(tmp_path / "whole"))))


@pytest.mark.parametrize("damage", [flip, cut, blank])
def test_a_damaged_teacher_is_trained_again(make_config: Make, tmp_path: Path, capsys: Any, damage: Damage) -> None:
    config = make_config(recipe="self_distillation", train_size=200)
    first = train(config)
    (path,) = (tmp_path / "results" / "teachers").glob("*.pt")
    whole = path.read_bytes()
    path.write_bytes(damage(whole, np.random.default_rng(3)))
    assert numbers(train(config, force=True)) == numbers(first)
    assert "is damaged" in capsys.readouterr().err
    assert path.with_name(path.name + ".damaged").exists()
    assert is_same(checkpoints.load(path), torch.load(io.BytesIO(whole), weights_only=True))


def is_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def full(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    path, keeper = tmp_path / "last.ckpt", CheckpointIO()
    keeper.save_checkpoint({"a": torch.ones(2)}, path)
    monkeypatch.setattr(os, "fsync", full)
    for _ in range(3):
        keeper.save_checkpoint({"a": torch.zeros(2)}, path)
    assert torch.equal(keeper.load_checkpoint(path)["a"], torch.ones(2))
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]
    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left" in line


def test_a_checkpoint_that_cannot_be_written_costs_no_run(make_config: Make, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(files, "write_with_digest", full)
    assert train(make_config(checkpoint=True, epochs=4, train_size=100)).status == "ok"
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_teacher_that_cannot_be_kept_costs_no_run(make_config: Make, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(files, "write_with_digest", full)
    assert train(make_config(recipe="self_distillation", train_size=100)).status == "ok"
    assert "cannot keep the teacher" in capsys.readouterr().err
