"""The Slurm engine: job arrays through submitit. A job that is preempted is requeued and goes on."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import submitit
import torch

from bench.engines.cell import LOST_TRIES, Outcome, finished, run_cell, with_whole_paths
from bench.training.errors import ConfigError
from bench.training.settings import RunConfig

CELLS = 20
"""Cells of a job at most: few enough to deal out evenly, enough to pay for the start of its process."""
MAX_JOBS = 1000
"""Of an array: Slurm's usual MaxArraySize."""
MINUTES = 240
"""Of a job, unless `--slurm timeout_min=` says otherwise; a job that reaches it is requeued."""
REQUEUES = 100
ASK_SECONDS = 5
"""Between two questions to squeue."""
GONE_SECONDS = 20
"""Without squeue knowing a job, after which it is lost; results show up late on network file systems."""


class ArrayJob:
    """What one job of an array does: its cells, one after the other, in one warm process."""

    def __call__(self, configs: list[RunConfig], threads: int) -> list[Outcome]:
        torch.set_num_threads(threads)
        return [run_cell(config) for config in configs]

    def checkpoint(self, configs: list[RunConfig], threads: int) -> submitit.helpers.DelayedSubmission:
        """Requeue: finished cells are found finished."""
        return submitit.helpers.DelayedSubmission(self, configs, threads)


class Slurm:
    """Cells dealt out to the jobs of an array.

    A job has ended when its result is there. One that left none and that squeue has not known for a while is lost,
    whether or not the cluster keeps accounts: what it left over is sent again.

    Args:
        workers: jobs at a time.
        threads: processors of each job.
        folder: where submitit keeps scripts and logs, on the file system that all nodes share.
        gpus: of each job; a share is rounded up, since Slurm deals out whole ones.
        settings: further submitit parameters, as slurm_partition or timeout_min.

    Raises:
        ConfigError: submitit does not know a parameter, or Slurm refuses the jobs.
    """

    def __init__(
        self, workers: int, threads: int, folder: Path, gpus: float = 0.0, settings: Mapping[str, Any] | None = None
    ) -> None:
        usual = {"name": "regularization-bench", "timeout_min": MINUTES, "cpus_per_task": threads}
        usual |= {"slurm_array_parallelism": workers} | ({"gpus_per_node": math.ceil(gpus)} if gpus else {})
        try:
            self.executor = submitit.AutoExecutor(folder=folder, cluster="slurm", slurm_max_num_timeout=REQUEUES)
            self.executor.update_parameters(**usual | dict(settings or {}))
        except RuntimeError as error:  # no Slurm on this machine
            raise ConfigError(f"engine slurm: {str(error).splitlines()[0]}") from None
        except (NameError, AssertionError, TypeError, ValueError) as error:  # submitit's ways to refuse a parameter
            raise ConfigError(f"--slurm: {str(error).splitlines()[0]}") from None
        self.workers, self.threads = workers, threads
        self.waiting: list[RunConfig] = []
        self.jobs: dict[Any, list[RunConfig]] = {}
        self.lost: dict[RunConfig, int] = {}
        self.queue = Queue()

    def submit(self, configs: Sequence[RunConfig]) -> None:
        self.waiting.extend(configs)  # sent together by the next `wait`: one array, not one job a cell

    def wait(self, seconds: float) -> list[Outcome]:
        if self.waiting:
            self._send()
        deadline = time.monotonic() + seconds
        while True:
            ended = [job for job in self.jobs if _has_result(job)]
            gone = self.queue.gone([job.job_id for job in self.jobs if job not in ended])
            if ended or gone or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        found = [outcome for job in ended for outcome in self._collect(job)]
        for job in [job for job in self.jobs if job.job_id in gone]:
            found += self._left_over(self.jobs.pop(job), "Slurm no longer knows it, and it left no result")
        return found

    def running(self) -> int:
        return sum(self.queue.states.get(job.job_id) == "RUNNING" for job in self.jobs)

    def close(self) -> None:
        for job in self.jobs:
            job.cancel(check=False)

    def _send(self) -> None:
        n = min(len(self.waiting), MAX_JOBS, max(self.workers, math.ceil(len(self.waiting) / CELLS)))
        parts = [[with_whole_paths(config) for config in self.waiting[i::n]] for i in range(n)]
        self.waiting = []
        try:
            jobs = self.executor.map_array(ArrayJob(), parts, [self.threads] * n)
        except submitit.core.utils.FailedJobError as error:
            raise ConfigError(f"Slurm takes no jobs: {str(error).splitlines()[0]}") from None
        self.jobs.update(zip(jobs, parts, strict=True))

    def _collect(self, job: Any) -> list[Outcome]:
        configs = self.jobs.pop(job)
        try:
            outcomes: list[Outcome] = job.result()
            return outcomes
        except Exception as error:  # what submitit tells of a job that failed
            return self._left_over(configs, (str(error).splitlines() or [type(error).__name__])[0])

    def _left_over(self, configs: Sequence[RunConfig], reason: str) -> list[Outcome]:
        """The outcomes of the cells that a job finished; the others are tried again.

        Only the first of them was being trained, so only that may be at fault.
        """
        done = {config: outcome for config in configs if (outcome := finished(config))}
        left = [config for config in configs if config not in done]
        self.waiting.extend(left[1:])
        for suspect in left[:1]:
            self.lost[suspect] = self.lost.get(suspect, 0) + 1
            if self.lost[suspect] < LOST_TRIES:
                self.waiting.append(suspect)
            else:
                why = f"its job failed {LOST_TRIES} times: {reason}"
                return [*done.values(), Outcome(suspect, "failed", None, why)]
        return list(done.values())


class Queue:
    """What squeue says of this user's jobs, asked every few seconds."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        """By job, as PENDING or RUNNING, when it was asked last."""
        self.asked = -math.inf
        self.unknown_since: dict[str, float] = {}

    def gone(self, jobs: Sequence[str]) -> set[str]:
        """Which of some jobs squeue has not known for a while; none as long as it cannot be asked."""
        now = time.monotonic()
        if now - self.asked < ASK_SECONDS:
            return set()
        self.asked = now
        states = _ask_squeue()
        if states is None:
            self.unknown_since.clear()
            return set()
        self.states = states
        self.unknown_since = {job: self.unknown_since.get(job, now) for job in jobs if job not in states}
        return {job for job, since in self.unknown_since.items() if now - since >= GONE_SECONDS}


def _ask_squeue() -> dict[str, str] | None:
    command = ["squeue", "--noheader", "--array", "--format=%i %T", f"--user={os.getuid()}"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return dict(line.split()[:2] for line in told.splitlines() if len(line.split()) > 1)


def _has_result(job: Any) -> bool:
    with contextlib.suppress(OSError):
        os.utime(job.paths.folder)  # a network file system then looks again
    return bool(job.paths.result_pickle.exists())
