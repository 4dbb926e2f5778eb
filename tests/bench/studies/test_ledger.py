"""What counts as finished, and what a study does when that changes."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from bench.studies import ledger
from bench.studies.ledger import Ledger
from bench.studies.study_file import load_study
from bench.study import main
from bench.training.files import claimed
from bench.training.lookup import data_fingerprint
from bench.training.record import load, write
from bench.training.recording import record_failure
from bench.training.settings import run_id

TIMES = ("seconds", "cpu_seconds", "images_per_second", "created", "environment")
SMALL = "recipes: [none]\nseeds: [0]\nepochs: 1\nwandb: disabled\naccelerator: cpu\n"


def paths(folder: Path) -> list[Path]:
    return sorted((folder / "records").glob("*.json"))


def content(path: Path) -> dict[str, Any]:
    """A record as versions wrote it that had no digest, which tests may change."""
    return {k: v for k, v in json.loads(path.read_text()).items() if k != "digest"}


def test_records_of_other_data_are_not_finished_cells(study: Any, tmp_path: Path) -> None:
    study(SMALL)
    (old,) = paths(tmp_path)
    other = content(old)
    other["run_id"], other["dataset"]["fingerprint"] = "0" * 16, "0" * 64
    old.rename(old.with_name("0" * 16 + ".json")).write_text(json.dumps(other))
    status, out, _ = study(SMALL)
    assert status == 0
    assert "1 cells, 0 finished" in out
    assert "1 of 1 cells finished" in out
    assert "1 records that the study does not name" in out
    assert old in paths(tmp_path)


def test_records_that_go_while_a_study_runs_are_trained_again(study: Any, engine: Any, tmp_path: Path) -> None:
    """Once: after the second cell, all that was finished until then is gone."""
    text = SMALL.replace("[0]", "[0, 1, 2]")
    cells = itertools.count(1)
    engine.after = lambda: shutil.rmtree(tmp_path / "records") if next(cells) == 2 else None
    status, out, _ = study(text)
    assert status == 0
    assert "3 of 3 cells finished" in out
    assert len(paths(tmp_path)) == 3


def test_records_that_go_again_and_again_are_not_counted(study: Any, engine: Any, tmp_path: Path) -> None:
    engine.after = lambda: shutil.rmtree(tmp_path / "records", ignore_errors=True)
    status, out, err = study(SMALL.replace("[0]", "[0, 1]"))
    assert status == 1
    assert "2 of 2 cells finished" not in out
    assert "1 cells could not be trained: what they depend on failed, changed or was removed" in err


@pytest.mark.parametrize("kind", ["file", "pipe", "loop", "nothing to list"])
def test_a_records_folder_that_cannot_be_listed_is_told(
    study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    records = tmp_path / "records"
    if kind == "file":
        records.touch()
    elif kind == "pipe":
        os.mkfifo(records)
    elif kind == "loop":
        records.symlink_to(records)
    else:
        records.mkdir()  # root may list what nobody may
        monkeypatch.setattr("os.scandir", lambda path: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    for flags in ([], ["--dry_run"]):
        status, _, err = study(SMALL, *flags)
        assert status == 2
        assert err.count("\n") == 1
        assert "records" in err


def test_a_changed_record_is_trained_again(study: Any, tmp_path: Path) -> None:
    """One bit: 0.9275 for 0.9375. The study says so, and in the end has what it had."""
    study(SMALL)
    (path,) = paths(tmp_path)
    before = content(path)
    blob = path.read_bytes()
    at = blob.index(b'"accuracy":0.') + len(b'"accuracy":0.')
    path.write_bytes(blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :])
    status, out, err = study(SMALL)
    assert status == 0
    assert "1 cells, 0 finished" in out
    assert "its content is not what its digest says; kept as" in err
    after = content(path)
    assert {k: v for k, v in after.items() if k not in TIMES} == {k: v for k, v in before.items() if k not in TIMES}


def test_a_dry_run_names_what_is_damaged_and_writes_nothing(study: Any, tmp_path: Path) -> None:
    study(SMALL)
    (path,) = paths(tmp_path)
    path.write_text(path.read_text()[:-100])
    left = tmp_path / "records" / ".0123456789abcdef.json.0123abcd.tmp"
    left.touch()
    os.utime(left, (0, 0))
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    status, out, err = study(SMALL, "--dry_run")
    assert status == 0
    assert "1 cells, 0 finished, 1 to train" in out
    assert f"{path.name} is not a whole record" in err
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_damaged_predictions_are_made_again(study: Any, tmp_path: Path) -> None:
    text = SMALL + "decompose: {resamples: 2}\n"
    study(text)
    kept = (tmp_path / "decomposition.json").read_text()
    path = sorted((tmp_path / "predictions").iterdir())[0]
    blob = path.read_bytes()
    path.write_bytes(blob[: len(blob) // 2] + bytes([blob[len(blob) // 2] ^ 4]) + blob[len(blob) // 2 + 1 :])
    status, out, err = study(text)
    assert status == 0
    assert "2 of 3 cells finished" in out
    assert "3 of 3 cells finished" in out
    assert f"{path.name}.damaged" in err
    assert (tmp_path / "decomposition.json").read_text() == kept


def test_a_damaged_decomposition_is_computed_again(study: Any, tmp_path: Path) -> None:
    text = SMALL + "decompose: {resamples: 2}\n"
    study(text)
    path = tmp_path / "decomposition.json"
    kept = path.read_text()
    path.write_text(kept.replace('"bias": 0.', '"bias": 0.1', 1))
    status, _, err = study(text)
    assert status == 0
    assert "its content is not what its digest says" in err
    assert path.read_text() == kept


def test_a_record_of_other_data_hides_no_record_of_todays(study: Any, tmp_path: Path) -> None:
    study(SMALL)
    (path,) = paths(tmp_path)
    other = content(path)
    other["dataset"]["fingerprint"] = "0" * 64
    for name in ("0" * 16, "f" * 16):
        path.with_name(f"{name}.json").write_text(json.dumps({**other, "run_id": name}))
    status, out, _ = study(SMALL, "--prune")
    assert status == 0
    assert "1 cells, 1 finished, 0 to train" in out
    assert paths(tmp_path) == [path]


def test_data_are_looked_at_once_after_each_scan(study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study(SMALL)
    plan = load_study(tmp_path / "study.yaml")
    config = plan.config(plan.conditions()[0], "none", 0)
    looks = []

    def look(config: Any) -> str:
        looks.append(config)
        return data_fingerprint(config) if len(looks) == 1 else "other data"

    monkeypatch.setattr(ledger, "data_fingerprint", look)
    book = Ledger(tmp_path)
    book.scan()
    assert book.find(config)
    assert book.find(config)
    assert len(looks) == 1
    book.scan()
    assert book.find(config) is None
    assert len(looks) == 2


def test_a_failure_made_good_is_forgotten(study: Any, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(SMALL)
    plan = load_study(tmp_path / "study.yaml")
    config = plan.config(plan.conditions()[0], "none", 0)
    record_failure(config, "its worker died")
    assert study(SMALL)[0] == 1
    assert study(SMALL, "--retry_failed")[0] == 0
    (path,) = paths(tmp_path)
    assert path.stem != run_id(config, "")
    record_failure(config, "told too late")  # by another command that saw the worker die
    ledger = Ledger(tmp_path)
    ledger.scan()
    found = ledger.find(config)
    assert found
    assert found.status == "ok"
    assert study(SMALL)[0] == 0


def test_two_spellings_of_a_recipe_are_one(study: Any, tmp_path: Path) -> None:
    _, out, _ = study(SMALL.replace("[none]", "[dropout, 'dropout(p=0.3)', 'dropout(0.3)', none]"), "--dry_run")
    assert "2 recipes" in out
    assert "2 cells" in out
    tuned = SMALL.replace("[none]", "[dropout, 'dropout(p=0.5)', none]") + "tune: {trials: 2}\n"
    assert "3 recipes" in study(tuned, "--dry_run")[1]


def test_a_cell_that_two_conditions_share_counts_once(study: Any, tmp_path: Path) -> None:
    """The tuned recipe chooses its only value, which the other gives; both then train the same final run."""
    recipes = SMALL.replace("[none]", "[dropout, 'dropout(p=0.5)']")
    status, out, _ = study(recipes + "tune: {trials: 1, grids: {dropout: [0.5]}}\n")
    assert status == 0
    assert "2 of 2 cells finished" in out
    assert len(paths(tmp_path)) == 2


def test_bias_and_variance_outlive_their_predictions(study: Any, tmp_path: Path) -> None:
    text = SMALL + "decompose: {resamples: 2}\n"
    study(text)
    kept = (tmp_path / "decomposition.json").read_text()
    before = {path: path.read_text() for path in paths(tmp_path)}
    for path in (tmp_path / "predictions").iterdir():
        path.unlink()
    status, out, _ = study(text)
    assert status == 0
    assert "3 cells, 3 finished" in out
    assert (tmp_path / "decomposition.json").read_text() == kept
    assert {path: path.read_text() for path in paths(tmp_path)} == before
    (tmp_path / "decomposition.json").unlink()
    status, out, _ = study(text)
    assert "3 cells, 1 finished, 2 to train" in out
    assert json.loads((tmp_path / "decomposition.json").read_text()) == json.loads(kept)


def test_bias_and_variance_of_other_settings_are_measured_anew(study: Any, tmp_path: Path) -> None:
    short, long = (SMALL.replace("epochs: 1", f"epochs: {n}") + "decompose: {resamples: 2}\n" for n in (1, 2))
    study(short)
    kept = (tmp_path / "decomposition.json").read_text()
    study(long)
    for path in (tmp_path / "predictions").iterdir():
        path.unlink()
    _, out, _ = study(short)
    assert "3 cells, 1 finished, 2 to train" in out
    assert (tmp_path / "decomposition.json").read_text() == kept


def test_a_teacher_belongs_to_the_study(study: Any, tmp_path: Path) -> None:
    text = SMALL.replace("[none]", "[self_distillation]")
    _, out, _ = study(text, "--prune")
    assert len(paths(tmp_path)) == 2
    assert "does not name" not in out


LEFT = (
    "records/.0123456789abcdef.json.0123abcd.tmp",
    "predictions/.0123456789abcdef.npz.0123abcd.tmp",
    "teachers/.0123456789abcdef.pt.0123abcd.tmp",
    "checkpoints/0123456789abcdef/.last.ckpt.0123abcd.tmp",
    "figures/.forest-digits.svg.0123abcd.tmp",
    ".tuning.json.0123abcd.tmp",
    "records/.0123456789abcdef.lock",
    # As earlier versions named them.
    "records/.0123456789abcdef.json.abc_1xyz",
    "predictions/.0123456789abcdef.npz.abc_1xyz",
    "checkpoints/0123456789abcdef/.final.ckpt.abc_1xyz",
    ".decomposition.json.abc_1xyz",
)
KEPT = (".notes", ".gitignore", "records/notes.tmp", ".settings.original", "data/.cache.tmp", "slurm/.x.lock")


def test_what_killed_processes_left_behind_is_cleared_after_a_day(tmp_path: Path) -> None:
    """Anywhere in the study's folder, and nothing that is somebody's."""
    for name in (*LEFT, *KEPT):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    Ledger(tmp_path).scan()
    assert all((tmp_path / name).exists() for name in (*LEFT, *KEPT))
    for name in (*LEFT, *KEPT):
        os.utime(tmp_path / name, (0, 0))
    Ledger(tmp_path).scan(repair=False)
    assert all((tmp_path / name).exists() for name in (*LEFT, *KEPT))
    Ledger(tmp_path).scan()
    assert [name for name in LEFT if (tmp_path / name).exists()] == []
    assert [name for name in KEPT if not (tmp_path / name).exists()] == []


def test_a_lock_that_is_held_for_more_than_a_day_is_kept(tmp_path: Path) -> None:
    lock = tmp_path / "records" / ".0123456789abcdef.lock"
    with claimed(lock) as held:
        assert held
        os.utime(lock, (0, 0))
        Ledger(tmp_path).scan()
        assert lock.exists()
    assert not lock.exists()


@pytest.mark.parametrize(
    ("text", "flags", "words"),
    [
        (SMALL + "tune: {trials: 2, folds: 900, space: strength+lr}\n", [], "900"),
        (SMALL.replace("[none]", "[dropout]") + "models: [linear]\n", [], "the matrix is empty: no recipe fits"),
        (SMALL, ["--gpus", "-1"], "--gpus: must be at least 0"),
        (SMALL, ["--gpus", "nan"], "--gpus: must be at least 0"),
        (SMALL, ["--slurm", "x=["], "--slurm: '[' is no value"),
        (SMALL, ["--only", "l1", "--dry_run"], "--only 'l1' is no recipe of this study"),
    ],
)
def test_wrong_commands_are_refused_in_one_line(study: Any, text: str, flags: list[str], words: str) -> None:
    status, _, err = study(text, *flags)
    assert status == 2
    assert err.count("\n") == 1
    assert words in err


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"environment": None}, "Expected `object`, got `null` - at `$.environment`"),
        ({"status": "weird"}, "Invalid enum value 'weird' - at `$.status`"),
        ({"metrics": {}}, "train/loss is not a finite number"),
        ({"metrics": {"train": {"loss": 1, "accuracy": 1}, "val": {"loss": None, "accuracy": 1}}}, "got `null`"),
        ({"metrics": {"train": {"loss": 1, "accuracy": 1}, "val": {"loss": float("nan"), "accuracy": 1}}}, "finite"),
        ({"metrics": {"train": {"loss": 1, "accuracy": 1}, "val": {"loss": 10**400, "accuracy": 1}}}, "out of range"),
        ({"config": {"lr": float("nan")}}, "Out of range float values"),
        ({"epochs_run": "many"}, "Expected `int`, got `str` - at `$.epochs_run`"),
    ],
    ids=repr,
)
def test_a_record_of_wrong_kinds_is_set_aside(study: Any, tmp_path: Path, wrong: dict[str, Any], words: str) -> None:
    study(SMALL)
    (path,) = paths(tmp_path)
    path.write_text(json.dumps(content(path) | wrong))
    status, out, err = study(SMALL)
    assert status == 0
    assert "1 cells, 0 finished" in out
    assert words in err


def test_what_is_no_record_at_all_is_set_aside(study: Any, tmp_path: Path) -> None:
    study(SMALL)
    (path,) = paths(tmp_path)
    path.with_name("deep.json").write_text("[" * 100_000)
    path.with_name("folder.json").mkdir()
    status, out, err = study(SMALL)
    assert status == 0
    assert "1 cells, 1 finished" in out
    assert err.count("is not a whole record") == 2


def test_a_scan_beside_commands_that_write(study: Any, tmp_path: Path) -> None:
    study(SMALL)
    (path,) = paths(tmp_path)
    record, done = load(path), threading.Event()

    def rewrite() -> None:
        while not done.is_set():
            write(record, tmp_path)

    thread = threading.Thread(target=rewrite)
    thread.start()
    try:
        for _ in range(300):
            Ledger(tmp_path).scan()
    finally:
        done.set()
        thread.join()


def test_the_estimate_knows_how_long_each_recipe_takes(study: Any, tmp_path: Path) -> None:
    """By hand: a run of none took 10 s and one of l1 30 s, so one more of each takes 40 s."""
    text = SMALL.replace("[none]", "[none, l1]")
    study(text)
    for path in paths(tmp_path):
        timed = content(path)
        timed["seconds"] = 10.0 if timed["recipe"] == "none" else 30.0
        path.write_text(json.dumps(timed))
    assert "about 0:00:40 with 1 workers" in study(text.replace("[0]", "[0, 1]"), "--dry_run")[1]
    assert "about 0:00:30 with 1 workers" in study(text.replace("[0]", "[0, 1]"), "--dry_run", "--only", "l1")[1]


def test_a_login_node_need_not_have_the_gpus(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "study.yaml").write_text(SMALL.replace("cpu", "gpu") + "precision: 16-mixed\n")
    assert main([str(tmp_path / "study.yaml"), "--engine", "slurm", "--dry_run"]) == 0
    assert main([str(tmp_path / "study.yaml"), "--dry_run"]) == 2
