"""The rows that a study's tables should have, told from study.yaml and what the study keeps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bench.reporting import labels
from bench.reporting.comparison import condition_of
from bench.reporting.runs import Run
from bench.studies.outcomes import TunedCondition, TuningOutcome, Unfit, UnfitOutcome
from bench.studies.study_file import Condition, Study, free_strengths, with_strengths


def final_conditions(study: Study, tuning: TuningOutcome | None, unfit: UnfitOutcome | None) -> list[Condition]:
    """The study's conditions with the recipe that their seeds train: as tuned, or as written while that is open."""
    chosen = {_of_row(row): row.chosen.recipe for row in tuning.conditions if row.chosen} if tuning else {}
    left_out = {_of_row(row) for row in unfit.conditions} if unfit else set()
    return [replace(c, recipe=chosen.get(c) or _as_planned(study, c)) for c in study.conditions() if c not in left_out]


def _of_row(row: TunedCondition | Unfit) -> Condition:
    return Condition(row.dataset, row.model, row.train_size, row.recipe)


def _as_planned(study: Study, condition: Condition) -> str:
    is_open = study.tune and free_strengths(condition.recipe, imports=False)
    return condition.recipe if is_open else with_strengths(condition.recipe, {}, imports=False)


def absent(conditions: Sequence[Condition], runs: Iterable[Run]) -> list[Condition]:
    """The conditions of which no final run exists. Where the strength is open, any strength will do.

    Of a recipe from outside the catalogue, any arguments will do: it is not imported, so its defaults are not known.
    """
    found = {condition_of(run) for run in runs if run.final}
    named = {replace(c, recipe=labels.names(c.recipe)) for c in found}
    return [
        c
        for c in conditions
        if c not in found and not (_is_open(c.recipe) and replace(c, recipe=labels.names(c.recipe)) in named)
    ]


def _is_open(recipe: str) -> bool:
    return ":" in recipe or bool(free_strengths(recipe, imports=False))


def fitting(conditions: Sequence[Condition]) -> list[Condition]:
    """The conditions whose recipe fits: asked only where a study of an earlier version kept no unfit.json."""
    if not conditions:
        return []
    from bench.studies.fitting import fits  # needs torch, which a report otherwise does not

    return [c for c in conditions if fits(c)]
