"""Bias and variance over the strength."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.reporting import labels
from bench.reporting.figures import svg
from bench.reporting.figures.figure import Figure, key_of, logarithmic_places, spans_decades, strength_axis
from bench.reporting.figures.svg import Frame, Panel
from bench.reporting.model import Report
from bench.reporting.numbers import number
from bench.studies.outcomes import DecompositionOutcome

PARTS = {
    "squared": (("error", "c0", "", "diamond"), ("bias2", "c1", "4 3", "circle"), ("variance", "c2", "", "square")),
    "zero_one": (("error", "c0", "", "diamond"), ("bias", "c1", "4 3", "circle"), ("variance", "c2", "", "square")),
}
PART_WORDS = {"error": "expected test error", "bias2": "bias²", "bias": "bias", "variance": "variance"}


class Where(NamedTuple):
    """What a panel shows: one technique at one place."""

    dataset: str
    model: str
    train_size: int | None
    technique: str

    @property
    def place(self) -> str:
        return labels.place(self.dataset, self.model, self.train_size)


@dataclass(frozen=True, order=True)
class Entry:
    """One strength of it."""

    strength: float
    outcome: DecompositionOutcome = field(compare=False)

    def part(self, kind: str, name: str) -> float:
        parts = self.outcome.squared if kind == "squared" else self.outcome.zero_one
        return float(getattr(parts, name))


def bias_variance(report: Report) -> list[Figure]:
    """Bias and variance over strength, for squared error on probabilities."""
    heading, stem = "Bias and variance", "bias-variance"
    parts: dict[Where, list[Entry]] = defaultdict(list)
    for row in report.decomposition:
        if isinstance(row.strength, (int, float)):
            where = Where(report.title_of(row.dataset), row.model, row.train_size, row.technique)
            parts[where].append(Entry(float(row.strength), row))
    swept = {where: sorted(found) for where, found in parts.items() if len({e.strength for e in found}) > 1}
    if not swept:
        return [Figure(stem, heading, "Left out: the study has no bias and variance decomposition over strengths.")]
    panels = [
        _decomposition_panel(where, found, kind)
        for kind in PARTS
        for where, found in sorted(swept.items(), key=lambda item: repr(tuple(item[0])))
    ]
    resamples = sorted({e.outcome.resamples for found in swept.values() for e in found})
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


def _part_rows(swept: Mapping[Where, Sequence[Entry]]) -> Iterator[list[str]]:
    for where, found in sorted(swept.items(), key=lambda item: repr(tuple(item[0]))):
        for e in found:
            parts = [e.part(kind, part) for kind, names in PARTS.items() for part, *_ in names]
            yield [where.technique, where.place, f"{e.strength:g}", *(number(v, 4) for v in parts)]


def _decomposition_panel(where: Where, entries: Sequence[Entry], kind: str) -> Panel:
    values = [e.strength for e in entries]
    places = logarithmic_places(values) if spans_decades(values) else values
    parameter = labels.Term(where.technique).technique
    numbers = [e.part(kind, part) for e in entries for part, *_ in PARTS[kind]]
    unit = "squared error" if kind == "squared" else "0-1 loss"
    x = strength_axis(where.technique, str(parameter.strength) if parameter else "strength", values)
    frame = Frame(x, svg.linear(unit, [0.0, *numbers]), width=290, height=215, top=40)
    marks = [svg.text(frame.left, 30, f"{where.place}; {unit}", "s h")]
    for part, color, dash, shape in PARTS[kind]:
        ys = [e.part(kind, part) for e in entries]
        placed = frame.points(places, ys)
        dots = "".join(
            svg.mark(svg.shape(shape, px, py, f"m {color}", 3.5), f"{PART_WORDS[part]} {y:.4g} at {v:g}")
            for (px, py), v, y in zip(placed, values, ys, strict=True)
        )
        marks.append(svg.path(placed, f"l {color}", dash) + dots)
    recipe = entries[0].outcome.recipe
    return frame.panel(labels.visible(where.technique, 32), marks, key_of(recipe), labels.family(recipe))
