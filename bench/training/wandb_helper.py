"""The process that wandb lives in: a script that is told of a run by one JSON message a line over a socket."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    from wandb import Run

HELPER_SECONDS = 30
"""The helper dies when one message occupies it longer."""
CONNECT_SECONDS = 2.0
"""The longest wait for the server to take a connection."""
NOTICED = 1.0
"""Seconds lost on a server that does not answer, from which on it is left alone for a while."""
LEFT_ALONE = 600.0
"""Seconds for which runs of this process, and of all that write to the same folder, are then offline at once."""

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
    memory = Path(dir) / "wandb" / "unreachable.json"
    mode, reason = _choose(mode, memory)
    if mode == "online":
        begun = time.monotonic()
        try:
            return _with_axis(wandb.init(mode="online", **init)), ""
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            _remember(wandb.setup().settings.base_url, time.monotonic() - begun, memory)
    run = _with_axis(wandb.init(mode="offline", **init))
    return run, reason and f"{reason}; the run is offline, upload it later: wandb sync {run.settings.sync_dir}"


def _choose(mode: str, memory: Path) -> tuple[str, str]:
    """Online or offline, and in a line why not online, where that was asked for."""
    import wandb

    settings = wandb.setup().settings
    if mode == "offline" or (mode == "auto" and settings.mode in ("offline", "dryrun", "disabled")):
        return "offline", ""
    if not _has_key(settings):
        return "offline", "no API key, see `wandb login`" if mode == "online" else ""
    if _remembered(settings.base_url, memory):
        return "offline", f"{settings.base_url} did not answer a while ago"
    begun = time.monotonic()
    if not _answers(settings.base_url):
        _remember(settings.base_url, time.monotonic() - begun, memory)
        return "offline", f"{settings.base_url} does not answer"
    return "online", ""


_left_alone: dict[str, float] = {}
"""By server, the time until which it is not asked again."""


def _remember(url: str, lost: float, memory: Path) -> None:
    """Leave a server alone that has cost seconds: each of a study's runs would lose them again."""
    if lost > NOTICED:
        _left_alone[url] = time.time() + LEFT_ALONE
        with suppress(OSError):
            memory.parent.mkdir(parents=True, exist_ok=True)
            beside = memory.with_name(f".{memory.name}.{os.getpid()}.tmp")
            beside.write_text(json.dumps(_left_alone))
            os.replace(beside, memory)


def _remembered(url: str, memory: Path) -> bool:
    until = _left_alone.get(url, 0.0)
    with suppress(OSError, ValueError, TypeError, AttributeError):  # of another version, damaged, or not there
        until = max(until, json.loads(memory.read_text()).get(url, 0.0))
    return 0 < until - time.time() <= LEFT_ALONE


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
