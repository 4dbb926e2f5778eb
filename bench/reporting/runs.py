"""Records as the report reads them: compact, tolerant of older ones, and never half-read."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.reporting.statistics import Array
from bench.training.settings import canonical_json

SPLITS = ("train", "val", "test")
METRICS = ("loss", "accuracy", "ece", "brier")
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
    history: Array
    """(epochs, 4): a column for each of CURVES; of a long run, lines between the epochs that the record holds."""
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
    """Read every record of a results folder."""
    runs: dict[str, Run] = {}  # a copied file is no second run
    unreadable = []
    environments: dict[str, dict[str, Any]] = {}  # thousands of records share a few
    for path in sorted((folder / "records").glob("*.json")):
        if path.name.startswith("."):
            continue
        try:
            content = json.loads(path.read_bytes())
            environment = content.get("environment") or {}
            content["environment"] = environments.setdefault(repr(environment), environment)
            run = parse(content)
            runs.setdefault(run.run_id, run)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            unreadable.append(path.name)
    return Loaded(list(runs.values()), unreadable)


def parse(content: dict[str, Any]) -> Run:
    """A record's JSON as a Run; a number that is not finite makes it diverged.

    Raises:
        KeyError, TypeError, ValueError: something is missing or of the wrong kind.
    """
    metrics = {str(k): _floats(v) for k, v in content["metrics"].items()}
    gap, test_gap, weights = (_floats(content.get(k) or {}) for k in ("gap", "test_gap", "weights"))
    status, error = str(content["status"]), str(content.get("error") or "")
    numbers = [v for group in (*metrics.values(), gap, test_gap) for v in group.values()]
    if status == "ok" and not (numbers and all(abs(v) <= LARGEST for v in numbers)):
        status, error = "diverged", error or "a metric is not a finite number"
    dataset, model, config = content["dataset"], content["model"], dict(content["config"])
    environment, lr, size = content["environment"], float(config.get("lr") or 0), config.get("train_size")
    whole = math.isfinite(lr) and isinstance(environment, dict) and not isinstance(config["seed"], bool)
    if not whole or (status == "ok" and not all(0 <= group.get("accuracy", 0) <= 1 for group in metrics.values())):
        raise ValueError("no record")
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
        lr=lr,
        train_size=None if size is None else int(size),
        budget=canonical_json({k: v for k, v in config.items() if k not in NOT_BUDGET}),
        config=config,
        metrics=metrics if status == "ok" else {},
        gap=gap,
        test_gap=test_gap,
        history=_history(content.get("history") or []),
        epochs_run=int(content.get("epochs_run") or 0),
        best_epoch=content.get("best_epoch"),
        seconds=float(content.get("seconds") or 0),
        cpu_seconds=float(content.get("cpu_seconds") or 0),
        weights=weights,
        histogram=_histogram(content.get("weight_histogram") or {}),
        reliability=_reliability(content.get("reliability") or {}),
        environment=environment,
    )


def _floats(group: dict[str, Any]) -> dict[str, float]:
    return {str(k): math.nan if v is None else float(v) for k, v in group.items()}


def _history(rows: list[dict[str, Any]]) -> Array:
    found = np.array([[row.get(name) for name in CURVES] for row in rows], dtype=np.float64)  # None becomes NaN
    found = np.where(np.abs(found) <= LARGEST, found, np.nan).reshape(-1, len(CURVES))
    epochs = [int(row.get("epoch", i)) for i, row in enumerate(rows, 1)]
    if epochs == list(range(1, len(rows) + 1)):
        return found
    if not 1 <= epochs[0] <= epochs[-1] <= MOST_EPOCHS or np.diff(epochs).min(initial=1) < 1:
        raise ValueError(f"history is of the epochs {epochs}")
    return np.stack([np.interp(range(1, epochs[-1] + 1), epochs, column) for column in found.T], axis=1)


def _histogram(content: dict[str, Any]) -> tuple[float, Array] | None:
    limit, counts = float(content.get("limit", 0)), np.array(content.get("counts", []), dtype=np.float64)
    return (limit, counts) if 0 < limit < math.inf and 0 < counts.sum() < math.inf else None


def _reliability(content: dict[str, Any]) -> Array | None:
    if not content:
        return None
    values = np.array([content[k] for k in ("count", "confidence", "accuracy")], dtype=np.float64)
    whole = values.ndim == 2 and bool(((values >= 0) & (values <= LARGEST)).all())
    return values if whole and values[0].sum() > 0 else None
