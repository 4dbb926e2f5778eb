"""From runs to the rows of the tables: grouped, paired by seed with the baseline, and compared."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean, median
from typing import Any

import numpy as np

from bench.reporting import labels
from bench.reporting.rows import HEADLINE, Comparison, Group, Overall, Row, Setting, interval_of, measured
from bench.reporting.runs import Run
from bench.reporting.statistics import (
    ALPHA,
    Array,
    Interval,
    detectable,
    holm,
    improvement,
    paired_t,
    sign_flip,
    smallest_p,
    stratified_interval,
    t_interval,
)
from bench.studies.study_file import Condition

ENOUGH_DATASETS = 4
"""Fewer are not averaged over."""


def setting_of(run: Run) -> Setting:
    return Setting(
        dataset=run.dataset,
        model=run.model,
        train_size=run.train_size or 0,
        fingerprint=run.fingerprint,
        suite=run.suite,
        budget=run.budget,
    )


def condition_of(run: Run) -> Condition:
    """A run's condition, as a study file writes it."""
    return Condition(str(run.config.get("dataset")), str(run.config.get("model")), run.train_size, run.recipe)


def summarize(runs: Sequence[Run], seeds: Sequence[int] = (), absent: Sequence[Condition] = ()) -> list[Group]:
    """The tables of a folder's runs.

    Args:
        runs: all of them; tuning trials and resamples are left out here.
        seeds: those that every row should have; by default all that the table's runs have.
        absent: conditions without any run: each is an empty row, if other recipes have a table for it.
    """
    parts: dict[Setting, list[Run]] = defaultdict(list)
    for run in runs:
        if run.final:
            parts[setting_of(run)].append(run)
    groups = [_group(setting, parts[setting], seeds, absent) for setting in sorted(parts)]
    places = [group.setting.place for group in groups]
    stems = labels.slugs([(dataset, model, size or "all") for dataset, model, size in places])
    for i, (group, stem) in enumerate(zip(groups, stems, strict=True)):
        group.split_from = places.count(group.setting.place)
        group.part = places[: i + 1].count(group.setting.place)
        group.stem = stem if group.split_from == 1 else f"{stem}-{labels.digest(repr(group.setting))}"
    return groups


def without_table(absent: Sequence[Condition], runs: Iterable[Run]) -> list[Condition]:
    """Those of the absent conditions for which no other recipe has a table either."""
    places = {condition_of(run).place for run in runs if run.final}
    return [c for c in absent if c.place not in places]


def lacking(groups: Sequence[Group]) -> int:
    """How many cells of the tables have no finished record: none at all, or one of a run that failed."""
    return sum(len(row.missing) + len(row.failed) for group in groups for row in group.rows)


def _group(setting: Setting, runs: list[Run], seeds: Sequence[int], absent: Sequence[Condition]) -> Group:
    wanted = sorted(set(seeds) or {run.seed for run in runs})
    parts: dict[tuple[str, float], list[Run]] = defaultdict(list)
    for run in runs:
        parts[run.recipe, run.lr].append(run)
    place = condition_of(runs[0]).place
    parts |= {(c.recipe, math.nan): [] for c in absent if c.place == place}
    shown = _with_rate_shown(parts)
    rows = [_row(setting, recipe, lr, recipe in shown, found, wanted) for (recipe, lr), found in sorted(parts.items())]
    by_cpu = _compare(rows)
    _mark(rows)
    rows.sort(key=_rank)
    return Group(setting, rows, wanted, by_cpu)


def _with_rate_shown(named: Iterable[tuple[str, float]]) -> set[str]:
    """The recipes whose learning rate is not the baseline's, or one of several."""
    rates: dict[str, set[float]] = defaultdict(set)
    for recipe, lr in named:
        rates[recipe] |= {lr} if math.isfinite(lr) else set()
    usual = rates.get(labels.BASELINE)
    return {recipe for recipe, own in rates.items() if len(own) > 1 or (usual and own and own != usual)}


def _rank(row: Row) -> tuple[Any, ...]:
    """Best first, the baseline and a low validation loss before what ties with them; what has no test accuracy last."""
    if not math.isfinite(row.test.mean):
        return True, 0.0, True, 0.0, row.recipe, row.lr
    return False, -_rounded(row.test.mean), not row.is_baseline, _validation_loss(row), row.recipe, row.lr


def _rounded(mean: float) -> float:
    """Without the last bits, in which equal counts of right answers can differ."""
    return round(mean, 9)


def _row(setting: Setting, recipe: str, lr: float, lr_shown: bool, runs: list[Run], seeds: list[int]) -> Row:
    runs = sorted(runs, key=lambda run: (run.seed, run.run_id))
    unique = {run.seed: run for run in reversed(runs)}
    return Row(
        setting=setting,
        recipe=recipe,
        lr=lr,
        lr_shown=lr_shown,
        runs=[run for run in sorted(unique.values(), key=lambda run: run.seed) if run.ok],
        diverged=[run.seed for run in runs if run.status == "diverged"],
        failed=[run.seed for run in runs if run.status not in ("ok", "diverged")],
        missing=sorted(set(seeds) - {run.seed for run in runs}),
        doubled=sorted({run.seed for run in runs if run is not unique[run.seed]}),
    )


def accuracies(row: Row) -> dict[int, float]:
    """Percent by seed."""
    found = {run.seed: 100 * measured(run, "test", HEADLINE) for run in row.runs}
    return {seed: value for seed, value in found.items() if math.isfinite(value)}


def paired(row: Row, other: Row) -> Array:
    """Differences in test accuracy, row minus other, over the seeds that both have."""
    a, b = accuracies(row), accuracies(other)
    return np.array([a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())], dtype=np.float64)


def baseline_of(row: Row, rows: Sequence[Row]) -> Row | None:
    """The baseline at the row's learning rate if there is one, else the one with the lowest validation loss."""
    candidates = [other for other in rows if other.is_baseline and other.n]
    same = [other for other in candidates if other.lr == row.lr]
    return min(same or candidates, key=_validation_loss, default=None)


def _validation_loss(row: Row) -> float:
    return fmean(measured(run, "val", "loss") for run in row.runs)


def _with_baseline(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    pairs = [(row, baseline_of(row, rows)) for row in rows if row.n and not row.is_baseline]
    return [(row, base) for row, base in pairs if base]


def _compare(rows: list[Row]) -> bool:
    """Give every row its comparison with the baseline; returns whether costs are of CPU time."""
    compared = [(row, base, paired(row, base)) for row, base in _with_baseline(rows)]
    compared = [(row, base, d) for row, base, d in compared if len(d)]
    by_cpu = _have_cpu_time(rows)
    raw = [sign_flip(d) for _, _, d in compared]
    floors = holm([smallest_p(len(d)) for _, _, d in compared])
    for (row, base, d), p, adjusted, floor in zip(compared, raw, holm(raw), floors, strict=True):
        row.comparison = Comparison(
            difference=t_interval(d),
            differences=d,
            improvement=improvement(d),
            p=p,
            p_adjusted=adjusted,
            detectable=detectable(d),
            cost=_cost(row, base, by_cpu),
            gap=_gap_change(row, base),
            floor=floor,
        )
    return by_cpu


def _by_seed(row: Row, base: Row) -> list[tuple[Run, Run]]:
    others = {run.seed: run for run in base.runs}
    return [(run, others[run.seed]) for run in row.runs if run.seed in others]


def _have_cpu_time(rows: Sequence[Row]) -> bool:
    """Whether CPU time was measured for some pair of every row: then all costs are taken from it."""
    return all(_cpu_times(row, base) for row, base in _with_baseline(rows) if _by_seed(row, base))


def _cost(row: Row, base: Row, by_cpu: bool) -> float:
    pairs = _cpu_times(row, base) if by_cpu else [(a.seconds, b.seconds) for a, b in _by_seed(row, base)]
    ratios = [a / b for a, b in pairs if a > 0 and b > 0]
    return median(ratios) if ratios else math.nan


def _cpu_times(row: Row, base: Row) -> list[tuple[float, float]]:
    """CPU time of both, for each seed in which it was measured."""
    pairs = [(a.cpu_seconds, b.cpu_seconds) for a, b in _by_seed(row, base)]
    return [(a, b) for a, b in pairs if a > 0 and b > 0]


def _gap_change(row: Row, base: Row) -> Interval:
    changes = [a.gap.get("accuracy", math.nan) - b.gap.get("accuracy", math.nan) for a, b in _by_seed(row, base)]
    return interval_of(100 * change for change in changes)


def _mark(rows: list[Row]) -> None:
    """Mark the rows of the highest mean test accuracy, and all that a paired t test with Holm's correction leaves."""
    finished = [row for row in rows if row.n and math.isfinite(row.test.mean)]
    highest = max((_rounded(row.test.mean) for row in finished), default=math.nan)
    best = [row for row in finished if _rounded(row.test.mean) == highest]
    others = [row for row in finished if row not in best]
    for leader in best:
        leader.mark = "best"
        adjusted = holm([paired_t(paired(leader, row)) for row in others])
        for row, p in zip(others, adjusted, strict=True):
            row.mark = row.mark if p <= ALPHA else "tied"  # one pair gives NaN: it cannot be told


def overall(groups: Sequence[Group]) -> list[Overall]:
    """Each recipe over the datasets of one network and train size, where there are enough of them; best first."""
    parts: dict[tuple[str, int, str], dict[str, Array]] = defaultdict(dict)
    for group in groups:
        if group.split_from > 1:
            continue
        setting = group.setting
        compared = [(row, row.comparison) for row in group.rows if row.comparison]
        names = [labels.names(row.recipe) for row, _ in compared]
        for row, comparison in compared:
            # Tuned strengths differ between datasets. Where a technique stands at several, each is on its own.
            name = labels.names(row.recipe) if names.count(labels.names(row.recipe)) == 1 else row.label()
            parts[setting.model, setting.train_size, name][setting.dataset] = comparison.differences
    found = [
        Overall(model, size, names, stratified_interval(list(strata.values())), len(strata))
        for (model, size, names), strata in parts.items()
        if len(strata) >= ENOUGH_DATASETS
    ]
    return sorted(found, key=lambda o: (o.model, o.train_size, -o.interval.mean, o.names))
