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
import select
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
MODE_NAMES = {"dryrun": "offline", "run": "online", "shared": "online", **{mode: mode for mode in MODES}}
"""What WANDB_MODE may say, with its older names."""

START_SECONDS = 20.0
"""The longest wait for the helper to say what became of a run's start."""
SEND_SECONDS = 5.0
"""The longest wait for a helper that takes no message; the socket holds about 200 KB, hundreds of epochs."""
FINISH_SECONDS = 10.0
"""The longest wait at the end of a run."""
HELPER_SECONDS = 30
"""The helper dies when one message occupies it longer."""
CONNECT_SECONDS = 2.0
"""The longest wait for the server to take a connection."""

SETTINGS: dict[str, Any] = {
    "silent": True,
    "console": "off",
    "program": "bench/run.py",  # else the path of this file on the user's machine
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
PROBE_BYTES = 65536
"""More than wandb holds back before it writes (32 KB)."""
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
    init = {"project": project, "group": group, "job_type": job_type, "name": name, "config": dict(config)}
    unique_tags = list(dict.fromkeys(tag[:64] for tag in tags if tag))  # wandb refuses longer and empty ones
    return Tracker({"mode": mode, "dir": str(directory.absolute()), "init": {**init, "tags": unique_tags}})


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
        [sys.executable, "-P", "-W", "ignore", __file__, str(wire.fileno())],
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


# ---------------------------------------------------------------------------------------------------------------------
# The helper's side
# ---------------------------------------------------------------------------------------------------------------------


def _serve(wire: socket.socket) -> None:
    """Answer one message a line until the run's process closes the socket or dies, then end whatever is open."""
    run: Run | None = None
    for message in _messages(wire):
        with _alarm():
            run = _obey(message, run, wire)
    if run:
        with _alarm():
            run.finish(exit_code=1)


def _messages(wire: socket.socket) -> Iterator[dict[str, Any]]:
    with suppress(OSError):  # a reset is an end too: the other side died with a reply unread
        for line in wire.makefile("rb"):
            with suppress(json.JSONDecodeError):  # a killed run leaves half a line
                yield json.loads(line)


def _obey(message: dict[str, Any], run: Run | None, wire: socket.socket) -> Run | None:
    if "start" in message:
        run, notice = _open(**message["start"])
        _reply(wire, id=run.id, mode="offline" if run.offline else "online", notice=notice)
    elif run and "row" in message:
        run.log(message["row"])
    elif run and "table" in message:
        run.log({message["table"]: _table(message["columns"], message["data"])})
    elif run and "finish" in message:
        run.summary.update(message["finish"])
        _reply(wire, notice=_close(run, message["exit_code"]))
        return None
    return run


def _table(columns: Any, data: Any) -> Any:
    import wandb

    return wandb.Table(columns=columns, data=data)


def _open(mode: str, dir: str, init: dict[str, Any]) -> tuple[Run, str]:
    """Start the run and say in a line why it is not online, where that was asked for."""
    import wandb

    Path(dir).mkdir(parents=True, exist_ok=True)
    if not os.access(dir, os.W_OK | os.X_OK):  # wandb would write to the system's temporary folder
        raise PermissionError(f"cannot write to {dir}")
    known = {name: value for name, value in SETTINGS.items() if name in wandb.Settings.model_fields}
    init = {**init, "dir": dir, "reinit": "create_new", "settings": wandb.Settings(**known)}
    mode, reason = _choose(mode)
    if mode == "online":
        try:
            return _with_axis(wandb.init(mode="online", **init)), ""
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
    run = _with_axis(wandb.init(mode="offline", **init))
    return run, reason and f"{reason}; the run is offline, upload it later: wandb sync {run.settings.sync_dir}"


def _choose(mode: str) -> tuple[str, str]:
    """Online or offline, and in a line why not online, where that was asked for."""
    import wandb

    settings = wandb.setup().settings
    if mode == "offline" or (mode == "auto" and settings.mode in ("offline", "dryrun", "disabled")):
        return "offline", ""
    if not _has_key(settings):
        return "offline", "no API key, see `wandb login`" if mode == "online" else ""
    if not _answers(settings.base_url):
        return "offline", f"{settings.base_url} does not answer"
    return "online", ""


def _has_key(settings: Any) -> bool:
    """Whether wandb finds a key where it looks for one: the environment, its settings file, netrc."""
    from wandb.sdk.lib.wbauth import read_netrc_auth

    in_environment = os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE")
    return bool(in_environment or settings.api_key or read_netrc_auth(host=settings.base_url))


def _answers(url: str) -> bool:
    """Whether the server, or the proxy on the way to it, takes a connection. wandb itself would try for 19 s."""
    server = urlsplit(url)
    proxy = getproxies().get(server.scheme)
    if proxy and not proxy_bypass(server.hostname or ""):
        server = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    port = server.port or {"http": 80}.get(server.scheme, 443)
    answered = threading.Event()

    def connect() -> None:
        with suppress(OSError), socket.create_connection((server.hostname, port), CONNECT_SECONDS):
            answered.set()

    attempt = threading.Thread(target=connect, daemon=True)  # resolving a name may take 20 s and has no time limit
    attempt.start()
    attempt.join(CONNECT_SECONDS)
    return answered.is_set()


def _with_axis(run: Run) -> Run:
    run.define_metric("epoch", hidden=True)
    for split in ("train_probe", "val", "gap"):
        run.define_metric(f"{split}/*", step_metric="epoch")
    return run


def _close(run: Run, exit_code: int) -> str:
    """Finish the run and say in a line what of it was lost or did not reach the server."""
    folder = Path(run.settings.sync_dir)
    try:
        run.finish(exit_code=exit_code)
    except TimeoutError:
        return f"the upload was slow and is not complete, complete it: wandb sync {folder}"
    return _probe(folder / "probe")


def _probe(path: Path) -> str:
    """Write a little, because wandb itself says nothing when the disk is full."""
    try:
        path.write_bytes(bytes(PROBE_BYTES))
        path.unlink()
    except OSError as error:
        path.unlink(missing_ok=True)
        return f"its copy of the run is not complete: {error}"
    return ""


def _reply(wire: socket.socket, **reply: object) -> None:
    with suppress(OSError):  # the run's process may be gone
        wire.sendall(json.dumps(reply).encode() + b"\n")


@contextmanager
def _alarm() -> Iterator[None]:
    """SIGALRM kills a helper that hangs, whatever it hangs in."""
    signal.alarm(HELPER_SECONDS)
    yield
    signal.alarm(0)


def _main(descriptor: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Slurm sends it to every process of a job: the run's end is ours
    wire = socket.socket(fileno=descriptor)
    wire.set_inheritable(False)
    try:
        _serve(wire)
    except BaseException as error:  # wandb may also leave by SystemExit
        _reply(wire, error=f"{type(error).__name__}: {error}")
    os._exit(0)  # wandb's own exit waits for its service without limit


if __name__ == "__main__":
    _main(int(sys.argv[1]))
