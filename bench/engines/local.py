"""The local engine: worker processes on this machine."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from bench.engines.cell import LOST_TRIES, Outcome, run_cell
from bench.training.errors import TerminatedError
from bench.training.settings import RunConfig


class Queue:
    """Cells in the order in which they are to be trained.

    Trials first, then seed by seed: whatever else a machine does while one seed trains, all recipes share it.
    """

    def __init__(self) -> None:
        self.heap: list[tuple[bool, int, int, RunConfig]] = []
        self.arrivals = itertools.count()

    def __len__(self) -> int:
        return len(self.heap)

    def add(self, config: RunConfig) -> None:
        final = not config.trial and config.resample is None
        heapq.heappush(self.heap, (final, config.seed if final else 0, next(self.arrivals), config))

    def pop(self) -> RunConfig:
        return heapq.heappop(self.heap)[-1]


class Local:
    """Worker processes on this machine, which import torch once and then stay; GPUs are dealt out in turn.

    Args:
        workers: how many.
        threads: of each worker's CPU arithmetic.
    """

    def __init__(self, workers: int, threads: int) -> None:
        self.threads = threads
        self.queue = Queue()
        self.lost: dict[RunConfig, int] = {}
        self.workers = [_Worker(i, threads) for i in range(workers)]

    def submit(self, configs: Sequence[RunConfig]) -> None:
        for config in configs:
            self.queue.add(config)
        self._feed()

    def wait(self, seconds: float) -> list[Outcome]:
        connections: list[Any] = [w.connection for w in self.workers]
        outcomes: list[Outcome] = []
        for ready in wait(connections, seconds):
            worker = next(w for w in self.workers if w.connection is ready)
            outcomes.extend(self._receive(worker))
        self._feed()
        return outcomes

    def running(self) -> int:
        return sum(w.config is not None for w in self.workers)

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()

    def _feed(self) -> None:
        for worker in self.workers:
            if worker.config is None and self.queue:
                worker.give(self.queue.pop())

    def _receive(self, worker: _Worker) -> list[Outcome]:
        config = worker.config
        try:
            outcome: Outcome = worker.connection.recv()
            worker.config = None
            return [outcome]
        except (EOFError, OSError):
            index = self.workers.index(worker)
            worker.kill()
            self.workers[index] = _Worker(worker.number, self.threads)
            return self._lost(config, worker.process.exitcode) if config else []

    def _lost(self, config: RunConfig, code: int | None) -> list[Outcome]:
        self.lost[config] = self.lost.get(config, 0) + 1
        if self.lost[config] < LOST_TRIES:
            self.queue.add(config)
            return []
        return [Outcome(config, "failed", None, f"its worker died {LOST_TRIES} times (exit code {code})")]


class _Worker:
    """One process and what it is doing."""

    def __init__(self, number: int, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.number = number
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, _gpu(number), threads, os.getpid()), daemon=True)
        with _without_interrupts():
            self.process.start()
        theirs.close()
        self.config: RunConfig | None = None

    def give(self, config: RunConfig) -> None:
        self.config = config
        with contextlib.suppress(OSError):  # a worker that died is noticed when its answer is read
            self.connection.send(config)

    def kill(self) -> None:
        self.process.kill()
        self.process.join(5)
        self.connection.close()


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C reaches the whole group: a process started here does not see it before it can say what to do."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: Connection, gpu: str | None, threads: int, parent: int) -> None:
    """A worker's life: one cell after the other, until the other side is gone."""
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # before CUDA starts, which reads it once
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the command decides
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_die_with_parent, args=(parent,), daemon=True).start()
    torch.set_num_threads(threads)
    while True:
        try:
            config = connection.recv()
        except (EOFError, OSError):
            return
        try:
            connection.send(run_cell(config))
        except TerminatedError:  # SIGTERM reached the whole group: nobody waits for words
            os._exit(143)


def _gpu(number: int) -> str | None:
    """The GPU of a worker: they take turns, so that more workers than GPUs share them."""
    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = named.split(",") if named else [str(i) for i in range(count)]
    return visible[number % len(visible)] if count else None


def _die_with_parent(parent: int) -> None:
    """A killed command must not leave workers that train on: they look for it every half second."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
