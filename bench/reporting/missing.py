"""The rows that a study's tables should have: from the text of study.yaml, from what the study keeps, and from the records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from bench.reporting import labels
from bench.reporting.comparison import condition_of
from bench.reporting.runs import Run
from bench.studies.outcomes import TunedCondition, TuningOutcome, Unfit, UnfitOutcome
from bench.studies.study_file import Condition, Study, free_strengths, with_strengths


def final_conditions(study: Study, tuning: TuningOutcome | None, unfit: UnfitOutcome | None) -> list[Condition]:
    """The study's conditions with the recipe that their seeds train: as tuned, or as written while that is open.

    What did not fit its data or network is none of them. A study of an earlier version kept no list of that; what it
    tuned is then all that fits.
    """
    tuned = {_of_row(row): row.chosen.recipe if row.chosen else None for row in tuning.conditions} if tuning else {}
    left_out = {_of_row(row) for row in unfit.conditions} if unfit else set()
    fit = [c for c in study.conditions() if c not in left_out and (unfit or not tuned or c in tuned)]
    return [replace(c, recipe=tuned.get(c) or _as_planned(study, c)) for c in fit]


def _of_row(row: TunedCondition | Unfit) -> Condition:
    return Condition(row.dataset, row.model, row.train_size, row.recipe)


def _as_planned(study: Study, condition: Condition) -> str:
    is_open = study.tune and free_strengths(condition.recipe, imports=False)
    return condition.recipe if is_open else with_strengths(condition.recipe, {}, imports=False)


def absent(conditions: Sequence[Condition], runs: Iterable[Run]) -> list[Condition]:
    """The conditions of which no final run exists."""
    trained: dict[tuple[Any, ...], list[Condition]] = defaultdict(list)
    for condition in {condition_of(run) for run in runs if run.final}:
        trained[_techniques(condition)].append(condition)
    return [c for c in conditions if not any(_agree(c.recipe, other.recipe) for other in trained[_techniques(c)])]


def _techniques(condition: Condition) -> tuple[Any, ...]:
    return (*condition.place, *(call.name for call in labels.calls(condition.recipe)))


def _agree(written: str, trained: str) -> bool:
    """Whether a recipe was trained as written: with every argument that is given, whatever the others are.

    So any strength will do where it is open, and any default of a user's own recipe, which is not imported. What was
    trained names all arguments, in order.
    """
    for given, full in zip(labels.calls(written), labels.calls(trained), strict=True):
        first = list(full.kwargs.values())[: len(given.args)]
        if list(given.args) != first or not given.kwargs.items() <= full.kwargs.items():
            return False
    return True
