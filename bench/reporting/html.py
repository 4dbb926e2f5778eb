"""The report as one HTML file: no address, no framework, readable without its script.

The templates are Jinja2. Whatever they show that is not marked as our own markup goes through `visible`: nothing hides
in a name from a record, and nothing in it acts.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateNotFound, Undefined
from markupsafe import Markup

from bench.reporting import columns, labels, numbers, protocol, reproduce, sentences
from bench.reporting.column import Cell, Column
from bench.reporting.figures import forest, svg
from bench.reporting.figures.figure import Figure, family_style, key_of
from bench.reporting.figures.svg import Axis
from bench.reporting.model import Report
from bench.reporting.rows import Group, Row

TEMPLATES = Path(__file__).parent / "templates"
COLORS_CSS = (
    f":root{{{svg.variables(svg.LIGHT)}}}"
    f"@media (prefers-color-scheme:dark){{:root{{{svg.variables(svg.DARK)}}}}}"
    f":root[data-theme=light]{{{svg.variables(svg.LIGHT)}color-scheme:light}}"
    f":root[data-theme=dark]{{{svg.variables(svg.DARK)}color-scheme:dark}}"
    f"@media print{{:root,:root[data-theme=dark]{{{svg.variables(svg.LIGHT)}}}}}"
)
USUAL_LIMIT = 400
"""Characters of a text for which a template gives no other limit."""
DRAWN_COLUMN = "difference"
"""The column behind which the page draws its values."""
FOREST_WIDTH = 150.0


def page(report: Report, figures: Sequence[Figure]) -> str:
    """The whole file."""
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    style = COLORS_CSS + svg.MARKS_CSS + (TEMPLATES / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            policy=ours(f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:"),
            style=ours(style),
            script=ours(script),
            report=report,
            figures=figures,
            families=_families(report),
            counts=sentences.counts(report),
            glossary=columns.glossary(report.groups),
            techniques=protocol.techniques_used(report.groups),
            protocol=protocol.protocol(report),
            cautions=protocol.NOT_TO_CONCLUDE,
            commands=reproduce.commands(report),
            facts=reproduce.provenance(report.runs),
        )
    )


class Loader(BaseLoader):
    """Templates without the line breaks and the indentation that make them readable: neither is part of the page."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, None]:
        path = TEMPLATES / template
        if not path.is_file():
            raise TemplateNotFound(template)
        lines = path.read_text(encoding="utf-8").splitlines()
        return "{#\n#}".join(line.strip() for line in lines), str(path), None  # comments: errors name the right line


def ours(markup: str) -> Markup:
    """Markup that this package has made, to be shown as it is."""
    return Markup(markup)  # noqa: S704


def visible(text: Any, limit: int = USUAL_LIMIT) -> Markup:
    """Text, or a number, that HTML shows as it stands; what hides in it is named, what is beyond the limit is cut."""
    if isinstance(text, Markup):
        return text
    if isinstance(text, Undefined):
        str(text)  # raises an error with its name
    if not isinstance(text, (str, int, float)):
        raise TypeError(f"a template shows {text!r}")
    return ours(escape(labels.visible(str(text), limit)))


@cache
def environment() -> Environment:
    environment = Environment(loader=Loader(), autoescape=True, undefined=StrictUndefined, finalize=visible)
    environment.filters |= {"visible": visible, "breakable": _breakable, "svg": ours}
    environment.globals |= {
        "newline": ours("\n"),
        "sentences": sentences,
        "number": numbers.number,
        "plus_minus": numbers.plus_minus,
        "span": numbers.span,
        "names": labels.names,
        "key_of": key_of,
        "inline": svg.inline,
        "sample": _sample,
        "lead": _lead,
        "sizes": _sizes,
        "page_columns": _columns,
        "drawn_column": DRAWN_COLUMN,
        "sort_value": _sort_value,
        "marks": columns.MARKS,
        "mark_words": {"best": "highest mean test accuracy", "tied": "cannot be told from the best"},
        "mark_classes": {"best": "star", "tied": "tie"},
        "forest_axis": forest.forest_axis,
        "forest_width": f"{FOREST_WIDTH:g}",
        "forest_ticks": _forest_ticks,
        "forest_marks": _forest_marks,
    }
    return environment


def _breakable(text: Markup) -> Markup:
    """A line may break behind an underscore."""
    return text.replace("_", ours("_<wbr>"))


class Family(NamedTuple):
    name: str
    sample: Markup


def _families(report: Report) -> list[Family]:
    present = {row.family for group in report.groups for row in group.rows}
    return [Family(name, _sample(name)) for name in labels.families() if name in present]


def _sample(family: str) -> Markup:
    """The family's marker in its color."""
    color, kind, _ = family_style(family)
    return ours(svg.key_shape(kind, f"m {color}"))


class Lead(NamedTuple):
    name: str
    rest: str


def _lead(group: Group) -> Lead:
    """The answer, with the best recipe's name apart if it begins with it."""
    said = " ".join(sentences.verdict(group))
    name = group.best.label(sentences.LONGEST) if group.best else ""
    return Lead(name, said[len(name) :]) if name and said.startswith(name) else Lead("", said)


def _sizes(group: Group) -> str:
    """`1,150 training, 288 validation, 359 test samples; 50,826 parameters`."""
    count = next((run.parameters for row in group.rows if row.is_baseline for run in row.runs), 0)
    names = {"train": "training", "val": "validation", "test": "test"}
    splits = ", ".join(f"{group.samples[k]:,} {word}" for k, word in names.items() if k in group.samples)
    return f"{splits} samples" + (f"; {count:,} parameters" if count else "")


def _columns(group: Group) -> list[Column]:
    return [column for column in columns.of(columns.PAGE, group.rows) if column.on_page(group)]


def _sort_value(cell: Cell) -> Markup:
    return ours(f' data-v="{cell.sort:.10g}"' if math.isfinite(cell.sort) else "")


def _forest_x(axis: Axis, value: float) -> float:
    return 6 + axis.at(value) * (FOREST_WIDTH - 12)


def _forest_ticks(axis: Axis) -> Markup:
    marks, last = [], -math.inf
    for value, label in axis.ticks:
        x = _forest_x(axis, value)
        half = svg.text_width(label) / 2
        marks.append(svg.line(x, 20, x, 24, "g"))
        if x - half > last + 4 and x + half < FOREST_WIDTH + 8:
            marks.append(svg.text(x, 15, label, "s h", "middle"))
            last = x + half
    return ours("".join(marks))


def _forest_marks(row: Row, axis: Axis) -> Markup:
    grid = "".join(svg.line(_forest_x(axis, v), 0, _forest_x(axis, v), 34, "g") for v, _ in axis.ticks)
    zero = svg.line(_forest_x(axis, 0), 0, _forest_x(axis, 0), 34, "z")
    marks = forest.forest_marks(row, lambda v: _forest_x(axis, v), 17)
    return ours(grid + zero + marks)
