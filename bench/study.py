"""Run a whole study, or what is missing of it: `python bench/study.py results/mnist/study.yaml`."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
sys.path.append(str(Path.cwd()))

import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from bench import decompose, engines, tuning
from bench.config import SUITE_VERSION, ConfigError, RunConfig, canonical_json
from bench.parser import WRONG_INPUT, Parser, refuse
from bench.plan import Condition, Study, free_strengths, load_study, with_strengths
from bench.record import Record, check_writable, load_or_set_aside, path_of, write_atomically
from bench.report import log_table
from bench.runs import load_runs
from bench.summary import summarize
from bench.training import prepare, record_failure
from bench.tuning import Candidate
from recipes import UnfitError

ENGINES = ("local", "ray", "slurm")


class StopRequested(Exception):  # noqa: N818 (not an error)
    """SIGINT or SIGTERM."""


@dataclass
class Book:
    """The finished records of a study's folder, found by what was run."""

    folder: Path
    retry_failed: bool = False
    records: dict[str, Record] = field(default_factory=dict)

    def scan(self) -> None:
        """Read every record of the folder."""
        for path in sorted((self.folder / "records").glob("*.json")):
            self.add(load_or_set_aside(path))

    def add(self, record: Record | None) -> None:
        if record is None or record.environment["suite"] != SUITE_VERSION:
            return
        if record.status != "failed" or not self.retry_failed:
            self.records[canonical_json(record.config)] = record

    def find(self, config: RunConfig) -> Record | None:
        """The record of a cell for which nothing is left to do."""
        return self.records.get(key(config))


def key(config: RunConfig) -> str:
    """What identifies a cell before its data are read."""
    return canonical_json(config.identity())


def trials(study: Study, condition: Condition, book: Book) -> list[tuple[Candidate, float]]:
    """The candidates that can be named, each with its score; NaN while runs are missing."""
    scored: list[tuple[Candidate, float]] = []
    setter = tuning.rate_setter(study, condition)
    chosen = final_candidate(study, setter, book) if setter else None
    if setter and chosen is None and not all_failed(study, setter, book):
        return []
    lr = chosen.lr if chosen else None
    while True:
        scores = [score for _, score in scored]
        known = tuning.candidates(study, condition, scores, lr)
        new = [(c, _score(study, condition, c, book)) for c in known[len(scored) :]]
        scored += new
        if not new or any(math.isnan(score) for _, score in scored):
            return scored


def _score(study: Study, condition: Condition, candidate: Candidate, book: Book) -> float:
    records = [book.find(c) for c in tuning.trial_configs(study, condition, candidate)]
    finished = [r for r in records if r]
    assert study.tune is not None
    return tuning.score(finished, study.tune.select) if len(finished) == len(records) else math.nan


def final_candidate(study: Study, condition: Condition, book: Book) -> Candidate | None:
    """What a condition's fresh seeds are to train, as written or as tuned; None while that is open or if all failed."""
    if study.tune is None:
        return Candidate(with_strengths(condition.recipe, {}))
    scored = trials(study, condition, book)
    return None if not scored or any(math.isnan(score) for _, score in scored) else tuning.choose(scored)


def all_failed(study: Study, condition: Condition, book: Book) -> bool:
    """Whether all trials of a condition are done and none of them ended well."""
    return all(math.isinf(score) for _, score in trials(study, condition, book))


def final_configs(study: Study, condition: Condition, candidate: Candidate) -> list[RunConfig]:
    changes = {} if candidate.lr is None else {"lr": candidate.lr}
    return [study.config(condition, candidate.recipe, seed, **changes) for seed in study.seeds]


def wanted(study: Study, condition: Condition, book: Book) -> list[RunConfig]:
    """Every cell of a condition that can be named so far, finished or not."""
    configs: list[RunConfig] = []
    if study.tune:
        for trial, _ in trials(study, condition, book):
            configs += tuning.trial_configs(study, condition, trial)
    candidate = final_candidate(study, condition, book)
    configs += final_configs(study, condition, candidate) if candidate else []
    if study.decompose:
        for recipe, _ in decompose.strengths(study, condition):
            configs += decompose.resample_configs(study, condition, recipe)
    return list({key(c): c for c in configs}.values())


def finished(study: Study, book: Book) -> dict[str, Record]:
    """The records of the study's own cells; the folder may hold others, of earlier settings."""
    keys = {key(c) for condition in study.conditions() for c in wanted(study, condition, book)}
    return {k: book.records[k] for k in sorted(keys) if k in book.records}


def expected_total(study: Study) -> int:
    """How many cells the study has when it is done."""
    total = 0
    for condition in study.conditions():
        total += len(study.seeds)
        total += study.tune.trials * (study.tune.folds or 1) if study.tune else 0
        if study.decompose:
            total += len(decompose.strengths(study, condition)) * study.decompose.resamples
    return total


def run(study: Study, engine: engines.Engine, book: Book, display: Display, only: str | None) -> None:
    """Submit what is missing, and whatever its results make possible, until nothing is left."""
    owners: dict[str, Condition] = {}
    waiting: set[str] = set()
    done: dict[str, Record] = {}

    def submit(condition: Condition) -> None:
        named = {key(c): c for c in wanted(study, condition, book)}
        done.update({k: book.records[k] for k in named if k in book.records})
        fresh = {k: c for k, c in named.items() if k not in done and k not in owners}
        owners.update(dict.fromkeys(fresh, condition))
        waiting.update(fresh)
        engine.submit(list(fresh.values()))

    chosen = [c for c in study.conditions() if only in (None, c.recipe)]
    setters = dict.fromkeys(s for c in chosen if study.tune and (s := tuning.rate_setter(study, c)))
    for condition in dict.fromkeys([*setters, *chosen]):
        submit(condition)
    while waiting:
        display.show(done, engine.running())
        for outcome in engine.wait(0.5):
            ended = key(outcome.config)
            done[ended] = book.records[ended] = _record_of(outcome, study.folder)
            waiting.discard(ended)
            for condition in [owners[ended], *(chosen if owners[ended] in setters else [])]:
                submit(condition)


def _record_of(outcome: engines.Outcome, folder: Path) -> Record:
    """The record that a cell left; one that says why, where it left none."""
    found = load_or_set_aside(path_of(folder, outcome.run_id)) if outcome.run_id else None
    return found or record_failure(outcome.config, outcome.error or "it left no record")


def leave_out_unfit(study: Study) -> Study:
    """The study without the conditions whose recipe does not fit its data or network."""
    unfit = {}
    for condition in study.conditions():
        try:
            prepare(study.config(condition, with_strengths(condition.recipe, {}), study.seeds[0]))
        except UnfitError as error:
            unfit[condition] = str(error)
    return replace(study, unfit=unfit)


@dataclass
class Display:
    """One line for the whole study: cells done, running, failed, time left."""

    console: Console
    total: int
    started: float = field(default_factory=time.monotonic)
    first: int = -1
    bar: Progress | None = None
    spoken: float = 0.0

    def show(self, records: Mapping[str, Record], running: int) -> None:
        done = len(records)
        self.first = done if self.first < 0 else self.first
        bad = sum(r.status != "ok" for r in records.values())
        elapsed, gained = time.monotonic() - self.started, done - self.first
        left = _clock(elapsed / gained * max(self.total - done, 0)) if gained else "--:--"
        text = f"{done} of {self.total} cells, {running} running, {bad} failed, {left} left"
        if self.console.is_terminal:
            self._draw(text, done)
        elif time.monotonic() - self.spoken > 30:
            self.spoken = time.monotonic()
            self.console.print(text)

    def _draw(self, text: str, done: int) -> None:
        if self.bar is None:
            columns = (BarColumn(bar_width=30), TextColumn("{task.description}"))
            self.bar = Progress(*columns, console=self.console, transient=True, auto_refresh=False)
            self.bar.add_task(text, total=self.total)
            self.bar.start()
        self.bar.update(self.bar.task_ids[0], completed=done, description=text)
        self.bar.refresh()

    def close(self) -> None:
        if self.bar:
            self.bar.stop()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def write_summaries(study: Study, book: Book) -> None:
    """Keep what was chosen and every trial in tuning.json, bias and variance in decomposition.json."""
    if study.tune:
        rule = {k: getattr(study.tune, k) for k in ("trials", "folds", "select", "space", "sampler")}
        rows = [_tuning_row(study, c, book) for c in study.conditions()]
        _write_json(study.folder / "tuning.json", {"rule": rule, "conditions": rows})
    if study.decompose:
        rows = [row for c in study.conditions() for row in _decomposition_rows(study, c, book)]
        if rows:
            _write_json(study.folder / "decomposition.json", rows)


def _tuning_row(study: Study, condition: Condition, book: Book) -> dict[str, Any]:
    chosen = final_candidate(study, condition, book)
    rows = []
    for candidate, score in trials(study, condition, book):
        configs = tuning.trial_configs(study, condition, candidate)
        found = [r.run_id for c in configs if (r := book.find(c))]
        value = score if math.isfinite(score) else None
        rows.append({"recipe": candidate.recipe, "lr": configs[0].lr, "score": value, "run_ids": found})
    lr = None if chosen is None else final_configs(study, condition, chosen)[0].lr
    return {
        "dataset": condition.dataset,
        "model": condition.model,
        "train_size": condition.train_size,
        "recipe": condition.recipe,
        "chosen": None if chosen is None else {"recipe": chosen.recipe, "lr": lr},
        "trials": rows,
    }


def _decomposition_rows(study: Study, condition: Condition, book: Book) -> Iterator[dict[str, Any]]:
    for recipe, strength in decompose.strengths(study, condition):
        records = [book.find(c) for c in decompose.resample_configs(study, condition, recipe)]
        paths = [decompose.predictions_path(study.folder, r.run_id) for r in records if r and r.status == "ok"]
        if len(paths) < len(records) or not all(p.exists() for p in paths):
            continue
        free = free_strengths(condition.recipe)
        yield {
            "dataset": condition.dataset,
            "model": condition.model,
            "train_size": condition.train_size,
            "recipe": recipe,
            "technique": free[0].name if len(free) == 1 else condition.recipe,
            "strength": strength,
            "resamples": len(paths),
            **decompose.measure(paths),
        }


def _write_json(path: Path, content: Any) -> None:
    write_atomically(path, json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n")


def show_plan(console: Console, study: Study, book: Book) -> None:
    """What `--dry_run` prints: the cells, the cached ones, an estimate of time."""
    known = [c for condition in study.conditions() for c in wanted(study, condition, book)]
    finished = [c for c in known if book.find(c)]
    total = expected_total(study)
    counts = {
        "recipes": len(study.recipes),
        "datasets": len(study.datasets),
        "networks": len(study.models),
        "train sizes": len(study.train_sizes),
        "seeds": len(study.seeds),
    }
    console.print(f"{study.name}: " + " x ".join(f"{n} {what}" for what, n in counts.items()), soft_wrap=True)
    if study.tune:
        where = f"{study.tune.folds} folds" if study.tune.folds else "the validation split"
        console.print(f"each tuned with {study.tune.trials} trials on {where} by {study.tune.select}")
    console.print(f"{total} cells, {len(finished)} finished, {total - len(finished)} to train")
    for condition, reason in study.unfit.items():
        console.print(
            f"left out: {condition.recipe} on {condition.dataset}, {condition.model}: {reason}", soft_wrap=True
        )
    seconds = [r.seconds for r in book.records.values() if r.status == "ok"]
    if seconds:
        left = statistics.fmean(seconds) * (total - len(finished))
        console.print(f"about {_clock(left)} of one worker's time, at {statistics.fmean(seconds):.1f} s a cell so far")
    else:
        console.print("no estimate of time before the first cell has finished")


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 a cell failed or diverged, 2 the input is wrong, 130 stopped."""
    with refuse(WRONG_INPUT) as refused:
        try:
            with _signals():
                return _main(sys.argv[1:] if argv is None else argv)
        except StopRequested:
            print("stopped; the same command goes on from here", file=sys.stderr)
            return 130
    return refused.status


def _main(argv: list[str]) -> int:
    options = make_parser().parse_args(argv)
    study = leave_out_unfit(load_study(options.study))
    console = Console(highlight=False)
    book = Book(study.folder, options.retry_failed)
    book.scan()
    if options.dry_run:
        show_plan(console, study, book)
        return 0
    if options.only is not None and options.only not in study.recipes:
        raise ConfigError(f"--only {options.only!r} is no recipe of this study; choose from {', '.join(study.recipes)}")
    if options.only is not None and options.prune:
        raise ConfigError("--prune needs the whole study: leave out --only")
    check_writable(study.folder)
    show_plan(console, study, book)
    before = len(book.records)
    try:
        _run_until_stopped(study, book, console, options)
    finally:
        write_summaries(study, book)
        console.print(f"{len(finished(study, book))} of {expected_total(study)} cells finished")
    if len(book.records) > before:
        mirror_comparison(study)
    return report_end(study, book, console, options.prune)


def mirror_comparison(study: Study) -> None:
    """One W&B run for the whole study, with its table, where its runs are mirrored at all."""
    own = RunConfig(**study.shared)
    if own.wandb != "disabled":
        groups = summarize(load_runs(study.folder).runs, study.seeds)
        log_table(study.name, groups, own.wandb, own.project, study.folder)


def _run_until_stopped(study: Study, book: Book, console: Console, options: Any) -> None:
    settings = dict(options.slurm)
    engine = engines.make(options.engine, options.workers, options.threads, study.folder, options.gpus, settings)
    display = Display(console, expected_total(study))
    try:
        run(study, engine, book, display, options.only)
    finally:
        display.close()
        engine.close()


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """SIGINT and SIGTERM raise StopRequested once; further ones do not disturb the end."""

    def stop(number: int, frame: Any) -> None:
        for s in (signal.SIGINT, signal.SIGTERM):
            signal.signal(s, signal.SIG_IGN)
        raise StopRequested

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


def report_end(study: Study, book: Book, console: Console, prune: bool = False) -> int:
    """Say how it went; 1 if any cell did not end well."""
    own = finished(study, book)
    states = Counter(r.status for r in own.values())
    console.print(", ".join(f"{n} cells {status}" for status, n in sorted(states.items(), reverse=True)))
    others = [r for k, r in book.records.items() if k not in own]
    if others and prune:
        for record in others:
            path_of(study.folder, record.run_id).unlink()
        console.print(f"{len(others)} records that the study does not name removed")
    elif others:
        console.print(f"{len(others)} records that the study does not name stay in its report; --prune removes them")
    reasons = Counter(f"{r.status}: {r.error}" for r in own.values() if r.status != "ok")
    for reason, n in reasons.most_common(5):
        print(f"{n} cells {reason}", file=sys.stderr)
    bad = sum(reasons.values())
    if bad:
        print(f"{bad} cells did not end well; --retry_failed trains the failed ones again", file=sys.stderr)
    console.print(f"next: python bench/report.py {study.folder}", soft_wrap=True)
    return 1 if bad else 0


def make_parser() -> Parser:
    parser = Parser(prog="study.py", description=__doc__, allow_abbrev=False)
    parser.add_argument("study", type=Path, help="study.yaml; records and report lie beside it")
    parser.add_argument("--engine", choices=ENGINES, default="local")
    parser.add_argument("--workers", type=_at_least_1, help="cells at a time (default: the cores, or 8 Slurm jobs)")
    parser.add_argument("--threads", type=_at_least_1, default=1, help="CPU threads of each cell")
    parser.add_argument("--gpus", type=float, default=0.0, help="share of a GPU for each cell (ray, slurm)")
    parser.add_argument(
        "--slurm", type=_setting, action="append", default=[], metavar="KEY=VALUE", help="as slurm_partition=gpu"
    )
    parser.add_argument("--only", metavar="RECIPE", help="only the conditions of that recipe, as the study names it")
    parser.add_argument("--retry_failed", action="store_true", help="train failed cells again")
    parser.add_argument("--prune", action="store_true", help="remove records that the study does not name (any more)")
    parser.add_argument("--dry_run", action="store_true", help="show what would be done")
    return parser


def _setting(text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, got {text!r}")
    return key, yaml.safe_load(value)


def _at_least_1(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


if __name__ == "__main__":
    sys.exit(main())
