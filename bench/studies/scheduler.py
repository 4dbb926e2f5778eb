"""Which cells of a study to train next, until nothing is left."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.engines import cell
from bench.studies import tuning
from bench.studies.interrupts import Stop
from bench.studies.ledger import Book, key, settled, wanted
from bench.studies.study_file import Condition, Study, with_strengths
from bench.terminal.progress import Display
from bench.training.errors import WRONG_INPUT, ConfigError
from bench.training.prepare import data_fingerprint, prepare
from bench.training.record import Record, load_or_set_aside, path_of
from bench.training.recording import record_failure
from recipes import UnfitError


def run(
    study: Study, engine: cell.Engine, book: Book, display: Display, chosen: Sequence[Condition], stop: Stop
) -> None:
    """Submit what is missing, and whatever its results make possible, until nothing is left."""
    waiting: dict[str, dict[Condition, None]] = {}  # by cell, the conditions that need it
    followers: dict[Condition, list[Condition]] = {}  # by the condition whose learning rate they await
    ended: dict[str, Record] = {}

    def submit(condition: Condition) -> None:
        named = wanted(study, condition, book)
        done = {k: r for k, c in named.items() if (r := ended.get(k) or book.find(c))}
        ended.update(done)
        missing = {k: c for k, c in named.items() if k not in done}
        engine.submit([c for k, c in missing.items() if k not in waiting])
        for k in missing:
            waiting.setdefault(k, {})[condition] = None

    for condition in chosen:
        setter = tuning.rate_setter(study, condition) if study.tune else None
        if setter and not settled(study, setter, book):
            followers.setdefault(setter, []).append(condition)
    for condition in dict.fromkeys([*followers, *chosen]):
        submit(condition)
    while waiting:
        stop.check()
        display.show(ended, engine.running())
        for outcome in engine.wait(0.5):
            cell = key(outcome.config)
            ended[cell] = _record_of(outcome, study.folder)
            book.take(ended[cell])
            for condition in waiting.pop(cell, {}):
                submit(condition)
                if condition in followers and settled(study, condition, book):
                    for follower in followers.pop(condition):
                        submit(follower)


def _record_of(outcome: cell.Outcome, folder: Path) -> Record:
    """The record that a cell left; one that says why, where it left none."""
    found = load_or_set_aside(path_of(folder, outcome.run_id)) if outcome.run_id else None
    return found or record_failure(outcome.config, outcome.error or "it left no record")


def leave_out_unfit(study: Study, elsewhere: bool = False) -> Study:
    """The study without the conditions whose recipe does not fit its data or network.

    Args:
        study: as written.
        elsewhere: its cells will run on other machines, which may have GPUs that this one lacks.

    Raises:
        ConfigError: nothing is left.
        DataError, NetError: data are missing, or too few for the folds.
    """
    unfit = {}
    conditions = study.conditions()
    for condition in conditions:
        try:
            prepare(study.config(condition, with_strengths(condition.recipe, {}), study.seeds[0]), elsewhere=elsewhere)
        except UnfitError as error:
            unfit[condition] = str(error)
        except WRONG_INPUT:
            raise
        except Exception as error:  # as its cells will record
            reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
            print(f"{condition.recipe} on {condition.dataset}, {condition.model} will fail: {reason}", file=sys.stderr)
    if len(unfit) == len(conditions):
        raise ConfigError(f"the matrix is empty: no recipe fits its data and network ({next(iter(unfit.values()))})")
    if study.tune and study.tune.folds:
        for first in {(c.dataset, c.train_size): c for c in conditions}.values():
            data_fingerprint(study.config(first, "none", study.seeds[0], fold=0, folds=study.tune.folds))
    return replace(study, unfit=unfit)


def _with_setters(study: Study, conditions: Sequence[Condition]) -> list[Condition]:
    """The conditions, and the baselines whose learning rate they take."""
    setters = [tuning.rate_setter(study, c) for c in conditions] if study.tune else []
    return list(dict.fromkeys([*filter(None, setters), *conditions]))
