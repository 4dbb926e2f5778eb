"""The same table four times: CSV for programs, Markdown for GitHub, LaTeX for papers, cells for W&B."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from typing import Any

from bench import labels
from bench.runs import METRICS, SPLITS, Run
from bench.statistics_ import Interval
from bench.summary import Comparison, Group, Row

DASH = "–"
MINUS = "−"
MARKS = {"best": "★", "tied": "≈", "": ""}
MARK_WORDS = {"best": "highest mean test accuracy", "tied": "cannot be told from the best", "": ""}

RUN_SETTINGS = ("epochs", "batch_size", "lr", "optimizer", "schedule", "split_seed", "precision")
RUN_COLUMNS = (
    *("dataset", "model", "train_size", "recipe", "seed", "run_id", "status", "fingerprint", "suite", "parameters"),
    *RUN_SETTINGS,
    *("epochs_run", "best_epoch"),
    *(f"{split}/{metric}" for split in SPLITS for metric in METRICS),
    *("gap/loss", "gap/accuracy", "test_gap/loss", "test_gap/accuracy", "weights/l2_norm", "weights/zero_fraction"),
)


def runs_csv(runs: Sequence[Run]) -> str:
    """One line a final run, without times, dates and devices: equal experiments give equal bytes."""
    final = [run for run in runs if run.final]
    final.sort(key=lambda r: (r.dataset, r.model, _train_size(r), r.recipe, r.seed, r.run_id))
    return _csv(RUN_COLUMNS, [_run_cells(run) for run in final])


def _train_size(run: Run) -> int:
    return int(run.config.get("train_size") or 0)


def _run_cells(run: Run) -> list[Any]:
    groups = {**run.metrics, "gap": run.gap, "test_gap": run.test_gap, "weights": run.weights}
    flat = {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
    known: dict[str, Any] = {
        **{k: getattr(run, k) for k in RUN_COLUMNS if hasattr(run, k)},
        **{k: run.config.get(k) for k in (*RUN_SETTINGS, "train_size")},
        **flat,
    }
    return [known.get(column) for column in RUN_COLUMNS]


SUMMARY_COLUMNS = (
    *("dataset", "model", "train_size", "recipe", "lr", "fingerprint", "suite", "mark", "n", "diverged", "failed"),
    "missing",
    *(f"{name}{end}" for name in ("test", "val", "train", "gap") for end in ("", "_low", "_high")),
    *("difference", "difference_low", "difference_high", "improvement", "p", "p_holm", "decidable", "detectable"),
    *("gap_change", "gap_change_low", "gap_change_high", "gap_loss", "loss", "ece", "brier", "cost", "zeros"),
)
"""Accuracies, gaps and differences are in percent and percentage points."""


def summary_csv(groups: Sequence[Group]) -> str:
    """One line a row of the tables."""
    return _csv(SUMMARY_COLUMNS, summary_cells(groups))


def summary_cells(groups: Sequence[Group]) -> list[list[Any]]:
    return [_summary_cells(group, row) for group in groups for row in group.rows]


def _summary_cells(group: Group, row: Row) -> list[Any]:
    s, c = group.setting, row.comparison
    who = [s.dataset, s.model, s.train_size or None, row.recipe, row.lr, s.fingerprint, s.suite, row.mark]
    counts = [row.n, len(row.diverged), len(row.failed), len(row.missing)]
    intervals = [*(row.accuracy[split] for split in ("test", "val", "train")), row.gap]
    compared: list[Any] = [None] * 11
    if c:
        p = [c.improvement, c.p, c.p_adjusted, int(c.decidable), c.detectable]
        compared = [*_ends(c.difference), *p, *_ends(c.gap)]
    plain = [row.gap_loss.mean, row.loss.mean, row.ece.mean, row.brier.mean, c.cost if c else None, row.zeros.mean]
    return [*who, *counts, *(end for i in intervals for end in _ends(i)), *compared, *plain]


def _ends(interval: Interval) -> list[float]:
    return [interval.mean, interval.low, interval.high]


def _csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_csv_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _csv_cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.10g}"
    text = str(value).encode("utf-8", "replace").decode()  # JSON can hold halves of characters, UTF-8 cannot
    # A spreadsheet would run a text that begins like a formula.
    return f"'{text}" if isinstance(value, str) and text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def number(value: float, digits: int = 2, *, signed: bool = False) -> str:
    """A number with a true minus sign, or a dash where there is none."""
    if not math.isfinite(value):
        return DASH
    value = round(value, 9)  # a mean of 94.715 is not to be 94.71 here and 94.72 where it was read from a file
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def plus_minus(interval: Interval, digits: int = 2, *, signed: bool = False) -> str:
    """`98.33 ± 0.28`: mean and half of its interval."""
    mean = number(interval.mean, digits, signed=signed)
    return f"{mean} ± {number(interval.half, digits)}" if math.isfinite(interval.low) else mean


def span(interval: Interval, digits: int = 2) -> str:
    """`[+0.10, +0.40]`, or nothing where one value has no interval."""
    if not math.isfinite(interval.low):
        return ""
    return f"[{number(interval.low, digits, signed=True)}, {number(interval.high, digits, signed=True)}]"


def p_value(comparison: Comparison | None) -> str:
    """The adjusted p, or that no result could have been significant with so few seeds."""
    if comparison is None:
        return DASH
    if not comparison.decidable:
        return f"cannot be decided at n={len(comparison.differences)}"
    return "< 0.001" if comparison.p_adjusted < 0.001 else f"{comparison.p_adjusted:.3f}"


def times(value: float) -> str:
    return f"{value:.2f}×" if math.isfinite(value) else DASH


def incidents(row: Row) -> str:
    """`2 diverged, 1 missing`, or nothing."""
    counts = {"diverged": row.diverged, "failed": row.failed, "missing": row.missing}
    return ", ".join(f"{len(seeds)} {word}" for word, seeds in counts.items() if seeds)


HEADINGS = (
    *("recipe", "strength", "n", "test accuracy, %", "difference to baseline, points", "P(better)", "p (Holm)"),
    *("gap, points", "time", "validation accuracy, %", "train accuracy, %", "test loss, nats", "ECE", "Brier"),
    "zeros, %",
)


def cells(row: Row) -> list[str]:
    """The row of the Markdown and LaTeX tables, not yet escaped."""
    c = row.comparison
    difference = f"{number(c.difference.mean, signed=True)} {span(c.difference)}".strip() if c else DASH
    return [
        f"{MARKS[row.mark]} {labels.names(row.recipe)}".strip(),
        row.note or DASH,
        f"{row.n}" + (f" ({incidents(row)})" if incidents(row) else ""),
        plus_minus(row.test),
        "baseline" if row.is_baseline else difference,
        number(c.improvement) if c else DASH,
        p_value(c),
        plus_minus(row.gap, signed=True),
        times(c.cost) if c else ("1" if row.is_baseline else DASH),
        plus_minus(row.accuracy["val"]),
        plus_minus(row.accuracy["train"]),
        number(row.loss.mean, 4),
        number(row.ece.mean, 4),
        number(row.brier.mean, 4),
        number(row.zeros.mean, 1),
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


LATEX = {
    **{c: f"\\{c}" for c in "{}$&#_%"},
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "-": r"{-}",
    "*": r"{*}",  # a line break before it would take it for its own
    "[": r"{[}",
    "]": r"{]}",
    MINUS: r"$-$",
    DASH: r"--",
    "±": r"$\pm$",
    "×": r"$\times$",
    "★": r"$\star$",
    "≈": r"$\approx$",
    "…": r"\ldots{}",
}


def latex(text: str) -> str:
    """Text that pdfLaTeX sets as it stands; a character that its fonts lack is named by its code point."""
    # Two commas would become one quotation mark.
    return "".join(_latex_character(c) for c in labels.visible(text, 160)).replace(",,", ",{},{}")


def _latex_character(c: str) -> str:
    return LATEX.get(c) or (c if c.isascii() else latex(f"[U+{ord(c):04X}]"))


LATEX_COLUMNS = [i for i, heading in enumerate(HEADINGS[:9]) if heading != "P(better)"]
"""What fits the width of a page; the rest is in the other files."""


def latex_tables(groups: Sequence[Group]) -> str:
    """A booktabs table for each setting, to be \\input by a paper; needs booktabs, textcomp and graphicx."""
    intro = "% \\usepackage[T1]{fontenc}\\usepackage{booktabs,textcomp,graphicx}\n"
    return intro + "\n".join(_latex_table(group, i) for i, group in enumerate(groups, 1))


def _latex_table(group: Group, index: int) -> str:
    def line(texts: Sequence[str]) -> str:
        return " & ".join(latex(texts[i]) for i in LATEX_COLUMNS) + r" \\"

    caption = (
        f"{latex(title(group))}. Mean and 95\\,\\% $t$ interval over paired seeds; $\\star$ best, $\\approx$ cannot be "
        "told from it; $p$ of the exact sign-flip test with Holm's correction."
    )
    columns = "ll" + "r" * (len(LATEX_COLUMNS) - 2)
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{caption}}}\label{{tab:regularization-{index}}}",
            r"\centering\resizebox{\linewidth}{!}{%",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            line(HEADINGS),
            r"\midrule",
            *(line(cells(row)) for row in group.rows),
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def title(group: Group) -> str:
    """`digits, mlp, 1,150 training samples`."""
    count = group.samples.get("train") or group.setting.train_size
    where = f"{labels.visible(group.setting.dataset, 40)}, {labels.visible(group.setting.model, 40)}"
    part = f", setting {group.part} of {group.split_from}" if group.split_from > 1 else ""
    return where + (f", {count:,} training samples" if count else "") + part
