"""Which cells of a study to train next, until nothing is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.engines.cell import LOST_TRIES, Engine, Outcome
from bench.studies import tuning
from bench.studies.ledger import Ledger, cell_id, known_cells, trial_cells, tuning_finished
from bench.studies.study_file import Condition, Study
from bench.training.record import Record, load_or_set_aside, path_of
from bench.training.recording import record_failure


@dataclass
class Progress:
    """How far a study is."""

    finished: int = 0
    failed: int = 0
    """Of the finished cells: those that failed or diverged."""
    running: int = 0


class Scheduler:
    """Submits the cells that are missing, and those that their results make known, until nothing is left.

    When all trials that a condition awaits have ended, its next cells are known: further trials, or its final runs.
    Once its tuning is finished, so are the trials of the conditions that take its learning rate.

    Args:
        study: whose cells.
        engine: that trains them.
        ledger: of the records that are finished already; it takes the new ones.
        watch: called all the while with how far the study is; it may raise to stop.
    """

    def __init__(self, study: Study, engine: Engine, ledger: Ledger, watch: Callable[[Progress], None]) -> None:
        self.study, self.engine, self.ledger, self.watch = study, engine, ledger, watch
        self.progress = Progress()
        self.finished: set[str] = set()
        self.submitted: set[str] = set()
        """Cells that have been submitted and have not ended."""
        self.waiting: dict[str, list[Condition]] = {}
        """By trial, the conditions that wait for it."""
        self.awaited: dict[Condition, int] = {}
        """By condition, how many of its trials have not ended."""
        self.dependents: dict[Condition, list[Condition]] = {}
        """By condition, those that wait for its learning rate."""
        self.lost: dict[str, int] = {}
        """How often a cell was trained whose record then was not there."""

    def run(self, conditions: Sequence[Condition]) -> None:
        """Train all cells of some conditions."""
        for condition in conditions:
            source = tuning.rate_source(self.study, condition) if self.study.tune else None
            if source and not tuning_finished(self.study, source, self.ledger):
                self.dependents.setdefault(source, []).append(condition)
        for condition in dict.fromkeys([*self.dependents, *conditions]):
            self._advance(condition)
        while self.submitted:
            self.progress.running = self.engine.running()
            self.watch(self.progress)
            for outcome in self.engine.wait(0.5):
                self._take(outcome)

    def _advance(self, condition: Condition) -> None:
        """Submit the cells of a condition that are known and not finished."""
        missing = {}
        for cell, config in known_cells(self.study, condition, self.ledger).items():
            if cell in self.finished or cell in self.submitted:
                continue
            if found := self.ledger.find(config):
                self._finish(cell, found)
            else:
                missing[cell] = config
        self.submitted.update(missing)
        self.engine.submit(list(missing.values()))
        awaited = [cell for cell in trial_cells(self.study, condition, self.ledger) if cell in self.submitted]
        self.awaited[condition] = len(awaited)
        for cell in awaited:
            self.waiting.setdefault(cell, []).append(condition)

    def _take(self, outcome: Outcome) -> None:
        """Take what became of a cell; what was known only after it is submitted."""
        cell = cell_id(outcome.config)
        found = self._record_of(outcome, cell)
        if found is None or cell not in self.submitted:
            return
        self.ledger.take(found)
        self.submitted.discard(cell)
        self._finish(cell, found)
        for condition in self.waiting.pop(cell, ()):
            self.awaited[condition] -= 1
            if self.awaited[condition] == 0:
                self._advance(condition)
                self._release(condition)

    def _release(self, source: Condition) -> None:
        """Go on with the conditions that waited for this one's learning rate, if it is settled."""
        if source in self.dependents and tuning_finished(self.study, source, self.ledger):
            for condition in self.dependents.pop(source):
                self._advance(condition)

    def _finish(self, cell: str, found: Record) -> None:
        self.finished.add(cell)
        self.progress.finished += 1
        self.progress.failed += found.status != "ok"

    def _record_of(self, outcome: Outcome, cell: str) -> Record | None:
        """The record that a cell left, or one that says why it left none; None if it is trained once more."""
        folder = self.study.folder
        found = load_or_set_aside(path_of(folder, outcome.run_id)) if outcome.run_id else None
        if found is None and outcome.run_id and outcome.error is None:  # it ended well: somebody removed its record
            self.lost[cell] = self.lost.get(cell, 0) + 1
            if self.lost[cell] < LOST_TRIES:
                self.engine.submit([outcome.config])
                return None
        return found or record_failure(outcome.config, outcome.error or "it left no record")


def with_rate_sources(study: Study, conditions: Iterable[Condition]) -> list[Condition]:
    """The conditions, and the baselines whose learning rate they take."""
    conditions = list(conditions)
    sources = [tuning.rate_source(study, c) for c in conditions] if study.tune else []
    return list(dict.fromkeys([*filter(None, sources), *conditions]))
