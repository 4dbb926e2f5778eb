"""The pictures of the report, each with its reading help: pure functions from rows to panels."""

from __future__ import annotations

import itertools
import math
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench import labels, svg
from bench.runs import CURVES, Run
from bench.statistics_ import Array, Interval, t_interval
from bench.summary import Group, Row, paired
from bench.svg import Frame, Panel
from bench.tables import number, plus_minus, span, title

MOST_PANELS = 24
"""Small multiples beyond that many are left out: nobody reads them."""
MOST_POINTS = 120
"""Points of a drawn curve."""
MOST_LABELS = 8
FEWEST = 10
"""Samples of a bin of confidence: below that its accuracy is chance."""
SMALL = {"width": 250.0, "height": 204.0, "top": 42.0}
WIDE = {"width": 430.0, "height": 300.0}


@dataclass(frozen=True)
class Figure:
    """A heading, how to read it, and its panels; without panels the caption says why there are none."""

    stem: str
    """The file's name in figures/."""
    heading: str
    caption: str
    panels: list[Panel] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)
    """(sample, words)."""
    columns: int = 4
    data: tuple[Sequence[str], Sequence[Sequence[str]]] = ((), ())
    """The numbers drawn, for who wants to read them: headings and rows."""

    def file(self) -> str:
        """The figure as a file of its own."""
        return svg.standalone(self.panels, self.columns, self.legend, self.heading)


def key_of(recipe: str) -> str:
    """The short name by which the page's script finds a recipe in every figure."""
    return "r" + labels.digest(recipe)


def look(family: str) -> tuple[str, str, str]:
    """A family's color class, shape and dash, the same in every report."""
    known = labels.families()
    i = known.index(family) if family in known else len(known) - 1
    if i == 0:
        return "c0", svg.SHAPES[0], svg.DASHES[2]
    color = 1 + (i - 1) % svg.COLORS
    return f"c{color}", svg.SHAPES[i % len(svg.SHAPES)], svg.DASHES[(i - 1) % len(svg.DASHES)]


def family_legend(rows: Iterable[Row]) -> list[tuple[str, str]]:
    present = {row.family for row in rows}
    return [(svg.key_shape(look(f)[1], f"m {look(f)[0]}"), f) for f in labels.families() if f in present]


def _mark(row: Row, body: str, words: str) -> str:
    return svg.mark(body, f"{row.label()}: {words}", key_of(row.recipe), row.family)


def _finished(group: Group) -> list[Row]:
    return [row for row in group.rows if row.n and math.isfinite(row.test.mean)]


# ---------------------------------------------------------------------------------------------------------- forest


def forest_axis(group: Group) -> svg.Axis:
    """The axis that every row's difference to the baseline shares."""
    compared = [row.comparison.difference for row in group.rows if row.comparison]
    ends = [v for i in compared for v in (i.low, i.high, i.mean)]
    return svg.linear("difference in test accuracy, percentage points", [0.0, *ends], signed=True)


def forest_marks(row: Row, x: Any, y: float) -> str:
    """A difference and its interval, filled where it is significant; `x` places a value."""
    c = row.comparison
    if c is None:
        return svg.shape("diamond", x(0), y, "m c0", 4) if row.is_baseline and row.n else ""
    color, kind, _ = look(row.family)
    low, high = c.difference.low, c.difference.high
    bar = "" if not math.isfinite(low) else svg.line(x(low), y, x(high), y, f"w {color}")
    return bar + svg.shape(kind, x(c.difference.mean), y, f"{'m' if c.significant else 'o'} {color}", 4)


def forest(group: Group) -> Figure:
    """Differences to the baseline with their intervals, one line a recipe."""
    rows = [row for row in group.rows if row.comparison or (row.is_baseline and row.n)]
    heading = "Difference to the baseline"
    stem = f"forest-{group.stem}"
    if not group.comparisons:
        return Figure(stem, heading, "Left out: no recipe shares a seed with a baseline of the same setting.")
    height = 21.0 * len(rows) + 74
    y = svg.Axis("", 0, len(rows), ())
    frame = Frame(forest_axis(group), y, width=760, height=height, left=250, right=170, top=26, bottom=48)
    marks = [svg.line(frame.px(v), 26, frame.px(v), height - 48, "g") for v, _ in frame.x.ticks]
    marks.append(svg.line(frame.px(0), 26, frame.px(0), height - 48, "z"))
    for i, row in enumerate(rows):
        at = 26 + 21 * (i + 0.5)
        values = _difference_words(row)
        body = svg.text(240, at + 4, row.label(), "", "end") + svg.text(600, at + 4, values, "s")
        marks.append(_mark(row, body + forest_marks(row, frame.px, at), values))
    panel = frame.panel(title(group), marks)
    caption = (
        "Each line is a recipe: the marker is the mean difference in test accuracy to the baseline of the same seeds, "
        "the bar its 95 % t interval. Right of the dashed line is better. A filled marker is significant after Holm's "
        "correction; a hollow one is not, or cannot be at this number of seeds."
    )
    return Figure(stem, heading, caption, [panel], family_legend(rows), 1)


def _difference_words(row: Row) -> str:
    c = row.comparison
    return f"{number(c.difference.mean, signed=True)} {span(c.difference)}".strip() if c else "baseline"


# ----------------------------------------------------------------------------------------------------- gap, accuracy


def gaps(group: Group) -> Figure:
    """Gap against test accuracy: a point a recipe."""
    rows = _finished(group)
    heading, stem = "Gap against test accuracy", f"gap-{group.stem}"
    if len(rows) < 2:
        return Figure(stem, heading, "Left out: it takes at least two recipes with a finished run.")
    kinds = (("gap, accuracy points", [row.gap for row in rows]), ("gap, nats of loss", [row.gap_loss for row in rows]))
    panels = [_scatter(name, rows, intervals) for name, intervals in kinds]
    caption = (
        "Left is a smaller gap between training and validation data, up is better on test data. A recipe up and to the "
        "left of the baseline generalizes better; one that only moves left has closed the gap by fitting the training "
        "data worse. Bars are 95 % t intervals of the mean; one that meets the frame goes on beyond it."
    )
    return Figure(stem, heading, caption, panels, family_legend(rows), 2)


def _scatter(name: str, rows: list[Row], xs: list[Interval]) -> Panel:
    shown = [(row, x) for row, x in zip(rows, xs, strict=True) if math.isfinite(x.mean)]
    x = svg.linear(f"{name}, training to validation", [v for _, i in shown for v in (i.mean, i.mean)], pad=0.12)
    y = svg.linear("test accuracy, %", [row.test.mean for row, _ in shown], pad=0.12)
    frame = Frame(x, y, **WIDE)
    marks, taken = [], []
    for row, interval in sorted(shown, key=lambda p: (p[0].is_baseline, p[0].test.mean)):  # the last is on top
        color, kind, _ = look(row.family)
        px, py = frame.px(interval.mean), frame.py(row.test.mean)
        bars = _bar(frame, interval, row.test, color)
        words = f"gap {plus_minus(interval, 3)}, test accuracy {plus_minus(row.test)} %"
        marks.append(_mark(row, bars + svg.shape(kind, px, py, f"m {color}", 5), words))
        taken.append((px - 6, py - 6, px + 6, py + 6))
    named = [row for row, _ in shown if row.is_baseline or row.mark][:MOST_LABELS]
    for row, interval in sorted(shown, key=lambda p: not p[0].is_baseline):  # which must be found
        if row in named or row.is_baseline:
            marks.append(_label(row, frame.px(interval.mean), frame.py(row.test.mean), frame, taken))
    return frame.panel("", marks)


def _bar(frame: Frame, x: Interval, y: Interval, color: str) -> str:
    """Interval bars, cut at the frame."""
    left, right, top, bottom = frame.left, frame.width - frame.right, frame.top, frame.height - frame.bottom
    px, py, parts = frame.px(x.mean), frame.py(y.mean), ""
    if math.isfinite(x.low):
        parts += svg.line(max(left, frame.px(x.low)), py, min(right, frame.px(x.high)), py, f"w e {color}")
    if math.isfinite(y.low):
        parts += svg.line(px, min(bottom, frame.py(y.low)), px, max(top, frame.py(y.high)), f"w e {color}")
    return f'<g opacity=".38">{parts}</g>'


def _label(row: Row, x: float, y: float, frame: Frame, taken: list[tuple[float, float, float, float]]) -> str:
    """The recipe's name beside its point, where it overlaps nothing; else left out, but for the baseline's."""
    words = labels.short(row.recipe, 26)
    wide = svg.text_width(words, 10)
    places = ((x + 9, y + 3.5), (x - 9 - wide, y + 3.5), (x - wide / 2, y - 9), (x - wide / 2, y + 16))
    for left, base in places:
        box = (left, base - 9, left + wide, base + 2)
        inside = (
            box[0] > frame.left and box[2] < frame.width - 2 and box[1] > 2 and box[3] < frame.height - frame.bottom
        )
        if inside and not any(_overlap(box, other) for other in taken):
            taken.append(box)
            return _mark(row, svg.text(left, base, words, "h halo"), plus_minus(row.test))
    return _mark(row, svg.text(x + 9, y + 3.5, words, "h halo"), plus_minus(row.test)) if row.is_baseline else ""


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


# --------------------------------------------------------------------------------------------------- learning curves


def _row_panel(frame: Frame, row: Row, marks: Sequence[str], measured: str = "") -> Panel:
    """A small panel of one recipe: its name, and below it its strengths and what was measured."""
    note = "; ".join(filter(None, [labels.visible(row.note, 34 - len(measured)), measured]))
    name = labels.short(labels.names(row.recipe).replace(" ", ""), 26)
    return frame.panel(name, [svg.text(frame.left, 30, note, "s h"), *marks], key_of(row.recipe), row.family)


def mean_curves(runs: Sequence[Run]) -> Array:
    """(epochs, 4): the mean over runs, as far as at least half of them go on."""
    longest = max((len(run.history) for run in runs), default=0)
    stacked = np.full((len(runs), longest, len(CURVES)), np.nan)
    for i, run in enumerate(runs):
        stacked[i, : len(run.history)] = run.history
    enough = np.isfinite(stacked).sum(axis=0) * 2 >= max(len(runs), 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is NaN, as meant
        return np.where(enough, np.nanmean(stacked, axis=0), np.nan)


def _panel_rows(group: Group) -> tuple[list[Row], str]:
    """The rows that get a panel, and a sentence on those that do not."""
    rows = [row for row in _finished(group) if not row.is_baseline]
    more = (
        f" Shown are the {MOST_PANELS} recipes of highest test accuracy, of {len(rows)}."
        if len(rows) > MOST_PANELS
        else ""
    )
    return rows[:MOST_PANELS], more


def curves(group: Group) -> Figure:
    """Loss by epoch on the train probe and on validation, against the baseline's."""
    rows, more = _panel_rows(group)
    base = group.baselines[0] if group.baselines else None
    rows = [base, *rows] if base else rows
    means = [mean_curves(row.runs) for row in rows]
    heading, stem = "Learning curves", f"curves-{group.stem}"
    losses = [float(v) for m in means for v in m[:, :2].flatten() if v > 0 and math.isfinite(v)]
    if not losses:
        return Figure(stem, heading, "Left out: the records hold no history of epochs.")
    x = svg.linear("epoch", [1, max(len(m) for m in means)], pad=0.02, count=4)
    y = svg.logarithmic("loss, nats", [max(v, 1e-4) for v in losses], pad=0.03)
    frame = Frame(x, y, **SMALL)
    reference = means[0] if base else None
    panels = [
        _curve_panel(frame, row, m, None if row is base else reference) for row, m in zip(rows, means, strict=True)
    ]
    caption = (
        "Loss after each epoch, in evaluation mode and on clean data: on the train probe (dashed, a fixed part of the "
        "training data as large as the validation split) and on validation data (solid). The shaded area between them "
        "is the gap; thin gray lines are the baseline's. Means over seeds; the axes are shared." + more
    )
    legend = [
        (svg.key_line("l c1"), "validation"),
        (svg.key_line("l c1", "4 3"), "train probe"),
        *(
            [(svg.key_line("l b cs"), "validation, baseline"), (svg.key_line("l b cs", "1 3"), "train probe, baseline")]
            if base
            else []
        ),
    ]
    return Figure(stem, heading, caption, panels, legend)


def _curve_panel(frame: Frame, row: Row, means: Array, reference: Array | None) -> Panel:
    marks = []
    if reference is not None:
        marks += [svg.path(_curve(frame, reference, i), "l b cs", dash) for i, dash in ((0, "1 3"), (1, ""))]
    train, val = _curve(frame, means, 0), _curve(frame, means, 1)
    marks += [svg.area(val, train, "a c1"), svg.path(train, "l c1", "4 3"), svg.path(val, "l c1")]
    return _row_panel(frame, row, marks)


def _curve(frame: Frame, means: Array, column: int) -> list[tuple[float, float]]:
    step = max(1, math.ceil(len(means) / MOST_POINTS))
    ys = [float(v) for v in means[::step, column]]
    low, high = frame.y.low, frame.y.high
    return frame.points([1 + i * step for i in range(len(ys))], [min(max(v, low), high) if v == v else v for v in ys])


# ---------------------------------------------------------------------------------------------------------- strength


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


def strength_axis(name: str, parameter: str, values: Sequence[float]) -> svg.Axis:
    """Stronger regularization to the right, whichever way the parameter runs."""
    technique = labels.Term(name).technique
    grid = [v for v in (technique.grid if technique else ()) if isinstance(v, (int, float))]
    flip = len(grid) > 1 and grid[0] > grid[-1]
    ordered = sorted(set(values))
    if spans_decades(ordered):
        names = [f"{v:g}" for v in ordered]
        return svg.at_values(f"{parameter} (stronger →)", logarithmic_places(ordered), log=True, flip=flip, names=names)
    axis = svg.at_values(f"{parameter} (stronger →)", ordered, log=False)
    return svg.Axis(axis.label, axis.low, axis.high, axis.ticks, flip=flip)


def spans_decades(values: Sequence[float]) -> bool:
    """Whether values, apart from 0, want a logarithmic axis."""
    positive = [v for v in values if v > 0]
    return min(values) >= 0 and len(positive) > 1 and max(positive) / min(positive) > 8


def logarithmic_places(values: Sequence[float]) -> list[float]:
    """Where values stand on a logarithmic axis: 0 as far left of the smallest as that is of the next."""
    low, second = sorted(v for v in values if v > 0)[:2]
    return [v or low * low / second for v in values]


def strengths(groups: Sequence[Group], runs: Sequence[Run], tuning: Mapping[str, Any]) -> Figure:
    """Training, validation and cross-validation error over the strengths that were tried."""
    heading, stem = "Strength: from over- to underfitting", "strength"
    sweeps = [*_tuned_sweeps(runs, tuning), *(s for g in groups for s in _swept(g))]
    if not sweeps:
        return Figure(stem, heading, "Left out: no recipe was tried at three strengths or more.")
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
    return Figure(stem, heading, caption, panels, legend, data=(SWEEP_HEADINGS, list(_sweep_rows(sweeps))))


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


def _tuned_sweeps(runs: Sequence[Run], tuning: Mapping[str, Any]) -> list[Sweep]:
    by_id = {run.run_id: run for run in runs if run.ok}
    conditions = tuning.get("conditions", [])
    folds = (tuning.get("rule") or {}).get("folds")
    held_out = "cross-validation" if folds else "validation"
    base = {_place(c): _baseline_error(c, by_id) for c in conditions if str(c["recipe"]) == labels.BASELINE}
    sweeps = []
    for c in conditions:
        points = [(t, [by_id[i] for i in t.get("run_ids", []) if i in by_id]) for t in c.get("trials", [])]
        varied = labels.varied([str(t["recipe"]) for t, _ in points])
        if varied is None:
            continue
        name, parameter, values = varied
        lines: dict[str, dict[float, list[Run]]] = {"training": defaultdict(list), held_out: defaultdict(list)}
        for value, (_, found) in zip(values, points, strict=True):
            for line in lines.values():
                line[value] += found
        split = {"training": "train", held_out: "val"}
        drawn = {
            k: {v: float(np.mean([_error(r, split[k]) for r in rs])) for v, rs in line.items() if rs}
            for k, line in lines.items()
        }
        if len(drawn[held_out]) > 1:
            chosen = labels.strength_of(str(c["chosen"]["recipe"]), name) if c.get("chosen") else None
            where = labels.place(*_place(c))
            recipe = str((c.get("chosen") or {}).get("recipe", c["recipe"]))
            sweeps.append(
                Sweep(name, parameter, labels.family(recipe), recipe, drawn, chosen, base.get(_place(c)), where)
            )
    return sweeps


def _place(condition: Mapping[str, Any]) -> tuple[str, str, Any]:
    return str(condition["dataset"]), str(condition["model"]), condition.get("train_size")


def _baseline_error(condition: Mapping[str, Any], by_id: Mapping[str, Run]) -> float | None:
    """The held-out error of the baseline's chosen trial."""
    chosen = (condition.get("chosen") or {}).get("lr")
    trials = [t for t in condition.get("trials", []) if chosen is None or t.get("lr") == chosen]
    found = [by_id[i] for t in trials[:1] for i in t.get("run_ids", []) if i in by_id]
    return float(np.mean([_error(run, "val") for run in found])) if found else None


def _swept(group: Group) -> list[Sweep]:
    """Rows of one technique at three strengths or more, as a study without tuning has them."""
    parts: dict[str, list[Row]] = defaultdict(list)
    for row in _finished(group):
        if len(labels.terms(row.recipe)) == 1:
            parts[labels.names(row.recipe)].append(row)
    sweeps = []
    for _, rows in sorted(parts.items()):
        varied = labels.varied([row.recipe for row in rows])
        if varied:
            name, parameter, values = varied
            splits = {"training": "train", "validation": "val", "test": "test"}
            lines = {
                k: {v: 100 - row.accuracy[s].mean for v, row in zip(values, rows, strict=True)}
                for k, s in splits.items()
            }
            base = 100 - group.baselines[0].accuracy["val"].mean if group.baselines else None
            sweeps.append(Sweep(name, parameter, rows[0].family, rows[0].recipe, lines, None, base, title(group)))
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


# ----------------------------------------------------------------------------------------------------- bias, variance


PARTS = {
    "squared": (("error", "c0", "", "diamond"), ("bias2", "c1", "4 3", "circle"), ("variance", "c2", "", "square")),
    "zero_one": (("error", "c0", "", "diamond"), ("bias", "c1", "4 3", "circle"), ("variance", "c2", "", "square")),
}
PART_WORDS = {"error": "expected test error", "bias2": "bias²", "bias": "bias", "variance": "variance"}


def decompositions(entries: Sequence[Mapping[str, Any]]) -> Figure:
    """Bias and variance over strength, for squared error on probabilities."""
    heading, stem = "Bias and variance", "bias-variance"
    parts: dict[tuple[str, str, Any, str], list[Mapping[str, Any]]] = defaultdict(list)
    for e in entries:
        if isinstance(e.get("strength"), (int, float)):
            parts[str(e["dataset"]), str(e["model"]), e.get("train_size"), str(e["technique"])].append(e)
    swept = {k: found for k, found in parts.items() if len({e["strength"] for e in found}) > 1}
    if not swept:
        return Figure(stem, heading, "Left out: the study has no bias and variance decomposition over strengths.")
    panels = [
        _decomposition_panel(*key, found, kind)
        for kind in PARTS
        for key, found in sorted(swept.items(), key=lambda item: repr(item[0]))
        if all(e.get(kind) for e in found)
    ]
    resamples = sorted({int(e.get("resamples", 0)) for found in swept.values() for e in found})
    caption = (
        "The expected test error of networks that are trained on different samples of the data, split into what they all "
        "get wrong (bias) and how much they differ among each other (variance). Regularization trades variance for "
        "bias; it pays as long as variance falls faster than bias rises. Squared error on probabilities (Yang et al. 2020, "
        "unbiased; parts add up to the error) and 0-1 loss (Domingos 2000; they need not add up). "
        f"{', '.join(map(str, resamples))} resamples."
    )
    legend = [
        (svg.path([(1, 6), (21, 6)], f"l {c}", dash) + svg.shape(kind, 11, 6, f"m {c}", 3.5), words)
        for (_, c, dash, kind), words in zip(PARTS["squared"], ("expected test error", "bias", "variance"), strict=True)
    ]
    return Figure(stem, heading, caption, panels, legend, data=(PART_HEADINGS, list(_part_rows(swept))))


PART_HEADINGS = (
    *("technique", "where", "strength"),
    *(
        f"{kind.replace('zero_one', '0-1 loss')}: {PART_WORDS[part]}"
        for kind, parts in PARTS.items()
        for part, *_ in parts
    ),
)


def _part_rows(swept: Mapping[tuple[str, str, Any, str], Sequence[Mapping[str, Any]]]) -> Iterator[list[str]]:
    for (dataset, model, size, technique), found in sorted(swept.items(), key=repr):
        where = labels.place(dataset, model, size)
        for e in sorted(found, key=lambda e: float(e["strength"])):
            parts = [(e.get(kind) or {}).get(part, math.nan) for kind, names in PARTS.items() for part, *_ in names]
            yield [technique, where, f"{e['strength']:g}", *(number(float(v), 4) for v in parts)]


def _decomposition_panel(
    dataset: str, model: str, size: Any, technique: str, entries: Sequence[Mapping[str, Any]], kind: str
) -> Panel:
    ordered = sorted(entries, key=lambda e: float(e["strength"]))
    values = [float(e["strength"]) for e in ordered]
    places = logarithmic_places(values) if spans_decades(values) else values
    parameter = labels.Term(technique).technique
    numbers = [float(e[kind][part]) for e in ordered for part, *_ in PARTS[kind]]
    unit = "squared error" if kind == "squared" else "0-1 loss"
    x = strength_axis(technique, str(parameter.strength) if parameter else "strength", values)
    frame = Frame(x, svg.linear(unit, [0.0, *numbers]), width=290, height=215, top=40)
    where = f"{labels.place(dataset, model, size)}; {unit}"
    marks = [svg.text(frame.left, 30, where, "s h")]
    for part, color, dash, shape in PARTS[kind]:
        ys = [float(e[kind][part]) for e in ordered]
        placed = frame.points(places, ys)
        dots = "".join(
            svg.mark(svg.shape(shape, px, py, f"m {color}", 3.5), f"{PART_WORDS[part]} {y:.4g} at {v:g}")
            for (px, py), v, y in zip(placed, values, ys, strict=True)
        )
        marks.append(svg.path(placed, f"l {color}", dash) + dots)
    recipe = str(ordered[0].get("recipe", technique))
    return frame.panel(labels.visible(technique, 32), marks, key_of(recipe), labels.family(recipe))


# ----------------------------------------------------------------------------------------------------------- weights


SPARSE = 0.1
"""Percent of exactly zero weights from which a recipe counts as sparse."""


def weights(group: Group) -> Figure:
    """Histograms of the weights of recipes that make some exactly zero, beside the baseline's."""
    heading, stem = "Weights: how many are exactly zero", f"weights-{group.stem}"
    data = (("recipe", "strength", "norm of all weights", "exactly zero, %"), list(map(_weight_row, _finished(group))))
    sparse = [row for row in _finished(group) if not row.is_baseline and row.zeros.mean >= SPARSE]
    sparse = [row for row in sparse if row.runs[0].histogram][:MOST_PANELS]
    if not sparse:
        return Figure(stem, heading, f"Left out: no recipe made {SPARSE} % of the weights exactly zero.", data=data)
    base = next((row for row in group.baselines if row.runs[0].histogram), None)
    rows = [base, *sparse] if base else sparse
    outlines = [_outline(row.runs[0]) for row in rows]
    x = svg.linear("weight", [v for xs, _ in outlines for v in (xs[0], xs[-1])], pad=0.0, count=4)
    y = svg.logarithmic("share of weights, % (log)", [v for _, ys in outlines for v in ys if v > 0], pad=0.03)
    frame = Frame(x, y, **SMALL)
    panels = [
        _weight_panel(frame, row, outline, outlines[0] if base else None)
        for row, outline in zip(rows, outlines, strict=True)
    ]
    caption = (
        "How the weights of the linear and convolutional layers are distributed (seed "
        f"{sparse[0].runs[0].seed}, logarithmic share in each of the bins); the thin gray outline is the baseline's. Weights that are exactly "
        "zero can be removed: their share stands in each title."
    )
    return Figure(stem, heading, caption, panels, data=data)


def _weight_row(row: Row) -> list[str]:
    norm = float(np.mean([run.weights.get("l2_norm", math.nan) for run in row.runs]))
    return [labels.names(row.recipe), labels.strengths(row.recipe), number(norm), number(row.zeros.mean)]


def _outline(run: Run) -> tuple[list[float], list[float]]:
    """Edges and heights of a histogram as the corners of a staircase."""
    limit, counts = run.histogram or (1.0, np.ones(1))
    edges = np.linspace(-limit, limit, len(counts) + 1)
    shares = 100 * counts / counts.sum()
    return [float(v) for v in np.repeat(edges, 2)[1:-1]], [float(v) for v in np.repeat(shares, 2)]


def _weight_panel(
    frame: Frame, row: Row, outline: tuple[list[float], list[float]], reference: tuple[list[float], list[float]] | None
) -> Panel:
    floor = frame.y.low
    placed = frame.points(outline[0], [max(v, floor) for v in outline[1]])
    bottom = [(placed[0][0], frame.py(floor)), (placed[-1][0], frame.py(floor))]
    marks = [svg.area(placed, bottom, "a c1"), svg.path(placed, "l c1")]
    if reference and not row.is_baseline:
        marks.insert(0, svg.path(frame.points(reference[0], [max(v, floor) for v in reference[1]]), "l b cs"))
    return _row_panel(frame, row, marks, f"{number(row.zeros.mean, 1)} % zero")


# ------------------------------------------------------------------------------------------------------- reliability


def reliability(group: Group) -> Figure:
    """Accuracy against confidence on the test split."""
    rows, more = _panel_rows(group)
    heading, stem = "Reliability: does 90 % sure mean 90 % right?", f"reliability-{group.stem}"
    base = next((row for row in group.baselines if _pooled(row) is not None), None)
    bins = [(row, _pooled(row)) for row in ([base, *rows] if base else rows)]
    shown = [(row, b) for row, b in bins if b is not None]
    if not shown:
        return Figure(stem, heading, "Left out: the records hold no reliability bins.")
    percent = svg.Axis("", 0, 104, tuple((v, str(v)) for v in (0, 25, 50, 75, 100)))
    frame = Frame(
        svg.Axis("confidence, %", 0, 104, percent.ticks), svg.Axis("accuracy, %", 0, 104, percent.ticks), **SMALL
    )
    reference = shown[0][1] if base else None
    panels = [_reliability_panel(frame, row, b, None if row is base else reference) for row, b in shown]
    caption = (
        "Test samples sorted by how sure the network is, in 15 bins: how often it is right against how sure it says it "
        "is. On the diagonal the two agree; below it the network is too sure, above it not sure enough. A dot's area is "
        "the bin's share of samples; the thin gray line is the baseline. Bins are pooled over seeds; those of fewer than "
        f"{FEWEST} samples are left out." + more
    )
    return Figure(stem, heading, caption, panels)


def _pooled(row: Row) -> Array | None:
    """(3, bins): counts, mean confidence and accuracy over all seeds."""
    found = [run.reliability for run in row.runs if run.reliability is not None]
    found = [f for f in found if f.shape == found[0].shape]
    if not found:
        return None
    stacked = np.stack(found)
    count = stacked[:, 0].sum(axis=0)
    weighted = (stacked[:, 0:1] * stacked[:, 1:]).sum(axis=0) / np.maximum(count, 1)
    return np.vstack([count, weighted])


def _reliability_panel(frame: Frame, row: Row, bins: Array, reference: Array | None) -> Panel:
    marks = [svg.line(frame.px(0), frame.py(0), frame.px(100), frame.py(100), "z")]
    if reference is not None:
        marks.append(svg.path(_bin_points(frame, reference), "l b cs"))
    points, shares = _bin_points(frame, bins), [c / bins[0].sum() for c in bins[0] if c >= FEWEST]
    marks.append(svg.path(points, "l c1"))
    marks += [svg.shape("circle", x, y, "m c1", 2 + 7 * math.sqrt(s)) for (x, y), s in zip(points, shares, strict=True)]
    return _row_panel(frame, row, marks, f"ECE {number(row.ece.mean, 3)}")


def _bin_points(frame: Frame, bins: Array) -> list[tuple[float, float]]:
    used = bins[0] >= FEWEST
    return frame.points([float(v) for v in 100 * bins[1][used]], [float(v) for v in 100 * bins[2][used]])


# ------------------------------------------------------------------------------------------------------------- pairs


def pairs(group: Group) -> Figure:
    """Heat map: what a pair of techniques gains over the better of the two."""
    heading, stem = "Pairs: does a + b beat the better of a and b?", f"pairs-{group.stem}"
    gains = pair_gains(group)
    if not gains:
        return Figure(stem, heading, "Left out: no pair of recipes stands beside both of its parts.")
    names = sorted({name for pair in gains for name in pair})
    size, left, top = 46.0, 150.0, 30.0
    largest = max(abs(gain.mean) for gain in gains.values()) or 1.0
    wide = [labels.visible(name, 20) for name in names]
    marks = []
    for i, name in enumerate(wide):
        at = size * (i + 0.5)
        marks.append(svg.text(left - 8, top + at + 4, name, "", "end"))
        turned = (
            f'<text transform="translate({svg.num(left + at + 4)} {svg.num(top + size * len(names) + 10)}) rotate(-40)"'
        )
        marks.append(f'{turned} text-anchor="end">{svg.escape(name)}</text>')
    for (a, b), gain in sorted(gains.items()):
        for row, column in ((names.index(a), names.index(b)), (names.index(b), names.index(a))):
            marks.append(_cell(left + size * column, top + size * row, size, a, b, gain, largest))
    middle = size * len(names) / 2
    named, height = title(group), top + size * len(names) + 132
    width = max(left + middle + max(middle + 30, 150), 24 + svg.text_width(named, 12))
    marks.append(svg.text(left + middle, height - 8, "technique a; cells: gain, percentage points", "s", "middle"))
    turned = f'<text class="s" transform="translate(12 {svg.num(top + middle)}) rotate(-90)" text-anchor="middle">'
    marks.append(f"{turned}technique b</text>")
    caption = (
        "Mean gain in test accuracy, in percentage points, of a pair over the better of its two parts, paired by seed: "
        "+ and orange where the two add up, − and blue where one is better left out. Underlined where the 95 % t interval "
        "leaves out zero; intervals are in the hover text."
    )
    panel = Panel(width, height, svg.text(12, 16, named, "t") + "".join(marks), heading)
    rows = [[a, b, number(gain.mean, signed=True), span(gain)] for (a, b), gain in ordered_gains(gains)]
    return Figure(stem, heading, caption, [panel], [], 1, data=(("a", "b", "gain, points", "95 % interval"), rows))


def ordered_gains(gains: Mapping[tuple[str, str], Interval]) -> list[tuple[tuple[str, str], Interval]]:
    """The largest gain first."""
    return sorted(gains.items(), key=lambda item: -item[1].mean)


def pair_gains(group: Group) -> dict[tuple[str, str], Interval]:
    """By pair of techniques: paired differences to the better of the two, on test accuracy."""
    rows = _finished(group)
    exact = {row.recipe: row for row in reversed(rows)}
    by_name = {labels.names(row.recipe): row for row in reversed(rows) if len(labels.terms(row.recipe)) == 1}
    gains: dict[tuple[str, str], Interval] = {}
    for row in rows:
        parts = labels.terms(row.recipe)
        alone = [exact.get(part.canonical) or by_name.get(part.name) for part in parts]
        if len(parts) != 2 or alone[0] is None or alone[1] is None:
            continue
        better = max(alone[0], alone[1], key=lambda r: r.test.mean)
        differences = paired(row, better)
        key = (min(parts[0].name, parts[1].name), max(parts[0].name, parts[1].name))
        if len(differences) and key not in gains:
            gains[key] = t_interval(differences)
    return gains


def _cell(x: float, y: float, size: float, a: str, b: str, gain: Interval, largest: float) -> str:
    color = "c5" if gain.mean > 0 else "c1"
    opacity = f' fill-opacity="{svg.num(0.12 + 0.6 * abs(gain.mean) / largest)}"'
    body = f'<g fill="var(--c)" class="{color}">{svg.rect(x + 1, y + 1, size - 2, size - 2, "q", opacity)}</g>'
    body += svg.text(x + size / 2, y + size / 2 + 4, number(gain.mean, signed=True), "", "middle")
    if gain.low > 0 or gain.high < 0:
        body += svg.line(x + 8, y + size / 2 + 9, x + size - 8, y + size / 2 + 9, "w c0")
    return svg.mark(body, f"{a} + {b}: {number(gain.mean, signed=True)} {span(gain)} points over the better of the two")


# ------------------------------------------------------------------------------------------------------------- sizes


def sizes(groups: Sequence[Group]) -> list[Figure]:
    """Test accuracy against the number of training samples, a figure for each dataset and network with several."""
    parts: dict[tuple[str, str], list[Group]] = defaultdict(list)
    for group in groups:
        if group.split_from == 1:
            parts[group.setting.dataset, group.setting.model].append(group)
    lines = {key: several for key, several in sorted(parts.items()) if len(several) > 1}
    found = [
        _sizes(*key, several, stem) for (key, several), stem in zip(lines.items(), labels.slugs(lines), strict=True)
    ]
    reason = "Left out: every dataset and network stands at one train size."
    return found or [Figure("sizes", "Test accuracy against train size", reason)]


def _sizes(dataset: str, model: str, groups: list[Group], stem: str) -> Figure:
    lines: dict[str, list[tuple[float, Row]]] = defaultdict(list)
    for group in groups:
        count = float(group.samples.get("train") or group.setting.train_size)
        rows = _finished(group)
        names = [labels.names(row.recipe) for row in rows]
        for row in rows:
            name = labels.names(row.recipe)
            lines[name if names.count(name) == 1 else row.label()].append((count, row))
    shown = {k: sorted(v, key=lambda p: p[0]) for k, v in sorted(lines.items()) if len(v) > 1}
    if not shown:
        return Figure(
            f"sizes-{stem}",
            "Test accuracy against train size",
            "Left out: no recipe was trained at two sizes.",
        )
    counts = sorted({n for v in shown.values() for n, _ in v})
    x = svg.at_values("training samples (log)", counts, log=True, names=[f"{n:,.0f}" for n in counts])
    y = _error_axis([row.test.mean for v in shown.values() for _, row in v])
    frame = Frame(x, y, width=560, height=340, right=150)
    marks = []
    for _, points in sorted(shown.items(), key=lambda item: item[1][0][1].is_baseline):
        row = points[0][1]
        color, kind, dash = look(row.family)
        placed = frame.points([n for n, _ in points], [_log_error(r.test.mean) for _, r in points])
        dots = "".join(svg.shape(kind, px, py, f"m {color}", 3.5) for px, py in placed)
        words = "; ".join(f"{n:,.0f}: {plus_minus(r.test)} %" for n, r in points)
        marks.append(_mark(row, svg.path(placed, f"l {color}", dash) + dots, words))
    ends = sorted(((name, v[-1][1]) for name, v in shown.items()), key=lambda end: -end[1].test.mean)
    marks += _names_at_the_right(frame, ends)
    caption = (
        "Test accuracy (mean over seeds) by the number of training samples, on an axis on which each halving of the error is "
        "one step. Regularization usually matters most on the left; lines that meet on the right say that data does the same "
        "work."
    )
    rows = [points[0][1] for points in shown.values()]
    heading = f"Test accuracy against train size: {labels.visible(dataset, 40)}, {labels.visible(model, 40)}"
    return Figure(f"sizes-{stem}", heading, caption, [frame.panel("", marks)], family_legend(rows), 1)


def _log_error(accuracy: float) -> float:
    """Percent; 100 counts as 99.99."""
    return -math.log10(max(100 - accuracy, 0.01))


ERRORS = [m * 10.0**e for e in (1, 0, -1, -2) for m in (7, 5, 3, 2, 1.5, 1)]


def _error_axis(accuracies: Sequence[float]) -> svg.Axis:
    """Accuracies in percent, placed by the logarithm of the error."""
    ends = [_log_error(v) for v in accuracies]
    pad = 0.06 * (max(ends) - min(ends) or 1)
    low, high = min(ends) - pad, max(ends) + pad
    ticks = [(_log_error(100 - e), f"{100 - e:g}") for e in ERRORS if low <= _log_error(100 - e) <= high]
    return svg.Axis("test accuracy, %", low, high, tuple(ticks))


def _names_at_the_right(frame: Frame, ends: Sequence[tuple[str, Row]]) -> list[str]:
    """Names beside the ends of lines, the best first, as many as there is room for, each with a leader to its line."""
    step, top, bottom = 12.0, frame.top, frame.height - frame.bottom
    ends = ends[: int((bottom - top) / step) + 1]
    ys = [frame.py(_log_error(row.test.mean)) for _, row in ends]
    places = list(itertools.accumulate(ys, lambda last, y: max(y, last + step)))
    limit = bottom
    for i in reversed(range(len(places))):  # what was pushed out at the bottom pushes the others up
        limit = places[i] = min(places[i], limit)
        limit -= step
    right = frame.width - frame.right
    return [
        _mark(
            row,
            svg.line(right + 2, y, right + 20, at, "g") + svg.text(right + 24, at + 3.5, labels.visible(name, 22), "h"),
            plus_minus(row.test),
        )
        for (name, row), y, at in zip(ends, ys, places, strict=True)
    ]


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
