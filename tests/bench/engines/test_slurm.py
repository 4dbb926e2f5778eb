"""The Slurm engine without a cluster: programs of the same names, which lose jobs."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench.engines import cell
from bench.engines.cell import LOST_TRIES, Outcome
from bench.study import main
from bench.training.record import load, path_of
from bench.training.settings import RunConfig

pytest.importorskip("submitit")
from bench.engines import slurm

PROGRAMS = {
    # Hands out a number. The first LOSE arrays are lost; the tasks of others run at once.
    "sbatch": """
import os, pathlib, re, subprocess, sys
state, script = pathlib.Path(os.environ["STATE"]), pathlib.Path(sys.argv[-1])
number = len(list(state.glob("*.sh"))) + 1
(state / f"{number}.sh").write_text(script.read_text())
print(f"Submitted batch job {number}")
array = re.search(r"--array=0-(\\d+)", script.read_text())
for task in range(int(array[1]) + 1) if number > int(os.environ["LOSE"]) else ():
    own = {"SLURM_JOB_ID": f"{number}{task}", "SLURM_ARRAY_JOB_ID": str(number), "SLURM_ARRAY_TASK_ID": str(task)}
    own |= {"SLURM_JOB_NODELIST": "n1", "SLURM_NODEID": "0", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    begun = subprocess.Popen(["bash", str(script)], env=os.environ | own, start_new_session=True, **quiet)
    (state / f"{number}_{task}.pid").write_text(str(begun.pid))
""",
    # Runs what follows its own options.
    "srun": """
import os, sys
command = sys.argv[next(i for i, word in enumerate(sys.argv) if i and os.access(word, os.X_OK) and "python" in word):]
os.execv(command[0], command)
""",
    # Knows the tasks that run. With DEAF it knows nothing, not even that.
    "squeue": """
import os, pathlib, sys
sys.exit(1) if os.environ.get("DEAF") else None
for path in pathlib.Path(os.environ["STATE"]).glob("*.pid"):
    if pathlib.Path(f"/proc/{path.read_text()}").exists():
        print(path.stem, "RUNNING")
""",
    "scancel": "",
}


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts the programs on the path; returns the folder in which they keep a script for each submission."""
    state = tmp_path / "state"
    folder = tmp_path / "bin"
    for each in (state, folder):
        each.mkdir()
    for name, text in PROGRAMS.items():
        (folder / name).write_text(f"#!{sys.executable}\n{text}")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("STATE", str(state))
    monkeypatch.setenv("LOSE", "0")
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).resolve().parents[3]}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(slurm, "ASK_SECONDS", 0.1)
    monkeypatch.setattr(slurm, "GONE_SECONDS", 0.5)
    return state


def configs(folder: Path) -> list[RunConfig]:
    usual: dict[str, Any] = {"model": "linear", "epochs": 1, "accelerator": "cpu", "wandb": "disabled"}
    return [RunConfig(seed=seed, results_dir=str(folder / "study"), **usual) for seed in range(2)]


def collect(engine: slurm.Slurm, n: int, seconds: float = 250) -> list[Outcome]:
    found: list[Outcome] = []
    deadline = time.monotonic() + seconds
    while len(found) < n and time.monotonic() < deadline:
        found += engine.wait(0.5)
    return found


def test_a_lost_job_is_sent_again(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody keeps accounts: squeue does not know the first array's jobs, and they left nothing."""
    monkeypatch.setenv("LOSE", "1")
    engine = slurm.Slurm(2, 1, tmp_path / "logs")
    cells = configs(tmp_path)
    engine.submit(cells)
    found = collect(engine, 2)
    assert sorted(outcome.config.seed for outcome in found) == [0, 1]
    for outcome in found:
        assert outcome.status == "ok"
        assert load(path_of(tmp_path / "study", str(outcome.run_id))).status == "ok"
    assert len(list(programs.glob("*.sh"))) == 2
    assert set(engine.lost.values()) == {1}
    assert not engine.jobs


def test_a_job_that_is_lost_again_and_again_is_given_up(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOSE", "1000")
    engine = slurm.Slurm(2, 1, tmp_path / "logs")
    engine.submit(configs(tmp_path))
    found = collect(engine, 2)
    reason = f"its job failed {LOST_TRIES} times: Slurm no longer knows it, and it left no result"
    assert [(outcome.status, outcome.error) for outcome in found] == [("failed", reason)] * 2
    assert len(list(programs.glob("*.sh"))) == LOST_TRIES
    assert not engine.jobs
    assert not engine.waiting


def test_while_squeue_cannot_be_asked_nothing_is_lost(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOSE", "1")
    monkeypatch.setenv("DEAF", "1")
    engine = slurm.Slurm(2, 1, tmp_path / "logs")
    engine.submit(configs(tmp_path))
    assert collect(engine, 1, seconds=3) == []
    assert len(engine.jobs) == 2
    assert len(list(programs.glob("*.sh"))) == 1


def test_squeue_tells_which_jobs_run_and_which_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: it forgets 1_1 at 10 s, remembers it at 20 s, forgets it again at 30 s; lost 20 s later."""
    known = {0: "1_0 1_1", 10: "1_0", 20: "1_0 1_1", 30: "1_0", 40: "1_0", 50: "1_0"}
    queue = slurm.Queue()
    for now, names in known.items():
        monkeypatch.setattr(slurm.time, "monotonic", lambda now=now: float(now))
        monkeypatch.setattr(slurm, "_ask_squeue", lambda names=names: dict.fromkeys(names.split(), "RUNNING"))
        assert queue.gone(["1_0", "1_1"]) == ({"1_1"} if now == 50 else set())
    assert queue.states == {"1_0": "RUNNING"}


class Job:
    """A Slurm job that ended badly."""

    def result(self) -> Any:
        raise RuntimeError("the node died\nand said more")


def test_a_lost_job_charges_only_the_cell_that_it_was_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done, suspect, *rest = [RunConfig(seed=seed) for seed in range(4)]
    monkeypatch.setattr(slurm, "finished", lambda c: Outcome(c, "ok", "id") if c == done else None)
    engine = object.__new__(slurm.Slurm)
    engine.waiting, engine.lost = [], {}
    for tries in range(1, LOST_TRIES + 1):
        job = Job()
        engine.jobs = {job: [done, suspect, *rest]}
        outcomes = engine._collect(job)
        assert engine.lost == {suspect: tries}
        assert set(engine.waiting) == {*rest} | ({suspect} if tries < LOST_TRIES else set())
        engine.waiting = []
    assert [(o.config, o.status) for o in outcomes] == [(done, "ok"), (suspect, "failed")]
    assert outcomes[1].error == f"its job failed {LOST_TRIES} times: the node died"


@pytest.mark.parametrize("setting", ["folder=x", "cluster=debug", "colour=blue", "timeout_min=long", "name=[]"])
@pytest.mark.usefixtures("programs")
def test_wrong_settings_are_refused_in_one_line(tmp_path: Path, capsys: Any, setting: str) -> None:
    (tmp_path / "study.yaml").write_text("recipes: [none]\nseeds: [0]\nepochs: 1\nwandb: disabled\naccelerator: cpu\n")
    assert main([str(tmp_path / "study.yaml"), "--engine", "slurm", "--slurm", setting]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: --slurm: ")
    assert err.count("\n") == 1


def test_cells_for_other_machines_carry_whole_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    config = cell.with_whole_paths(RunConfig(results_dir="results", data_dir="data"))
    assert (config.results_dir, config.data_dir) == (str(tmp_path / "results"), str(tmp_path / "data"))
