"""One JSON file a run: the truth that every table is made from."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import tempfile
import typing
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from bench.training.errors import ConfigError
from bench.training.files import write_atomically
from bench.training.settings import canonical_json

Status = Literal["ok", "diverged", "failed"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a run was and what came of it. A run that did not end well has no metrics."""

    run_id: str
    status: Status
    error: str | None
    """Why the run diverged or failed."""
    config: dict[str, Any]
    """The identity: every setting that decides the numbers."""
    recipe: str
    """The canonical spec."""
    dataset: dict[str, Any]
    """name, title (how tables call it), fingerprint, sizes by split, classes."""
    model: dict[str, Any]
    """name, parameters."""
    metrics: dict[str, dict[str, float]]
    """train, val, test: every metric by name, of the selected weights on the full splits. Older records have fewer."""
    gap: dict[str, float]
    """loss and accuracy, train to val."""
    test_gap: dict[str, float]
    """loss and accuracy, train to test."""
    history: list[dict[str, float]]
    """One row an epoch, of a long run every k-th. Its gap is val to the train probe; `gap` above is val to the full
    training split."""
    epochs_run: int
    best_epoch: int | None
    """The epoch of the lowest validation loss."""
    seconds: float
    """Wall time of all epochs with their evaluation."""
    cpu_seconds: float = 0.0
    """Processor time of the same, of all threads of the first process; 0 where a GPU computes."""
    images_per_second: float
    """Training samples a second, evaluation not counted."""
    weights: dict[str, float]
    """l2_norm, zero_fraction of the weights of linear and convolutional layers; of the raw ones where a recipe
    reparametrizes a layer."""
    weight_histogram: dict[str, Any]
    """limit and counts: equal bins over [-limit, limit]."""
    reliability: dict[str, list[float]]
    """By confidence bin of the test split: count, confidence, accuracy."""
    environment: dict[str, Any]
    wandb: dict[str, Any]
    created: str

    def flat(self) -> dict[str, float]:
        """Every final number by its full name: `val/loss`, `gap/accuracy`, `weights/l2_norm` ..."""
        groups = {**self.metrics, "gap": self.gap, "test_gap": self.test_gap, "weights": self.weights}
        return {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}


KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("run_id", "status"), str),
    **dict.fromkeys(("config", "dataset", "metrics", "environment"), dict),
    "seconds": (int, float),
}
"""What a study reads of a record, checked when it is loaded."""


def path_of(results_dir: Path, run_id: str) -> Path:
    return results_dir / "records" / f"{run_id}.json"


def write(record: Record, results_dir: Path) -> Path:
    """Write a record so that a reader sees all of it or nothing, also after a crash."""
    path = path_of(results_dir, record.run_id)
    write_atomically(path, canonical_json(asdict(record)) + "\n")
    return path


def load(path: Path) -> Record:
    """Read a record.

    Raises:
        ValueError: it is not a whole record; the message names the file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = Record(**{f.name: content[f.name] for f in fields(Record) if f.name in content})
        for name, kind in KINDS.items():
            if not isinstance(getattr(found, name), kind):
                raise TypeError(f"{name} is of the wrong type")
        _check_values(found)
        return found
    except (ValueError, KeyError, TypeError, RecursionError, IsADirectoryError) as error:
        raise ValueError(f"{path} is not a whole record ({type(error).__name__}: {error})") from None


def _check_values(found: Record) -> None:
    """What a study computes with must be there: it names a cell by its settings and scores it by these metrics."""
    if found.status not in typing.get_args(Status):
        raise ValueError(f"status {found.status!r}")
    canonical_json(found.config)
    if found.status == "ok":
        for split in ("train", "val"):
            for name in ("loss", "accuracy"):
                if not math.isfinite(found.metrics[split][name]):
                    raise ValueError(f"{split}/{name} is not finite")


def load_or_set_aside(path: Path) -> Record | None:
    """The record, or None if there is none; a damaged file is renamed to `*.damaged` and named on stderr."""
    try:
        return load(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        aside = path.with_name(path.name + ".damaged")
        with contextlib.suppress(FileNotFoundError):  # another command was first
            os.replace(path, aside)
        print(f"warning: {error}; kept as {aside.name}, the run is done again", file=sys.stderr)
        return None


def check_writable(results_dir: Path) -> None:
    """Make the records folder.

    Raises:
        ConfigError: it cannot be made or written to.
    """
    folder = results_dir / "records"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"cannot write to results_dir {str(results_dir)!r}: {error.strerror or error}") from None
