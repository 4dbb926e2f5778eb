"""What a study consists of, cell by cell, and which of its cells are finished."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.studies import bias_variance, tuning
from bench.studies.study_file import Condition, Study, with_strengths
from bench.studies.tuning import Candidate
from bench.training import predictions
from bench.training.prepare import data_fingerprint
from bench.training.record import Record, load_or_set_aside
from bench.training.settings import SUITE_VERSION, RunConfig
from bench.training.typed_json import canonical_json

LEFT_OVER = 24 * 3600
"""Seconds after which a temporary file is that of a killed process."""


@dataclass
class Book:
    """The finished records of a study's folder, found by what was run."""

    folder: Path
    retry_failed: bool = False
    resamples: int = 0
    """Of each decomposition."""
    records: dict[tuple[str, str], Record] = field(default_factory=dict)
    """By what identifies the cell and by the fingerprint of its data, empty where a run could not read them."""
    decomposed: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)
    """Rows of decomposition.json."""

    def scan(self) -> None:
        """Read every record of the folder, and what was computed of predictions that may be gone."""
        for path in sorted((self.folder / "records").glob("*.json")):
            self.add(load_or_set_aside(path))
        for path in (self.folder / "records").glob(".*.json.*"):
            with contextlib.suppress(FileNotFoundError):  # the one who wrote it has put it in place
                if time.time() - path.stat().st_mtime > LEFT_OVER:
                    path.unlink()
        self.decomposed = bias_variance.load_rows(self.folder)

    def add(self, record: Record | None) -> None:
        """Take a record, unless it is of another version, a failure to be tried again, or a failure made good."""
        if record is None or record.environment.get("suite") != SUITE_VERSION:
            return
        if record.status == "failed" and (self.retry_failed or _place(record) in self.records):
            return
        self.take(record)

    def take(self, record: Record) -> None:
        """Take a record that has just been made."""
        self.records[_place(record)] = replace(record, history=[], weight_histogram={}, reliability={})

    def find(self, config: RunConfig) -> Record | None:
        """The record of a cell for which nothing is left to do: of today's data, and with its predictions if needed."""
        cell = key(config)
        found = self.records.get((cell, data_fingerprint(config))) or self.records.get((cell, ""))
        if found is None:
            return None
        return found if found.status != "ok" or config.resample is None or self._predicted(config, found) else None

    def _predicted(self, config: RunConfig, found: Record) -> bool:
        row = self.decomposed.get((config.dataset, config.model, config.train_size, config.recipe), {})
        kept = row.get("resamples") == self.resamples and found.run_id in row.get("run_ids", ())
        return kept or predictions.predictions_path(self.folder, found.run_id).exists()


def _place(record: Record) -> tuple[str, str]:
    return canonical_json(record.config), str(record.dataset.get("fingerprint", ""))


@functools.cache
def key(config: RunConfig) -> str:
    """What identifies a cell before its data are read."""
    return canonical_json(config.identity())


def trials(study: Study, condition: Condition, book: Book) -> list[tuple[Candidate, float]]:
    """The candidates that can be named, each with its score; NaN while runs are missing."""
    scored: list[tuple[Candidate, float]] = []
    setter = tuning.rate_setter(study, condition)
    if setter and not settled(study, setter, book):
        return []
    chosen = final_candidate(study, setter, book) if setter else None
    lr = chosen.lr if chosen else None
    while True:
        scores = [score for _, score in scored]
        known = tuning.candidates(study, condition, scores, lr)
        new = [(c, _score(study, condition, c, book)) for c in known[len(scored) :]]
        scored += new
        if not new or any(math.isnan(score) for _, score in scored):
            return scored


def _score(study: Study, condition: Condition, candidate: Candidate, book: Book) -> float:
    records = [book.find(c) for c in tuning.trial_configs(study, condition, candidate)]
    finished = [r for r in records if r]
    assert study.tune is not None
    return tuning.score(finished, study.tune.select) if len(finished) == len(records) else math.nan


def settled(study: Study, condition: Condition, book: Book) -> bool:
    """Whether all trials of a condition are done."""
    return not any(math.isnan(score) for _, score in trials(study, condition, book))


def final_candidate(study: Study, condition: Condition, book: Book) -> Candidate | None:
    """What a condition's fresh seeds are to train, as written or as tuned; None while that is open or if all failed."""
    if study.tune is None:
        return Candidate(with_strengths(condition.recipe, {}))
    scored = trials(study, condition, book)
    return None if not scored or any(math.isnan(score) for _, score in scored) else tuning.choose(scored)


def final_configs(study: Study, condition: Condition, candidate: Candidate) -> list[RunConfig]:
    changes = {} if candidate.lr is None else {"lr": candidate.lr}
    return [study.config(condition, candidate.recipe, seed, **changes) for seed in study.seeds]


def wanted(study: Study, condition: Condition, book: Book) -> dict[str, RunConfig]:
    """Every cell of a condition that can be named so far, finished or not."""
    configs: list[RunConfig] = []
    if study.tune:
        for trial, _ in trials(study, condition, book):
            configs += tuning.trial_configs(study, condition, trial)
    candidate = final_candidate(study, condition, book)
    configs += final_configs(study, condition, candidate) if candidate else []
    if study.decompose:
        for recipe, _ in bias_variance.strengths(study, condition):
            configs += bias_variance.resample_configs(study, condition, recipe)
    return {key(c): c for c in configs}


@dataclass(frozen=True)
class Cells:
    """How far some conditions are."""

    named: dict[str, RunConfig]
    finished: dict[str, Record]
    total: int
    """How many there are when all is done; a cell that two conditions share counts once as soon as it is named."""


def count(study: Study, conditions: Iterable[Condition], book: Book) -> Cells:
    named: dict[str, RunConfig] = {}
    unnamed = 0
    for condition in conditions:
        cells = wanted(study, condition, book)
        unnamed += _expected(study, condition) - len(cells)
        named |= cells
    finished = {k: r for k, c in named.items() if (r := book.find(c))}
    return Cells(named, finished, len(named) + unnamed)


def _expected(study: Study, condition: Condition) -> int:
    """The cells of a condition when it is done."""
    tuned = study.tune.trials * (study.tune.folds or 1) if study.tune else 0
    resampled = len(bias_variance.strengths(study, condition)) * study.decompose.resamples if study.decompose else 0
    return len(study.seeds) + tuned + resampled
