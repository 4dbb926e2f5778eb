"""How the tests read a report: its table, its words, and its HTML as a browser would."""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

Report = Callable[..., tuple[int, str, str]]
"""The command on a folder: exit status, stdout, stderr."""
VOID = {"meta", "link", "br", "wbr", "path", "circle", "rect"}
"""Elements of the page that never have an end tag."""


class Page(HTMLParser):
    """Every element with its attributes, the text outside of scripts and styles; elements must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def summary(folder: Path) -> list[dict[str, str]]:
    """The rows of summary.csv."""
    with (folder / "summary.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


TEXTS = ("dataset", "model", "recipe", "fingerprint", "suite", "mark")
"""Columns of summary.csv that hold no numbers."""


def row_of(folder: Path, recipe: str) -> dict[str, float]:
    """The numbers of a recipe's row in summary.csv."""
    found = next(row for row in summary(folder) if row["recipe"] == recipe)
    return {k: float(v) for k, v in found.items() if k not in TEXTS and v}


def markdown_words(folder: Path) -> str:
    """report.md as its reader sees it: without escapes."""
    text = (folder / "report.md").read_text(encoding="utf-8")
    return html.unescape(re.sub(r"\\([^\w\s]|_)", r"\1", text))


def markdown_tables(folder: Path) -> list[list[list[str]]]:
    """The cells of every table of report.md, split as GitHub does: at each | that no backslash precedes."""
    tables: list[list[list[str]]] = [[]]
    for line in (folder / "report.md").read_text(encoding="utf-8").split("\n"):
        if line.startswith("|"):
            assert line.endswith("|")
            tables[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif tables[-1]:
            tables.append([])
    return [table for table in tables if table]


def explained(folder: Path, *sentences: str) -> None:
    """The report says so, in both of its forms."""
    for text in (page(folder).words, markdown_words(folder)):
        for sentence in sentences:
            assert sentence in text, sentence
