"""Studies as commands: complete, resumable, unkillable, and equal whatever runs them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench.reporting import columns
from bench.studies.ledger import Ledger
from bench.study import main

ROOT = Path(__file__).resolve().parents[2]
STUDY = """
recipes: [none, dropout, label_smoothing]
seeds: [0, 1]
epochs: 1
train_size: 200
wandb: disabled
accelerator: cpu
tune: {trials: 2, folds: 2}
"""
CELLS = 3 * (2 * 2 + 2)
TIMES = ("seconds", "cpu_seconds", "images_per_second", "created", "environment", "digest")


def write(folder: Path, text: str = STUDY) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "study.yaml"
    path.write_text(text.replace("train_size: 200", "train_sizes: [200]"))
    return path


def contents(folder: Path) -> dict[str, Any]:
    """All of a study's results but times."""
    records = [json.loads(path.read_text()) for path in sorted((folder / "records").glob("*.json"))]
    rest = {r["run_id"]: {k: v for k, v in r.items() if k not in TIMES} for r in records}
    return rest | {"tuning": json.loads((folder / "tuning.json").read_text())}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert main([str(write(folder)), "--workers", "2"]) == 0
    return contents(folder)


def start(path: Path, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "bench" / "study.py"), str(path), "--workers", "2", *flags]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True, **pipes)


def finish(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=200)
    return process.returncode


def wait_for_workers(process: subprocess.Popen[str], patience: float = 2) -> list[int]:
    """The ids of its children, once both workers are there and had time to start training."""
    deadline = time.monotonic() + 60
    while len(found := children(process.pid)) < 3:  # two workers and multiprocessing's resource tracker
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(patience)
    return found


def test_a_study_holds_every_cell_once(undisturbed: dict[str, Any]) -> None:
    assert len(undisturbed) - 1 == CELLS
    final = [r for name, r in undisturbed.items() if name != "tuning" and not r["config"].get("trial")]
    chosen = {c["recipe"]: c["chosen"] for c in undisturbed["tuning"]["conditions"]}
    rates = {c["recipe"]: {t["lr"] for t in c["trials"]} for c in undisturbed["tuning"]["conditions"]}
    assert len(rates["none"]) == 2
    assert rates["dropout"] == rates["label_smoothing"] == {chosen["none"]["lr"]}
    assert len(final) == 6
    for record in final:
        assert record["config"]["lr"] == chosen[record["recipe"].split("(")[0]]["lr"]
        assert record["recipe"] == chosen[record["recipe"].split("(")[0]]["recipe"]
        assert set(record["metrics"]) == {"train", "val", "test"}
    for condition in undisturbed["tuning"]["conditions"]:
        assert len(condition["trials"]) == 2
        best = min(condition["trials"], key=lambda t: t["score"])
        assert condition["chosen"] == {"recipe": best["recipe"], "lr": best["lr"]}


def test_trials_never_measure_the_test_split(undisturbed: dict[str, Any]) -> None:
    trials = [r for name, r in undisturbed.items() if name != "tuning" and r["config"].get("trial")]
    assert trials
    assert all(set(r["metrics"]) == {"train", "val"} and not r["test_gap"] and not r["reliability"] for r in trials)
    assert {r["config"]["seed"] for r in trials} == {1_000_000}


def test_killed_again_and_again_it_ends_the_same(undisturbed: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path)
    moments = random.Random(0)
    for _ in range(3):
        process = start(path)
        time.sleep(moments.uniform(4, 9))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert finish(start(path)) == 0
    assert contents(tmp_path) == undisturbed
    assert not list((tmp_path / "records").glob("*.damaged"))


@pytest.mark.parametrize("patience", [0.2, 2])
def test_workers_die_with_a_command_that_is_killed(tmp_path: Path, patience: float) -> None:
    """Only the command is killed: its workers notice, also when they have just begun to start."""
    process = start(write(tmp_path, STUDY.replace("epochs: 1", "epochs: 5000")))
    workers = wait_for_workers(process, patience)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


@pytest.mark.parametrize("seconds", [0.5, 2, 4])
def test_ctrl_c_while_a_command_starts_leaves_no_traceback(tmp_path: Path, seconds: float) -> None:
    process = start(write(tmp_path, STUDY.replace("epochs: 1", "epochs: 5000")))
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in out + err


def test_sigterm_to_the_whole_group_leaves_no_traceback(tmp_path: Path) -> None:
    process = start(write(tmp_path, STUDY.replace("epochs: 1", "epochs: 5000")))
    wait_for_workers(process, patience=9)  # both are in training
    os.killpg(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in out + err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_a_study_on_ray(tmp_path: Path, number: int) -> None:
    pytest.importorskip("ray")
    process = start(write(tmp_path, STUDY.replace("epochs: 1", "epochs: 5000")), "--engine", "ray")
    wait_for_task(process.pid)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped; the same command goes on from here" in err
    assert "Traceback" not in out + err


@pytest.mark.parametrize(("flags", "words"), [(["--gpus", "99"], "99 GPUs"), (["--threads", "2"], None)])
def test_ray_is_asked_for_what_it_has(undisturbed: dict[str, Any], tmp_path: Path, flags: Any, words: Any) -> None:
    pytest.importorskip("ray")
    process = start(write(tmp_path), "--engine", "ray", *flags)
    _, err = process.communicate(timeout=200)
    assert process.returncode == (2 if words else 0)
    assert (f"a cell takes {words}, the cluster has" in err) if words else len(contents(tmp_path)) == len(undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_cleanly_and_say_how_to_go_on(tmp_path: Path, number: int) -> None:
    process = start(write(tmp_path, STUDY.replace("epochs: 1", "epochs: 5000")))
    wait_for_workers(process)
    begin = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - begin < 10
    assert process.returncode == 130
    assert "stopped; the same command goes on from here" in err
    assert "Traceback" not in out + err


def test_two_commands_at_once(undisturbed: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path)
    both = [start(path), start(path)]
    assert [finish(process) for process in both] == [0, 0]
    assert contents(tmp_path) == undisturbed
    assert not list((tmp_path / "records").glob("*.lock"))


def test_finished_study_trains_nothing(tmp_path: Path, capsys: Any) -> None:
    path = write(tmp_path, "recipes: [none]\nseeds: [0]\nepochs: 1\nwandb: disabled\n")
    assert main([str(path), "--workers", "1"]) == 0
    (record,) = (tmp_path / "records").iterdir()
    before = record.stat().st_mtime_ns
    assert main([str(path), "--workers", "1"]) == 0
    assert record.stat().st_mtime_ns == before
    assert "1 cells, 1 finished, 0 to train" in capsys.readouterr().out


def test_the_comparison_is_mirrored_to_wandb_once_at_the_end(tmp_path: Path) -> None:
    text = STUDY.replace("tune: {trials: 2, folds: 2}\n", "").replace("disabled", "offline")
    path = write(tmp_path, text.replace("[none, dropout, label_smoothing]", "[none, dropout]"))
    assert main([str(path), "--workers", "2"]) == 0
    assert main([str(path), "--workers", "2"]) == 0  # nothing left to train, nothing new to mirror
    (table,) = tmp_path.glob("wandb/*run-*/files/media/table/comparison*.json")
    (tmp_path / "wandb" / "comparison.sha256").unlink()
    content = json.loads(table.read_text())
    assert content["columns"] == [name for column in columns.SUMMARY for name in columns.BY_NAME[column].names]
    rows = [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]
    assert {row["recipe"]: row["n"] for row in rows} == {"none": 2, "dropout(p=0.3)": 2}
    assert len(list(tmp_path.glob("wandb/*run-*"))) == 4 + 1
    assert main([str(path), "--workers", "2"]) == 0  # as after a kill between the last cell and the table
    assert len(list(tmp_path.glob("wandb/*run-*"))) == 4 + 2


def test_records_of_earlier_settings_do_not_count_and_can_be_removed(tmp_path: Path, capsys: Any) -> None:
    text = "recipes: [none]\nseeds: [0, 1]\nepochs: 1\nwandb: disabled\n"
    assert main([str(write(tmp_path, text)), "--workers", "1"]) == 0
    path = write(tmp_path, text.replace("[0, 1]", "[1, 2]"))
    capsys.readouterr()
    assert main([str(path), "--workers", "1"]) == 0
    out = capsys.readouterr().out
    assert "2 of 2 cells finished" in out
    assert "1 records that the study does not name stay" in out
    assert len(list((tmp_path / "records").glob("*.json"))) == 3
    assert main([str(path), "--only", "none", "--prune"]) == 2
    assert main([str(path), "--workers", "1", "--prune"]) == 0
    seeds = [json.loads(p.read_text())["config"]["seed"] for p in (tmp_path / "records").glob("*.json")]
    assert sorted(seeds) == [1, 2]


def test_dry_run_writes_nothing(tmp_path: Path, capsys: Any) -> None:
    assert main([str(write(tmp_path)), "--dry_run"]) == 0
    out = capsys.readouterr().out
    assert f"{CELLS} cells, 0 finished, {CELLS} to train" in out
    assert [p.name for p in tmp_path.iterdir()] == ["study.yaml"]


def test_only_one_recipe(tmp_path: Path, capsys: Any) -> None:
    path = write(tmp_path, "recipes: [none, l1]\nseeds: [0]\nepochs: 1\nwandb: disabled\n")
    assert main([str(path), "--workers", "1", "--only", "l1"]) == 0
    (record,) = (tmp_path / "records").iterdir()
    assert json.loads(record.read_text())["recipe"].startswith("l1")
    assert main([str(path), "--workers", "1", "--only", "l1()"]) == 0
    assert main([str(path), "--only", "l3"]) == 2
    assert "choose from none, l1" in capsys.readouterr().err


def test_what_does_not_fit_is_left_out_with_its_reason(tmp_path: Path, capsys: Any) -> None:
    path = write(tmp_path, "recipes: [none, dropout]\nmodels: [linear]\nseeds: [0]\nepochs: 1\nwandb: disabled\n")
    assert main([str(path), "--workers", "1"]) == 0
    assert "left out: dropout on digits, linear" in capsys.readouterr().out
    assert len(list((tmp_path / "records").iterdir())) == 1


BROKEN = """
import os
from pathlib import Path
from recipes import Recipe

def sometimes() -> Recipe:
    def batch(x, y):
        if os.environ.get("BROKEN"):
            raise RuntimeError("broken today")
        return x, y
    return Recipe(batch=batch)

def deadly() -> Recipe:
    def batch(x, y):
        os._exit(7)
    return Recipe(batch=batch)
"""


def test_failures_are_recorded_and_the_rest_goes_on(tmp_path: Path, monkeypatch: Any, capfd: Any) -> None:
    (tmp_path / "breaking.py").write_text(BROKEN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("BROKEN", "1")
    text = "recipes: ['breaking:sometimes', 'breaking:deadly', none]\nseeds: [0]\nepochs: 1\nwandb: disabled\n"
    path = write(tmp_path / "study", text)
    assert main([str(path), "--workers", "2"]) == 1
    assert "2 cells did not end well" in capfd.readouterr().err
    records = {r.recipe: r for r in read(tmp_path / "study")}
    assert records["none"].status == "ok"
    assert records["breaking:sometimes"].error == "RuntimeError: broken today"
    assert records["breaking:deadly"].status == "failed"
    assert "died 3 times" in records["breaking:deadly"].error
    monkeypatch.delenv("BROKEN")
    assert main([str(path), "--workers", "1"]) == 1  # without being asked, failures stay
    assert main([str(path), "--workers", "2", "--retry_failed"]) == 1
    records = {r.recipe: r for r in read(tmp_path / "study")}
    assert records["breaking:sometimes"].status == "ok"
    assert records["breaking:deadly"].status == "failed"


def read(folder: Path) -> list[Any]:
    ledger = Ledger(folder)
    ledger.scan()
    return list(ledger.records.values())


def test_bias_and_variance_of_a_study(tmp_path: Path) -> None:
    text = "recipes: [none]\nseeds: [0]\nepochs: 1\nwandb: disabled\ndecompose: {resamples: 3}\n"
    assert main([str(write(tmp_path, text)), "--workers", "2"]) == 0
    (row,) = json.loads((tmp_path / "decomposition.json").read_text())
    assert row["squared"]["error"] == pytest.approx(row["squared"]["bias2"] + row["squared"]["variance"])
    resampled = [r for r in read(tmp_path) if "resample" in r.config]
    assert sorted(r.config["resample"] for r in resampled) == [0, 1, 2]
    brier = sum(r.metrics["test"]["brier"] for r in resampled) / 3
    assert row["squared"]["error"] == pytest.approx(brier, rel=1e-2)  # stored as float16
    errors = sum(1 - r.metrics["test"]["accuracy"] for r in resampled) / 3
    assert row["zero_one"]["error"] == pytest.approx(errors, abs=1e-3)


def test_wrong_study_is_refused_in_one_line(tmp_path: Path, capsys: Any) -> None:
    assert main([str(write(tmp_path, "recipes: [drpout]\n"))]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert main([str(tmp_path / "nowhere.yaml")]) == 2


def test_ten_thousand_records_are_scanned_quickly(tmp_path: Path) -> None:
    """Not a timed test: it only checks that nothing is lost on the way."""
    assert (
        main([str(write(tmp_path, "recipes: [none]\nseeds: [0]\nepochs: 1\nwandb: disabled\n")), "--workers", "1"]) == 0
    )
    (path,) = (tmp_path / "records").iterdir()
    record = {k: v for k, v in json.loads(path.read_text()).items() if k != "digest"}
    for seed in range(1, 200):
        record["config"]["seed"] = seed
        path.with_name(f"{seed:016x}.json").write_text(json.dumps(record))
    assert len(read(tmp_path)) == 200


def test_ray_gives_the_same_records_though_a_worker_is_killed(undisturbed: dict[str, Any], tmp_path: Path) -> None:
    """In a process of its own: Ray's threads and sockets stay out of this one."""
    pytest.importorskip("ray")
    process = start(write(tmp_path), "--engine", "ray")
    os.kill(wait_for_task(process.pid), signal.SIGKILL)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert contents(tmp_path) == undisturbed


def wait_for_task(ancestor: int) -> int:
    """The id of a Ray worker that is at a cell."""
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        for pid in descendants(ancestor):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::_task"):
                    return pid
    raise AssertionError("no task was started")


def descendants(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [pid, *(found for child in children(pid) for found in descendants(child))]
    return []


@pytest.mark.slurm
@pytest.mark.usefixtures("slurm")
def test_slurm_gives_the_same_records(undisturbed: dict[str, Any], tmp_path: Path) -> None:
    process = start(write(tmp_path), "--engine", "slurm", "--slurm", "timeout_min=7")
    _, err = process.communicate(timeout=280)
    assert process.returncode == 0, err
    assert contents(tmp_path) == undisturbed
    assert all("#SBATCH --time=7" in script.read_text() for script in (tmp_path / "slurm").glob("*.sh"))


@pytest.mark.slurm
@pytest.mark.usefixtures("slurm")
@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("slurm_colour=blue", "Unknown argument 'colour'"),
        ("timeout_min=long", "timeout_min"),
        ("slurm_partition=x", "x"),
    ],
)
def test_wrong_slurm_settings_are_refused(tmp_path: Path, setting: str, words: str) -> None:
    process = start(write(tmp_path), "--engine", "slurm", "--slurm", setting)
    _, err = process.communicate(timeout=280)
    assert process.returncode == 2
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("error: ")  # sbatch may have spoken before
    assert words in err.splitlines()[-1]


def test_a_ray_cluster_that_is_not_there(monkeypatch: Any, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with socket.socket() as bound:  # bound, and not listening
        bound.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{bound.getsockname()[1]}")
        process = start(write(tmp_path), "--engine", "ray")
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "error: engine ray: no cluster at 127.0.0.1" in err
    assert "Traceback" not in err
