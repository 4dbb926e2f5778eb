"""Which figures a report has, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.reporting.comparison import Group
from bench.reporting.figures.bias_variance import decompositions
from bench.reporting.figures.curves import curves
from bench.reporting.figures.figure import Figure
from bench.reporting.figures.forest import forest
from bench.reporting.figures.gap import gaps
from bench.reporting.figures.pairs import pairs
from bench.reporting.figures.reliability import reliability
from bench.reporting.figures.sizes import sizes
from bench.reporting.figures.strength import strengths
from bench.reporting.figures.weights import weights
from bench.reporting.runs import Run


def of_group(group: Group) -> list[Figure]:
    """The figures of one table."""
    return [forest(group), gaps(group), curves(group), reliability(group), weights(group), pairs(group)]


def of_study(
    groups: Sequence[Group], runs: Sequence[Run], tuning: Mapping[str, Any], decomposition: Sequence[Mapping[str, Any]]
) -> list[Figure]:
    """The figures across tables."""
    titles = {str(run.config.get("dataset")): run.dataset for run in runs}

    def titled(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        return [{**row, "dataset": titles.get(str(row["dataset"]), row["dataset"])} for row in rows]

    tuned = {**tuning, "conditions": titled(tuning.get("conditions", []))}
    return [strengths(groups, runs, tuned), decompositions(titled(decomposition)), *sizes(groups)]
