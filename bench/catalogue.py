"""Write the page of all techniques, recipes/README.md: `python bench/catalogue.py`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __package__ in (None, ""):
    sys.path[0] = str(ROOT)

from bench.terminal.listing import by_family, grid
from bench.terminal.parser import Parser, refuse
from bench.training.errors import ConfigError
from recipes import Technique, techniques

PAGE = ROOT / "recipes" / "README.md"
HEADING = """# The catalogue

{count} regularization techniques and the baseline, one file each. A name is what `--recipe` takes, alone or composed:
`dropout(p=0.3)+label_smoothing`. The strength is the argument that is tuned, over the grid shown, from barely to too
much; at *off* a run equals the baseline bit for bit. Four normalizations are on or off and have no strength. Each
technique's test compares it with the reference named here.
This page is generated from the code by `python bench/catalogue.py`.
"""


def page() -> str:
    """The page as Markdown."""
    parts = [HEADING.format(count=len(techniques()) - 1)]
    for family, members in by_family():
        parts.append(f"\n## {family[0].upper()}{family[1:]}\n")
        rows = [_row(technique) for technique in members]
        parts.append(
            "\n".join(
                [
                    "| recipe | what it does | strength and grid | refused where | paper | tested against |",
                    "|---|---|---|---|---|---|",
                    *rows,
                ]
            )
        )
        parts.append("\n")
    return "".join(parts)


def _row(technique: Technique) -> str:
    folders = technique.module.split(".")[1:]
    link = f"[`{technique.name}`]({'/'.join(folders)}.py)"
    about = [technique.summary, grid(technique) or "on or off", technique.refused]
    cells = [*about, technique.paper or "", technique.reference]
    return f"| {link} | " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 the input is wrong."""
    with refuse((ConfigError, OSError)) as refused:
        parser = Parser(prog="catalogue.py", description="Write the page of all techniques.", allow_abbrev=False)
        parser.add_argument("--out", type=Path, default=PAGE, metavar="FILE", help="default: recipes/README.md")
        parser.parse_args(sys.argv[1:] if argv is None else argv).out.write_text(page(), encoding="utf-8")
        return 0
    return refused.status


if __name__ == "__main__":
    sys.exit(main())
