"""What a study keeps beside its records: what was tuned and chosen, and bias and variance."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.studies import bias_variance, tuning
from bench.studies.ledger import Book, final_candidate, final_configs, trials
from bench.studies.study_file import Condition, Study, free_strengths
from bench.training import predictions
from bench.training.files import write_atomically

NUMBER = (int, float)
OPTIONAL_NUMBER = (int, float, type(None))
OPTIONAL_TEXT = (str, type(None))
_CHOICE = {"recipe": str, "lr": OPTIONAL_NUMBER}
TUNING: Any = {
    "rule": {"trials": int, "folds": (int, type(None)), "select": str, "space": str, "sampler": OPTIONAL_TEXT},
    "conditions": [
        {
            **{"dataset": str, "model": str, "train_size": (int, type(None)), "recipe": str, "chosen": (_CHOICE, None)},
            "trials": [{**_CHOICE, "score": OPTIONAL_NUMBER, "run_ids": [str]}],
        }
    ],
}
DECOMPOSITION: Any = [
    {
        **{"dataset": str, "model": str, "train_size": (int, type(None)), "recipe": str, "technique": str},
        **{"strength": (str, *OPTIONAL_NUMBER), "resamples": int},
        "squared": {"error": NUMBER, "bias2": NUMBER, "variance": NUMBER},
        "zero_one": {"error": NUMBER, "bias": NUMBER, "variance": NUMBER},
    }
]


def misshapen(value: Any, shape: Any, name: str = "") -> str | None:
    """Where a value differs from a shape, as `conditions[0].lr`; None where it does not.

    Args:
        value: parsed JSON.
        shape: a type or several; `{key: shape}`, all of whose keys a dictionary must have; `[shape]` of each item; or
            `(shape, None)`, which null fits too.
        name: of the value.
    """
    if isinstance(shape, tuple) and shape[-1] is None:
        return None if value is None else misshapen(value, shape[0], name)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return name or "the file"
        parts = [(value.get(key, ...), part, f"{name}.{key}".lstrip(".")) for key, part in shape.items()]
    elif isinstance(shape, list):
        if not isinstance(value, list):
            return name or "the file"
        parts = [(item, shape[0], f"{name}[{i}]") for i, item in enumerate(value)]
    else:
        return None if isinstance(value, shape) and not isinstance(value, bool) else name
    return next((wrong for part in parts if (wrong := misshapen(*part))), None)


def write_summaries(study: Study, book: Book) -> None:
    """Keep what was chosen and every trial in tuning.json, bias and variance in decomposition.json."""
    if study.tune:
        rule = {k: getattr(study.tune, k) for k in ("trials", "folds", "select", "space", "sampler")}
        rows = [_tuning_row(study, c, book) for c in study.conditions()]
        _write_json(study.folder / "tuning.json", {"rule": rule, "conditions": rows})
    if study.decompose:
        rows = [row for c in study.conditions() for row in _decomposition_rows(study, c, book)]
        if rows:
            _write_json(study.folder / "decomposition.json", rows)


def _tuning_row(study: Study, condition: Condition, book: Book) -> dict[str, Any]:
    chosen = final_candidate(study, condition, book)
    rows = []
    for candidate, score in trials(study, condition, book):
        configs = tuning.trial_configs(study, condition, candidate)
        found = [r.run_id for c in configs if (r := book.find(c))]
        value = score if math.isfinite(score) else None
        rows.append({"recipe": candidate.recipe, "lr": configs[0].lr, "score": value, "run_ids": found})
    lr = None if chosen is None else final_configs(study, condition, chosen)[0].lr
    return {
        "dataset": condition.dataset,
        "model": condition.model,
        "train_size": condition.train_size,
        "recipe": condition.recipe,
        "chosen": None if chosen is None else {"recipe": chosen.recipe, "lr": lr},
        "trials": rows,
    }


def _decomposition_rows(study: Study, condition: Condition, book: Book) -> Iterator[dict[str, Any]]:
    """A row a strength, once all its networks are trained; the kept one where their predictions are gone."""
    for recipe, strength in bias_variance.strengths(study, condition):
        records = [book.find(c) for c in bias_variance.resample_configs(study, condition, recipe)]
        paths = [predictions.predictions_path(study.folder, r.run_id) for r in records if r and r.status == "ok"]
        if len(paths) < len(records):
            continue
        place = dict(zip(bias_variance.PLACE, (*condition.place, recipe), strict=True))
        if not all(p.exists() for p in paths):
            yield book.decomposed[tuple(place.values())]
            continue
        free = free_strengths(condition.recipe)
        yield {
            **place,
            "technique": free[0].name if len(free) == 1 else condition.recipe,
            "strength": strength,
            "resamples": len(paths),
            "run_ids": [r.run_id for r in records if r],
            **bias_variance.measure(paths),
        }


def _write_json(path: Path, content: Any) -> None:
    write_atomically(path, json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n")
