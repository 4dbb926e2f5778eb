"""Run a whole study, or what is missing of it: `python bench/study.py results/mnist/study.yaml`."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import math
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # in the seconds of imports nothing has begun
sys.path.append(str(Path.cwd()))

import yaml
from rich.console import Console

from bench.engines import registry
from bench.reporting.comparison import summarize
from bench.reporting.csv_files import summary_table
from bench.reporting.runs import load_runs
from bench.reporting.wandb_table import log_table
from bench.studies.conclusions import conclude
from bench.studies.fitting import leave_out_unfit
from bench.studies.interrupts import Stop, StopRequested, handled
from bench.studies.ledger import Cells, Ledger, count
from bench.studies.scheduler import Progress, Scheduler, with_rate_sources
from bench.studies.study_file import Condition, Study, as_written, load_study
from bench.terminal.commands import command
from bench.terminal.parser import Parser, refuse
from bench.terminal.progress import Display, show_plan
from bench.training.errors import WRONG_INPUT, ConfigError
from bench.training.files import write_atomically
from bench.training.record import check_writable
from bench.training.settings import RunConfig
from recipes import RecipeError

ENGINES = ("local", "ray", "slurm")
ROUNDS = 3
"""How often at most cells are trained whose records or predictions, in the end, are not there."""


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 a cell failed or diverged, 2 the input is wrong, 130 stopped."""
    with refuse((*WRONG_INPUT, OSError)) as refused:  # OSError: a folder or file in the way, a full disk
        try:
            with handled() as stop:
                return _main(sys.argv[1:] if argv is None else argv, stop)
        except StopRequested:
            print("stopped; the same command goes on from here", file=sys.stderr)
            return 130
    return refused.status


def _main(argv: list[str], stop: Stop) -> int:
    options = make_parser().parse_args(argv)
    study = load_study(options.study)
    only = None if options.only is None else _recipe_of(study, options.only)
    if only is not None and options.prune:
        raise ConfigError("--prune needs the whole study: leave out --only")
    study = leave_out_unfit(study, check_machine=options.engine == "local")
    chosen = with_rate_sources(study, [c for c in study.conditions() if only in (None, c.recipe)])
    console = Console(highlight=False, markup=False)
    ledger = Ledger(study.folder, options.retry_failed, study.decompose.resamples if study.decompose else 0)
    ledger.scan(repair=not options.dry_run)
    cells = count(study, chosen, ledger)
    show_plan(console, study, cells, options.workers or registry.usual_workers(options.engine, options.threads))
    if options.dry_run:
        return 0
    check_writable(study.folder)
    ledger.retry_failed = False  # once
    for _ in range(ROUNDS):
        try:
            if cells.missing:
                _train(study, ledger, Display(console, cells.total), chosen, options, stop)
        finally:
            ledger.scan()  # what counts is on disk
            conclude(study, ledger)
            cells = count(study, chosen, ledger)
            console.print(f"{len(cells.finished)} of {cells.total} cells finished")
        if not cells.gone:
            break
    mirror_comparison(study)
    return report_end(study, cells, console, options)


def _recipe_of(study: Study, text: str) -> str:
    """The study's recipe that `--only` names."""
    with contextlib.suppress(RecipeError):
        text = text if text in study.recipes else as_written(text)
    if text not in study.recipes:
        raise ConfigError(f"--only {text!r} is no recipe of this study; choose from {', '.join(study.recipes)}")
    return text


def mirror_comparison(study: Study) -> None:
    """One W&B run for the whole study, with its table, where its runs are mirrored at all; again only if it changed."""
    own = RunConfig(**study.shared)
    if own.wandb == "disabled":
        return
    groups = summarize(load_runs(study.folder).runs, study.seeds)
    digest = hashlib.sha256(repr(summary_table(groups)).encode()).hexdigest()
    mirrored = study.folder / "wandb" / "comparison.sha256"
    if not (mirrored.exists() and mirrored.read_text() == digest):
        log_table(study.name, groups, own.wandb, own.project, study.folder)
        write_atomically(mirrored, digest)


def _train(
    study: Study, ledger: Ledger, display: Display, chosen: Sequence[Condition], options: Any, stop: Stop
) -> None:
    settings = dict(options.slurm)
    engine = registry.make(options.engine, options.workers, options.threads, study.folder, options.gpus, settings)

    def watch(progress: Progress) -> None:
        stop.check()
        display.show(progress)

    with stop.hold():
        stop.install()
        try:
            Scheduler(study, engine, ledger, watch).run(chosen)
        finally:
            display.close()
            engine.close()


def report_end(study: Study, cells: Cells, console: Console, options: Any) -> int:
    """Say how it went; 1 if any cell did not end well, or was not to be had."""
    states = Counter(r.status for r in cells.finished.values())
    console.print(", ".join(f"{n} cells {status}" for status, n in sorted(states.items(), reverse=True)))
    if options.only is None:
        _tell_others(study, cells, console, options.prune)
    reasons = Counter(f"{r.status}: {r.error}" for r in cells.finished.values() if r.status != "ok")
    for reason, n in reasons.most_common(5):
        print(f"{n} cells {reason}", file=sys.stderr)
    bad = sum(reasons.values())
    if bad:
        print(f"{bad} cells did not end well; --retry_failed trains the failed ones again", file=sys.stderr)
    if cells.missing:
        why = "what they depend on failed, changed or was removed"
        print(f"{cells.missing} cells could not be trained: {why}", file=sys.stderr)
    console.print(f"next: {command('report', study.folder)}", soft_wrap=True)
    return 1 if bad or cells.missing else 0


def _tell_others(study: Study, cells: Cells, console: Console, prune: bool) -> None:
    """Name, or remove, the records that the study does not name; teachers belong to the cells that they taught."""
    own = {r.run_id for r in cells.finished.values()} | {p.stem for p in (study.folder / "teachers").glob("*.pt")}
    others = [path for path in (study.folder / "records").glob("*.json") if path.stem not in own]
    if others and prune:
        for path in others:
            path.unlink(missing_ok=True)
        console.print(f"{len(others)} records that the study does not name removed")
    elif others:
        console.print(f"{len(others)} records that the study does not name stay in its folder; --prune removes them")


def make_parser() -> Parser:
    parser = Parser(prog="study.py", description=__doc__, allow_abbrev=False)
    parser.add_argument("study", type=Path, help="study.yaml; records and report lie beside it")
    parser.add_argument("--engine", choices=ENGINES, default="local")
    parser.add_argument("--workers", type=_at_least_1, help="cells at a time (default: the cores, or 8 Slurm jobs)")
    parser.add_argument("--threads", type=_at_least_1, default=1, help="CPU threads of each cell")
    parser.add_argument("--gpus", type=_share, default=0.0, help="GPUs of each cell, or a share of one, as 0.25")
    parser.add_argument(
        "--slurm", type=_setting, action="append", default=[], metavar="KEY=VALUE", help="as slurm_partition=gpu"
    )
    parser.add_argument(
        "--only", metavar="RECIPE", help="only that recipe of the study, and the baseline if it sets the recipe's rate"
    )
    parser.add_argument("--retry_failed", action="store_true", help="train failed cells again")
    parser.add_argument("--prune", action="store_true", help="remove records that the study does not name (any more)")
    parser.add_argument("--dry_run", action="store_true", help="show what would be done")
    return parser


def _setting(text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, got {text!r}")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        raise argparse.ArgumentTypeError(f"{value!r} is no value") from None


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {value}")
    return value


def _at_least_1(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


if __name__ == "__main__":
    sys.exit(main())
