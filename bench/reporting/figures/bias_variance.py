"""Bias and variance over the strength."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.reporting import labels
from bench.reporting.figures import svg
from bench.reporting.figures.figure import Figure, key_of, logarithmic_places, spans_decades, strength_axis
from bench.reporting.figures.svg import Frame, Panel
from bench.reporting.model import Report
from bench.reporting.numbers import number

PARTS = {
    "squared": (("error", "c0", "", "diamond"), ("bias2", "c1", "4 3", "circle"), ("variance", "c2", "", "square")),
    "zero_one": (("error", "c0", "", "diamond"), ("bias", "c1", "4 3", "circle"), ("variance", "c2", "", "square")),
}
PART_WORDS = {"error": "expected test error", "bias2": "bias²", "bias": "bias", "variance": "variance"}


def bias_variance(report: Report) -> list[Figure]:
    """Bias and variance over strength, for squared error on probabilities."""
    heading, stem = "Bias and variance", "bias-variance"
    parts: dict[tuple[str, str, Any, str], list[Mapping[str, Any]]] = defaultdict(list)
    for e in report.decomposition:
        if isinstance(e.get("strength"), (int, float)):
            parts[report.title_of(str(e["dataset"])), str(e["model"]), e.get("train_size"), str(e["technique"])].append(
                e
            )
    swept = {k: found for k, found in parts.items() if len({e["strength"] for e in found}) > 1}
    if not swept:
        return [Figure(stem, heading, "Left out: the study has no bias and variance decomposition over strengths.")]
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
    return [Figure(stem, heading, caption, panels, legend, data=(PART_HEADINGS, list(_part_rows(swept))))]


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
