"""The report as one HTML file: no address, no framework, readable without its script."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from html import escape as quote
from pathlib import Path
from typing import Any

from bench.reporting import labels, sentences
from bench.reporting.columns import MARK_WORDS, MARKS
from bench.reporting.comparison import Group, Overall, Row, title
from bench.reporting.figures import figure, forest, svg, weights
from bench.reporting.figures.figure import Figure
from bench.reporting.model import Study
from bench.reporting.numbers import incidents, number, p_value, plus_minus, span, times
from bench.reporting.statistics import Interval

TEMPLATES = Path(__file__).parent / "templates"
COLORS_CSS = (
    f":root{{{svg.variables(svg.LIGHT)}}}"
    f"@media (prefers-color-scheme:dark){{:root{{{svg.variables(svg.DARK)}}}}}"
    f":root[data-theme=light]{{{svg.variables(svg.LIGHT)}color-scheme:light}}"
    f":root[data-theme=dark]{{{svg.variables(svg.DARK)}color-scheme:dark}}"
    f"@media print{{:root,:root[data-theme=dark]{{{svg.variables(svg.LIGHT)}}}}}"
)


def text(content: str, limit: int = 400) -> str:
    """Text that HTML shows as it stands."""
    return quote(labels.visible(content, limit))


def page(study: Study) -> str:
    """The whole file."""
    style = COLORS_CSS + svg.MARKS_CSS + (TEMPLATES / "report.css").read_text(encoding="utf-8")
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:"
    sections = [
        _section(group, i, drawn, study.tuning)
        for i, (group, drawn) in enumerate(zip(study.groups, study.group_figures, strict=True))
    ]
    body = [
        _head(study),
        *sections,
        _overall(study.overall),
        _across(study),
        _reading(study),
        _reproduce(study),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>Regularization report: {text(study.name, 80)}</title><style>{style}</style></head>\n<body>"
        f"{_bar(study)}<main>{chr(10).join(part for part in body if part)}</main>"
        "<footer>Made by <code>bench/report.py</code> from the records alone: the same records give the same file, byte "
        f"for byte.</footer><script>{script}</script></body></html>\n"
    )


def _bar(study: Study) -> str:
    present = {row.family for group in study.groups for row in group.rows}
    chips = []
    for family in labels.families():
        if family in present:
            color, kind, _ = figure.look(family)
            sample = f'<svg viewBox="0 0 22 12" aria-hidden="true">{svg.key_shape(kind, f"m {color}")}</svg>'
            chips.append(
                f'<button class="chip" hidden aria-pressed="true" data-family="{quote(family)}">{sample}{text(family)}</button>'
            )
    theme = '<button class="chip plain" hidden id="theme">light / dark</button>'
    return f'<div class="bar"><div class="top"><span class="name">Families</span>{"".join(chips)}{theme}</div></div>'


def _head(study: Study) -> str:
    final = [run for run in study.runs if run.final]
    named = [c["recipe"] for c in study.tuning.get("conditions", [])] or [run.recipe for run in final]
    recipes = len(set(named) - {labels.BASELINE})
    counts = f"{len(final):,} runs of {recipes} recipe{'s' * (recipes != 1)} beside the baseline"
    trials = len(study.runs) - len(final)
    extra = f", and {trials:,} tuning trials and resamples" if trials else ""
    parts = [f"<h1>Regularization report: {text(study.name, 120)}</h1>", f'<p class="meta">{counts}{extra}.</p>']
    parts += map(_notice, study.notices)
    if len(study.groups) > 1:
        links = "".join(f'<li><a href="#t{i}">{text(title(g))}</a>{_short(g)}</li>' for i, g in enumerate(study.groups))
        parts.append(f"<nav><ol>{links}</ol></nav>")
    return "".join(parts)


def _short(group: Group) -> str:
    best = group.best
    return f' <span class="meta">{text(best.label(60), 80)}, {plus_minus(best.test)} %</span>' if best else ""


def _notice(words_: str) -> str:
    return f'<p class="notice">{text(words_, 1200)}</p>'


def _choices(group: Group, tuning: Mapping[str, Any]) -> str:
    said = " ".join(sentences.choices(group, tuning))
    return f'<p class="meta">{text(said, 2000)}</p>' if said else ""


def _section(group: Group, index: int, drawn: Sequence[Figure], tuning: Mapping[str, Any]) -> str:
    said = " ".join(sentences.verdict(group))
    name = group.best.label(sentences.LONGEST) if group.best else ""
    lead = text(said, 2000)
    if name and lead.startswith(quote(name)):
        lead = f"<b>{quote(name)}</b>{lead[len(quote(name)) :]}"
    shown = [figure for figure in drawn if not figure.stem.startswith("forest-")]
    return (
        f'<section id="t{index}"><h2>{text(title(group))}</h2><p class="lead">{lead}</p>'
        f'<p class="meta">{text(sentences.budget(group))}; {_parameters(group)}</p>'
        f"{''.join(map(_notice, sentences.notices(group)))}{_choices(group, tuning)}{_table(group)}{''.join(map(_figure, shown))}</section>"
    )


def _parameters(group: Group) -> str:
    count = next((run.parameters for row in group.rows if row.is_baseline for run in row.runs), 0)
    sizes = group.samples
    splits = ", ".join(
        f"{sizes[k]:,} {word}"
        for k, word in (("train", "training"), ("val", "validation"), ("test", "test"))
        if k in sizes
    )
    return f"{splits} samples" + (f"; {count:,} parameters" if count else "")


def _table(group: Group) -> str:
    axis = forest.forest_axis(group)
    with_forest = group.comparisons > 0
    zeros = any(row.zeros.mean >= weights.SPARSE for row in group.rows)
    heads = [
        _column("recipe", "", "text"),
        _column("test accuracy", "%"),
        *([_column("difference to baseline", "points"), _forest_head(axis)] if with_forest else []),
        *([_column("p (Holm)", "", first="up"), _column("P(better)")] if with_forest else []),
        _column("gap", "points", first="up"),
        *([_column("time", "× baseline", first="up")] if with_forest else []),
        _column("validation accuracy", "%"),
        _column("train accuracy", "%"),
        _column("test loss", "nats", first="up"),
        _column("ECE", first="up"),
        _column("Brier", first="up"),
        *([_column("zeros", "%")] if zeros else []),
        _column("n"),
    ]
    rows = "".join(_row(group, row, axis, with_forest, zeros) for row in group.rows)
    named = "".join(f"<dt>{quote(k)}</dt><dd>{quote(v)}</dd>" for k, v in sentences.COLUMNS)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(title(group))}"><table><thead><tr>{"".join(heads)}'
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
        '<p class="cap">★ highest mean test accuracy; ≈ cannot be told from it. ± is the half-width of the 95 % t interval over '
        "seeds. A filled marker is a difference that is significant after Holm's correction; brackets are its 95 % interval.</p>"
        f'<details class="columns"><summary>What the columns mean</summary><dl>{named}</dl></details>'
    )


def _column(name: str, unit: str = "", kind: str = "number", first: str = "down") -> str:
    words_ = f"{quote(name)}" + (f", {quote(unit)}" if unit else "")
    first = "up" if kind == "text" else first
    return f'<th scope="col" data-kind="{kind}" data-first="{first}"><span role="button" tabindex="0">{words_}<i></i></span></th>'


FOREST_WIDTH = 150.0


def _forest_x(axis: svg.Axis, value: float) -> float:
    return 6 + axis.at(value) * (FOREST_WIDTH - 12)


def _forest_head(axis: svg.Axis) -> str:
    marks, last = [], -math.inf
    for value, label in axis.ticks:
        x = _forest_x(axis, value)
        half = svg.text_width(label) / 2
        marks.append(svg.line(x, 20, x, 24, "g"))
        if x - half > last + 4 and x + half < FOREST_WIDTH + 8:
            marks.append(svg.text(x, 15, label, "s h", "middle"))
            last = x + half
    body = f'<svg viewBox="0 0 {FOREST_WIDTH:g} 24" role="img" aria-label="axis">{"".join(marks)}</svg>'
    return f'<th class="forest" scope="col">difference, points{body}</th>'


def _forest_cell(row: Row, axis: svg.Axis) -> str:
    grid = "".join(svg.line(_forest_x(axis, v), 0, _forest_x(axis, v), 34, "g") for v, _ in axis.ticks)
    zero = svg.line(_forest_x(axis, 0), 0, _forest_x(axis, 0), 34, "z")
    marks = forest.forest_marks(row, lambda v: _forest_x(axis, v), 17)
    return (
        f'<td class="forest"><svg viewBox="0 0 {FOREST_WIDTH:g} 34" preserveAspectRatio="none" aria-hidden="true">'
        f"{grid}{zero}{marks}</svg></td>"
    )


def _row(group: Group, row: Row, axis: svg.Axis, with_forest: bool, zeros: bool) -> str:
    color, kind, _ = figure.look(row.family)
    sample = f'<svg viewBox="3 0 15 12" aria-hidden="true">{svg.key_shape(kind, f"m {color}")}</svg>'
    mark = {"best": "star", "tied": "tie"}.get(row.mark)
    star = f'&nbsp;<span class="{mark}" title="{MARK_WORDS[row.mark]}">{MARKS[row.mark]}</span>' if mark else ""
    name, strength = labels.names(row.recipe), row.note
    shown = text(name, 120).replace("_", "_<wbr>")
    first = f"{sample}<b>{shown}</b>{star}" + (f"<small>{text(strength, 120)}</small>" if strength else "")
    compared = _compared(row, axis) if with_forest else ""
    cells = [
        f'<th scope="row" class="who" tabindex="0" data-r="{figure.key_of(row.recipe)}" '
        f'data-v="{text(name, 120)}">{first}</th>',
        _interval_cell(row.test),
        compared,
        _interval_cell(row.gap, signed=True),
        _cost_cell(row) if with_forest else "",
        _interval_cell(row.accuracy["val"]),
        _interval_cell(row.accuracy["train"]),
        *(_cell(i.mean, number(i.mean, 4)) for i in (row.loss, row.ece, row.brier)),
        _cell(row.zeros.mean, number(row.zeros.mean, 1)) if zeros else "",
        _count_cell(row),
    ]
    base = ' class="base"' if row.is_baseline else ""
    key = f' data-r="{figure.key_of(row.recipe)}" data-f="{quote(row.family)}"'
    return f"<tr{base}{key}>{''.join(cells)}</tr>"


def _compared(row: Row, axis: svg.Axis) -> str:
    c = row.comparison
    if c is None:
        words_ = "baseline" if row.is_baseline else "–"
        return f"{_cell(math.nan, f'<small>{words_}</small>')}{_forest_cell(row, axis)}{_cell(math.nan, '')}{_cell(math.nan, '')}"
    difference = f"{number(c.difference.mean, signed=True)}<br><small>{span(c.difference)}</small>"
    p = p_value(c) if c.decidable else f"<small>{p_value(c).replace(' at ', '<br>at ')}</small>"
    p = p.replace("< 0", "&lt; 0")
    return (
        _cell(c.difference.mean, difference)
        + _forest_cell(row, axis)
        + _cell(c.p_adjusted if c.decidable else math.nan, p)
        + _cell(c.improvement, number(c.improvement))
    )


def _cell(value: float, shown: str) -> str:
    return f'<td data-v="{value:.10g}">{shown}</td>' if math.isfinite(value) else f"<td>{shown}</td>"


def _interval_cell(interval: Interval, signed: bool = False) -> str:
    half = f" <small>± {number(interval.half)}</small>" if math.isfinite(interval.low) else ""
    return _cell(interval.mean, number(interval.mean, signed=signed) + half)


def _cost_cell(row: Row) -> str:
    if row.is_baseline:
        return _cell(1.0, "1")
    return _cell(row.comparison.cost, times(row.comparison.cost)) if row.comparison else "<td>–</td>"


def _count_cell(row: Row) -> str:
    extra = incidents(row)
    shown = f"{row.n}" + (f'<br><small class="warn">{quote(extra).replace(", ", "<br>")}</small>' if extra else "")
    return _cell(float(row.n), shown)


def _figure(figure: Figure) -> str:
    if not figure.panels:
        caption = f'<p class="cap">{text(figure.caption, 600)}</p>'
        return f"<figure><h3>{text(figure.heading)}</h3>{caption}{_data(figure)}</figure>"
    legend = "".join(
        f'<span><svg viewBox="0 0 22 12" aria-hidden="true">{sample}</svg>{text(words_)}</span>'
        for sample, words_ in figure.legend
    )
    wide = " wide" if max(panel.width for panel in figure.panels) > 500 else ""
    return (
        f'<figure id="{quote(figure.stem)}"><h3>{text(figure.heading)}</h3>'
        + (f'<div class="legend">{legend}</div>' if legend else "")
        + f'<div class="panels{wide}">{"".join(map(svg.inline, figure.panels))}</div>'
        + f'<figcaption class="cap">{text(figure.caption, 1200)}</figcaption>{_data(figure)}</figure>'
    )


def _data(figure: Figure) -> str:
    """The numbers of a figure, folded away."""
    headings, rows = figure.data
    if not rows:
        return ""
    head = "".join(f"<th>{text(name)}</th>" for name in headings)
    body = "".join(f"<tr>{''.join(f'<td>{text(cell, 120)}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<details><summary>The numbers</summary><div class="scroll">{table}</div></details>'


def _across(study: Study) -> str:
    if not study.groups:
        return ""
    return f'<section id="across"><h2>Across tables</h2>{"".join(map(_figure, study.study_figures))}</section>'


def _overall(rows: Sequence[Overall]) -> str:
    if not rows:
        return ""
    body = "".join(
        f'<tr><th scope="row"><b>{text(o.names, 120)}</b></th><td>{text(o.model, 60)}</td><td>{o.train_size or "all"}</td>'
        f"<td>{number(o.interval.mean, signed=True)} <small>{span(o.interval)}</small></td><td>{o.datasets}</td></tr>"
        for o in rows
    )
    return (
        '<section id="overall"><h2>Over datasets</h2><p class="cap">Interquartile mean of the paired differences in test '
        "accuracy, with its 95 % stratified bootstrap interval (runs resampled within each dataset; Agarwal et al. 2021), which is too narrow where seeds are few.</p>"
        '<div class="scroll"><table><thead><tr><th>recipe</th><th>network</th><th>train size</th><th>difference, points</th>'
        f"<th>datasets</th></tr></thead><tbody>{body}</tbody></table></div></section>"
    )


def _reading(study: Study) -> str:
    if not study.groups:
        return ""
    lines = "".join(f"<li>{text(line, 600)}</li>" for line in sentences.protocol(study.groups, study.tuning))
    caution = "".join(f"<li>{text(line, 600)}</li>" for line in sentences.NOT_TO_CONCLUDE)
    used = "".join(
        f"<dt>{text(name, 80)}</dt><dd><b>{text(summary)}</b>{' ' + text(paper) + '.' if paper else ''}</dd>"
        for name, summary, paper in sentences.techniques_used(study.groups)
    )
    return (
        f'<section id="techniques"><h2>The techniques</h2><dl>{used}</dl></section>'
        f'<section id="protocol"><h2>Protocol</h2><ol class="plain">{lines}</ol></section>'
        f'<section id="caution"><h2>What not to conclude</h2><ul class="plain">{caution}</ul></section>'
    )


def _reproduce(study: Study) -> str:
    commands = "\n".join(sentences.command(study.name, study.is_study, study.groups))
    facts = "".join(
        f"<dt>{text(k)}</dt><dd><code>{text(v, 600)}</code></dd>" for k, v in sentences.provenance(study.runs)
    )
    return f'<section id="reproduce"><h2>Reproduce</h2><pre><code>{text_lines(commands)}</code></pre><dl>{facts}</dl></section>'


def text_lines(content: str) -> str:
    return "\n".join(text(line, 2000) for line in content.split("\n"))
