"""Texts from records are data: nothing in them acts in HTML, SVG, Markdown, LaTeX or CSV, and nothing hides."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import synthetic
from reading import Page, markdown_tables, page, summary

from bench.report import main
from bench.reporting import labels, sentences

ROOT = Path(__file__).resolve().parents[3]
HOSTILE = [
    "<script>alert(1)</script>",
    "</title></style></script></svg><script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "'><img src=x onerror=alert(1)>",
    "<!-- a comment",
    "]]><![CDATA[",
    "&lt;b&gt; &#60;",
    "javascript:alert(1)",
    "a|b\\|c\\\\|d",
    r"_%&\#$~^{}`'\"",
    r"\input{secret} \write18{touch x} ^^5c",
    "} \\end{table} \\begin{table} {",
    "*star ** -- --- ,, << >> ?` !`",
    "[a] (b) [c](d) ![e](f) [g]: h",
    "# heading",
    "- item",
    "1. item",
    "> quote",
    "```",
    "https://example.invalid www.example.invalid @somebody #1",
    "line\nbreak\r\n\r\n| x | y |\n\ttab",
    "right \u202e to left \u2066 isolated \u2069 \u200f",
    "zero\u200bwidth \ufeff \x00 \x1b[31m \x7f \u2028 \u2029 \ud800 \U000e0041",
    "é 漢字 \U0001f600 ∞ ﷽",
    "=1+1",
    "+cmd",
    "-1",
    "@sum",
    "$(touch x) `touch y`; touch z",
    "{0} %s %(x)s ${y}",
    "../../escape",
    "x" * 10_000,
    "y " * 5_000,
    "((((" * 3_000,
    r"'\d' (p=1)",
    "dropout(p=1e999)",
    "dropout(p='<b>|&')",
    "dropout(p=" + "9" * 600 + ")",
    "dropout(**{})",
    "none ",
    "",
]
OURS = {
    *("html", "head", "meta", "link", "title", "style", "body", "div", "span", "button", "main", "section", "h1", "h2"),
    *("h3", "p", "b", "i", "small", "br", "wbr", "a", "nav", "ol", "ul", "li", "table", "thead", "tbody", "tr"),
    *("th", "td"),
    *("details", "summary", "dl", "dt", "dd", "figure", "figcaption", "footer", "code", "pre", "script"),
    *("svg", "g", "path", "circle", "rect", "text"),
}
HIDDEN = ("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp")


def hidden(text: str) -> set[str]:
    return {c for c in text if c != "\n" and unicodedata.category(c) in HIDDEN}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every text as a recipe of one table, and as a dataset, network, version and more of a table of its own."""
    made = [synthetic.make(r, seed, gain=0.01) for r in ["none", *HOSTILE] for seed in range(2)]
    for text in HOSTILE:
        where = {"dataset": text, "model": text, "optimizer": text, "schedule": text, "device": text, "suite": text}
        made += [
            synthetic.make(r, s, gain=0.0, epochs=2, **where) for r in ("none", "l2(lam=0.1)", text) for s in (0, 1)
        ]
        made.append(synthetic.make(text, 2, status="diverged", epochs=2, **where))
        made[-1]["error"] = text
    for size in (100, 200):
        made += [synthetic.make(text, 0, train_size=size, sizes=(size, 20, 30)) for text in ["none", *HOSTILE[:12]]]
    tuning, trials = synthetic.tuning()
    decomposition = synthetic.decomposition()
    for text in HOSTILE:
        tuning["conditions"].append({**tuning["conditions"][1], "dataset": text, "model": text, "recipe": text})
        decomposition += [{**entry, "dataset": text, "technique": text} for entry in decomposition[:3]]
    folder = tmp_path_factory.mktemp("hostile") / "results" / "<b onclick='x'>|_&"
    plan = "recipes: [none]\nseeds: [0]\nepochs: 30\n"
    synthetic.write(folder, made + trials, tuning=tuning, decomposition=decomposition, study=plan)
    for i, text in enumerate(t for t in HOSTILE if "/" not in t and "\0" not in t and "\ud800" not in t and t):
        (folder / "records" / f"{text[:100]}{i}.json").write_text("damaged")
    assert main([str(folder), "--index"]) == 0
    return folder


def check_inert(found: Page, text: str) -> None:
    assert {tag for tag, _ in found.elements} <= OURS
    assert not hidden(text)
    for tag, attributes in found.elements:
        assert not [name for name in attributes if not re.fullmatch(r"[a-zA-Z-]+", name) or name.startswith("on")]
        assert not {"src", "srcdoc", "action", "formaction", "xlink:href"} & attributes.keys()
        if "href" in attributes:
            assert (tag, attributes["href"][:2]) == ("a", "#t") or attributes["href"] == "data:,"


def test_html_holds_no_element_or_attribute_but_ours(study: Path) -> None:
    text = (study / "report.html").read_text(encoding="utf-8")
    found = page(study)
    check_inert(found, text)
    assert [len(found.all(tag)) for tag in ("script", "style", "body")] == [1, 1, 1]
    assert text.count("</script") == text.count("<script") == 1
    assert (ROOT / "bench" / "reporting" / "templates" / "report.js").read_text() in text
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_html_shows_the_names(study: Path) -> None:
    words = page(study).words
    for text in ("<script>alert(1)</script>", '" onmouseover="alert(1)', "a|b\\|c\\\\|d", "line[U+000A]break[U+000D]"):
        assert text in words
    assert "right [U+202E] to left" in words
    assert "x" * 500 not in words


def test_figures_are_well_formed_and_hold_nothing_but_drawings(study: Path) -> None:
    paths = sorted((study / "figures").iterdir())
    kinds = {path.name.split("-")[0].removesuffix(".svg") for path in paths}
    assert {"forest", "gap", "curves", "sizes", "strength", "bias"} <= kinds
    assert len([p for p in paths if p.name.startswith("forest-")]) == len(HOSTILE) + 3  # none overwrote another
    for path in paths:
        assert re.fullmatch(r"[a-z0-9.-]{1,150}", path.name)
        text = path.read_text(encoding="utf-8")
        assert not hidden(text)
        for element in ElementTree.fromstring(text).iter():
            assert element.tag.removeprefix("{http://www.w3.org/2000/svg}") in OURS
            assert not [name for name in element.attrib if name.startswith("on") or "href" in name]


def test_markdown_is_read_as_it_was_meant(study: Path) -> None:
    """By a CommonMark parser: no HTML, link or list item from a name, and as many cells in each row as in the head."""
    markdown_it = pytest.importorskip("markdown_it")
    text = (study / "report.md").read_text(encoding="utf-8")
    assert not hidden(text)
    for table in markdown_tables(study):
        assert len({len(row) for row in table}) == 1
    tokens = markdown_it.MarkdownIt("commonmark").enable("table").parse(text)
    inline = [child for token in tokens for child in token.children or []]
    blocks = "".join(token.content for token in tokens if token.type == "html_block")
    assert set(re.findall(r"<(\w+)", blocks)) <= {"details", "summary"}
    assert not [child for child in inline if child.type == "html_inline"]
    assert {child.attrs["href"] for child in inline if child.type == "link_open"} == {"report.html"}
    for image in (child for child in inline if child.type == "image"):
        assert (study / image.attrs["src"]).exists()
    assert "blockquote_open" in {token.type for token in tokens}
    starts = ("Left out", "The records", "Runs come", re.compile(r"\d+ (diverged|missing|failed)"))
    for i, token in enumerate(tokens):
        if token.type == "blockquote_open":
            said = tokens[i + 2].content
            assert any(s.match(said) if isinstance(s, re.Pattern) else said.startswith(s) for s in starts)
    headings = [tokens[i + 1].content for i, t in enumerate(tokens) if t.type == "heading_open" and t.tag == "h2"]
    assert len(headings) == len(summary_tables(study)) + 6


def summary_tables(folder: Path) -> set[tuple[str, ...]]:
    return {(row["dataset"], row["model"], row["train_size"], row["suite"]) for row in summary(folder)}


def test_index_holds_the_folders_name(study: Path) -> None:
    (line,) = [line for line in (study.parent / "README.md").read_text().splitlines() if line.startswith("| [")]
    assert line.startswith(r"| [&lt;b onclick='x'&gt;\|\_&amp;](%3Cb%20onclick%3D%27x%27%3E%7C_%26/report.md) |")
    assert len(re.split(r"(?<!\\)\|", line)) == 7


def test_csv_gives_the_names_back(study: Path) -> None:
    for name in ("summary.csv", "runs.csv"):
        with (study / name).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        found = {row["recipe"] for row in rows}
        for text in HOSTILE:
            plain = text.replace("\ud800", "?")
            assert (f"'{plain}" if plain[:1] in tuple("=+-@") else plain) in found
        assert all(None not in row and None not in row.values() for row in rows)


def test_latex_rows_keep_their_columns(study: Path) -> None:
    text = (study / "table.tex").read_text(encoding="utf-8")
    assert text.isascii()
    body = re.sub(r"\\[\\&%$#_{}]", lambda m: "\n" if m[0] == r"\\" else "", text)
    rows = [line for line in body.splitlines() if "&" in line]
    assert {line.count("&") for line in rows} == {7}
    assert len(rows) == len(summary(study)) + len(summary_tables(study))
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == len(summary_tables(study))
    assert r"\input{" not in text
    assert not re.search(r"^\*", text, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_latex_compiles(study: Path, tmp_path: Path) -> None:
    shutil.copy(study / "table.tex", tmp_path)
    packages = (study / "table.tex").read_text().splitlines()[0].removeprefix("% ")
    document = f"\\documentclass{{article}}{packages}\\begin{{document}}\\input{{table}}\\end{{document}}\n"
    (tmp_path / "document.tex").write_text(document)
    command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout.decode("latin-1")[-2000:]
    log = (tmp_path / "document.log").read_text(encoding="latin-1")
    assert "Missing character" not in log
    assert (tmp_path / "document.pdf").stat().st_size > 10_000
    if shutil.which("pdftotext"):
        subprocess.run(["pdftotext", "-layout", "document.pdf"], cwd=tmp_path, check=True, timeout=60)
        shown = " ".join((tmp_path / "document.txt").read_text(encoding="utf-8").split())
        for text in ("<script>alert(1)</script>", "a|b\\|c\\\\|d", "*star ** -- --- ,,", "{0} %s %(x)s ${y}"):
            assert text in shown


@pytest.mark.parametrize("text", HOSTILE)
def test_each_alone(tmp_path: Path, text: str, capsys: Any) -> None:
    """As the only recipe beside the baseline, where it opens the verdict."""
    made = [synthetic.make(r, s, gain=g, epochs=2) for r, g in (("none", 0.0), (text, 0.02)) for s in range(2)]
    synthetic.write(tmp_path, made)
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""
    check_inert(page(tmp_path), (tmp_path / "report.html").read_text(encoding="utf-8"))
    assert summary(tmp_path)[0]["mark"] == "best"
    assert summary(tmp_path)[1]["recipe"] == "none"
    markdown_it = pytest.importorskip("markdown_it")
    tokens = markdown_it.MarkdownIt("commonmark").parse((tmp_path / "report.md").read_text(encoding="utf-8"))
    after = next(i for i, token in enumerate(tokens) if token.type == "heading_close" and token.tag == "h2") + 1
    assert [token.type for token in tokens[after : after + 3]] == ["paragraph_open", "inline", "paragraph_close"]
    said = "".join(child.content for child in tokens[after + 1].children)
    assert said.startswith(labels.short(text, sentences.LONGEST) + " has the highest mean test accuracy: ")
