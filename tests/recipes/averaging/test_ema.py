from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from watching import watched

from bench.training.classifier import Classifier
from bench.training.prepare import prepare
from recipes import build
from recipes.averaging._averaging import floating_state
from recipes.averaging.ema import newest_weight

Make = Callable[..., Any]


class Follow(Callback):
    """Averages the same trajectory with torch's own code; keeps what validation and the end of the run saw."""

    def __init__(self, averaged: Callable[[Any], Any], every_epoch: bool = False) -> None:
        self.make, self.every_epoch = averaged, every_epoch
        self.model: Any = None
        self.seen: list[bool] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if self.every_epoch and not trainer.is_last_batch:
            return
        if self.model is None:
            self.model = self.make(pl_module.net)
        self.model.update_parameters(pl_module.net)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seen.append(self.agrees(pl_module))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seen.append(self.agrees(pl_module))

    def agrees(self, module: Any) -> bool:
        ours, theirs = floating_state(module.net), floating_state(self.model.module)
        return all(torch.allclose(ours[k], theirs[k], atol=1e-6) for k in ours)


def test_evaluated_weights_are_torchs_average(make_config: Make) -> None:
    follow = Follow(lambda net: AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True))
    result = watched(make_config(recipe="ema(decay=0.9, debias=False)", epochs=3), follow)[0]
    assert result.status == "ok"
    assert follow.seen == [True] * 4


def test_training_itself_is_untouched(make_config: Make) -> None:
    class Keep(Callback):
        weights: torch.Tensor

        def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
            self.weights = next(pl_module.parameters()).detach().clone()

    keeps = [Keep(), Keep()]
    for keep, recipe in zip(keeps, ("none", "ema"), strict=True):
        watched(make_config(recipe=recipe, epochs=3), keep)
    assert torch.equal(keeps[0].weights, keeps[1].weights)


def test_first_validation_sees_trained_weights(make_config: Make) -> None:
    """Lightning issue 21724: its own callback evaluates the initial weights before its first update."""
    late = watched(make_config(recipe="swa(start=0.9)", epochs=2))[0]
    plain = watched(make_config(epochs=2))[0]
    assert late.history[0] == plain.history[0]


@pytest.mark.parametrize("recipe", ["ema+early_stopping(patience=2)", "early_stopping(patience=2)+ema"])
def test_early_stopping_restores_the_averaged_weights_that_were_evaluated(make_config: Make, recipe: str) -> None:
    result = watched(make_config(recipe=recipe, epochs=40, lr=0.03, schedule="constant"))[0]
    assert result.epochs_run < 40
    best = min(row["val/loss"] for row in result.history)
    assert result.metrics["val"]["loss"] == pytest.approx(best, rel=1e-4)


def test_it_smooths_the_validation_curve(make_config: Make) -> None:
    """With a large constant learning rate the raw curve jumps; the average's does not."""
    wiggles = []
    for recipe in ("none", "ema(decay=0.99)"):
        result = watched(make_config(recipe=recipe, epochs=12, lr=0.02, schedule="constant"))[0]
        losses = [row["val/loss"] for row in result.history[3:]]
        wiggles.append(sum(abs(b - a) for a, b in pairwise(losses)))
    assert wiggles[1] < 0.5 * wiggles[0]


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.9999])
def test_debiased_weights_count_by_their_age_and_nothing_else(decay: float) -> None:
    values = np.random.default_rng(0).normal(size=40)
    average = 0.0
    for t, value in enumerate(values):
        average += newest_weight(decay, t, debias=True) * (value - average)
    assert average == pytest.approx(np.average(values, weights=decay ** np.arange(40)[::-1]))
    assert newest_weight(decay, 7, debias=False) == pytest.approx(1 - decay)


def test_a_run_evaluates_the_weighted_mean_of_its_trajectory(make_config: Make) -> None:
    """At a decay near 1, all weights since the first step count alike: AveragedModel without a function of its own."""
    follow = Follow(AveragedModel)
    result = watched(make_config(recipe="ema(decay=0.9999999)", epochs=3), follow)[0]
    assert result.status == "ok"
    assert follow.seen == [True] * 4


def test_buffers_are_averaged_too(make_config: Make) -> None:
    follow = Follow(lambda net: AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True))
    watched(make_config(recipe="batch_norm+ema(decay=0.9, debias=False)", epochs=2), follow)
    assert follow.seen == [True] * 3


def test_state_dict_is_plain(make_config: Make) -> None:
    recipe = build("ema")
    assert recipe.average
    assert recipe.average().state_dict() == {"average": {}, "updates": 0}
    assert isinstance(prepare(make_config()).net, torch.nn.Module)
    assert issubclass(Classifier, LightningModule)


@pytest.mark.parametrize("decay", [-0.1, 1.0, math.pi])
def test_range(decay: float) -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\)"):
        build(f"ema(decay={decay})")
