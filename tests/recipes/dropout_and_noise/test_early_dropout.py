import math
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import apply
from lightning.pytorch import Callback, LightningModule, Trainer
from watching import watched

from bench import RunConfig, train
from recipes import RecipeError, UnfitError, build
from recipes.dropout_and_noise.dropout import drop
from recipes.dropout_and_noise.early_dropout import EarlyDropout, early_dropout, early_rate


def test_rate_falls_linearly_to_zero_and_stays_there() -> None:
    steps, early = 1000, 200
    rates = [early_rate(0.4, step / steps, early / steps) for step in range(steps)]
    # The authors reach 0 with the last early step, we with the next one.
    expected = np.concatenate([np.linspace(0.4, 0, early + 1), np.zeros(steps - early - 1)])
    np.testing.assert_allclose(rates, expected, atol=1e-12)


def test_units_are_dropped_at_the_present_rate() -> None:
    torch.manual_seed(0)
    layer, x = EarlyDropout(0.4, share=0.2), torch.ones(200, 200)
    for progress, rate in ((0.0, 0.4), (0.1, 0.2)):
        layer.progress = progress
        off = (layer(x) == 0).double().mean().item()
        assert abs(off - rate) < 4 * math.sqrt(rate * (1 - rate) / x.numel())
    layer.progress = 0.0
    torch.manual_seed(1)
    dropped = layer(x)
    torch.manual_seed(1)
    assert torch.equal(dropped, drop(x, 0.4, (200,)))
    layer.progress = 0.2
    assert layer(x) is x
    layer.progress = 0.0
    assert layer.eval()(x) is x


class Kill(Callback):
    """Ends a run before its third epoch."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == 2:
            raise RuntimeError("killed")


def test_a_run_follows_the_schedule_also_when_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    monkeypatch.setattr(
        "recipes.dropout_and_noise.early_dropout.drop", lambda x, p, shape: rates.append(p) or drop(x, p, shape)
    )
    config = {"model": "mlp(width=8)", "train_size": 200, "batch_size": 20, "epochs": 4, "checkpoint": True}
    config |= {"wandb": "disabled", "results_dir": str(tmp_path), "accelerator": "cpu"}
    run = RunConfig(recipe="early_dropout(p=0.5, share=0.75)", **config)
    assert watched(run, Kill(), force=False)[0].status == "failed"
    assert train(run).epochs_run == 4
    first, second = rates[::2], rates[1::2]  # of the two layers
    assert first == second
    np.testing.assert_allclose(first, np.linspace(0.5, 0, len(first), endpoint=False))


def test_refusals() -> None:
    with pytest.raises(RecipeError, match=r"p must be in \[0, 1\), got 1.0"):
        build("early_dropout(p=1.0)")
    for share in (0.0, 1.5):
        with pytest.raises(RecipeError, match=rf"share must be in \(0, 1\], got {share}"):
            build(f"early_dropout(share={share})")
    with pytest.raises(UnfitError, match="no hidden units in fully connected layers"):
        apply("early_dropout", "linear")
    assert early_dropout(0.0).model is None
