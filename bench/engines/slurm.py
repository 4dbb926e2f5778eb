"""The Slurm engine: job arrays through submitit. A job that is preempted is requeued and goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import submitit
import torch

from bench.engines.cell import LOST_TRIES, Outcome, with_whole_paths, finished, run_cell
from bench.training.errors import ConfigError
from bench.training.settings import RunConfig

CELLS = 20
"""Cells of a job at most: few enough to deal out evenly, enough to pay for the start of its process."""
MAX_JOBS = 1000
"""Of an array: Slurm's usual MaxArraySize."""
MINUTES = 240
"""Of a job, unless `--slurm timeout_min=` says otherwise; a job that reaches it is requeued."""
REQUEUES = 100


class Cells:
    """What one job of an array does: its cells, one after the other, in one warm process."""

    def __call__(self, configs: list[RunConfig], threads: int) -> list[Outcome]:
        torch.set_num_threads(threads)
        return [run_cell(config) for config in configs]

    def checkpoint(self, configs: list[RunConfig], threads: int) -> submitit.helpers.DelayedSubmission:
        """Requeue: finished cells are found finished."""
        return submitit.helpers.DelayedSubmission(self, configs, threads)


class Slurm:
    """Cells dealt out to the jobs of an array.

    Args:
        workers: jobs at a time.
        threads: processors of each job.
        folder: where submitit keeps scripts and logs, on the file system that all nodes share.
        gpus: of each job; a share is rounded up, since Slurm deals out whole ones.
        settings: further submitit parameters, as slurm_partition or timeout_min.

    Raises:
        ConfigError: submitit does not know a parameter, or Slurm refuses the jobs.
    """

    def __init__(self, workers: int, threads: int, folder: Path, gpus: float = 0.0, **settings: Any) -> None:
        wanted = {"gpus_per_node": math.ceil(gpus)} if gpus else {}
        own = {"name": "regularization-bench", "timeout_min": MINUTES, "cpus_per_task": threads}
        try:
            self.executor = submitit.AutoExecutor(folder=folder, cluster="slurm", slurm_max_num_timeout=REQUEUES)
            self.executor.update_parameters(slurm_array_parallelism=workers, **own | wanted | settings)
        except (NameError, AssertionError) as error:  # submitit's ways to say that a parameter is wrong
            raise ConfigError(f"--slurm: {str(error).splitlines()[0]}") from None
        except RuntimeError as error:  # no Slurm on this machine
            raise ConfigError(f"engine slurm: {str(error).splitlines()[0]}") from None
        self.workers, self.threads = workers, threads
        self.waiting: list[RunConfig] = []
        self.jobs: dict[Any, list[RunConfig]] = {}
        self.lost: dict[RunConfig, int] = {}

    def submit(self, configs: Sequence[RunConfig]) -> None:
        self.waiting.extend(configs)  # sent together by the next `wait`: one array, not one job a cell

    def wait(self, seconds: float) -> list[Outcome]:
        if self.waiting:
            self._send()
        deadline = time.monotonic() + seconds
        while not (ended := [job for job in self.jobs if job.done()]) and time.monotonic() < deadline:
            time.sleep(0.2)
        return [outcome for job in ended for outcome in self._collect(job)]

    def running(self) -> int:
        return sum(job.state == "RUNNING" for job in self.jobs)

    def close(self) -> None:
        for job in self.jobs:
            job.cancel(check=False)

    def _send(self) -> None:
        n = min(len(self.waiting), MAX_JOBS, max(self.workers, math.ceil(len(self.waiting) / CELLS)))
        parts = [[with_whole_paths(config) for config in self.waiting[i::n]] for i in range(n)]
        self.waiting = []
        try:
            jobs = self.executor.map_array(Cells(), parts, [self.threads] * n)
        except submitit.core.utils.FailedJobError as error:
            raise ConfigError(f"Slurm takes no jobs: {str(error).splitlines()[0]}") from None
        self.jobs.update(zip(jobs, parts, strict=True))

    def _collect(self, job: Any) -> list[Outcome]:
        configs = self.jobs.pop(job)
        try:
            outcomes: list[Outcome] = job.result()
            return outcomes
        except Exception as error:  # a node that died, a job that was cancelled
            done = {config: outcome for config in configs if (outcome := finished(config))}
            left = [config for config in configs if config not in done]
            return [*done.values(), *self._lost(left, error)]

    def _lost(self, left: list[RunConfig], error: Exception) -> list[Outcome]:
        """Try again what a job left over; only the first of it was being trained, so only that may be at fault."""
        self.waiting.extend(left[1:])
        for suspect in left[:1]:
            self.lost[suspect] = self.lost.get(suspect, 0) + 1
            if self.lost[suspect] == LOST_TRIES:
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                return [Outcome(suspect, "failed", None, f"its job failed {LOST_TRIES} times: {reason}")]
            self.waiting.append(suspect)
        return []
