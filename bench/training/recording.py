"""From a trained network to its record."""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.training import metrics as measure
from bench.training import predictions, record
from bench.training.classifier import Classifier
from bench.training.environment import environment
from bench.training.errors import LostRecordError
from bench.training.messages import warn
from bench.training.prepare import Prepared
from bench.training.record import Histogram, Record
from bench.training.settings import RunConfig, run_id
from bench.training.weights import weight_histogram, weight_summary
from recipes import weights

HISTORY_ROWS = 50
"""About so many epochs at most go into a record's history."""


def record_failure(config: RunConfig, reason: str) -> Record:
    """Write the record of a run that could not be prepared or whose process died."""
    failed = Record(
        run_id=run_id(config, ""),
        status="failed",
        error=reason,
        config=config.identity(),
        recipe=config.recipe,
        dataset={"name": config.dataset, "fingerprint": "", "sizes": {}, "classes": []},
        model={"name": config.model, "parameters": 0},
        metrics={},
        gap={},
        test_gap={},
        history=[],
        epochs_run=0,
        best_epoch=None,
        seconds=0.0,
        cpu_seconds=0.0,
        images_per_second=0.0,
        weights={},
        weight_histogram={},
        reliability={},
        environment=environment(config),
        wandb={"id": None, "mode": "disabled"},
        created=_now(),
    )
    record.write(failed, Path(config.results_dir))
    return failed


def make_record(prepared: Prepared, module: Classifier, error: str | None, wandb: dict[str, Any]) -> Record:
    data, history = prepared.data, module.history
    error = error or module.diverged or (None if module.final else "training ended without a measurement")
    status: record.Status = "diverged" if module.diverged else "failed" if error else "ok"
    ok = status == "ok"
    metrics = {k: measure.finish(v, len(data.classes)) for k, v in module.final.items()} if ok else {}
    trained = weights(module.net)
    finite = [row for row in history if math.isfinite(row["val/loss"])]
    best_epoch = int(min(finite, key=lambda row: row["val/loss"])["epoch"]) if finite else None
    images = len(history) * len(data.train_dataloader()) * data.batch_size
    return Record(
        run_id=prepared.run_id,
        status=status,
        error=error,
        config=prepared.config.identity(),
        recipe=prepared.config.recipe,
        dataset={
            "name": prepared.config.dataset,
            "title": data.title,
            "fingerprint": data.fingerprint,
            "sizes": dict(data.sizes),
            "classes": list(data.classes),
        },
        model={"name": prepared.config.model, "parameters": prepared.parameters},
        metrics=metrics,
        gap=_gap(metrics, "val"),
        test_gap=_gap(metrics, "test"),
        history=[{k: _short(v) for k, v in row.items()} for row in thinned(history, best_epoch)],
        epochs_run=len(history),
        best_epoch=best_epoch,
        seconds=round(module.seconds, 3),
        cpu_seconds=round(module.cpu_seconds, 3) if module.device.type == "cpu" else 0.0,
        images_per_second=round(images / module.training_seconds, 1) if module.training_seconds else 0.0,
        weights=weight_summary(trained) if ok else {},
        weight_histogram=weight_histogram(trained) if ok else Histogram(),
        reliability=measure.reliability(module.final["test"], len(data.classes)) if "test" in metrics else {},
        environment=environment(prepared.config),
        wandb=wandb,
        created=_now(),
    )


def keep(result: Record, prepared: Prepared, predicted: Tensor | None) -> None:
    """Write a run's record, and first a resample's predictions of the test split, which its record vouches for.

    A record that cannot go to the results goes to the current folder: the training was the expensive part.

    Raises:
        LostRecordError: neither takes it.
    """
    results = prepared.config.results
    if predicted is not None:
        labels = prepared.data.splits["test"].y.cpu().numpy()
        path = predictions.predictions_path(results, prepared.run_id)
        try:
            predictions.store(path, predicted.half().cpu().numpy(), labels)
        except OSError as error:
            warn(f"cannot keep the predictions {path}: {error}; the resample will be trained again")
    try:
        record.write(result, results)
        record.path_of(results, run_id(prepared.config, "")).unlink(missing_ok=True)  # of a try that could not begin
    except OSError as error:
        _keep_here(result, results, error)


def _keep_here(result: Record, results: Path, error: OSError) -> None:
    here = Path.cwd()
    try:
        path = record.write(result, here)
    except OSError as second:
        raise LostRecordError(f"no place for the record: {results}: {error}; {here}: {second}") from None
    warn(f"cannot write the record to {results}: {error}; it is kept as {path}: move it there")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _gap(metrics: dict[str, dict[str, float]], split: str) -> dict[str, float]:
    return measure.gap(metrics["train"], metrics[split]) if split in metrics else {}


def thinned(history: list[dict[str, float]], best_epoch: int | None) -> list[dict[str, float]]:
    """Of a long run every k-th epoch, the best and the last, so that a record stays small: about `HISTORY_ROWS`."""
    step = math.ceil(len(history) / HISTORY_ROWS) or 1
    always = (best_epoch, len(history))
    return [row for i, row in enumerate(history) if i % step == 0 or i + 1 in always]


def _short(value: float) -> Any:
    """Five significant digits keep a record small; what is not finite is no number."""
    return float(f"{value:.5g}") if math.isfinite(value) else None
