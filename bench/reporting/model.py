"""Everything that a report is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.reporting.rows import Group, Overall
from bench.reporting.runs import Run
from bench.studies.outcomes import DecompositionOutcome, TuningOutcome


@dataclass(frozen=True)
class Report:
    """What a results folder says, compared and counted; tables, figures and sentences are made from it."""

    name: str
    """The folder's."""
    is_study: bool
    """Whether a study file lies in the folder."""
    groups: Sequence[Group]
    """One for each table."""
    runs: Sequence[Run]
    """All of them, tuning trials and resamples too."""
    overall: Sequence[Overall]
    tuning: TuningOutcome | None
    """What was tuned, if anything."""
    decomposition: Sequence[DecompositionOutcome]
    notices: Sequence[str]
    """What keeps the report from being complete."""
    lacking: int
    """Cells without a finished record."""

    def title_of(self, dataset: str) -> str:
        """How tables call a dataset: the name of a folder of images rather than that of its reader."""
        return self._titles.get(dataset, dataset)

    @cached_property
    def _titles(self) -> dict[str, str]:
        return {str(run.config.get("dataset")): run.dataset for run in self.runs}
