"""The report as Markdown, for GitHub."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bench.reporting import columns, labels, sentences
from bench.reporting.comparison import Group, Overall, title
from bench.reporting.figures.figure import Figure
from bench.reporting.model import Study
from bench.reporting.numbers import number, span


def markdown_report(study: Study) -> str:
    """The report as GitHub shows it."""
    parts = [f"# Regularization report: {markdown(study.name)}\n", "[The same, interactive](report.html).\n"]
    parts += [f"> {markdown_sentence(notice)}\n" for notice in study.notices]
    for group, drawn in zip(study.groups, study.group_figures, strict=True):
        parts += _markdown_group(group, drawn, study.tuning)
    parts += _markdown_overall(study.overall)
    if study.groups:
        parts += ["## Across tables\n", *map(_markdown_figure, study.study_figures), *_markdown_reading(study)]
    parts += ["## Reproduce\n", "```sh", *sentences.command(study.name, study.is_study, study.groups), "```\n"]
    parts.append(markdown_table(("what", "value"), sentences.provenance(study.runs)))
    return "\n".join(parts)


def _markdown_group(group: Group, drawn: Sequence[Figure], tuning: Mapping[str, Any]) -> list[str]:
    rows = [columns.cells(row) for row in group.rows]
    return [
        f"## {markdown(title(group))}\n",
        *(f"{markdown_sentence(s)}" for s in sentences.verdict(group)),
        "",
        *(f"> {markdown_sentence(notice)}\n" for notice in sentences.notices(group)),
        markdown_table(columns.HEADINGS, rows),
        f"{markdown_sentence(sentences.budget(group))}. ± is the half-width of the 95 % t interval over seeds; "
        "★ highest mean test accuracy, ≈ cannot be told from it.\n",
        *(f"{markdown_sentence(s)}\n" for s in sentences.choices(group, tuning)),
        *map(_markdown_figure, drawn),
    ]


def markdown_sentence(sentence: str) -> str:
    """A sentence of ours, which may hold names from the records, at the start too: that makes no list of it."""
    return re.sub(r"^([-+=]|\d+(?=[.)]))", lambda m: f"&#{ord(m[0][0])};{m[0][1:]}", markdown(sentence, 1200))


def _markdown_figure(figure: Figure) -> str:
    image = f"![{markdown(figure.heading)}](figures/{figure.stem}.svg)\n\n" if figure.panels else ""
    return f"### {markdown(figure.heading)}\n\n{image}{markdown_sentence(figure.caption)}\n{_markdown_data(figure)}"


def _markdown_data(figure: Figure) -> str:
    headings, rows = figure.data
    table = markdown_table(headings, rows) if rows else ""
    return f"\n<details><summary>The numbers</summary>\n\n{table}\n</details>\n" if table else ""


def _markdown_overall(rows: Sequence[Overall]) -> list[str]:
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


def _markdown_reading(study: Study) -> list[str]:
    used = [(name, f"{summary} {paper}".strip()) for name, summary, paper in sentences.techniques_used(study.groups)]
    return [
        "## The techniques\n",
        *(f"- {code(name)}: {markdown_sentence(what)}" for name, what in used),
        "\n## The columns\n",
        *(f"- **{markdown(name)}**: {markdown_sentence(what)}" for name, what in sentences.COLUMNS),
        "\n## Protocol\n",
        *(
            f"{i}. {markdown_sentence(line)}"
            for i, line in enumerate(sentences.protocol(study.groups, study.tuning), 1)
        ),
        "\n## What not to conclude\n",
        *(f"- {markdown_sentence(line)}" for line in sentences.NOT_TO_CONCLUDE),
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
