"""One run: reproducible, paired, resumable; what it measures is what it says."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.precision import MixedPrecision
from watching import watched

from bench import RunConfig, train
from bench.training import record
from bench.training.classifier import (
    learning_rate,
    make_optimizer,
    seed_step,
    soft_cross_entropy,
    step_size,
)
from bench.training.observer import Observer
from bench.training.prepare import Prepared, prepare
from bench.training.record import Record
from bench.training.recording import thinned
from datamodules import epoch_order

ROOT = Path(__file__).resolve().parents[3]
Make = Callable[..., RunConfig]
TIMES = ("seconds", "cpu_seconds", "images_per_second", "created")


def numbers(result: Record) -> dict[str, Any]:
    return {k: v for k, v in asdict(result).items() if k not in TIMES}


class Spy(Callback):
    """Keeps what the run did."""

    def __init__(self) -> None:
        self.batches: list[torch.Tensor] = []
        self.weights: dict[str, torch.Tensor] = {}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.batches.append(batch[0].clone())

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.weights = {k: v.clone() for k, v in pl_module.state_dict().items()}


def spied(config: RunConfig, force: bool = True) -> tuple[Record, Spy, Prepared]:
    spy = Spy()
    result, prepared = watched(config, spy, force=force)
    return result, spy, prepared


def test_denormal_numbers_do_not_slow_a_run_down(make_config: Make) -> None:
    torch.set_flush_denormal(False)
    prepare(make_config())
    assert torch.tensor(1e-38) * 0.01 == 0


class Told(Observer):
    """Writes down what it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.words: list[str] = []

    def found(self, config: RunConfig, record: Record) -> None:
        self.words.append(f"found {record.run_id}")

    def starting(self, prepared: Prepared) -> list[Callback]:
        self.words.append(f"starting {prepared.run_id}")
        return []

    def measured(self, record: Record) -> None:
        written = [p.stem for p in self.folder.glob("records/*.json")]
        self.words.append(f"measured {record.run_id}, {len(written)} written")


def test_an_observer_is_told_in_order_and_of_the_result_before_it_is_written(make_config: Make, tmp_path: Path) -> None:
    told = Told(tmp_path / "results")
    for _ in range(2):
        run_id = train(make_config(train_size=100), observer=told).run_id
    assert told.words == [f"starting {run_id}", f"measured {run_id}, 0 written", f"found {run_id}"]


def test_two_commands_train_a_run_once(make_config: Make) -> None:
    """The second waits for the first, and finds what that has made."""

    class Slow(Observer):
        def starting(self, prepared: Prepared) -> list[Callback]:
            started.set()
            time.sleep(1)
            return []

    config, started = make_config(train_size=100), threading.Event()
    told = Told(Path(config.results_dir))
    first = threading.Thread(target=lambda: train(config, observer=Slow()))
    first.start()
    started.wait()
    result = train(config, observer=told)
    first.join()
    assert told.words == [f"found {result.run_id}"]


def test_a_finished_run_is_found_without_torch(make_config: Make) -> None:
    config = make_config(train_size=100)
    result = train(config)
    code = (
        "import sys; from bench import RunConfig, train\n"
        f"print(train(RunConfig(**{asdict(config)})).run_id)\n"
        "print([name for name in ('torch', 'lightning', 'sklearn', 'wandb') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [result.run_id, "[]"]


def test_two_runs_of_one_config_give_equal_records(make_config: Make, tmp_path: Path) -> None:
    config = make_config(recipe="dropout+augment+gaussian_noise+batch_norm")
    first = train(config)
    second = train(replace(config, results_dir=str(tmp_path / "again")))
    assert first.status == "ok"
    assert numbers(first) == numbers(second)
    assert record.load(record.path_of(tmp_path / "results", first.run_id)) == first


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_recipes_see_gradients_without_the_loss_scale(
    make_config: Make, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    """A bound above every gradient's norm changes nothing, also where the loss is scaled by 65,536."""

    def scaled(plugins: list[Any], precision: str, **settings: Any) -> Trainer:
        return Trainer(plugins=[*plugins, MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))], **settings)

    monkeypatch.setattr("bench.training.fit.Trainer", scaled)
    monkeypatch.setattr("bench.training.prepare._check_machine", lambda config: None)
    settings = {"optimizer": optimizer, "precision": "16-mixed"}
    plain, spy, _ = spied(make_config(**settings))
    clipped, other, _ = spied(make_config(recipe="gradient_clipping(max_norm=100.0)", **settings))
    assert plain.status == "ok"
    assert plain.metrics == clipped.metrics
    assert all(torch.equal(spy.weights[k], other.weights[k]) for k in spy.weights)


def test_recipes_with_one_seed_share_split_initialization_and_order(make_config: Make) -> None:
    _, plain, a = spied(make_config())
    _, noisy, b = spied(make_config(recipe="dropout(p=0.5)+label_smoothing"))
    assert a.data.fingerprint == b.data.fingerprint
    assert all(torch.equal(x, y) for x, y in zip(plain.batches, noisy.batches, strict=True))
    fresh = [prepare(make_config(recipe=r)).net.state_dict() for r in ("none", "dropout+batch_norm")]
    assert all(torch.equal(fresh[0][k], fresh[1][k]) for k in fresh[0])


def test_batches_follow_the_permutation(make_config: Make) -> None:
    _, spy, prepared = spied(make_config(batch_size=100))
    data = prepared.data
    x = data.splits["train"].x
    steps = len(x) // 100
    assert len(spy.batches) == 2 * steps
    for epoch in range(2):
        order = epoch_order(len(x), data.seed, epoch)
        for i in range(steps):
            expected = x[order[100 * i : 100 * (i + 1)]].float() / 255
            torch.testing.assert_close(spy.batches[epoch * steps + i], expected)


def test_metrics_are_those_of_the_final_weights_in_evaluation_mode(make_config: Make) -> None:
    result, spy, prepared = spied(make_config(recipe="dropout(p=0.7)+label_smoothing(epsilon=0.4)+augment"))
    net = prepare(make_config(recipe="dropout(p=0.7)")).net.eval()
    net.load_state_dict({k.removeprefix("net."): v for k, v in spy.weights.items()})
    for split in ("train", "val", "test"):
        x, y = prepared.data.splits[split]
        with torch.no_grad():
            logits = net(x.float() / 255)
        assert result.metrics[split]["loss"] == pytest.approx(float(F.cross_entropy(logits, y)), rel=1e-5)
        assert result.metrics[split]["accuracy"] == pytest.approx(float((logits.argmax(1) == y).float().mean()))
    for name, other in (("gap", "val"), ("test_gap", "test")):
        gap = getattr(result, name)
        assert gap["loss"] == result.metrics[other]["loss"] - result.metrics["train"]["loss"]
        assert gap["accuracy"] == result.metrics["train"]["accuracy"] - result.metrics[other]["accuracy"]
    last = result.history[-1]
    assert last["val/loss"] == pytest.approx(result.metrics["val"]["loss"], rel=1e-4)
    assert last["gap/loss"] == pytest.approx(last["val/loss"] - last["train_probe/loss"], abs=1e-4)
    assert [row["epoch"] for row in result.history] == [1, 2]


def test_the_history_of_a_long_run_is_thinned(make_config: Make) -> None:
    rows = [{"epoch": float(i), "val/loss": abs(i - 77.0)} for i in range(1, 301)]
    kept = [int(row["epoch"]) for row in thinned(rows, 77)]
    assert kept == sorted({*range(1, 301, 6), 77, 300})
    assert thinned(rows[:50], 50) == rows[:50]
    assert thinned([], None) == []
    result = train(make_config(epochs=120, train_size=20))
    assert result.epochs_run == 120
    assert {1.0, float(result.best_epoch or 0), 120.0} <= {row["epoch"] for row in result.history}
    path = record.path_of(Path(make_config().results_dir), result.run_id)
    assert path.stat().st_size < 20_000


def test_early_stopping_measures_the_best_weights_and_counts_its_epochs(make_config: Make) -> None:
    result = train(make_config(recipe="early_stopping(patience=2)", epochs=60, lr=0.03, schedule="constant"))
    assert result.epochs_run < 60
    assert result.epochs_run == len(result.history)
    assert result.best_epoch == result.epochs_run - 2
    best = min(row["val/loss"] for row in result.history)
    assert result.metrics["val"]["loss"] == pytest.approx(best, rel=1e-4)


def test_cache_hit_and_force(make_config: Make) -> None:
    config = make_config()
    first = train(config)
    path = record.path_of(Path(config.results_dir), first.run_id)
    written = path.stat().st_mtime_ns
    assert train(config) == first
    assert path.stat().st_mtime_ns == written
    again = train(config, force=True)
    assert path.stat().st_mtime_ns != written
    assert numbers(again) == numbers(first)


def test_divergence_is_a_status_and_never_a_number(make_config: Make, tmp_path: Path) -> None:
    result = train(make_config(lr=1e30, optimizer="sgd"))
    assert result.status == "diverged"
    assert "epoch 1" in (result.error or "")
    assert result.metrics == result.gap == result.weights == {}
    assert result.epochs_run == 1
    text = record.path_of(tmp_path / "results", result.run_id).read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    json.loads(text)


def test_failure_inside_a_recipe_is_recorded(make_config: Make, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    (tmp_path / "their_recipe.py").write_text(
        "from recipes import Recipe\n"
        "def broken() -> Recipe:\n"
        "    def batch(x, y):\n        raise RuntimeError('their mistake')\n"
        "    return Recipe(batch=batch)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    config = make_config(recipe="their_recipe:broken")
    result = train(config)
    assert (result.status, result.error) == ("failed", "RuntimeError: their mistake")
    assert "their mistake" in capsys.readouterr().err
    assert train(config).created >= result.created  # a failure is no cache hit


def test_recipe_of_the_users_own(make_config: Make, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "my_recipes.py").write_text(
        "from recipes import Recipe\n"
        "def scale(by: float = 2.0) -> Recipe:\n"
        "    'Scales the input.'\n"
        "    return Recipe(batch=lambda x, y: (x * by, y))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    result = train(make_config(recipe="my_recipes:scale(by=1)+label_smoothing"))
    assert result.recipe == "my_recipes:scale(by=1.0)+label_smoothing(epsilon=0.1)"
    assert numbers(result)["metrics"] == train(make_config(recipe="label_smoothing")).metrics


def test_damaged_record_is_kept_aside_and_redone(make_config: Make, tmp_path: Path, capsys: Any) -> None:
    config = make_config()
    first = train(config)
    path = record.path_of(tmp_path / "results", first.run_id)
    path.write_text(path.read_text()[:100])
    assert numbers(train(config)) == numbers(first)
    assert path.name in capsys.readouterr().err
    assert len(path.with_name(path.name + ".damaged").read_text()) == 100
    assert record.load(path).run_id == first.run_id


def test_records_stay_small(make_config: Make, tmp_path: Path) -> None:
    result = train(make_config(epochs=30))
    assert record.path_of(tmp_path / "results", result.run_id).stat().st_size < 20_000


KILLED = """
import os, sys
sys.path.append("tests")
from lightning.pytorch import Callback
from bench import RunConfig
from watching import watched
class Kill(Callback):
    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.current_epoch == 2 and batch_idx == 3:
            os._exit(9)
watched(RunConfig(**eval(sys.argv[1])), Kill(), force=False)
"""


def test_killed_run_resumes_bit_for_bit(make_config: Make, tmp_path: Path) -> None:
    recipe = "dropout+augment+batch_norm+l1+early_stopping(patience=20)"
    config = make_config(recipe=recipe, epochs=4, checkpoint=True, optimizer="sgd")
    settings = {k: v for k, v in asdict(config).items() if v is not None}
    done = subprocess.run([sys.executable, "-c", KILLED, repr(settings)], cwd=ROOT, check=False, timeout=120)
    assert done.returncode == 9
    resumed, after, prepared = spied(config, force=False)
    folder = tmp_path / "results" / "checkpoints" / prepared.run_id
    assert sorted(p.name for p in folder.iterdir()) == ["final.ckpt", "last.ckpt"]
    whole, undisturbed, _ = spied(replace(config, results_dir=str(tmp_path / "whole")))
    assert numbers(resumed) == numbers(whole)
    assert len(after.batches) == len(undisturbed.batches) // 2
    assert all(torch.equal(after.weights[k], undisturbed.weights[k]) for k in undisturbed.weights)


@pytest.mark.parametrize("recipe", ["ema", "early_stopping(patience=1)"])
def test_run_killed_before_its_record_is_measured_when_it_goes_on(
    make_config: Make, tmp_path: Path, recipe: str
) -> None:
    config = make_config(recipe=recipe, epochs=6, lr=0.05, schedule="constant", checkpoint=True)
    first = train(config)
    record.path_of(tmp_path / "results", first.run_id).unlink()
    assert numbers(train(config)) == numbers(first)
    assert (tmp_path / "results" / "checkpoints" / first.run_id / "final.ckpt").exists()


def test_edited_recipe_of_the_users_own_is_another_run(make_config: Make, tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "edited.py"
    path.write_text("from recipes import Recipe\ndef mine() -> Recipe:\n    return Recipe()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    first = prepare(make_config(recipe="edited:mine")).run_id
    assert prepare(make_config(recipe="edited:mine")).run_id == first
    path.write_text(path.read_text() + "# edited\n")
    assert prepare(make_config(recipe="edited:mine")).run_id != first


def test_seed_of_a_step_depends_on_both_and_on_nothing_else() -> None:
    cpu = torch.device("cpu")
    draws = set()
    for seed in range(10):
        for step in range(10):
            seed_step(seed, step, cpu)
            draws.add(float(torch.rand(())))
    assert len(draws) == 100
    seed_step(3, 7, cpu)
    first = torch.rand(5)
    torch.rand(100)
    seed_step(3, 7, cpu)
    assert torch.equal(first, torch.rand(5))


def test_learning_rate_against_torch(make_config: Make) -> None:
    config = make_config(lr=0.1)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    for step in range(50):
        assert learning_rate(config, step / 50) == pytest.approx(schedule.get_last_lr()[0], abs=1e-9)
        optimizer.step()
        schedule.step()
    assert learning_rate(replace(config, schedule="constant"), 0.9) == 0.1


@pytest.mark.parametrize("settings", [{"optimizer": "sgd", "momentum": 0.9}, {"optimizer": "adam"}])
def test_step_size_is_what_a_constant_gradient_moves(make_config: Make, settings: dict[str, Any]) -> None:
    """Reference: torch's own optimizers, fed one gradient until the step settles."""
    net = torch.nn.Linear(3, 1)
    optimizer = make_optimizer(net, make_config(lr=0.01, **settings))
    gradient = torch.tensor([[0.5, -2.0, 3.0]])
    for _ in range(300):
        before = net.weight.detach().clone()
        net.weight.grad, net.bias.grad = gradient.clone(), torch.zeros(1)
        optimizer.step()
    moved = before - net.weight.detach()
    torch.testing.assert_close(moved, step_size(optimizer)(net.weight) * gradient, rtol=1e-3, atol=1e-6)


def test_optimizer_hooks_see_the_final_gradient(make_config: Make) -> None:
    """Decoupled decay is a hook before the step: were it run before the backward pass, the gradient would differ."""
    seen: list[bool] = []

    class Look(Callback):
        def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            optimizer = trainer.optimizers[0]
            optimizer.register_step_pre_hook(
                lambda o, a, k: seen.append(all(p.grad is not None for g in o.param_groups for p in g["params"]))
            )

    watched(make_config(), Look())
    assert seen
    assert all(seen)


def test_two_processes_give_the_single_processs_numbers(tmp_path: Path) -> None:
    """The real command under ddp (gloo), with random masks, augmentation and batch statistics."""
    recipe = "dropout+augment+gaussian_noise+batch_norm+label_smoothing+elastic_net+weight_decay+early_stopping"
    command = [sys.executable, "bench/run.py", "--recipe", recipe, "--epochs", "2", "--accelerator", "cpu"]
    found = []
    for devices in ("1", "2"):
        folder = tmp_path / devices
        extra = ["--devices", devices, "--results_dir", str(folder), "--wandb", "disabled"]
        subprocess.run([*command, *extra], cwd=ROOT, check=True, timeout=200, capture_output=True)
        (path,) = (folder / "records").glob("*.json")
        found.append(record.load(path))
    one, two = found
    assert one.run_id == two.run_id
    assert (one.environment["devices"], two.environment["devices"]) == (1, 2)
    for split in one.metrics:
        assert two.metrics[split] == pytest.approx(one.metrics[split], abs=5e-3)
    assert two.history[-1] == pytest.approx(one.history[-1], abs=5e-3)


def test_soft_cross_entropy_of_one_hot_targets() -> None:
    logits, labels = torch.randn(50, 7), torch.randint(7, (50,))
    soft = soft_cross_entropy(logits, F.one_hot(labels, 7).float())
    torch.testing.assert_close(soft, F.cross_entropy(logits, labels, reduction="none"))
