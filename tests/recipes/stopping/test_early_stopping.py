from __future__ import annotations

import io
import random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping as LightningsEarlyStopping
from torch import Tensor, nn

from bench import RunConfig
from bench.training.fit import make_trainer, quiet
from recipes import build
from recipes.stopping.early_stopping import EarlyStopping


class Scripted(LightningModule):
    """Its validation losses are given, and its one weight is the number of the epoch."""

    def __init__(self, losses: list[float]) -> None:
        super().__init__()
        self.losses, self.weight = losses, nn.Parameter(torch.zeros(()))
        self.automatic_optimization = False

    def training_step(self, batch: Tensor, index: int) -> None:
        with torch.no_grad():
            self.weight.fill_(self.current_epoch)

    def validation_step(self, batch: Tensor, index: int) -> None:
        self.log("val/loss", self.losses[self.current_epoch])

    def configure_optimizers(self) -> None:
        return None


def stopped(losses: list[float], callback: Callback) -> tuple[int, int]:
    """The number of epochs run, and the epoch whose weight is left."""
    with quiet():
        trainer = make_trainer(RunConfig(epochs=len(losses), accelerator="cpu"), [callback])
        module = Scripted(losses)
        trainer.fit(module, [torch.zeros(1)], [torch.zeros(1)])
    return trainer.current_epoch, int(module.weight.detach())


@pytest.mark.parametrize("patience", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_against_lightning(patience: int, seed: int) -> None:
    """Losses repeat, so that equal ones, which are no improvement, occur."""
    losses = [float(loss) for loss in random.Random(seed).choices(range(1, 8), k=12)]
    theirs = LightningsEarlyStopping("val/loss", patience=patience, check_on_train_epoch_end=False)
    expected, last = stopped(losses, theirs)
    epochs, left = stopped(losses, EarlyStopping(patience))
    assert epochs == expected
    assert last == epochs - 1
    assert left == losses.index(min(losses[:epochs]))


def test_best_weights_come_back_also_from_the_last_epoch() -> None:
    assert stopped([3.0, 1.0, 2.0], EarlyStopping(5)) == (3, 1)


@pytest.mark.parametrize("patience", [1, 3, 10])
def test_the_patience_given_is_waited(patience: int) -> None:
    callbacks = build(f"early_stopping(patience={patience})").callbacks
    assert callbacks
    assert stopped([1.0] + [2.0] * 12, *callbacks()) == (1 + patience, 0)


def test_state_goes_on_where_it_was() -> None:
    """Through a file, as a checkpoint is loaded."""
    losses, module = [3.0, 1.0, 2.0, 2.0, 2.0], nn.Linear(2, 2)
    whole, broken = EarlyStopping(3), EarlyStopping(3)
    outcomes = []
    for i, loss in enumerate(losses):
        nn.init.constant_(module.weight, float(i))
        trainers: Any = [SimpleNamespace(callback_metrics={"val/loss": loss}, should_stop=False) for _ in range(2)]
        file = io.BytesIO()
        torch.save(broken.state_dict(), file)
        file.seek(0)
        broken = EarlyStopping(3)
        broken.load_state_dict(torch.load(file, weights_only=True))
        for callback, trainer in zip((whole, broken), trainers, strict=True):
            callback.on_validation_end(trainer, module)  # type: ignore[arg-type]
        outcomes.append([trainer.should_stop for trainer in trainers])
    assert outcomes == [[False, False]] * 4 + [[True, True]]
    broken.on_train_end(trainers[0], module)  # type: ignore[arg-type]
    assert torch.equal(module.weight, torch.ones(2, 2))


class Evaluated(Callback):
    """Keeps the weights that each validation saw."""

    def __init__(self) -> None:
        self.states: list[dict[str, Tensor]] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        net: Any = pl_module.net
        self.states.append({k: v.clone() for k, v in net.state_dict().items() if v.is_floating_point()})


@pytest.mark.parametrize(
    "recipe",
    [
        "early_stopping(patience=2)",
        "ema(decay=0.9)+early_stopping(patience=2)",
        "early_stopping(patience=2)+ema(decay=0.9)",
        "early_stopping(patience=2)+swa(start=0.2)",
        "batch_norm+swa(start=0.2)+early_stopping(patience=2)",
    ],
)
def test_restored_weights_are_those_that_were_evaluated(fit: Any, recipe: str) -> None:
    """Bit for bit, the averaged ones where weights are averaged, in either order of the composition."""
    evaluated = Evaluated()
    run = fit(recipe, (evaluated,), epochs=30, lr=0.01, schedule="constant")
    record = run.record
    assert record.status == "ok"
    best = evaluated.states[record.best_epoch - 1]
    assert all(torch.equal(run.net.state_dict()[k], best[k]) for k in best)
    assert record.metrics["val"]["loss"] == pytest.approx(record.history[record.best_epoch - 1]["val/loss"], rel=1e-4)
    assert record.epochs_run == min(30, record.best_epoch + 2)


@pytest.mark.parametrize("patience", [0, -1])
def test_range(patience: int) -> None:
    with pytest.raises(ValueError, match="patience must be from 1 to 1000000, or None"):
        build(f"early_stopping(patience={patience})")
