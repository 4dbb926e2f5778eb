"""What the tables of a report hold: a group for each table, a row for each recipe, and its comparison with the baseline."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bench.reporting import labels
from bench.reporting.runs import Run
from bench.reporting.statistics import ALPHA, Array, Interval, t_interval

HEADLINE = "accuracy"
"""The metric by which rows are ranked and compared."""
SPARSE = 0.1
"""Percent of exactly zero weights from which a recipe counts as sparse."""


@dataclass(frozen=True, order=True)
class Setting:
    """What all runs of one table share."""

    dataset: str
    model: str
    train_size: int
    """0: the whole training split."""
    fingerprint: str
    suite: str
    budget: str
    """Every other setting, as JSON."""

    @property
    def place(self) -> tuple[str, str, int]:
        return self.dataset, self.model, self.train_size


@dataclass(frozen=True)
class Comparison:
    """A row against the baseline over the seeds that both have; in percentage points of test accuracy."""

    difference: Interval
    differences: Array
    improvement: float
    p: float
    p_adjusted: float
    detectable: float
    cost: float
    """Median ratio of the two runs' CPU times, or of their wall times on a GPU."""
    gap: Interval
    """Change of the accuracy gap, in points: negative is a smaller gap."""
    floor: float
    """The smallest adjusted p that this many seeds and recipes allow."""

    @property
    def decidable(self) -> bool:
        """Whether this many seeds and recipes leave room for a significant result."""
        return min(self.p_adjusted, self.floor) <= ALPHA

    @property
    def significant(self) -> bool:
        return self.p_adjusted <= ALPHA


@dataclass(eq=False)
class Row:
    """One recipe in one setting."""

    setting: Setting
    recipe: str
    lr: float
    """NaN where no run tells it."""
    lr_shown: bool
    """Whether the learning rate is not the baseline's, or one of several."""
    runs: list[Run]
    """Those that ended well, by seed."""
    diverged: list[int]
    failed: list[int]
    missing: list[int]
    doubled: list[int]
    """Seeds with several records that their settings do not distinguish; the first by id counts."""
    comparison: Comparison | None = None
    mark: str = ""
    """`best`, or `tied` where the best cannot be told from it."""
    known: dict[tuple[str, str, float], Interval] = field(default_factory=dict, repr=False)
    """What `measured` has computed before."""

    @property
    def n(self) -> int:
        return len(self.runs)

    @property
    def ok(self) -> bool:
        """Whether a run ended well."""
        return bool(self.runs)

    @property
    def is_baseline(self) -> bool:
        return self.recipe == labels.BASELINE

    @property
    def family(self) -> str:
        return labels.family(self.recipe)

    @property
    def dataset(self) -> str:
        return self.setting.dataset

    @property
    def model(self) -> str:
        return self.setting.model

    @property
    def train_size(self) -> int | None:
        return self.setting.train_size or None

    @property
    def fingerprint(self) -> str:
        return self.setting.fingerprint

    @property
    def suite(self) -> str:
        return self.setting.suite

    @cached_property
    def test(self) -> Interval:
        """Test accuracy in percent."""
        return self.accuracy("test")

    @cached_property
    def gap(self) -> Interval:
        """Train accuracy minus validation accuracy, in points."""
        return interval_of(100 * run.gap.get("accuracy", math.nan) for run in self.runs)

    @cached_property
    def gap_loss(self) -> Interval:
        """Validation loss minus train loss, in nats."""
        return interval_of(run.gap.get("loss", math.nan) for run in self.runs)

    @cached_property
    def zeros(self) -> Interval:
        """Percent of weights that are exactly zero."""
        return interval_of(100 * run.weights.get("zero_fraction", math.nan) for run in self.runs)

    @property
    def is_sparse(self) -> bool:
        return self.zeros.mean >= SPARSE

    def accuracy(self, split: str) -> Interval:
        """Accuracy on train, val or test, in percent."""
        return self.measured(split, HEADLINE, 100)

    def measured(self, split: str, metric: str, scale: float = 1) -> Interval:
        """A metric of a split over the seeds, times `scale`; NaN where no record has it."""
        key = split, metric, scale
        if key not in self.known:
            self.known[key] = interval_of(scale * measured(run, split, metric) for run in self.runs)
        return self.known[key]

    def label(self, limit: int = 34) -> str:
        """The recipe in `limit` characters, and its learning rate if that is not the baseline's."""
        return labels.short(self.recipe, limit) + (f" lr={self.lr:g}" if self.lr_shown else "")

    @property
    def incidents(self) -> str:
        """`2 diverged, 1 missing`, or nothing."""
        counts = {"diverged": self.diverged, "failed": self.failed, "missing": self.missing}
        return ", ".join(f"{len(seeds)} {word}" for word, seeds in counts.items() if seeds)

    @property
    def note(self) -> str:
        """What the recipe's name does not say: its strengths, and its learning rate if that is not the baseline's."""
        return "; ".join(filter(None, [labels.strengths(self.recipe), f"lr={self.lr:g}" if self.lr_shown else ""]))


@dataclass(eq=False)
class Group:
    """One table: every recipe of one setting."""

    setting: Setting
    rows: list[Row]
    """Best first; rows without a finished run last."""
    seeds: list[int]
    """Those that every row should have."""
    by_cpu: bool
    """Whether costs are ratios of CPU time, which hardly depends on what else a machine does; else of wall time."""
    stem: str = ""
    """Its part of the names of figures."""
    split_from: int = 1
    """How many settings share this dataset, network and train size: above 1 the report says why they stand apart."""
    part: int = 1
    """Which of them this is."""

    @property
    def baselines(self) -> list[Row]:
        return [row for row in self.rows if row.is_baseline and row.n]

    @property
    def best(self) -> Row | None:
        """The row of the highest mean test accuracy; of several, the one with the lowest validation loss."""
        return next((row for row in self.rows if row.mark == "best"), None)

    @property
    def samples(self) -> dict[str, int]:
        return next((run.sizes for row in self.rows for run in row.runs), {})

    @property
    def budget(self) -> dict[str, Any]:
        return dict(json.loads(self.setting.budget))

    @property
    def comparisons(self) -> int:
        return sum(1 for row in self.rows if row.comparison)

    @property
    def title(self) -> str:
        """`digits, mlp, 1,150 training samples`."""
        count = self.samples.get("train") or self.setting.train_size
        where = f"{labels.visible(self.setting.dataset, 40)}, {labels.visible(self.setting.model, 40)}"
        part = f", setting {self.part} of {self.split_from}" if self.split_from > 1 else ""
        return where + (f", {count:,} training samples" if count else "") + part


@dataclass(frozen=True)
class Overall:
    """A recipe over several datasets: interquartile mean of its paired differences."""

    model: str
    train_size: int
    names: str
    interval: Interval
    datasets: int


def measured(run: Run, split: str, metric: str) -> float:
    """A metric of a run as recorded; NaN where the record lacks it."""
    return run.metrics.get(split, {}).get(metric, math.nan)


def interval_of(values: Iterable[float]) -> Interval:
    """The t interval of those values that are finite."""
    return t_interval([v for v in values if math.isfinite(v)])
