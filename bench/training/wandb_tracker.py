"""A run in Weights & Biases, as the run's process sees it: it can never block, prompt or fail one.

wandb lives in a helper process, `wandb_helper.py` run as a script, which is told of a run by one JSON message a line
over a socket. So the training process starts at once and never waits for a server, has no hooks or threads of wandb in
it, and can walk away from a helper that hangs. A run that is killed closes the socket, upon which the helper still
writes everything that was logged. The helper serves the next run too.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, final

HELPER = Path(__file__).with_name("wandb_helper.py")
MODES = ("auto", "online", "offline", "disabled")
MODE_NAMES = {"dryrun": "offline", "run": "online", "shared": "online", **{mode: mode for mode in MODES}}
"""What WANDB_MODE may say, with its older names."""

START_SECONDS = 20.0
"""The longest wait for the helper to say what became of a run's start."""
SEND_SECONDS = 5.0
"""The longest wait for a helper that takes no message; the socket holds about 200 KB, hundreds of epochs."""
FINISH_SECONDS = 10.0
"""The longest wait at the end of a run."""
LONGEST = 128
"""Characters of a project's, group's and run's name that the server takes."""
LONGEST_LABEL = 64
"""Characters of a job type and of a tag."""
NOT_INHERITED = ("WANDB_MODE", "WANDB_RESUME", "WANDB_RUN_ID", "WANDB_SERVICE")
"""Each run is one of its own, of the mode that `start` decided, served by its own helper."""


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
        mode = MODE_NAMES.get(os.environ.get("WANDB_MODE", mode), mode)
    if mode == "disabled":
        return Tracker(None)
    init = {
        "project": cut(project, LONGEST),
        "group": group and cut(group, LONGEST),
        "job_type": cut(job_type, LONGEST_LABEL),
        "name": cut(name, LONGEST),
        "tags": list(dict.fromkeys(cut(tag, LONGEST_LABEL) for tag in tags if tag)),  # empty ones are refused
        "config": dict(config),
    }
    return Tracker({"mode": mode, "dir": str(directory.absolute()), "init": init})


def cut(text: str, longest: int) -> str:
    """The text, or its beginning and an ellipsis: wandb refuses a run whose texts are longer than the server's."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


@final
class Tracker:
    """One W&B run. Nothing here raises or outlasts its limit: a failure is told on stderr and ends the mirror."""

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
        self._await_start(0)  # so that a notice is shown as soon as it comes
        if self._helper:
            with self._guard():
                self._helper.send({"row": {**{name: float(value) for name, value in row.items()}, "epoch": step}})

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Send a table of numbers and texts, shown as a `wandb.Table`."""
        if self._helper:
            with self._guard():
                self._helper.send({"table": name, "columns": list(columns), "data": [list(row) for row in rows]})

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
                if seconds == 0 and not self._helper.has_spoken():
                    return
                started = self._helper.receive(seconds)
                self._id, self._mode = started["id"], started["mode"]
                self._starting = False

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Everything that can go wrong with W&B ends here."""
        try:
            yield
        except Exception as error:
            _warn(f"{(self._helper and self._helper.last_words()) or _explain(error)}; the run goes on without W&B")
            if self._helper:
                self._helper.kill()
            self._helper, self._mode = None, "disabled"


class WandbError(Exception):
    """What wandb raised in the helper, in its words."""


def _spawn(wire: socket.socket) -> subprocess.Popen[bytes]:
    kept = {k: v for k, v in os.environ.items() if k not in NOT_INHERITED}
    return subprocess.Popen(
        [sys.executable, "-P", "-W", "ignore", str(HELPER), str(wire.fileno())],
        pass_fds=[wire.fileno()],
        stdin=subprocess.DEVNULL,  # no terminal: wandb cannot prompt
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**kept, "WANDB_ERROR_REPORTING": "false"},
        start_new_session=True,  # Ctrl-C is for the run; the helper writes what was logged
    )


class _Helper:
    """The process that wandb lives in, seen from the run's."""

    def __init__(self) -> None:
        self.identity = _identity()
        self.wire, theirs = socket.socketpair()
        self.replies = self.wire.makefile("rb")
        try:
            self.process = _spawn(theirs)
        except OSError:
            self.close()
            raise
        finally:
            theirs.close()

    def send(self, message: Mapping[str, object]) -> None:
        self.wire.settimeout(SEND_SECONDS)
        self.wire.sendall(json.dumps(message, default=str).encode() + b"\n")

    def has_spoken(self) -> bool:
        poll = select.poll()
        poll.register(self.wire, select.POLLIN)
        return bool(poll.poll(0))

    def receive(self, seconds: float) -> dict[str, Any]:
        """The next reply; a notice in it goes to the terminal, an error is raised."""
        self.wire.settimeout(max(seconds, 0.01))
        line = self.replies.readline()
        if not line:
            raise EOFError
        reply: dict[str, Any] = json.loads(line)
        if reply.get("error"):
            raise WandbError(reply["error"])
        if reply.get("notice"):
            _warn(reply["notice"])
        return reply

    def last_words(self) -> str:
        """Why a helper ended that no longer listens."""
        words = ""
        with suppress(Exception):
            self.wire.settimeout(0.1)
            for line in self.replies:
                words = json.loads(line).get("error", "")
        return words

    def kill(self) -> None:
        self.close()
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=1)

    def close(self) -> None:
        self.replies.close()
        self.wire.close()


_idle: list[_Helper] = []
"""Helpers between two runs. A second run needs no new one, which takes 0.85 s of processor time."""


@atexit.register
def _dismiss() -> None:
    while _idle:
        _idle.pop().kill()


def _disown() -> None:
    """In a forked process: the helpers are its parent's."""
    while _idle:
        helper = _idle.pop()
        helper.close()
        helper.process.returncode = 0  # not ours to wait for


os.register_at_fork(after_in_child=_disown)


def _borrow() -> _Helper:
    while _idle:
        helper = _idle.pop()
        if helper.process.poll() is None and helper.identity == _identity():
            return helper
        helper.kill()
    return _Helper()


def _identity() -> dict[str, str]:
    """What of the environment wandb reads once, at its start."""
    return {k: v for k, v in os.environ.items() if k.startswith("WANDB_") or k in ("HOME", "NETRC")}


def _explain(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "its process does not answer"
    if isinstance(error, (ConnectionError, EOFError)):
        return "its process died"
    return str(error) if isinstance(error, WandbError) else f"{type(error).__name__}: {error}"


def _warn(text: str) -> None:
    with suppress(Exception):  # stderr may be closed
        print("wandb:", " ".join(text.split()), file=sys.stderr, flush=True)
