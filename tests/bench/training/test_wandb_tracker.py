"""The mirror is read back with wandb's own `leet inspect`; every server here is a socket on loopback."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.training import wandb_helper, wandb_tracker

ROWS = [{"train_probe/loss": 1 / (e + 1), "val/loss": 2 / (e + 1), "gap/loss": 1 / (e + 1)} for e in range(5)]
KEY = "0123456789" * 4
PATIENCE = 100.0
"""Seconds, where a test is not about limits: starting wandb takes ten times as long on a busy machine."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user with no settings and no key."""
    for name in [*os.environ]:
        if name.startswith("WANDB_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NETRC", str(home / ".netrc"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # never the real one
    monkeypatch.setattr(wandb_tracker, "START_SECONDS", PATIENCE)
    monkeypatch.setattr(wandb_tracker, "FINISH_SECONDS", PATIENCE)
    yield home
    wandb_tracker._dismiss()


def begin(directory: Path, mode: str = "offline", **changes: Any) -> wandb_tracker.Tracker:
    settings: dict[str, Any] = {
        "project": "bench", "group": "study", "job_type": "mixup()", "tags": ["digits", "mlp"], "name": "mixup digits",
        "config": {"lr": 0.1, "recipe": "mixup(alpha=0.2)", "train_size": None}, "directory": directory,
    }  # fmt: skip
    return wandb_tracker.start(mode, **{**settings, **changes})


def whole_run(directory: Path, mode: str = "offline", **changes: Any) -> wandb_tracker.Tracker:
    tracker = begin(directory, mode, **changes)
    for epoch, row in enumerate(ROWS):
        tracker.log(row, step=epoch)
    tracker.finish({"val/loss": 0.25, "status": "ok"})
    return tracker


def read(directory: Path, run_id: str | None = None) -> dict[str, list[Any]]:
    """The records of a run's `.wandb` file by type, in their order."""
    (path,) = directory.glob(f"wandb/*run-*/run-{run_id or '*'}.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    records = [json.loads(line) for line in subprocess.check_output(command, text=True).splitlines()]
    return {kind: [r[kind] for r in records if r["type"] == kind] for kind in {r["type"] for r in records}}


def rows(records: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in each["item"].items() if k[0] != "_"} for each in records["history"]]


def summary(records: dict[str, list[Any]]) -> dict[str, Any]:
    return {k: v for each in records["summary"] for k, v in each["update"].items()}


def took(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def script(text: str, directory: Path, **options: Any) -> subprocess.Popen[str]:
    """A run in a process of its own, which imports nothing but the module under test."""
    head = f"""
        import os, signal, sys, time
        from pathlib import Path
        sys.path.insert(0, {str(Path(wandb_tracker.__file__).parent)!r})
        import wandb_tracker
        sys.path.pop(0)
        wandb_tracker.FINISH_SECONDS = {PATIENCE}
        def begin(mode="offline"):
            return wandb_tracker.start(mode, project="p", group=None, job_type="j", tags=[], name="n", config={{}},
                                  directory=Path({str(directory)!r}))
        """
    code = "\n".join(line.removeprefix(" " * 8) for line in (head + text).splitlines())
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-W", "error", "-c", code], **pipes, **options)


def ended(process: subprocess.Popen[str], seconds: float = 20) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def wait_for_exit(directory: Path) -> dict[str, list[Any]]:
    """What a helper writes after its run's process died."""
    for _ in range(40):
        if list(directory.glob("wandb/*run-*/run-*.wandb")) and "exit" in (records := read(directory)):
            return records
        time.sleep(0.25)
    raise AssertionError("the run was never closed")


# What is written -----------------------------------------------------------------------------------------------------


def test_two_runs_of_one_process_are_mirrored_each_in_its_own_file(tmp_path: Path) -> None:
    first = whole_run(tmp_path)
    second = begin(tmp_path, group=None, tags=["t" * 80, "t" * 80, ""], config={"path": tmp_path, "lr": 0.2})
    second.log({"val/loss": float("nan"), "gap/loss": float("-inf")}, step=7)
    second.finish({"test/loss": float("inf")}, failed=True)
    assert first.mode == second.mode == "offline"
    assert first.id != second.id

    records = read(tmp_path, first.id)
    (run,) = records["run"]
    shown = {k: run[k] for k in ("project", "run_group", "job_type", "display_name", "tags", "run_id")}
    assert shown == {
        "project": "bench", "run_group": "study", "job_type": "mixup()", "display_name": "mixup digits",
        "tags": ["digits", "mlp"], "run_id": first.id,
    }  # fmt: skip
    assert run["config"]["update"] == {"_wandb": {}, "lr": 0.1, "recipe": "mixup(alpha=0.2)", "train_size": None}
    assert rows(records) == [{**row, "epoch": epoch} for epoch, row in enumerate(ROWS)]
    axes = {each["glob_name"]: each["step_metric"] for each in records["metric"] if "glob_name" in each}
    assert axes == {"train_probe/*": "epoch", "val/*": "epoch", "gap/*": "epoch"}
    assert summary(records)["val/loss"] == 0.25
    assert summary(records)["status"] == "ok"
    assert [each["exit_code"] for each in records["exit"]] == [0]

    records = read(tmp_path, second.id)
    assert records["run"][0]["config"]["update"] == {"_wandb": {}, "path": str(tmp_path), "lr": 0.2}
    assert records["run"][0]["tags"] == ["t" * 63 + "…"]
    assert "run_group" not in records["run"][0]
    assert rows(records) == [{"val/loss": "NaN", "gap/loss": "-Infinity", "epoch": 7}]
    assert summary(records)["test/loss"] == "Infinity"
    assert [each["exit_code"] for each in records["exit"]] == [1]


def test_a_second_run_needs_no_new_process(tmp_path: Path) -> None:
    whole_run(tmp_path)
    (helper,) = wandb_tracker._idle
    assert took(lambda: whole_run(tmp_path)) < 0.5
    assert wandb_tracker._idle == [helper]


def test_nothing_on_the_terminal_and_no_wandb_in_the_runs_process(tmp_path: Path) -> None:
    run = """
        tracker = begin()
        tracker.log({"val/loss": 1.0}, 0)
        tracker.finish({})
        assert tracker.mode == "offline"
        assert "wandb" not in sys.modules
        """
    assert ended(script(run, tmp_path)) == (0, "", "")


def test_disabled_starts_nothing(tmp_path: Path) -> None:
    run = """
        tracker = begin("disabled")
        tracker.log({"val/loss": 1.0}, 0)
        tracker.finish({})
        assert (tracker.id, tracker.mode) == (None, "disabled")
        assert "wandb" not in sys.modules
        """
    assert ended(script(run, tmp_path / "new")) == (0, "", "")
    assert not (tmp_path / "new").exists()


# Which mode it becomes -----------------------------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    """As much of W&B's server as a run needs, or one that answers everything with `status`."""

    daemon_threads = True

    def __init__(self, status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = status
        self.flowing = threading.Event()
        self.flowing.set()
        self.streamed: list[dict[str, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, path: str, body: bytes) -> dict[str, Any]:
        if path.endswith("file_stream"):
            self.flowing.wait(60)
            self.streamed.append(json.loads(body))
            return {}
        if path != "/graphql":
            return {}
        question = json.loads(body)
        given = question["variables"]
        if "createRunFiles" in question["query"]:
            files = [{"name": name, "uploadUrl": f"{self.url}/{name}"} for name in given["files"]]
            return {"data": {"createRunFiles": {"runID": "1", "uploadHeaders": [], "files": files}}}
        project = {"id": "1", "name": given.get("project"), "entity": {"id": "1", "name": "lab"}}
        bucket = {"id": "1", "name": given.get("name"), "displayName": given.get("displayName"), "project": project}
        return {"data": {"upsertBucket": {"bucket": {**bucket, "historyLineCount": 0}, "inserted": True}}}


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = json.dumps(self.server.answer(self.path, body)).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_PUT = do_POST  # noqa: N815

    def handle(self) -> None:
        with suppress(ConnectionError):  # a client that gave up
            super().handle()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        yield server
        server.flowing.set()
        server.shutdown()


def history_at(server: Server) -> list[dict[str, Any]]:
    files = [each.get("files", {}).get("wandb-history.jsonl", {"content": []}) for each in server.streamed]
    return [json.loads(line) for file in files for line in file["content"]]


@pytest.mark.parametrize("source", ["environment", "netrc"])
def test_auto_with_a_key_is_online(
    source: str, server: Server, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    if source == "environment":
        monkeypatch.setenv("WANDB_API_KEY", KEY)
    else:
        (home / ".netrc").write_text(f"machine 127.0.0.1:{server.server_port}\n  login user\n  password {KEY}\n")
        (home / ".netrc").chmod(0o600)
    tracker = whole_run(tmp_path, "auto")
    assert (tracker.mode, capsys.readouterr().err) == ("online", "")
    assert [row["val/loss"] for row in history_at(server)] == [row["val/loss"] for row in ROWS]
    assert server.streamed[-1]["exitcode"] == 0


@pytest.mark.parametrize(
    ("environment", "mode"),
    [
        ({}, "offline"),
        ({"WANDB_MODE": "disabled", "WANDB_API_KEY": KEY}, "disabled"),
        ({"WANDB_MODE": "offline", "WANDB_API_KEY": KEY}, "offline"),
        ({"WANDB_MODE": "nonsense"}, "offline"),
        ({"WANDB_RUN_ID": "mine", "WANDB_RESUME": "must", "WANDB_SERVICE": "gone"}, "offline"),
    ],
)
def test_auto_follows_the_environment_without_a_word(
    environment: dict[str, str], mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    tracker = begin(tmp_path, "auto")
    tracker.finish({})
    assert (tracker.mode, capsys.readouterr().err) == (mode, "")
    assert tracker.id != "mine"


def test_auto_follows_the_settings_file(tmp_path: Path, home: Path) -> None:
    (home / ".config" / "wandb").mkdir(parents=True)
    (home / ".config" / "wandb" / "settings").write_text(f"[default]\nmode = offline\napi_key = {KEY}\n")
    assert whole_run(tmp_path, "auto").mode == "offline"


def test_texts_are_cut_to_what_the_server_takes(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four techniques make a job type of more than 64 characters; the config holds the whole spec."""
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    spec = "+".join(f"technique_{i}(strength=0.{i})" for i in range(9))
    long = {"job_type": spec, "name": spec, "group": "g" * 200, "project": "p" * 200, "config": {"recipe": spec}}
    assert whole_run(tmp_path, "online", **long).mode == "online"
    (run,) = read(tmp_path)["run"]
    lengths = {k: len(run[k]) for k in ("job_type", "display_name", "run_group", "project")}
    assert lengths == {"job_type": 64, "display_name": 128, "run_group": 128, "project": 128}
    assert run["job_type"] == spec[:63] + "…"
    assert run["config"]["update"]["recipe"] == spec


def test_online_without_a_key_is_offline(tmp_path: Path, capsys: Any) -> None:
    assert whole_run(tmp_path, "online").mode == "offline"
    (line,) = capsys.readouterr().err.splitlines()
    assert "no API key" in line


def test_a_server_that_is_not_there_costs_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    tracker = begin(tmp_path, "online")
    assert took(lambda: tracker.mode) < 25
    tracker.log(ROWS[0], step=0)
    tracker.finish({})
    assert tracker.mode == "offline"
    assert rows(read(tmp_path, tracker.id)) == [{**ROWS[0], "epoch": 0}]
    (line,) = capsys.readouterr().err.splitlines()
    assert "does not answer" in line  # found out by ourselves: wandb would have tried for 19 s
    assert f"wandb sync {tmp_path}" in line


def test_a_server_that_accepts_and_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        assert took(lambda: whole_run(tmp_path, "online")) < 60  # wandb's own limit is 90 s
    (line,) = capsys.readouterr().err.splitlines()
    assert "wandb sync" in line


def test_a_server_that_never_answers_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """What one run has lost on it, the others of the process and of the folder do not lose again."""
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert whole_run(tmp_path, "online").mode == "offline"
        capsys.readouterr()
        silent.settimeout(0)
        with suppress(BlockingIOError):
            while True:
                silent.accept()[0].close()  # the first run's
        assert whole_run(tmp_path / "other", "online").mode == "offline"
        wandb_tracker._dismiss()  # as in another process
        assert whole_run(tmp_path, "online").mode == "offline"
        with pytest.raises(BlockingIOError):
            silent.accept()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("did not answer a while ago" in line for line in lines)


def test_a_server_is_asked_again_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, url = tmp_path / "wandb" / "unreachable.json", "http://127.0.0.1:9"
    wandb_helper._remember(url, 0.1, memory)  # it refused at once: that costs nothing
    assert not memory.exists()
    monkeypatch.setattr(wandb_helper, "_left_alone", {})
    wandb_helper._remember(url, 6.0, memory)
    assert wandb_helper._remembered(url, memory)
    monkeypatch.setattr(wandb_helper, "_left_alone", {})
    assert wandb_helper._remembered(url, memory)
    assert not wandb_helper._remembered("http://127.0.0.1:10", memory)
    memory.write_text(json.dumps({url: time.time() - 1}))
    assert not wandb_helper._remembered(url, memory)
    for damaged in ("", "[]", '{"http://127.0.0.1:9": "soon"}', '{"http://127.0.0.1:9": 1e300}'):
        memory.write_text(damaged)
        assert not wandb_helper._remembered(url, memory)


def test_a_server_that_refuses_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with Server(status=401) as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        tracker = whole_run(tmp_path, "online")
        server.shutdown()
    assert tracker.mode == "offline"
    assert rows(read(tmp_path, tracker.id)) == [{**row, "epoch": epoch} for epoch, row in enumerate(ROWS)]
    (line,) = capsys.readouterr().err.splitlines()
    assert "wandb sync" in line


@pytest.mark.slow
def test_a_slow_upload_is_left_for_later(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    tracker = begin(tmp_path, "online")
    assert tracker.mode == "online"
    server.flowing.clear()
    tracker.log(ROWS[0], step=0)
    assert took(lambda: tracker.finish({})) < 80  # 8 s on a quiet machine; wandb has no limit
    assert "wandb sync" in capsys.readouterr().err
    server.flowing.set()
    assert whole_run(tmp_path, "online").mode == "online"
    assert [row["val/loss"] for row in history_at(server)][-len(ROWS) :] == [row["val/loss"] for row in ROWS]


def test_a_proxy_is_asked_in_the_servers_place(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        assert not wandb_helper._answers("http://127.0.0.1:9")
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.getsockname()[1]}")
        assert wandb_helper._answers("http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert not wandb_helper._answers("http://127.0.0.1:9")


def test_an_unknown_mode_names_the_choices(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'onlin'.*auto, online, offline, disabled"):
        begin(tmp_path, "onlin")


# What goes wrong -----------------------------------------------------------------------------------------------------


def test_a_directory_that_cannot_be_written(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "file").touch()
    tracker = whole_run(tmp_path / "file" / "results")
    assert (tracker.id, tracker.mode) == (None, "disabled")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    run = """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        tracker = begin()
        for epoch in range(2000):
            tracker.log({f"val/{i}": epoch / 7 for i in range(20)}, epoch)
        tracker.finish({})
        print("done")
        """
    status, out, err = ended(script(run, tmp_path))
    assert (status, out) == (0, "done\n")
    assert "File too large" in err
    assert len(err.splitlines()) == 1


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


@pytest.mark.parametrize("victim", ["helper", "service"])
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_a_dead_or_hanging_process_of_wandb_costs_seconds_and_the_next_run_is_whole(
    victim: str, blow: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    tracker = begin(tmp_path / "hit")
    assert tracker.mode == "offline"
    assert tracker._helper
    helper = tracker._helper.process.pid
    service = child_of(helper)
    os.kill(helper if victim == "helper" else service, blow)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(wandb_tracker, "SEND_SECONDS", 0.5)
            patch.setattr(wandb_tracker, "FINISH_SECONDS", 1.0)
            assert took(lambda: [tracker.log(ROWS[0], step=epoch) for epoch in range(5)]) < 3
            assert took(lambda: tracker.finish({})) < 2.5
        assert tracker.mode == "disabled"
        assert tracker.id
        assert len(capsys.readouterr().err.splitlines()) == 1
        following = whole_run(tmp_path / "next")
        assert (following.mode, len(read(tmp_path / "next")["history"])) == ("offline", len(ROWS))
    finally:
        if (victim, blow) == ("service", signal.SIGSTOP):
            os.kill(service, signal.SIGCONT)  # it leaves, as its parent is gone


def test_a_helper_that_takes_no_more_messages_holds_up_one_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(wandb_tracker, "SEND_SECONDS", 0.5)
    tracker = begin(tmp_path)
    assert tracker._helper
    os.kill(tracker._helper.process.pid, signal.SIGSTOP)
    row = {f"val/{i}": 1.0 for i in range(1000)}
    assert took(lambda: [tracker.log(row, step=epoch) for epoch in range(1000)]) < 5
    assert (tracker.id, tracker.mode) == (None, "disabled")
    tracker.finish({})
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_killed_run_keeps_every_logged_row(tmp_path: Path) -> None:
    run = """
        tracker = begin()
        for epoch in range(5):
            tracker.log({"val/loss": epoch}, epoch)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    assert ended(script(run, tmp_path))[0] == -signal.SIGKILL
    records = wait_for_exit(tmp_path)
    assert [row["val/loss"] for row in rows(records)] == [0, 1, 2, 3, 4]
    assert records["exit"][0]["exit_code"] == 1


def test_control_c_loses_nothing_and_ends_at_once(tmp_path: Path) -> None:
    run = """
        tracker = begin()
        assert tracker.mode == "offline"
        tracker.log({"val/loss": 0.5}, 0)
        print("ready", flush=True)
        time.sleep(60)
        """
    process = script(run, tmp_path, start_new_session=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    status, _, err = ended(process, seconds=3)
    assert status == -signal.SIGINT
    assert "KeyboardInterrupt" in err
    assert [row["val/loss"] for row in rows(wait_for_exit(tmp_path))] == [0.5]


def test_control_c_passes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    tracker = begin(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(wandb_tracker._Helper, "send", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tracker.log(ROWS[0], step=0)
    tracker.finish({})


def test_what_cannot_be_sent_ends_the_mirror_with_one_line(tmp_path: Path, capsys: Any) -> None:
    tracker = begin(tmp_path)
    tracker.log({"val/loss": "high"}, step=0)  # type: ignore[dict-item]
    tracker.log(ROWS[0], step=1)
    tracker.finish({})
    assert tracker.mode == "disabled"
    (line,) = capsys.readouterr().err.splitlines()
    assert "high" in line


def test_no_python_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    tracker = whole_run(tmp_path)
    assert (tracker.id, tracker.mode) == (None, "disabled")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_forked_process_has_no_share_in_the_helper(tmp_path: Path) -> None:
    run = """
        begin().finish({})
        if os.fork() == 0:
            os._exit(len(wandb_tracker._idle))
        assert os.wait()[1] == 0
        assert len(wandb_tracker._idle) == 1
        """
    assert ended(script(run, tmp_path)) == (0, "", "")
