"""The report as Markdown, for GitHub."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.reporting import columns, labels, protocol, reproduce, sentences
from bench.reporting.figures.figure import Figure
from bench.reporting.model import Report
from bench.reporting.numbers import number, span
from bench.reporting.rows import Group, Overall


def markdown_report(report: Report, figures: Sequence[Figure]) -> str:
    """The report as GitHub shows it."""
    parts = [f"# Regularization report: {markdown(report.name)}\n", "[The same, interactive](report.html).\n"]
    parts += [f"> {markdown_sentence(notice)}\n" for notice in report.notices]
    for group in report.groups:
        parts += _group(report, group, [figure for figure in figures if figure.table == group.stem])
    parts += _overall(report.overall)
    if report.groups:
        parts += ["## Across tables\n", *map(_figure, (f for f in figures if not f.table)), *_reading(report)]
    parts += ["## Reproduce\n", "```sh", *reproduce.commands(report), "```\n"]
    parts.append(markdown_table(("what", "value"), reproduce.provenance(report.runs)))
    return "\n".join(parts)


def _group(report: Report, group: Group, figures: Sequence[Figure]) -> list[str]:
    shown = columns.of(columns.TABLE, group.rows)
    rows = [[column.format(row).plain for column in shown] for row in group.rows]
    return [
        f"## {markdown(group.title)}\n",
        *(f"{markdown_sentence(s)}" for s in sentences.verdict(group)),
        "",
        *(f"> {markdown_sentence(notice)}\n" for notice in sentences.notices(group)),
        markdown_table([column.title for column in shown], rows),
        f"{markdown_sentence(sentences.budget(group))}. ± is the half-width of the 95 % t interval over seeds; "
        "★ highest mean test accuracy, ≈ cannot be told from it.\n",
        *(f"{markdown_sentence(s)}\n" for s in sentences.choices(group, report.tuning)),
        *map(_figure, figures),
    ]


def markdown_sentence(sentence: str) -> str:
    """A sentence of ours, which may hold names from the records, at the start too: that makes no list of it."""
    return re.sub(r"^([-+=]|\d+(?=[.)]))", lambda m: f"&#{ord(m[0][0])};{m[0][1:]}", markdown(sentence, 1200))


def _figure(figure: Figure) -> str:
    image = f"![{markdown(figure.heading)}](figures/{figure.stem}.svg)\n\n" if figure.panels else ""
    return f"### {markdown(figure.heading)}\n\n{image}{markdown_sentence(figure.caption)}\n{_numbers(figure)}"


def _numbers(figure: Figure) -> str:
    headings, rows = figure.data
    table = markdown_table(headings, rows) if rows else ""
    return f"\n<details><summary>The numbers</summary>\n\n{table}\n</details>\n" if table else ""


def _overall(rows: Sequence[Overall]) -> list[str]:
    if not rows:
        return []
    headings = ("recipe", "network", "train size", "difference, points", "datasets")
    cells = [
        (
            o.names,
            o.model,
            str(o.train_size or "all"),
            f"{number(o.interval.mean, signed=True)} {span(o.interval)}",
            str(o.datasets),
        )
        for o in rows
    ]
    intro = "Interquartile mean of the paired differences, with its 95 % stratified bootstrap interval (Agarwal et al. 2021), which is too narrow where seeds are few.\n"
    return ["## Over datasets\n", intro, markdown_table(headings, cells)]


def _reading(report: Report) -> list[str]:
    used = [(name, f"{summary} {paper}".strip()) for name, summary, paper in protocol.techniques_used(report.groups)]
    return [
        "## The techniques\n",
        *(f"- {code(name)}: {markdown_sentence(what)}" for name, what in used),
        "\n## The columns\n",
        *(f"- **{markdown(name)}**: {markdown_sentence(what)}" for name, what in columns.glossary(report.groups)),
        "\n## Protocol\n",
        *(f"{i}. {markdown_sentence(line)}" for i, line in enumerate(protocol.protocol(report), 1)),
        "\n## What not to conclude\n",
        *(f"- {markdown_sentence(line)}" for line in protocol.NOT_TO_CONCLUDE),
        "",
    ]


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A GitHub table; the first column is text, the others are aligned to the right. Escapes every cell."""
    lines = [_line(headings), _line(["---", *["---:"] * (len(headings) - 1)], escape=False)]
    return "\n".join([*lines, *map(_line, rows)]) + "\n"


def _line(texts: Sequence[str], escape: bool = True) -> str:
    return "| " + " | ".join(map(markdown, texts) if escape else texts) + " |"


def markdown(text: str, limit: int = 160) -> str:
    """Text that Markdown shows as it stands: HTML and every mark of Markdown are made inert."""
    shown = labels.visible(text, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    shown = re.sub(r"([\\`*_{}\[\]()#|!~$])", r"\\\1", shown)
    # An address or a mention would become a link of itself.
    return re.sub(r"(?i)(https?:|www\.|@)", lambda m: f"{m[0][:-1]}&#{ord(m[0][-1])};", shown)


def code(text: str) -> str:
    """Text as a code span, which keeps plain names legible; anything unusual is escaped instead."""
    return f"`{text}`" if re.fullmatch(r"[\w .,()=+:'/-]{1,200}", text, re.ASCII) else markdown(text)
