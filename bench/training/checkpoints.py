"""Checkpoints that survive kills and full disks, and are not believed where they are damaged."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer

from bench.training import files
from bench.training.messages import warn


def folder_of(results_dir: Path, run_id: str) -> Path:
    return results_dir / "checkpoints" / run_id


def load(path: Path) -> Any:
    """What `torch.save` wrote, on the CPU; only tensors and plain values are read.

    Raises:
        ValueError: the file is damaged.
        FileNotFoundError: there is none.
    """
    content = files.read_checked(path)
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # damage can make the archive mean anything
        raise ValueError(f"it cannot be read ({type(error).__name__})") from None


def load_or_set_aside(path: Path, then: str) -> Any | None:
    """As `load`; None where there is no file, or a damaged one, which is renamed to `*.damaged` and named on stderr.

    Args:
        path: of the file.
        then: what happens without it, for the message.
    """
    try:
        return load(path)
    except FileNotFoundError:
        return None
    except ValueError as error:
        files.set_aside(path, f"{path} is damaged: {error}", then)
        return None


class Checkpoint(Callback):
    """Saves the state after each epoch, from which a killed run goes on, and at the end the selected weights."""

    def __init__(self, folder: Path) -> None:
        self.last, self.final = folder / "last.ckpt", folder / "final.ckpt"

    def resumable(self) -> str | None:
        """The checkpoint to go on from, as Lightning takes it."""
        found = load_or_set_aside(self.last, "the run begins again")
        return None if found is None else str(self.last)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Not after the last epoch: a run killed before its measurement is recorded repeats that epoch and measures.
        if trainer.current_epoch + 1 < (trainer.max_epochs or 0) and not trainer.should_stop:
            trainer.save_checkpoint(self.last)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.save_checkpoint(self.final)


class CheckpointIO(TorchCheckpointIO):
    """Saves checkpoints with their digest, so that a kill leaves the old one whole. One that cannot be written costs
    itself and not the run."""

    def __init__(self) -> None:
        super().__init__()
        self.told = False

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        try:
            files.write_with_digest(Path(path), lambda file: torch.save(checkpoint, file))
        except (OSError, RuntimeError) as error:  # torch says RuntimeError where the disk is full
            if not self.told:
                warn(f"cannot write the checkpoint {path}: {error}; the run goes on without")
            self.told = True

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        content: dict[str, Any] = load(Path(path))
        return content
