"""The tables as LaTeX, for a paper."""

from __future__ import annotations

from collections.abc import Sequence

from bench.reporting import labels
from bench.reporting.columns import PAPER, of
from bench.reporting.numbers import DASH, MINUS
from bench.reporting.rows import Group

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


def latex_tables(groups: Sequence[Group]) -> str:
    """A booktabs table for each setting, to be \\input by a paper; needs booktabs, textcomp and graphicx."""
    intro = "% \\usepackage[T1]{fontenc}\\usepackage{booktabs,textcomp,graphicx}\n"
    return intro + "\n".join(_latex_table(group, i) for i, group in enumerate(groups, 1))


def _latex_table(group: Group, index: int) -> str:
    columns = of(PAPER, group.rows)
    caption = (
        f"{latex(group.title)}. Mean and 95\\,\\% $t$ interval over paired seeds; $\\star$ best, $\\approx$ cannot be "
        "told from it; $p$ of the exact sign-flip test with Holm's correction."
    )
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{caption}}}\label{{tab:regularization-{index}}}",
            r"\centering\resizebox{\linewidth}{!}{%",
            rf"\begin{{tabular}}{{ll{'r' * (len(columns) - 2)}}}",
            r"\toprule",
            _line([column.title for column in columns]),
            r"\midrule",
            *(_line([column.format(row).plain for column in columns]) for row in group.rows),
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def _line(texts: Sequence[str]) -> str:
    return " & ".join(map(latex, texts)) + r" \\"
