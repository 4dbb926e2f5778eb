"""The command as a person uses it: its output, its refusals, its exit status."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.run import main
from bench.terminal.listing import grid
from bench.training import record
from bench.training.record import write

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path: Path, capsys: Any, monkeypatch: Any) -> Any:
    """Run the command in this process; returns (exit status, stdout, stderr)."""
    monkeypatch.setenv("COLUMNS", "150")

    def call(*argv: str) -> tuple[int, str, str]:
        usual = ["--results_dir", str(tmp_path / "results"), "--wandb", "disabled", "--accelerator", "cpu"]
        capsys.readouterr()
        status = main([*(usual if "--list" not in argv else []), *argv])
        return (status, *capsys.readouterr())

    return call


def test_one_run_from_plan_to_table(run: Any, tmp_path: Path) -> None:
    status, out, err = run("--recipe", "label_smoothing", "--epochs", "2")
    assert status == 0
    assert err == ""
    for words in ("1,150 to train on", "label_smoothing(epsilon=0.1)", "Szegedy", "accuracy", "gap to val."):
        assert words in out
    assert "python bench/run.py --recipe none" in out
    (path,) = (tmp_path / "results" / "records").iterdir()
    record = json.loads(path.read_text())
    assert f"{100 * record['metrics']['test']['accuracy']:.2f}" in out
    assert f"{record['gap']['loss']:+.4f}" in out


def test_baseline_stands_beside(run: Any) -> None:
    _, out, _ = run("--recipe", "dropout", "--epochs", "2")
    command = re.search(r"python bench/run.py (--recipe none.*)", out)
    assert command
    flags = command[1].split()
    status, _, _ = run(*flags)
    assert status == 0
    _, out, _ = run("--recipe", "dropout", "--epochs", "2")
    assert "found finished" in out
    table = out[out.index("digits, mlp") :]
    assert "dropout(p=0.3)" in table
    assert re.search(r"^none", table, flags=re.MULTILINE)
    assert "no baseline" not in out


def test_seeds_are_paired_and_summarized(run: Any, tmp_path: Path) -> None:
    status, out, _ = run("--recipe", "dropout", "--epochs", "1", "--seeds", "3", "--seed", "5")
    assert status == 0
    records = [json.loads(p.read_text()) for p in (tmp_path / "results" / "records").iterdir()]
    assert sorted(r["config"]["seed"] for r in records) == [5, 6, 7]
    values = [100 * r["metrics"]["test"]["accuracy"] for r in records]
    assert f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}" in out
    assert "3 paired seeds" in out


def test_force_trains_again(run: Any, tmp_path: Path) -> None:
    run("--epochs", "1")
    (path,) = (tmp_path / "results" / "records").iterdir()
    before, written = json.loads(path.read_text()), path.stat().st_mtime_ns
    _, out, _ = run("--epochs", "1", "--force")
    assert "found finished" not in out
    assert path.stat().st_mtime_ns != written
    assert json.loads(path.read_text())["metrics"] == before["metrics"]


def test_config_file_and_flags_that_override_it(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("recipe: dropout(p=0.5)\nepochs: 9\nseed: 3\n")
    assert run("--config", str(path), "--epochs", "1")[0] == 0
    (record,) = (tmp_path / "results" / "records").iterdir()
    config = json.loads(record.read_text())["config"]
    assert (config["recipe"], config["epochs"], config["seed"]) == ("dropout(p=0.5)", 1, 3)


def test_every_flag_once(run: Any, tmp_path: Path) -> None:
    flags = {
        "recipe": "l2(lam=0.001)", "dataset": "digits", "model": "cnn(width=4)", "seed": "2", "epochs": "1",
        "train_size": "200", "val_fraction": "0.3", "split_seed": "4", "batch_size": "50", "lr": "0.01",
        "optimizer": "sgd", "momentum": "0.8", "schedule": "constant", "precision": "bf16-mixed", "data_dir": "x",
        "project": "p", "group": "g", "devices": "1", "num_nodes": "1", "seeds": "1",
    }  # fmt: skip
    argv = [word for name, value in flags.items() for word in (f"--{name}", value)]
    status, _, err = run(*argv, "--checkpoint", "--force")
    assert (status, err) == (0, "")
    (path,) = (tmp_path / "results" / "records").iterdir()
    record = json.loads(path.read_text())
    for name, value in record["config"].items():
        assert flags.get(name, "") in (str(value), ""), name
    assert record["dataset"]["sizes"]["train"] == 200
    assert (tmp_path / "results" / "checkpoints" / record["run_id"] / "final.ckpt").exists()


def test_list_shows_everything(run: Any) -> None:
    from bench.training.networks import networks
    from datamodules import datasets
    from recipes import techniques

    status, out, _ = run("--list")
    assert status == 0
    for name in [*techniques(), *datasets(), *networks()]:
        assert re.search(rf"^{name}\b", out, flags=re.MULTILINE), name
    text = " ".join(out.split())
    for technique in techniques().values():
        parts = [technique.summary, technique.paper, grid(technique), technique.reference]
        assert all(part in text for part in parts if part), technique.name
    assert "(off None)" in text
    assert "refused where: the dataset holds no images" in text


def test_diverged_run_exits_1(run: Any) -> None:
    status, out, err = run("--optimizer", "sgd", "--lr", "1e30", "--epochs", "3")
    assert status == 1
    assert err.startswith("seed 0 diverged: ")
    assert "diverged" in out


WRONG = [
    (["--recipe", "drop_out"], "did you mean 'dropout'"),
    (["--recipe", "dropout(q=0.3)"], "dropout has no argument 'q'"),
    (["--recipe", "dropout(p=1.5)"], "p must be in [0, 1), got 1.5"),
    (["--recipe", "dropout(p=-0.1)"], "p must be in [0, 1)"),
    (["--recipe", "dropout(p=nan)"], "'nan' is not a literal"),
    (["--recipe", "dropout(p=1e999)"], "is not a finite number"),
    (["--recipe", "l2(lam=-1)"], "lam must be at least 0"),
    (["--recipe", "dropout(p=0.3"], "malformed recipe"),
    (["--recipe", "dropout(p=0.3))"], "malformed recipe"),
    (["--recipe", "dropout(p=__import__('os'))"], "is not a literal"),
    (["--recipe", "dropout+dropout(p=0.1)"], "dropout appears twice"),
    (["--recipe", ""], "malformed recipe"),
    (["--recipe", "no.such.module:recipe"], "cannot import recipe 'no.such.module:recipe'"),
    (["--dataset", "digit"], "did you mean 'digits'"),
    (["--model", "mpl"], "did you mean 'mlp'"),
    (["--model", "cnn", "--dataset", "sparse_features"], "cnn needs images"),
    (["--recipe", "augment", "--dataset", "sparse_features"], "augment works on images"),
    (["--recipe", "dropout", "--model", "linear"], "no hidden units"),
    (
        ["--recipe", "dropout+l2+spatial_dropout"],
        "spatial_dropout(p=0.1): this network has no hidden units in feature maps",
    ),
    (["--recipe", "batch_norm", "--model", "resnet18(width=2)"], "normalized already"),
    (["--recip", "none"], "unknown flag '--recip', did you mean '--recipe'"),
    (["--train_size", "99999"], "99999"),
    (["--train_size", "5"], "5"),
    (["--batch_size", "0"], "batch_size must be from 1 to 1000000"),
    (["--epochs", "0"], "epochs must be from 1 to 1000000"),
    (["--epochs", "x"], "invalid int value: 'x'"),
    (["--seeds", "0"], "seeds must be from 1 to 1000"),
    (["--seeds", "99999999"], "seeds must be from 1 to 1000"),
    (["--seed", "2147483647", "--seeds", "2"], "seed must be from 0 to 2147483647, got 2147483648"),
    (["--model", "mlp(width=1000000000)"], "mlp: width must be from 1 to 65536, got 1000000000"),
    (["--resample", "99999999"], "resample must be from 0 to 1000000"),
    (["--logger", "csv,tensorbord"], "did you mean 'tensorboard'"),
    (["--train_size", "30", "--val_fraction", "0.007", "--batch_size", "30", "--devices", "15"], "use 10 at most"),
    (["--batch_size", "33", "--devices", "2"], "does not divide among 2 processes"),
    (["--dataset", "imagefolder", "--data_dir", "nowhere"], "nowhere"),
    (["--config", "nowhere.yaml"], "nowhere.yaml"),
    (["--recipe", "batch_norm", "--batch_size", "1"], "at least 2 samples"),
    (["--model", "resnet18(width=2)", "--batch_size", "1"], "at least 2 samples"),
    (["--accelerator", "cuda", "--devices", "99", "--batch_size", "99"], "this machine has"),
    (["--recipe", "l1(lam=1" + "0" * 400 + ")"], "too large"),
    (["--wandb", "yes"], "choose from auto"),
]


@pytest.mark.parametrize(("argv", "words"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_wrong_input_is_refused_in_one_line(run: Any, tmp_path: Path, argv: list[str], words: str) -> None:
    status, out, err = run(*argv)
    assert status == 2
    assert words in err
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
    assert not (tmp_path / "results").exists()


def test_duplicate_keys_in_yaml_are_refused(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("seed: 1\nseed: 2\n")
    status, _, err = run("--config", str(path))
    assert status == 2
    assert "duplicate key 'seed'" in err


def test_results_folder_that_cannot_be_written(run: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, _, err = run("--results_dir", str(tmp_path / "file" / "results"), "--epochs", "1")
    assert status == 2
    assert "cannot write to results_dir" in err
    assert err.count("\n") == 1


FULL = """
import resource, sys
from bench import run
def fill(screen, prepared, starting=run.Screen.starting):
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # as a full disk: files can be made, and nothing written
    return starting(screen, prepared)
run.Screen.starting = fill
sys.exit(run.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("flags", [[], ["--checkpoint"], ["--logger", "csv"], ["--recipe", "self_distillation"]])
def test_a_full_disk_costs_the_record_and_not_the_numbers(tmp_path: Path, flags: list[str]) -> None:
    argv = ["--train_size", "100", "--epochs", "3", "--wandb", "disabled", "--results_dir", str(tmp_path), *flags]
    done = subprocess.run(
        [sys.executable, "-B", "-c", FULL, *argv], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "seed 0: test accuracy " in done.stdout
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert lines[-1].startswith(f"error: no place for the record: {tmp_path}: [Errno 27] File too large")
    assert len(lines) == 1 + (2 if "--recipe" in flags else len(flags) > 0)


def test_a_record_that_results_dir_refuses_is_kept_in_the_current_folder(
    run: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    def refuse(record: Any, folder: Path) -> Path:
        if folder == tmp_path / "results":
            raise OSError(28, "No space left on device")
        return write(record, folder)

    monkeypatch.setattr(record, "write", refuse)
    monkeypatch.chdir(tmp_path)
    status, out, err = run("--epochs", "1")
    assert status == 0
    assert "accuracy, %" in out
    (path,) = (tmp_path / "records").iterdir()
    assert err == (
        f"warning: cannot write the record to {tmp_path / 'results'}: [Errno 28] No space left on device; "
        f"it is kept as {path}: move it there\n"
    )


def test_nothing_that_a_terminal_obeys_is_printed(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "a\x1b[31mb"
    status, out, err = run("--results_dir", str(folder), "--epochs", "1")
    assert status == 0
    status, again, err_again = run("--results_dir", str(folder), "--epochs", "1", "--recipe", "dropout")
    status, found, err_found = run("--results_dir", str(folder), "--epochs", "1")
    assert "found finished" in found
    _, _, refused = run("--dataset", "imagefolder", "--data_dir", str(folder))
    _, _, unread = run("--config", str(folder))
    for text in (out, err, again, err_again, found, err_found, refused, unread):
        assert "\x1b" not in text
    assert "a[U+001B][31mb" in found
    assert "U+001B" in refused


LIGHT = """
import contextlib, io, sys
from bench.run import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    assert main(sys.argv[1:]) in (0, 2)
heavy = ("torch", "lightning", "sklearn", "scipy", "yaml", "rich", "wandb")
print([name for name in heavy if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("argv", "imported"),
    [
        (["--help"], "[]"),
        (["--epochs", "0"], "[]"),
        (["--recipe", "dropout(p=2)"], "[]"),
        (["--model", "mlp(depth=2)"], "[]"),
        (["--list"], "['rich']"),
    ],
)
def test_commands_import_what_they_need(argv: list[str], imported: str) -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT, *argv], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == imported


def test_a_run_that_is_found_needs_no_torch(run: Any, tmp_path: Path) -> None:
    argv = ["--epochs", "1", "--train_size", "100", "--wandb", "disabled", "--accelerator", "cpu"]
    for recipe in ("none", "dropout"):
        run(*argv, "--recipe", recipe)
    argv += ["--recipe", "dropout", "--results_dir", str(tmp_path / "results")]
    done = subprocess.run([sys.executable, "-c", LIGHT, *argv], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['rich']"


def make_folder(root: Path) -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(20):
                Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{i}.png")


def break_one(root: Path) -> None:
    (root / "train" / "cat" / "3.png").write_bytes(b"no image")


def lose_one(root: Path) -> None:
    (root / "train" / "cat" / "4.png").unlink()
    (root / "train" / "cat" / "4.png").symlink_to(root / "nowhere.png")


def empty_one(root: Path) -> None:
    for path in (root / "train" / "dog").iterdir():
        path.unlink()


def rename_one(root: Path) -> None:
    (root / "test" / "dog").rename(root / "test" / "wolf")


def leave_one(root: Path) -> None:
    for split in ("train", "test"):
        for path in (root / split / "dog").iterdir():
            path.unlink()
        (root / split / "dog").rmdir()


@pytest.mark.parametrize(
    ("damage", "words"),
    [(break_one, "3.png"), (lose_one, "4.png"), (empty_one, "dog"), (rename_one, "dog"), (leave_one, "cat")],
)
def test_image_folder_that_is_wrong(run: Any, tmp_path: Path, damage: Any, words: str) -> None:
    make_folder(tmp_path / "images")
    damage(tmp_path / "images")
    status, _, err = run("--dataset", "imagefolder", "--data_dir", str(tmp_path / "images"))
    assert status == 2
    assert words in err
    assert err.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_image_folder_of_the_users_own(run: Any, tmp_path: Path) -> None:
    make_folder(tmp_path / "images")
    argv = ["--dataset", "imagefolder", "--data_dir", str(tmp_path / "images"), "--epochs", "1"]
    status, out, _ = run(*argv, "--model", "resnet9(width=2)", "--recipe", "dropout")
    assert status == 0
    assert "40 to test" in out


def script(*argv: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "bench" / "run.py"), *argv]
    env = {**os.environ, **environment}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_script_runs_from_anywhere_and_says_nothing_else(tmp_path: Path) -> None:
    """From another folder, with W&B offline by default: no banner, no tip, no warning of any library."""
    (tmp_path / "mine.py").write_text("from recipes import Recipe\n\ndef nothing() -> Recipe:\n    return Recipe()\n")
    done = script("--epochs", "1", "--recipe", "mine:nothing", "--results_dir", "out", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("dataset")
    assert lines[-1].startswith("no baseline") or "--results_dir out" in done.stdout
    assert not re.search(r"wandb|GPU available|Trainer|litlogger|Tip", done.stdout)
    (record,) = (tmp_path / "out" / "records").iterdir()
    assert json.loads(record.read_text())["wandb"]["mode"] == "offline"
    assert list((tmp_path / "out" / "wandb").glob("offline-run-*/*.wandb"))


def test_a_process_with_a_number_of_its_own_still_speaks(tmp_path: Path) -> None:
    """`srun -n4 ... --seed $SLURM_PROCID` starts four runs of one process each: none may fall silent."""
    argv = ("--epochs", "1", "--wandb", "disabled", "--results_dir", str(tmp_path / "out"))
    done = script(*argv, SLURM_PROCID="1", RANK="1", LOCAL_RANK="1")
    assert done.returncode == 0
    assert "accuracy" in done.stdout
    assert len(list((tmp_path / "out" / "records").iterdir())) == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_a_run_with_a_message(tmp_path: Path, number: int, status: int) -> None:
    folder = tmp_path / "out"
    argv = ["--epochs", "100000", "--wandb", "disabled", "--checkpoint", "--results_dir", str(folder)]
    command = [sys.executable, str(ROOT / "bench" / "run.py"), *argv]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not list(folder.glob("checkpoints/*/last.ckpt")):  # it trains
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == status
    assert err.endswith("stopped; nothing was recorded for the run in progress\n")
    assert not list(folder.glob("records/*.json"))


def test_script_refuses_without_traceback() -> None:
    done = script("--recipe", "drpout")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
