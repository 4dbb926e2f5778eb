"""Error over the strength of each recipe."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bench.reporting import labels
from bench.reporting.figures import svg
from bench.reporting.figures.figure import Figure, finished, key_of, strength_axis
from bench.reporting.figures.svg import Frame, Panel
from bench.reporting.model import Report
from bench.reporting.numbers import number
from bench.reporting.rows import Group, Row
from bench.reporting.runs import Run
from bench.studies.outcomes import TunedCondition


@dataclass(frozen=True)
class Sweep:
    """One technique at several strengths: by line, a list of (strength, mean)."""

    name: str
    parameter: str
    family: str
    recipe: str
    """The key by which the page finds it."""
    lines: dict[str, dict[float, float]]
    chosen: float | None
    baseline: float | None
    """Error of the baseline by the same measure as the last line's."""
    source: str


LINES = {
    "training": ("c1", "4 3", "circle"),
    "validation": ("c2", "", "square"),
    "cross-validation": ("c2", "", "square"),
    "test": ("c3", "8 3 2 3", "triangle"),
}


def strength(report: Report) -> list[Figure]:
    """Training, validation and cross-validation error over the strengths that were tried."""
    heading, stem = "Strength: from over- to underfitting", "strength"
    sweeps = [*_tuned_sweeps(report), *(s for g in report.groups for s in _swept(g))]
    if not sweeps:
        return [Figure(stem, heading, "Left out: no recipe was tried at three strengths or more.")]
    panels = [_sweep_panel(sweep) for sweep in sweeps]
    seen = {name for sweep in sweeps for name in sweep.lines}
    legend = [
        (svg.path([(1, 6), (21, 6)], f"l {c}", dash) + svg.shape(kind, 11, 6, f"m {c}", 3.5), name)
        for name, (c, dash, kind) in LINES.items()
        if name in seen
    ]
    if any(s.baseline is not None for s in sweeps):
        legend.append((svg.key_line("z"), "baseline, measured as the solid line"))
    if any(s.chosen is not None for s in sweeps):
        legend.append((svg.shape("circle", 11, 6, "w c0", 6), "chosen"))
    caption = (
        "Error (100 % minus accuracy) at each strength tried. Far left the network overfits: the training error is "
        "low and the held-out error is not. Far right it underfits: both rise. In between lies the strength worth "
        "having, if there is one: where the solid line stays above the baseline's dashed one, none helped. Means over folds or "
        "seeds; compositions whose strengths move together are left out. The axis runs so that stronger regularization is always on the right."
    )
    return [Figure(stem, heading, caption, panels, legend, data=(SWEEP_HEADINGS, list(_sweep_rows(sweeps))))]


SWEEP_HEADINGS = ("technique", "where", "strength", *(f"{name} error, %" for name in LINES), "chosen")


def _sweep_rows(sweeps: Iterable[Sweep]) -> Iterator[list[str]]:
    """A row of numbers for each strength of each sweep."""
    for sweep in sweeps:
        for value in sorted({v for points in sweep.lines.values() for v in points}):
            errors = [number(sweep.lines.get(name, {}).get(value, math.nan)) for name in LINES]
            yield [
                labels.names(sweep.recipe),
                sweep.source,
                f"{value:g}",
                *errors,
                "★" if value == sweep.chosen else "",
            ]


def _error(run: Run, split: str) -> float:
    return 100 * (1 - run.metrics.get(split, {}).get("accuracy", math.nan))


def _tuned_sweeps(report: Report) -> list[Sweep]:
    if report.tuning is None:
        return []
    by_id = {run.run_id: run for run in report.runs if run.ok}
    held_out = "cross-validation" if report.tuning.rule.folds else "validation"
    conditions = report.tuning.conditions
    base = {_place(c): _baseline_error(c, by_id) for c in conditions if c.recipe == labels.BASELINE}
    sweeps = []
    for c in conditions:
        varied = labels.varied([trial.recipe for trial in c.trials])
        if varied is None:
            continue
        name, parameter, values = varied
        found: dict[float, list[Run]] = defaultdict(list)
        for value, trial in zip(values, c.trials, strict=True):
            found[value] += [by_id[i] for i in trial.run_ids if i in by_id]
        drawn = {
            line: {v: float(np.mean([_error(run, split) for run in runs])) for v, runs in found.items() if runs}
            for line, split in {"training": "train", held_out: "val"}.items()
        }
        if len(drawn[held_out]) > 1:
            chosen = labels.strength_of(c.chosen.recipe, name) if c.chosen else None
            where = labels.place(report.title_of(c.dataset), c.model, c.train_size)
            recipe = c.chosen.recipe if c.chosen else c.recipe
            sweeps.append(
                Sweep(name, parameter, labels.family(recipe), recipe, drawn, chosen, base.get(_place(c)), where)
            )
    return sweeps


def _place(condition: TunedCondition) -> tuple[str, str, int | None]:
    return condition.dataset, condition.model, condition.train_size


def _baseline_error(condition: TunedCondition, by_id: Mapping[str, Run]) -> float | None:
    """The held-out error of the baseline's chosen trial."""
    chosen = condition.chosen.lr if condition.chosen else None
    trials = [trial for trial in condition.trials if chosen is None or trial.lr == chosen]
    found = [by_id[i] for trial in trials[:1] for i in trial.run_ids if i in by_id]
    return float(np.mean([_error(run, "val") for run in found])) if found else None


def _swept(group: Group) -> list[Sweep]:
    """Rows of one technique at three strengths or more, as a study without tuning has them."""
    parts: dict[str, list[Row]] = defaultdict(list)
    for row in finished(group):
        if len(labels.terms(row.recipe)) == 1:
            parts[labels.names(row.recipe)].append(row)
    sweeps = []
    for _, rows in sorted(parts.items()):
        varied = labels.varied([row.recipe for row in rows])
        if varied:
            name, parameter, values = varied
            splits = {"training": "train", "validation": "val", "test": "test"}
            lines = {
                k: {v: 100 - row.accuracy(s).mean for v, row in zip(values, rows, strict=True)}
                for k, s in splits.items()
            }
            base = 100 - group.baselines[0].accuracy("val").mean if group.baselines else None
            sweeps.append(Sweep(name, parameter, rows[0].family, rows[0].recipe, lines, None, base, group.title))
    return sweeps


def _sweep_panel(sweep: Sweep) -> Panel:
    values = sorted({v for points in sweep.lines.values() for v in points})
    errors = [e for points in sweep.lines.values() for e in points.values()]
    y = svg.linear("error, %", [*errors, *([sweep.baseline] if sweep.baseline is not None else [])])
    frame = Frame(strength_axis(sweep.name, sweep.parameter, values), y, width=290, height=215, top=40)
    marks = [svg.text(frame.left, 30, sweep.source, "s h")]
    if sweep.baseline is not None and math.isfinite(sweep.baseline):
        at = frame.py(sweep.baseline)
        marks.append(svg.line(frame.left, at, frame.width - frame.right, at, "z"))
    for name, points in sweep.lines.items():
        color, dash, kind = LINES[name]
        ordered = sorted((v, e) for v, e in points.items() if math.isfinite(e))
        placed = frame.points([v for v, _ in ordered], [e for _, e in ordered])
        dots = "".join(
            svg.mark(svg.shape(kind, px, py, f"m {color}", 3.5), f"{name} error {e:.2f} % at {sweep.parameter}={v:g}")
            for (px, py), (v, e) in zip(placed, ordered, strict=True)
        )
        marks.append(svg.path(placed, f"l {color}", dash) + dots)
        if name in ("validation", "cross-validation") and sweep.chosen in points:
            px, py = frame.points([float(sweep.chosen or 0)], [points[float(sweep.chosen or 0)]])[0]
            marks.append(svg.shape("circle", px, py, "w c0", 7))
    title = labels.short(labels.names(sweep.recipe).replace(" ", ""), 32)
    return frame.panel(title, marks, key_of(sweep.recipe), sweep.family)
