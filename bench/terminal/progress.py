"""A study on the terminal: its plan, and one line of progress."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from bench.studies.ledger import Cells
from bench.studies.scheduler import Progress as StudyProgress
from bench.studies.study_file import Study
from bench.training.settings import RunConfig


@dataclass
class Display:
    """One line for the whole study: cells done, running, failed, time left."""

    console: Console
    total: int
    started: float = field(default_factory=time.monotonic)
    first: int = -1
    bar: Progress | None = None
    spoken: float = 0.0

    def show(self, study: StudyProgress) -> None:
        self.first = study.finished if self.first < 0 else self.first
        elapsed, gained = time.monotonic() - self.started, study.finished - self.first
        left = _clock(elapsed / gained * max(self.total - study.finished, 0)) if gained else "--:--"
        text = f"{study.finished} of {self.total} cells, {study.running} running, {study.failed} failed, {left} left"
        if self.console.is_terminal:
            self._draw(text, study.finished)
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


def show_plan(console: Console, study: Study, cells: Cells, workers: int) -> None:
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
    console.print(f"{cells.total} cells, {len(cells.finished)} finished, {cells.missing} to train")
    for condition, reason in study.unfit.items():
        console.print(
            f"left out: {condition.recipe} on {condition.dataset}, {condition.model}: {reason}", soft_wrap=True
        )
    if not cells.missing:
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
