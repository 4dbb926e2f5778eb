"""A Slurm of two nodes on the loopback address, for the tests that need one."""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "squeue", "scancel")
PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
KillWait=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=4000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=4000
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


@pytest.fixture(scope="session")
def slurm_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file that tells Slurm's commands of a cluster that shares nothing with another and ends with the session."""
    if missing := [name for name in PROGRAMS if not shutil.which(name, path=PLACES)]:
        pytest.skip(f"Slurm is not installed: no {missing[0]}")
    folder = tmp_path_factory.mktemp("slurm")
    with contextlib.ExitStack() as stack:
        yield _start(folder, stack)
        subprocess.run(["scancel", "--user", getpass.getuser()], env=_environment(folder), check=False)
        _wait_for(folder, ["squeue", "-h"], lambda jobs: not jobs.strip())


@pytest.fixture
def slurm(slurm_configuration: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the test starts finds the cluster."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_configuration))


def _start(folder: Path, stack: contextlib.ExitStack) -> Path:
    """Start the daemons as children of this process, which the stack ends in reverse order."""
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    configuration = folder / "slurm.conf"
    values = {"host": socket.gethostname().split(".")[0], "user": getpass.getuser(), "folder": folder}
    configuration.write_text(CONFIGURATION.format(ports=_free_ports(3), **values))
    files = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "seed", "log")]
    # Forced: it would rather have its files in folders that everybody can enter.
    _daemon(folder, stack, "munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *files)
    _daemon(folder, stack, "slurmctld", "-D", "-c", "-f", str(configuration))
    for node in ("n1", "n2"):
        _daemon(folder, stack, "slurmd", "-D", "-N", node, "-f", str(configuration))
    if not _wait_for(folder, ["sinfo", "-h", "-N", "-o", "%T"], lambda states: states.split() == ["idle"] * 2):
        log = (folder / "slurmctld.log").read_text().splitlines()
        pytest.skip(f"Slurm does not start here: {log[-1] if log else 'it says nothing'}")
    return configuration


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in held]


def _environment(folder: Path) -> dict[str, str]:
    return os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}


def _daemon(folder: Path, stack: contextlib.ExitStack, name: str, *arguments: str) -> None:
    log = stack.enter_context((folder / f"{name}.log").open("a"))
    command = [shutil.which(name, path=PLACES) or name, *arguments]
    process = subprocess.Popen(command, stdout=log, stderr=log, env=_environment(folder), start_new_session=True)

    def end() -> None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()

    stack.callback(end)


def _wait_for(folder: Path, command: list[str], good: Callable[[str], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done = subprocess.run(command, env=_environment(folder), capture_output=True, text=True, check=False)
        if done.returncode == 0 and good(done.stdout):
            return True
        time.sleep(0.2)
    return False
