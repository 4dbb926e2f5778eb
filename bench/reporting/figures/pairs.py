"""Pairs of recipes: what the second adds."""

from __future__ import annotations

from collections.abc import Mapping

from bench.reporting import labels
from bench.reporting.comparison import paired
from bench.reporting.figures import svg
from bench.reporting.figures.figure import Figure, each_table, finished
from bench.reporting.figures.svg import Panel
from bench.reporting.numbers import number, span
from bench.reporting.rows import Group
from bench.reporting.statistics import Interval, t_interval


@each_table
def pairs(group: Group) -> Figure:
    """Heat map: what a pair of techniques gains over the better of the two."""
    heading, stem = "Pairs: does a + b beat the better of a and b?", "pairs"
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
    named, height = group.title, top + size * len(names) + 132
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
    rows = finished(group)
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
