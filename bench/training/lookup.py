"""Is it done? Answered from settings, data and records: no network is built, and no torch needed."""

from __future__ import annotations

from typing import Any

import datamodules
from bench.training import predictions, record
from bench.training.record import Record
from bench.training.settings import RunConfig, run_id


def finished(config: RunConfig) -> Record | None:
    """The record of an equal run; None if there is none, or that run failed, or its predictions are gone.

    Raises:
        RecipeError, NetError, DataError: wrong settings.
    """
    this = identify(config)
    found = record.load_or_set_aside(record.path_of(config.results, this))
    if found is None or found.status == "failed":
        return None
    needs_predictions = found.status == "ok" and config.resample is not None
    return None if needs_predictions and not predictions.predictions_path(config.results, this).exists() else found


def identify(config: RunConfig) -> str:
    """A run's id: of its resolved settings and of today's data."""
    return run_id(config.resolve(), data_fingerprint(config))


def data_fingerprint(config: RunConfig) -> str:
    """The fingerprint of the data and split that a run would train on now."""
    return datamodules.fingerprint(config.dataset, **split_of(config))


def split_of(config: RunConfig) -> dict[str, Any]:
    """The settings that decide which rows a run trains on and is measured on."""
    names = ("image_size", "train_size", "val_fraction", "split_seed", "fold", "folds", "resample")
    return {"data_dir": config.data_dir} | {name: getattr(config, name) for name in names}
