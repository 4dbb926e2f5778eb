"""What a study keeps beside its records: what was tuned and chosen, and bias and variance."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import decompose, tuning
from bench.book import Book, final_candidate, final_configs, trials
from bench.plan import Condition, Study, free_strengths
from bench.record import write_atomically


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
    for recipe, strength in decompose.strengths(study, condition):
        records = [book.find(c) for c in decompose.resample_configs(study, condition, recipe)]
        paths = [decompose.predictions_path(study.folder, r.run_id) for r in records if r and r.status == "ok"]
        if len(paths) < len(records):
            continue
        place = dict(zip(decompose.PLACE, (*condition.place, recipe), strict=True))
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
            **decompose.measure(paths),
        }


def _write_json(path: Path, content: Any) -> None:
    write_atomically(path, json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n")
