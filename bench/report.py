"""Turn a folder of records into tables and figures: `python bench/report.py results/mnist`."""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the repository's root, not bench/, belongs on the path
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    gc.disable()  # the process ends soon, and hardly leaves cycles: an eighth of its time, for 10 MB

# What a report needs is imported when one is made: `--help` needs none of it.
from bench.terminal.parser import Parser, refuse
from bench.training import wandb_tracker
from bench.training.errors import WRONG_INPUT


def make_parser() -> Parser:
    parser = Parser(prog="report.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="results folder: it holds records/, and study.yaml if it is a study")
    parser.add_argument("--fail_on_missing", action="store_true", help="exit status 1 if a cell has no finished record")
    parser.add_argument(
        "--index",
        action="store_true",
        help="also list all studies beside the folder in a README.md above it; one that was made so is kept up to date",
    )
    parser.add_argument(
        "--wandb", choices=wandb_tracker.MODES, default="disabled", help="log the table to Weights & Biases"
    )
    parser.add_argument("--project", default="regularization-bench", help="Weights & Biases project")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 a cell is missing and --fail_on_missing was given, 2 the input is wrong."""
    with refuse((*WRONG_INPUT, OSError)) as refused:  # OSError: a folder that cannot be read or written to
        return _main(make_parser().parse_args(sys.argv[1:] if argv is None else argv))
    return refused.status


def _main(flags: argparse.Namespace) -> int:
    from bench.reporting.index import has_index, write_index
    from bench.reporting.report import read_report, write_report
    from bench.reporting.wandb_table import log_table

    folder, above = flags.folder, flags.folder.resolve().parent
    report = read_report(folder)
    write_report(report, folder)
    if flags.index or has_index(above):
        write_index(above)
    log_table(report.name, report.groups, flags.wandb, flags.project, folder)
    files = "report.md, summary.csv, runs.csv, table.tex, figures/"
    print(f"{len(report.runs):,} records: {folder / 'report.html'}, {files}")
    if report.lacking:
        print(f"{report.lacking} cells have no finished record", file=sys.stderr)
    return 1 if report.lacking and flags.fail_on_missing else 0


if __name__ == "__main__":
    sys.exit(main())
