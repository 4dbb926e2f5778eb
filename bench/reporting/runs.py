"""Records as the report reads them: compact, tolerant of older ones, and never half-read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bench.reporting.statistics import Array
from bench.training.files import read_regular
from bench.training.record import Histogram, Record, paths, read
from bench.training.typed_json import canonical_json

SPLITS = ("train", "val", "test")
LARGEST = 1e100
"""A number beyond that counts as infinite: its square, and so a spread, would be."""
NOT_BUDGET = ("recipe", "seed", "lr", "dataset", "model", "train_size")
"""Settings that differ within a table. The learning rate may: it can be tuned for each recipe."""
MOST_EPOCHS = 1_000_000
CURVES = ("train_probe/loss", "val/loss", "train_probe/accuracy", "val/accuracy")


@dataclass(frozen=True, slots=True)
class Run:
    """One record, without what the report does not show. A run that did not end well has no metrics."""

    run_id: str
    status: str
    error: str
    recipe: str
    dataset: str
    fingerprint: str
    sizes: dict[str, int]
    model: str
    parameters: int
    seed: int
    lr: float
    train_size: int | None
    budget: str
    """Every setting that all runs of a table share, as JSON."""
    config: dict[str, Any]
    metrics: dict[str, dict[str, float]]
    gap: dict[str, float]
    test_gap: dict[str, float]
    epochs: Array
    """(rows,): the epochs that the record tells of: each one, or of a long run every k-th."""
    history: Array
    """(rows, 4): at those epochs, a column for each of CURVES."""
    epochs_run: int
    best_epoch: int | None
    seconds: float
    cpu_seconds: float
    """0 where it was not measured."""
    weights: dict[str, float]
    histogram: tuple[float, Array] | None
    """Limit and counts."""
    reliability: Array | None
    """(3, bins): count, confidence, accuracy."""
    environment: dict[str, Any]

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def suite(self) -> str:
        return str(self.environment.get("suite", "unknown"))

    @property
    def final(self) -> bool:
        """Whether the run is a row of the table: no tuning trial, no fold, no resample."""
        return not self.config.get("trial") and "fold" not in self.config and "resample" not in self.config


@dataclass(frozen=True)
class Loaded:
    """All runs of a folder, in the order of their files, and the files that are no records."""

    runs: list[Run]
    unreadable: list[str]


def load_runs(folder: Path) -> Loaded:
    """Read every record of a results folder.

    Raises:
        ConfigError: the folder cannot be listed.
    """
    runs: dict[str, Run] = {}  # a copied file is no second run
    unreadable = []
    environments: dict[str, dict[str, Any]] = {}  # thousands of records share a few
    for path in paths(folder):
        try:
            record = read(read_regular(path))
            run = run_of(record, environments.setdefault(repr(record.environment), record.environment))
            runs.setdefault(run.run_id, run)
        except (OSError, ValueError, OverflowError):
            unreadable.append(path.name)
    return Loaded(list(runs.values()), unreadable)


def run_of(record: Record, environment: dict[str, Any]) -> Run:
    """What the report shows of a record; a number that is not finite makes it diverged.

    Args:
        record: as read from its file.
        environment: the record's, which many may share.

    Raises:
        ValueError, OverflowError: it is no record of a run.
    """
    config, metrics, gap, test_gap = record.config, record.metrics, record.gap, record.test_gap
    status, error = str(record.status), record.error or ""
    numbers = [v for group in (*metrics.values(), gap, test_gap) for v in group.values()]
    if status == "ok" and not (numbers and all(abs(v) <= LARGEST for v in numbers)):
        status, error = "diverged", error or "a metric is not a finite number"
    seed, lr, size = config.get("seed"), config.get("lr") or 0.0, config.get("train_size")
    whole = _is_whole(seed) and (size is None or _is_whole(size)) and isinstance(lr, (int, float)) and math.isfinite(lr)
    if not whole or (status == "ok" and not all(0 <= group.get("accuracy", 0) <= 1 for group in metrics.values())):
        raise ValueError("no record")
    epochs, history = _history(record.history)
    return Run(
        run_id=record.run_id,
        status=status,
        error=error,
        recipe=record.recipe,
        dataset=record.dataset.get("title") or record.dataset["name"],
        fingerprint=record.dataset["fingerprint"],
        sizes=record.dataset.get("sizes", {}),
        model=record.model["name"],
        parameters=record.model.get("parameters", 0),
        seed=int(str(seed)),
        lr=float(lr),
        train_size=size,
        budget=canonical_json({k: v for k, v in config.items() if k not in NOT_BUDGET}),
        config=config,
        metrics=metrics if status == "ok" else {},
        gap=gap,
        test_gap=test_gap,
        epochs=epochs,
        history=history,
        epochs_run=record.epochs_run,
        best_epoch=record.best_epoch,
        seconds=record.seconds,
        cpu_seconds=record.cpu_seconds or 0.0,
        weights=record.weights,
        histogram=_histogram(record.weight_histogram),
        reliability=_reliability(record.reliability),
        environment=environment,
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _history(rows: Sequence[Mapping[str, float | None]]) -> tuple[Array, Array]:
    """The epochs of the rows, and a column for each of CURVES."""
    epochs = [row.get("epoch", i) or math.nan for i, row in enumerate(rows, 1)]
    if not all(a + 1 <= b for a, b in pairwise([0.0, *epochs, MOST_EPOCHS + 1])):
        raise ValueError("its history is of no epochs")
    found = np.array([[row.get(name) for name in CURVES] for row in rows], dtype=np.float64)  # None becomes NaN
    found[np.abs(found) > LARGEST] = np.nan
    return np.array(epochs, dtype=np.float64), found.reshape(-1, len(CURVES))


def _histogram(content: Histogram) -> tuple[float, Array] | None:
    limit, counts = content.get("limit", 0.0), np.array(content.get("counts", []), dtype=np.float64)
    return (limit, counts) if 0 < limit < math.inf and 0 < counts.sum() < math.inf else None


def _reliability(content: Mapping[str, Sequence[float]]) -> Array | None:
    parts = [content.get(k, ()) for k in ("count", "confidence", "accuracy")]
    if len({len(part) for part in parts}) > 1:
        raise ValueError("its bins of reliability differ in number")
    values = np.array(parts, dtype=np.float64)
    whole = bool(((values >= 0) & (values <= LARGEST)).all())
    return values if whole and values[0].sum() > 0 else None
