"""Everything that a report shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.reporting.comparison import Group, Overall
from bench.reporting.figures.figure import Figure
from bench.reporting.runs import Run


@dataclass(frozen=True)
class Study:
    """Everything that a report is made from."""

    name: str
    is_study: bool
    groups: list[Group]
    runs: list[Run]
    overall: list[Overall]
    tuning: Mapping[str, Any]
    notices: list[str]
    """What keeps it from being complete."""
    lacking: int
    """Cells without a finished record."""
    group_figures: list[list[Figure]]
    """For each group."""
    study_figures: list[Figure]

    @property
    def figures(self) -> list[Figure]:
        return [figure for several in self.group_figures for figure in several] + self.study_figures
