"""The Weights & Biases mirror of a run: it can never block, prompt or fail one.

wandb lives in a helper process, this file run as a script, which is told of a run by one JSON message a line over a
socket. So the training process starts at once and never waits for a server, has no hooks or threads of wandb in it, and
can walk away from a helper that hangs. A run that is killed closes the socket, upon which the helper still writes
everything that was logged. The helper serves the next run too.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    from wandb import Run

MODES = ("auto", "online", "offline", "disabled")

START_SECONDS = 20.0
"""The longest wait for the helper to say what became of a run's start."""
SEND_SECONDS = 5.0
"""The longest wait for a helper that takes no message; the socket holds about 200 KB, hundreds of epochs."""
FINISH_SECONDS = 10.0
"""The longest wait at the end of a run."""
HELPER_SECONDS = 30
"""The helper dies when one message occupies it longer."""
CONNECT_SECONDS = 2.0

SETTINGS: dict[str, Any] = {
    "silent": True,
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "save_code": False,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
    "x_transaction_log_flush_interval": 1.0,  # 15 s by default, which a node's failure would lose
    "init_timeout": 6.0,  # 90 s by default, for a server that accepts and never answers
    "finish_timeout": 8.0,  # unlimited by default; must end before FINISH_SECONDS
    "finish_timeout_raises": True,
}
"""Nothing on the terminal and nothing measured but the run's own metrics: our record describes the environment."""


def start(
    mode: str,
    *,
    project: str,
    group: str | None,
    job_type: str,
    tags: Sequence[str],
    name: str,
    config: Mapping[str, object],
    directory: Path,
) -> Tracker:
    """Open a W&B run, for `finish` to close. Call it on rank zero only.

    `auto` is what WANDB_MODE says, else online where an API key is at hand, else offline. What cannot be online becomes
    offline, in `directory`/wandb, with one line on stderr; what cannot be that either becomes disabled.
    """
    if mode not in MODES:
        raise ValueError(f"wandb mode {mode!r}: choose one of {', '.join(MODES)}")
    if mode == "auto":
        mode = {"dryrun": "offline", "run": "online"}.get(os.environ.get("WANDB_MODE", ""), os.environ.get("WANDB_MODE", mode))
    if mode == "disabled":
        return Tracker(None)
    init = {"project": project, "group": group, "job_type": job_type, "name": name, "config": dict(config)}
    unique_tags = list(dict.fromkeys(tag[:64] for tag in tags if tag))  # wandb refuses longer and empty ones
    return Tracker({"mode": mode, "dir": str(directory.absolute()), "init": {**init, "tags": unique_tags}})


@final
class Tracker:
    """One W&B run. No method raises or takes longer than its limit: a failure is told once, on stderr, and ends the mirror."""

    def __init__(self, request: Mapping[str, object] | None) -> None:
        self._id: str | None = None
        self._mode = "disabled"
        self._helper: _Helper | None = None
        self._starting = False
        if request is not None:
            with self._guard():
                self._helper = _borrow()
                self._helper.send({"start": request})
                self._starting = True

    @property
    def id(self) -> str | None:
        """W&B's name of the run, None where none was started. Waits for the start, as `mode` does."""
        self._await_start(START_SECONDS)
        return self._id

    @property
    def mode(self) -> str:
        """What the mirror really is: online, offline or disabled (also after it failed)."""
        self._await_start(START_SECONDS)
        return self._mode

    def log(self, row: Mapping[str, float], step: int) -> None:
        """Send one epoch's metrics, named `split/name`; `step` is the epoch."""
        if self._helper:
            with self._guard():
                self._helper.send({"row": {**{name: float(value) for name, value in row.items()}, "epoch": step}})

    def finish(self, summary: Mapping[str, object], *, failed: bool = False) -> None:
        """Close the run with its final numbers and wait until they are written, FINISH_SECONDS at most."""
        deadline = time.monotonic() + FINISH_SECONDS
        if self._helper:
            with self._guard():
                self._helper.send({"finish": dict(summary), "exit_code": int(failed)})
        self._await_start(deadline - time.monotonic())
        if self._helper:
            with self._guard():
                self._helper.receive(deadline - time.monotonic())
                _idle.append(self._helper)
                self._helper = None

    def _await_start(self, seconds: float) -> None:
        if self._helper and self._starting:
            with self._guard():
                started = self._helper.receive(seconds)
                self._starting = False
                self._id, self._mode = started["id"], started["mode"]
                if started["notice"]:
                    _warn(started["notice"])

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Everything that can go wrong with W&B ends here."""
        try:
            yield
        except Exception as error:
            self._mode = "disabled"
            if self._helper:
                reason = self._helper.last_words() or error
                self._helper.kill()
                self._helper = None
            _warn(f"{reason}; the run goes on without it")


def _warn(text: str) -> None:
    with suppress(Exception):  # stderr may be closed
        print("wandb:", " ".join(text.split()), file=sys.stderr, flush=True)
