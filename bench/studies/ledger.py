"""What a study consists of, cell by cell, and which of its cells are finished."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.studies import bias_variance, tuning
from bench.studies.outcomes import DecompositionOutcome, kept_decomposition
from bench.studies.study_file import Condition, Study, with_strengths
from bench.studies.tuning import Candidate
from bench.training import predictions, record
from bench.training.files import remove_left_over
from bench.training.lookup import data_fingerprint, split_of
from bench.training.record import Record
from bench.training.settings import SUITE_VERSION, RunConfig
from bench.training.typed_json import canonical_json

Scored = list[tuple[Candidate, float]]


@dataclass
class Ledger:
    """The finished records of a study's folder, found by what was run."""

    folder: Path
    retry_failed: bool = False
    resamples: int = 0
    """Of each decomposition."""
    records: dict[tuple[str, str], Record] = field(default_factory=dict)
    """By what identifies the cell and by the fingerprint of its data, empty where a run could not read them."""
    decomposed: dict[tuple[str, str, int | None, str], DecompositionOutcome] = field(default_factory=dict)
    """What decomposition.json says, by place and recipe."""
    scored: dict[Condition, Scored] = field(default_factory=dict)
    """The trials of conditions whose tuning is finished."""
    fingerprints: dict[tuple[object, ...], str] = field(default_factory=dict)
    """Of today's data, by dataset and split."""

    def scan(self, repair: bool = True) -> None:
        """Read every record of the folder anew, and what was computed of predictions that may be gone.

        Args:
            repair: set damaged records aside and remove what killed processes left; else write nothing at all.

        Raises:
            ConfigError: the records cannot be listed.
        """
        for memory in (self.records, self.decomposed, self.scored, self.fingerprints):
            memory.clear()
        for path in record.paths(self.folder):
            self.add(record.load_or_set_aside(path) if repair else _load_or_warn(path))
        if repair:
            remove_left_over(self.folder)
        self.decomposed.update({row.place: row for row in kept_decomposition(self.folder)})

    def add(self, found: Record | None) -> None:
        """Take a record, unless it is of another version, a failure to be tried again, or a failure made good."""
        if found is None or found.environment.get("suite") != SUITE_VERSION:
            return
        if found.status == "failed" and (self.retry_failed or _place(found) in self.records):
            return
        self.take(found)

    def take(self, found: Record) -> None:
        """Take a record that has just been made."""
        self.records[_place(found)] = replace(found, history=[], weight_histogram={}, reliability={})

    def find(self, config: RunConfig) -> Record | None:
        """The record of a cell for which nothing is left to do: of today's data, and with its predictions if needed."""
        cell = cell_id(config)
        found = self.records.get((cell, self._fingerprint(config))) or self.records.get((cell, ""))
        if found is None:
            return None
        return found if found.status != "ok" or config.resample is None or self._predicted(config, found) else None

    def _fingerprint(self, config: RunConfig) -> str:
        split = (config.dataset, *split_of(config).values())
        if split not in self.fingerprints:
            self.fingerprints[split] = data_fingerprint(config)
        return self.fingerprints[split]

    def _predicted(self, config: RunConfig, found: Record) -> bool:
        row = self.decomposed.get((config.dataset, config.model, config.train_size, config.recipe))
        kept = row is not None and row.resamples == self.resamples and found.run_id in row.run_ids
        return kept or predictions.predictions_path(self.folder, found.run_id).exists()


def _load_or_warn(path: Path) -> Record | None:
    try:
        return record.load(path)
    except FileNotFoundError:
        return None
    except ValueError as error:
        print(f"warning: {error}; its run would be done again", file=sys.stderr)
        return None


def _place(found: Record) -> tuple[str, str]:
    return canonical_json(found.config), found.dataset["fingerprint"]


@functools.cache
def cell_id(config: RunConfig) -> str:
    """What identifies a cell before its data are read."""
    return canonical_json(config.identity())


def trials(study: Study, condition: Condition, ledger: Ledger) -> Scored:
    """The candidates that can be named, each with its score; NaN while runs are missing."""
    if condition in ledger.scored:
        return ledger.scored[condition]
    scored: Scored = []
    source = tuning.rate_source(study, condition)
    if source and not tuning_finished(study, source, ledger):
        return []
    chosen = final_candidate(study, source, ledger) if source else None
    lr = chosen.lr if chosen else None
    while True:
        scores = [score for _, score in scored]
        known = tuning.candidates(study, condition, scores, lr)
        new = [(c, _score(study, condition, c, ledger)) for c in known[len(scored) :]]
        scored += new
        if any(math.isnan(score) for _, score in scored):
            return scored
        if not new:
            ledger.scored[condition] = scored
            return scored


def _score(study: Study, condition: Condition, candidate: Candidate, ledger: Ledger) -> float:
    records = [ledger.find(c) for c in tuning.trial_configs(study, condition, candidate)]
    finished = [r for r in records if r]
    assert study.tune is not None
    return tuning.score(finished, study.tune.select) if len(finished) == len(records) else math.nan


def tuning_finished(study: Study, condition: Condition, ledger: Ledger) -> bool:
    """Whether all trials of a condition are done."""
    return not any(math.isnan(score) for _, score in trials(study, condition, ledger))


def final_candidate(study: Study, condition: Condition, ledger: Ledger) -> Candidate | None:
    """What a condition's fresh seeds are to train, as written or as tuned; None while that is open or if all failed."""
    if study.tune is None:
        return Candidate(with_strengths(condition.recipe, {}))
    scored = trials(study, condition, ledger)
    return None if not scored or any(math.isnan(score) for _, score in scored) else tuning.choose(scored)


def final_configs(study: Study, condition: Condition, candidate: Candidate) -> list[RunConfig]:
    changes = {} if candidate.lr is None else {"lr": candidate.lr}
    return [study.config(condition, candidate.recipe, seed, **changes) for seed in study.seeds]


def trial_cells(study: Study, condition: Condition, ledger: Ledger) -> dict[str, RunConfig]:
    """The tuning trials of a condition that can be named so far, finished or not."""
    tried = trials(study, condition, ledger) if study.tune else []
    return {cell_id(c): c for trial, _ in tried for c in tuning.trial_configs(study, condition, trial)}


def known_cells(study: Study, condition: Condition, ledger: Ledger) -> dict[str, RunConfig]:
    """Every cell of a condition that can be named so far, finished or not."""
    candidate = final_candidate(study, condition, ledger)
    configs = final_configs(study, condition, candidate) if candidate else []
    if study.decompose:
        for recipe, _ in bias_variance.strengths(study, condition):
            configs += bias_variance.resample_configs(study, condition, recipe)
    return trial_cells(study, condition, ledger) | {cell_id(c): c for c in configs}


@dataclass(frozen=True)
class Cells:
    """How far some conditions are."""

    named: dict[str, RunConfig]
    finished: dict[str, Record]
    total: int
    """How many there are when all is done; a cell that two conditions share counts once as soon as it is named."""

    @property
    def missing(self) -> int:
        """How many are not finished."""
        return self.total - len(self.finished)

    @property
    def gone(self) -> bool:
        """Whether some are not finished although nothing stands in their way."""
        return len(self.finished) < len(self.named)


def count(study: Study, conditions: Iterable[Condition], ledger: Ledger) -> Cells:
    named: dict[str, RunConfig] = {}
    unnamed = 0
    for condition in conditions:
        cells = known_cells(study, condition, ledger)
        unnamed += _expected(study, condition) - len(cells)
        named |= cells
    finished = {k: r for k, c in named.items() if (r := ledger.find(c))}
    return Cells(named, finished, len(named) + unnamed)


def _expected(study: Study, condition: Condition) -> int:
    """The cells of a condition when it is done."""
    tuned = study.tune.trials * (study.tune.folds or 1) if study.tune else 0
    resampled = len(bias_variance.strengths(study, condition)) * study.decompose.resamples if study.decompose else 0
    return len(study.seeds) + tuned + resampled
