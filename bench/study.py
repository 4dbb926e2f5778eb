"""Run a whole study, or what is missing of it: `python bench/study.py results/mnist/study.yaml`."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import math
import os
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # in the seconds of imports nothing has begun
sys.path.append(str(Path.cwd()))

import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from bench import engines, tuning
from bench.book import Book, Cells, count, key, settled, wanted
from bench.config import ConfigError, RunConfig
from bench.parser import WRONG_INPUT, Parser, refuse
from bench.plan import Condition, Study, as_written, load_study, with_strengths
from bench.record import Record, check_writable, load_or_set_aside, path_of, write_atomically
from bench.report import log_table
from bench.runs import load_runs
from bench.summaries import write_summaries
from bench.summary import summarize
from bench.tables import summary_cells
from bench.training import data_fingerprint, prepare, record_failure
from recipes import RecipeError, UnfitError

ENGINES = ("local", "ray", "slurm")


class StopRequested(BaseException):
    """SIGINT or SIGTERM; no error, which somebody might take for a cell's."""


@dataclass
class Stop:
    """What SIGINT and SIGTERM do: once they raise StopRequested, further ones do not disturb the end."""

    asked: bool = False
    held: bool = False

    def install(self) -> None:
        """Engines may have put handlers of their own in place."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: Any) -> None:
        first, self.asked = not self.asked, True
        if first and not self.held:
            raise StopRequested

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Until the end of the block only `check` raises: not every library survives an exception amid its calls."""
        self.held = True
        try:
            yield
        finally:
            self.held = False

    def check(self) -> None:
        """Raises StopRequested if a signal has come."""
        if self.asked:
            raise StopRequested


def run(
    study: Study, engine: engines.Engine, book: Book, display: Display, chosen: Sequence[Condition], stop: Stop
) -> None:
    """Submit what is missing, and whatever its results make possible, until nothing is left."""
    waiting: dict[str, dict[Condition, None]] = {}  # by cell, the conditions that need it
    followers: dict[Condition, list[Condition]] = {}  # by the condition whose learning rate they await
    ended: dict[str, Record] = {}

    def submit(condition: Condition) -> None:
        named = wanted(study, condition, book)
        done = {k: r for k, c in named.items() if (r := ended.get(k) or book.find(c))}
        ended.update(done)
        missing = {k: c for k, c in named.items() if k not in done}
        engine.submit([c for k, c in missing.items() if k not in waiting])
        for k in missing:
            waiting.setdefault(k, {})[condition] = None

    for condition in chosen:
        setter = tuning.rate_setter(study, condition) if study.tune else None
        if setter and not settled(study, setter, book):
            followers.setdefault(setter, []).append(condition)
    for condition in dict.fromkeys([*followers, *chosen]):
        submit(condition)
    while waiting:
        stop.check()
        display.show(ended, engine.running())
        for outcome in engine.wait(0.5):
            cell = key(outcome.config)
            ended[cell] = _record_of(outcome, study.folder)
            book.take(ended[cell])
            for condition in waiting.pop(cell, {}):
                submit(condition)
                if condition in followers and settled(study, condition, book):
                    for follower in followers.pop(condition):
                        submit(follower)


def _record_of(outcome: engines.Outcome, folder: Path) -> Record:
    """The record that a cell left; one that says why, where it left none."""
    found = load_or_set_aside(path_of(folder, outcome.run_id)) if outcome.run_id else None
    return found or record_failure(outcome.config, outcome.error or "it left no record")


def leave_out_unfit(study: Study, elsewhere: bool = False) -> Study:
    """The study without the conditions whose recipe does not fit its data or network.

    Args:
        study: as written.
        elsewhere: its cells will run on other machines, which may have GPUs that this one lacks.

    Raises:
        ConfigError: nothing is left.
        DataError, NetError: data are missing, or too few for the folds.
    """
    unfit = {}
    conditions = study.conditions()
    for condition in conditions:
        try:
            prepare(study.config(condition, with_strengths(condition.recipe, {}), study.seeds[0]), elsewhere=elsewhere)
        except UnfitError as error:
            unfit[condition] = str(error)
        except WRONG_INPUT:
            raise
        except Exception as error:  # as its cells will record
            reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
            print(f"{condition.recipe} on {condition.dataset}, {condition.model} will fail: {reason}", file=sys.stderr)
    if len(unfit) == len(conditions):
        raise ConfigError(f"the matrix is empty: no recipe fits its data and network ({next(iter(unfit.values()))})")
    if study.tune and study.tune.folds:
        for first in {(c.dataset, c.train_size): c for c in conditions}.values():
            data_fingerprint(study.config(first, "none", study.seeds[0], fold=0, folds=study.tune.folds))
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


def show_plan(console: Console, study: Study, book: Book, cells: Cells, workers: int) -> None:
    """What `--dry_run` prints: the cells, the cached ones, an estimate of time."""
    counts = {
        "recipes": len(study.recipes),
        "datasets": len(study.datasets),
        "networks": len(study.models),
        "train sizes": len(study.train_sizes),
        "seeds": len(study.seeds),
    }
    one = f" (seed {study.seeds[0]})" if len(study.seeds) == 1 else ""
    console.print(f"{study.name}: " + " x ".join(f"{n} {what}" for what, n in counts.items()) + one, soft_wrap=True)
    if study.tune:
        where = f"{study.tune.folds} folds" if study.tune.folds else "the validation split"
        console.print(f"each tuned with {study.tune.trials} trials on {where} by {study.tune.select}")
    left = cells.total - len(cells.finished)
    console.print(f"{cells.total} cells, {len(cells.finished)} finished, {left} to train")
    for condition, reason in study.unfit.items():
        console.print(
            f"left out: {condition.recipe} on {condition.dataset}, {condition.model}: {reason}", soft_wrap=True
        )
    if not left:
        return
    seconds = _seconds_left(cells)
    if math.isnan(seconds):
        console.print("no estimate of time before the first cell has finished")
    else:
        console.print(f"about {_clock(seconds / workers)} with {workers} workers, by the cells finished so far")


def _seconds_left(cells: Cells) -> float:
    """Training time of what is missing, each cell as long as those of its dataset, network, train size and recipe."""
    ok = {k: r.seconds for k, r in cells.finished.items() if r.status == "ok"}
    if not ok:
        return math.nan
    usual = statistics.fmean(ok.values())
    places: dict[tuple[Any, ...], list[float]] = {}
    for k, seconds in ok.items():
        places.setdefault(_place(cells.named[k]), []).append(seconds)
    missing = [c for k, c in cells.named.items() if k not in cells.finished]
    named = sum(statistics.fmean(places.get(_place(c), [usual])) for c in missing)
    return named + usual * (cells.total - len(cells.named))


def _place(config: RunConfig) -> tuple[Any, ...]:
    return config.dataset, config.model, config.train_size, config.recipe.partition("(")[0]


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 a cell failed or diverged, 2 the input is wrong, 130 stopped."""
    with refuse((*WRONG_INPUT, OSError)) as refused:  # OSError: a folder or file in the way, a full disk
        try:
            with _signals() as stop:
                return _main(sys.argv[1:] if argv is None else argv, stop)
        except StopRequested:
            print("stopped; the same command goes on from here", file=sys.stderr)
            return 130
    return refused.status


def _main(argv: list[str], stop: Stop) -> int:
    options = make_parser().parse_args(argv)
    study = load_study(options.study)
    if options.only is not None and options.only not in study.recipes:
        with contextlib.suppress(RecipeError):
            options.only = as_written(options.only)
    if options.only is not None and options.only not in study.recipes:
        raise ConfigError(f"--only {options.only!r} is no recipe of this study; choose from {', '.join(study.recipes)}")
    if options.only is not None and options.prune:
        raise ConfigError("--prune needs the whole study: leave out --only")
    study = leave_out_unfit(study, elsewhere=options.engine != "local")
    chosen = _with_setters(study, [c for c in study.conditions() if options.only in (None, c.recipe)])
    console = Console(highlight=False, markup=False)
    book = Book(study.folder, options.retry_failed, study.decompose.resamples if study.decompose else 0)
    book.scan()
    cells = count(study, chosen, book)
    show_plan(console, study, book, cells, options.workers or engines.usual_workers(options.engine, options.threads))
    if options.dry_run:
        return 0
    check_writable(study.folder)
    try:
        _run_until_stopped(study, book, console, chosen, options, stop)
    finally:
        book.scan()
        write_summaries(study, book)
        cells = count(study, chosen, book)
        console.print(f"{len(cells.finished)} of {cells.total} cells finished")
    mirror_comparison(study)
    return report_end(study, book, cells, console, options)


def _with_setters(study: Study, conditions: Sequence[Condition]) -> list[Condition]:
    """The conditions, and the baselines whose learning rate they take."""
    setters = [tuning.rate_setter(study, c) for c in conditions] if study.tune else []
    return list(dict.fromkeys([*filter(None, setters), *conditions]))


def mirror_comparison(study: Study) -> None:
    """One W&B run for the whole study, with its table, where its runs are mirrored at all; again only if it changed."""
    own = RunConfig(**study.shared)
    if own.wandb == "disabled":
        return
    groups = summarize(load_runs(study.folder).runs, study.seeds)
    digest = hashlib.sha256(repr(summary_cells(groups)).encode()).hexdigest()
    mirrored = study.folder / "wandb" / "comparison.sha256"
    if not (mirrored.exists() and mirrored.read_text() == digest):
        log_table(study.name, groups, own.wandb, own.project, study.folder)
        write_atomically(mirrored, digest)


def _run_until_stopped(
    study: Study, book: Book, console: Console, chosen: Sequence[Condition], options: Any, stop: Stop
) -> None:
    settings = dict(options.slurm)
    engine = engines.make(options.engine, options.workers, options.threads, study.folder, options.gpus, settings)
    display = Display(console, count(study, chosen, book).total)
    with stop.hold():
        stop.install()
        try:
            run(study, engine, book, display, chosen, stop)
        finally:
            display.close()
            engine.close()


@contextlib.contextmanager
def _signals() -> Iterator[Stop]:
    """A Stop whose handlers are in place until the end of the block."""
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    stop = Stop()
    stop.install()
    try:
        yield stop
    finally:
        for s, handler in before.items():
            signal.signal(s, handler or signal.SIG_DFL)


def report_end(study: Study, book: Book, cells: Cells, console: Console, options: Any) -> int:
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
    if missing := cells.total - len(cells.finished):
        print(f"{missing} cells could not be trained: what they depend on failed or changed", file=sys.stderr)
    console.print(f"next: python bench/report.py {study.folder}", soft_wrap=True)
    return 1 if bad or missing else 0


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
