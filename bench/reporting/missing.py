"""The rows that a study's tables should have, told from study.yaml and tuning.json alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from bench.reporting import labels
from bench.reporting.comparison import condition_of
from bench.reporting.runs import Run
from bench.studies.study_file import Condition, Study, free_strengths, with_strengths
from bench.training import networks
from datamodules import find as find_dataset
from recipes import Task, UnfitError, build

ANY_SHAPE = {"image": (3, 32, 32), "features": (32,)}
"""Whether a recipe fits a network does not depend on the size of its input."""


def final_conditions(study: Study, tuning: Mapping[str, Any]) -> list[Condition]:
    """The study's conditions with the recipe that their seeds train: as tuned, or as written while that is open."""
    chosen = {_of_row(row): (row.get("chosen") or {}).get("recipe") for row in tuning.get("conditions", [])}
    return [replace(c, recipe=chosen.get(c) or _as_planned(study, c)) for c in study.conditions() if fits(c)]


def _of_row(row: Mapping[str, Any]) -> Condition:
    return Condition(row["dataset"], row["model"], row["train_size"], row["recipe"])


def _as_planned(study: Study, condition: Condition) -> str:
    is_open = study.tune and free_strengths(condition.recipe)
    return condition.recipe if is_open else with_strengths(condition.recipe, {})


def fits(condition: Condition) -> bool:
    """Whether a recipe fits its data and network; reads no data."""
    data = find_dataset(condition.dataset)
    shape = ANY_SHAPE[data.kind]
    try:
        recipe = build(with_strengths(condition.recipe, {}), Task(data.kind, data.keeps))
        if recipe.model:
            recipe.model(networks.build(condition.model, shape, 10, torch.zeros(shape[0]), torch.ones(shape[0])))
    except UnfitError:
        return False
    return True


def absent(conditions: Sequence[Condition], runs: Iterable[Run]) -> list[Condition]:
    """The conditions of which no final run exists. Where the strength is open, any strength will do."""
    found = {condition_of(run) for run in runs if run.final}
    named = {replace(c, recipe=labels.names(c.recipe)) for c in found}
    return [
        c
        for c in conditions
        if c not in found and not (free_strengths(c.recipe) and replace(c, recipe=labels.names(c.recipe)) in named)
    ]
