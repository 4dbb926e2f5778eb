"""Records as the report reads them: compact, tolerant of older ones, and never half-read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.statistics_ import Array

SPLITS = ("train", "val", "test")
METRICS = ("loss", "accuracy", "ece", "brier")
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
    config: dict[str, Any]
    metrics: dict[str, dict[str, float]]
    gap: dict[str, float]
    test_gap: dict[str, float]
    history: Array
    """(epochs, 4): a column for each of CURVES."""
    epochs_run: int
    best_epoch: int | None
    seconds: float
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
    """All runs of a folder, in the order of their ids, and the files that are no records."""

    runs: list[Run]
    unreadable: list[str]


def load_runs(folder: Path) -> Loaded:
    """Read every record of a results folder."""
    runs, unreadable = [], []
    environments: dict[str, dict[str, Any]] = {}  # thousands of records share a few
    for path in sorted((folder / "records").glob("*.json")):
        if path.name.startswith("."):
            continue
        try:
            content = json.loads(path.read_bytes())
            environment = content.get("environment") or {}
            content["environment"] = environments.setdefault(repr(environment), environment)
            runs.append(parse(content))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            unreadable.append(path.name)
    return Loaded(runs, unreadable)


def parse(content: dict[str, Any]) -> Run:
    """A record's JSON as a Run; a number that is not finite makes it diverged.

    Raises:
        KeyError, TypeError, ValueError: something is missing or of the wrong kind.
    """
    metrics = {str(k): _floats(v) for k, v in content["metrics"].items()}
    gap, test_gap, weights = (_floats(content.get(k) or {}) for k in ("gap", "test_gap", "weights"))
    status, error = str(content["status"]), str(content.get("error") or "")
    numbers = [v for group in (*metrics.values(), gap, test_gap) for v in group.values()]
    if status == "ok" and not (numbers and all(map(math.isfinite, numbers))):
        status, error = "diverged", error or "a metric is not a finite number"
    dataset, model, config = content["dataset"], content["model"], dict(content["config"])
    return Run(
        run_id=str(content["run_id"]),
        status=status,
        error=error,
        recipe=str(content["recipe"]),
        dataset=str(dataset.get("title") or dataset["name"]),
        fingerprint=str(dataset["fingerprint"]),
        sizes={str(k): int(v) for k, v in dataset.get("sizes", {}).items()},
        model=str(model["name"]),
        parameters=int(model.get("parameters", 0)),
        seed=int(config["seed"]),
        config=config,
        metrics=metrics if status == "ok" else {},
        gap=gap,
        test_gap=test_gap,
        history=_history(content.get("history") or []),
        epochs_run=int(content.get("epochs_run") or 0),
        best_epoch=content.get("best_epoch"),
        seconds=float(content.get("seconds") or 0),
        weights=weights,
        histogram=_histogram(content.get("weight_histogram") or {}),
        reliability=_reliability(content.get("reliability") or {}),
        environment=dict(content["environment"]),
    )


def _floats(group: dict[str, Any]) -> dict[str, float]:
    return {str(k): math.nan if v is None else float(v) for k, v in group.items()}


def _history(rows: list[dict[str, Any]]) -> Array:
    values = [[row.get(name) for name in CURVES] for row in rows]
    return np.array(values, dtype=np.float64).reshape(-1, len(CURVES))  # None becomes NaN


def _histogram(content: dict[str, Any]) -> tuple[float, Array] | None:
    counts = np.array(content.get("counts", []), dtype=np.float64)
    return (float(content["limit"]), counts) if counts.sum() > 0 else None


def _reliability(content: dict[str, Any]) -> Array | None:
    if not content:
        return None
    values = np.array([content[k] for k in ("count", "confidence", "accuracy")], dtype=np.float64)
    return values if values.ndim == 2 and values[0].sum() > 0 else None


def missing(runs: Iterable[Run], expected: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cells that no finished run fills.

    Args:
        runs: the runs of a folder.
        expected: one mapping a cell, from settings to the value that the run must have, as
            `{"recipe": ..., "dataset": ..., "seed": ...}`; `None` stands for a setting that is absent.
    """
    keys = sorted({key for cell in expected for key in cell})
    found = {tuple(repr(run.config.get(k)) for k in keys) for run in runs if run.status in ("ok", "diverged")}
    return [cell for cell in expected if tuple(repr(cell.get(k)) for k in keys) not in found]
