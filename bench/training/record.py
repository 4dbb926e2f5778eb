"""One JSON file a run: the truth that every table is made from."""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from bench.training import files
from bench.training.errors import ConfigError
from bench.training.typed_json import canonical_json, check_seal, decode, sealed

Status = Literal["ok", "diverged", "failed"]


class Data(TypedDict):
    """The data that a run trained on."""

    name: str
    title: NotRequired[str]
    """How tables call the dataset."""
    fingerprint: str
    """Of the data and their splits; empty where they could not be read."""
    sizes: NotRequired[dict[str, int]]
    """Samples of each split."""
    classes: NotRequired[list[str]]


class Network(TypedDict):
    """The network that a run trained."""

    name: str
    parameters: NotRequired[int]


class Histogram(TypedDict, total=False):
    """Weights in equal bins over [-limit, limit]."""

    limit: float
    counts: list[int]


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a run was and what came of it. A run that did not end well has no metrics.

    The file has one field more, `digest`, of all others; records of earlier versions have none.
    """

    run_id: str
    status: Status
    error: str | None = None
    """Why the run diverged or failed."""
    config: dict[str, Any]
    """The identity: every setting that decides the numbers."""
    recipe: str
    """The canonical spec."""
    dataset: Data
    model: Network
    metrics: dict[str, dict[str, float]]
    """train, val, test: every metric by name, of the selected weights on the full splits. Older records have fewer."""
    gap: dict[str, float] = field(default_factory=dict)
    """loss and accuracy, train to val."""
    test_gap: dict[str, float] = field(default_factory=dict)
    """loss and accuracy, train to test."""
    history: list[dict[str, float | None]] = field(default_factory=list)
    """One row an epoch, of a long run every k-th. Its gap is val to the train probe; `gap` above is val to the full
    training split. Null is what was not finite."""
    epochs_run: int = 0
    best_epoch: int | None = None
    """The epoch of the lowest validation loss."""
    seconds: float = 0.0
    """Wall time of all epochs with their evaluation."""
    cpu_seconds: float | None = None
    """CPU time of the same, of all threads of the first process; 0 where a GPU computes. Old records have none."""
    images_per_second: float = 0.0
    """Training samples a second, evaluation not counted."""
    weights: dict[str, float] = field(default_factory=dict)
    """l2_norm, zero_fraction of the weights of linear and convolutional layers; of the raw ones where a recipe
    reparametrizes a layer."""
    weight_histogram: Histogram = field(default_factory=Histogram)
    reliability: dict[str, list[float]] = field(default_factory=dict)
    """By confidence bin of the test split: count, confidence, accuracy."""
    environment: dict[str, Any]
    """Versions and hardware."""
    wandb: dict[str, Any] = field(default_factory=dict)
    created: str = ""

    def flat(self) -> dict[str, float]:
        """Every final number by its full name: `val/loss`, `gap/accuracy`, `weights/l2_norm` ..."""
        groups = {**self.metrics, "gap": self.gap, "test_gap": self.test_gap, "weights": self.weights}
        return {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}


def path_of(results_dir: Path, run_id: str) -> Path:
    return results_dir / "records" / f"{run_id}.json"


def paths(results_dir: Path) -> list[Path]:
    """The files of all records, by name; none where there is no such folder.

    Raises:
        ConfigError: the folder cannot be listed.
    """
    folder = results_dir / "records"
    try:
        with os.scandir(folder) as entries:
            names = sorted(e.name for e in entries if e.name.endswith(".json") and not e.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"cannot read {str(folder)!r}: {error.strerror or error}") from None
    return [folder / name for name in names]


def content_of(record: Record) -> dict[str, Any]:
    """A record as it is written, but for its digest."""
    content = asdict(record)
    if content["cpu_seconds"] is None:
        del content["cpu_seconds"]
    return content


def write(record: Record, results_dir: Path) -> Path:
    """Write a record so that a reader sees all of it or nothing, also after a crash."""
    path = path_of(results_dir, record.run_id)
    files.write_atomically(path, canonical_json(sealed(content_of(record))) + "\n")
    return path


def read(blob: bytes) -> Record:
    """A record from the bytes of its file.

    Raises:
        ValueError: they are not what was written: malformed, of wrong kinds, or not what their digest says.
    """
    found = decode(blob, Record)
    check_seal(blob)
    return found


def load(path: Path) -> Record:
    """Read a record whose run a study can count as finished.

    Raises:
        ValueError: it is not a whole record; the message names the file.
    """
    try:
        found = read(files.read_regular(path))
        _check_scores(found)
        return found
    except ValueError as error:
        raise ValueError(f"{path} is not a whole record: {error}") from None


def _check_scores(found: Record) -> None:
    """What a study computes with must be there: it names a cell by its settings and scores it by these metrics."""
    canonical_json(found.config)
    for split in ("train", "val") if found.status == "ok" else ():
        for name in ("loss", "accuracy"):
            if not math.isfinite(found.metrics.get(split, {}).get(name, math.nan)):
                raise ValueError(f"{split}/{name} is not a finite number")


def load_or_set_aside(path: Path) -> Record | None:
    """The record, or None if there is none; a damaged file is renamed to `*.damaged` and named on stderr."""
    try:
        return load(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        files.set_aside(path, str(error), "the run is done again")
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
