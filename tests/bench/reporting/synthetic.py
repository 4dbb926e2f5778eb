"""Made-up records with known differences, so that the report can be tested without training."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.reporting.runs import Run, run_of
from bench.training.record import read

EPOCHS = 30


def make(
    recipe: str = "none",
    seed: int = 0,
    *,
    accuracy: float | None = None,
    gain: float = 0.0,
    dataset: str = "digits",
    model: str = "mlp",
    status: str = "ok",
    fingerprint: str = "f" * 64,
    suite: str = "0.1.0",
    sizes: tuple[int, int, int] = (1150, 288, 359),
    seconds: float = 1.5,
    zeros: float = 0.0,
    epochs: int = EPOCHS,
    device: str = "a processor, 2 threads",
    **config: Any,
) -> dict[str, Any]:
    """A record's content. `accuracy` is the test accuracy; without it, 0.96 and `gain` and this seed's own luck."""
    luck = np.random.default_rng([seed, 7]).normal(0, 0.004)
    own = np.random.default_rng([seed, int(hashlib.sha256(recipe.encode("utf-8", "replace")).hexdigest()[:8], 16)])
    test = 0.96 + luck + gain + own.normal(0, 0.003) if accuracy is None else accuracy
    val, train = test - 0.003 + own.normal(0, 0.002), min(1.0, 1.0 - max(0.0, 0.6 * gain) + own.normal(0, 0.0005))
    settings = {
        **{"recipe": recipe, "dataset": dataset, "model": model, "seed": seed, "epochs": epochs, "batch_size": 32},
        **{"lr": 0.001, "optimizer": "adam", "momentum": 0.9, "schedule": "cosine", "split_seed": 0},
        **{"precision": "32-true", **config},
    }
    identity = hashlib.sha256(json.dumps([settings, fingerprint, suite], sort_keys=True).encode()).hexdigest()[:16]
    ok = status == "ok"
    metrics = {
        "train": _metrics(train, 0.02 + 2 * max(gain, 0)),
        "val": _metrics(val, 0.1 - gain),
        **({} if config.get("trial") else {"test": _metrics(test, 0.095 - gain)}),
    }
    return {
        "run_id": identity,
        "status": status,
        "error": None if ok else "loss is nan in epoch 3",
        "config": settings,
        "recipe": recipe,
        "dataset": {
            "name": dataset,
            "fingerprint": fingerprint,
            "sizes": dict(zip(("train", "val", "test"), sizes, strict=True)),
            "classes": [str(i) for i in range(10)],
        },
        "model": {"name": model, "parameters": 50826},
        "metrics": metrics if ok else {},
        "gap": {"loss": 0.08 - gain, "accuracy": train - val} if ok else {},
        "test_gap": {"loss": 0.08 - gain, "accuracy": train - test} if ok else {},
        "history": [_epoch(i, epochs, gain, own) for i in range(1, epochs + 1)],
        "epochs_run": epochs,
        "best_epoch": epochs - 4 if ok else None,
        "seconds": seconds * (1 + 0.02 * own.normal()),
        "cpu_seconds": seconds,
        "images_per_second": 30000.0,
        "weights": {"l2_norm": 14.6, "zero_fraction": zeros} if ok else {},
        "weight_histogram": _histogram(zeros) if ok else {},
        "reliability": _reliability(gain) if ok else {},
        "environment": {
            **{"suite": suite, "python": "3.11.7", "torch": "2.11.0", "lightning": "2.6.6", "numpy": "2.4.6"},
            **{"system": "Linux x86_64", "device": device, "devices": 1, "num_nodes": 1, "git": "0123456789ab"},
        },
        "wandb": {"id": None, "mode": "disabled"},
        "created": "2026-01-01T00:00:00+00:00",
    }


def run(content: dict[str, Any]) -> Run:
    """What the report shows of a record's content."""
    return run_of(read(json.dumps(content).encode()), content["environment"])


def _metrics(accuracy: float, loss: float) -> dict[str, float]:
    return {"accuracy": accuracy, "loss": loss, "ece": 0.02 + loss / 10, "brier": 2 * (1 - accuracy) * 0.8}


def _epoch(i: int, epochs: int, gain: float, own: np.random.Generator) -> dict[str, float]:
    t = i / epochs
    train = 1.6 * math.exp(-6 * t) + 0.004 + 2 * max(gain, 0) + 0.002 * abs(own.normal())
    val = 1.5 * math.exp(-5 * t) + 0.09 - gain + (0.05 - 3 * max(gain, 0)) * t + 0.004 * own.normal()
    return {
        "epoch": float(i),
        "objective": train,
        "train_probe/loss": train,
        "val/loss": val,
        "train_probe/accuracy": 1 - 0.2 * math.exp(-5 * t),
        "val/accuracy": 0.96 + gain - 0.2 * math.exp(-4 * t),
        "gap/loss": val - train,
        "gap/accuracy": 0.03,
    }


def _histogram(zeros: float) -> dict[str, Any]:
    centers = np.linspace(-0.4, 0.4, 41)
    counts = np.exp(-((centers / 0.09) ** 2) / 2) * (1 - zeros)
    counts[20] += zeros * counts.sum() / max(1 - zeros, 1e-6)
    return {"limit": 0.41, "counts": [int(v) for v in 5000 * counts]}


def _reliability(gain: float) -> dict[str, list[float]]:
    confidence = [(i + 0.5) / 15 for i in range(15)]
    count = [float(v) for v in [0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 6, 9, 14, 34, 280]]
    right = [min(1.0, max(0.0, c - 0.08 + 4 * gain)) for c in confidence]
    return {
        "count": count,
        "confidence": [c if n else 0.0 for c, n in zip(confidence, count, strict=True)],
        "accuracy": right,
    }


GAINS = {
    "none": 0.0,
    "label_smoothing(epsilon=0.1)": 0.004,
    "dropout(p=0.3)": 0.006,
    "weight_decay(wd=0.1)": 0.001,
    "l1(lam=3e-05)": 0.002,
    "l2(lam=0.001)": -0.001,
    "mixup(alpha=0.2)": 0.005,
    "batch_norm": -0.004,
    "max_norm(c=2.0)": 0.0,
    "early_stopping(patience=5)": -0.002,
    "gaussian_noise(sigma=0.1)": 0.003,
    "augment(magnitude=1.0)": 0.011,
    "dropout(p=0.3)+label_smoothing(epsilon=0.1)": 0.008,
    "dropout(p=0.3)+mixup(alpha=0.2)": 0.003,
    "label_smoothing(epsilon=0.1)+mixup(alpha=0.2)": 0.007,
    "augment(magnitude=1.0)+dropout(p=0.3)": 0.013,
}
COSTS = {"batch_norm": 2.0, "augment(magnitude=1.0)": 2.6}


def study(
    seeds: Iterable[int] = range(10), train_sizes: Sequence[int | None] = (None,), **settings: Any
) -> list[dict[str, Any]]:
    """Sixteen recipes with the gains above, which count more where data are few."""
    records = []
    for size in train_sizes:
        factor, base = (1.0, 0.0) if size is None else (3.0, -0.1) if size < 300 else (1.8, -0.03)
        extra = {} if size is None else {"train_size": size, "sizes": (size, 288, 359)}
        for recipe, gain in GAINS.items():
            zeros = 0.62 if recipe.startswith("l1(") else 0.0
            for seed in seeds:
                luck = {"gain": base + factor * gain, "zeros": zeros, "seconds": COSTS.get(recipe, 1.5)}
                records.append(make(recipe, seed, **{**luck, **extra, **settings}))
    return records


def sweep(
    name: str, parameter: str, values: Sequence[float], folds: int = 3
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A condition of tuning.json and its trials' records: an optimum in the middle of the grid."""
    records, trials = [], []
    for i, value in enumerate(values):
        recipe, x = f"{name}({parameter}={value})", i / (len(values) - 1)
        gain = 0.012 * (1 - (2.2 * x - 1) ** 2) - 0.004
        runs = [make(recipe, 1000000, gain=gain, fold=k, folds=folds, trial=True) for k in range(folds)]
        for run in runs:
            run["metrics"]["train"]["accuracy"] = 1 - 0.03 * x**3
        records += runs
        trials.append({"recipe": recipe, "lr": 0.001, "score": 0.1 - gain, "run_ids": [r["run_id"] for r in runs]})
    chosen = min(trials, key=lambda t: t["score"])
    where = {"dataset": "digits", "model": "mlp", "train_size": None, "recipe": name}
    return {**where, "chosen": {"recipe": chosen["recipe"], "lr": 0.001}, "trials": trials}, records


def tuning(folds: int = 3) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    parts = [
        sweep("dropout", "p", (0.05, 0.1, 0.2, 0.3, 0.5), folds),
        sweep("label_smoothing", "epsilon", (0.02, 0.05, 0.1, 0.2, 0.4), folds),
        sweep("weight_decay", "wd", (0.001, 0.01, 0.1, 1.0, 3.0), folds),
        sweep("max_norm", "c", (4.0, 2.0, 1.0, 0.5, 0.2), folds),
    ]
    base = [make("none", 1000000, fold=k, folds=folds, trial=True) for k in range(folds)]
    trial = {"recipe": "none", "lr": 0.001, "score": 0.1, "run_ids": [r["run_id"] for r in base]}
    where = {"dataset": "digits", "model": "mlp", "train_size": None, "recipe": "none"}
    conditions = [{**where, "chosen": {"recipe": "none", "lr": 0.001}, "trials": [trial]}, *(c for c, _ in parts)]
    rule = {"trials": 5, "folds": folds, "select": "val/loss", "space": "strength", "sampler": None}
    return {"rule": rule, "conditions": conditions}, [*base, *(r for _, records in parts for r in records)]


def decomposition() -> list[dict[str, Any]]:
    entries = []
    for name, parameter, values in (
        ("dropout", "p", (0.05, 0.1, 0.2, 0.3, 0.5)),
        ("l2", "lam", (1e-5, 1e-4, 1e-3, 1e-2)),
    ):
        for i, value in enumerate(values):
            x = i / (len(values) - 1)
            bias, variance = 0.02 + 0.04 * x**2, 0.05 * math.exp(-2 * x)
            where = {"dataset": "digits", "model": "mlp", "train_size": None, "technique": name, "resamples": 10}
            entries.append(
                {
                    **where,
                    "recipe": f"{name}({parameter}={value})",
                    "strength": value,
                    "squared": {"error": bias + variance, "bias2": bias, "variance": variance},
                    "zero_one": {"error": 0.6 * (bias + variance), "bias": 0.6 * bias, "variance": 0.7 * variance},
                }
            )
    return entries


def write(folder: Path, records: Iterable[dict[str, Any]], **files: Any) -> Path:
    """A results folder; `files` are JSON files beside the records, or text for study.yaml."""
    (folder / "records").mkdir(parents=True, exist_ok=True)
    for record in records:
        (folder / "records" / f"{record['run_id']}.json").write_text(json.dumps(record), encoding="utf-8")
    for name, content in files.items():
        path = folder / ("study.yaml" if name == "study" else f"{name}.json")
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return folder


SMOOTHING, DROPOUT = "label_smoothing(epsilon=0.1)", "dropout(p=0.3)"
BOTH = {"none": 0.0, DROPOUT: 0.01}
RULE = {"trials": 5, "folds": None, "select": "val/loss", "space": "strength", "sampler": None}


def plain(gains: dict[str, float], seeds: int = 5, **settings: Any) -> list[dict[str, Any]]:
    """Recipes with these gains, over short runs."""
    return [make(r, seed, gain=gain, epochs=3, **settings) for r, gain in gains.items() for seed in range(seeds)]


def three(*recipes: str, **settings: Any) -> list[dict[str, Any]]:
    """Three seeds of recipes that gain nothing."""
    return plain(dict.fromkeys(recipes, 0.0), 3, **settings)
