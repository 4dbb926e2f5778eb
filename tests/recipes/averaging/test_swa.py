from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim.swa_utils import AveragedModel
from watching import watched

from recipes import build
from recipes.averaging._averaging import floating_state, recompute_statistics
from recipes.normalization.ghost_batch_norm import GhostBatchNorm

Make = Callable[..., Any]


class Follow(Callback):
    """Averages the ends of the epochs from a share of the run on."""

    def __init__(self, start: int) -> None:
        self.start, self.model, self.agrees = start, None, []

    model: Any
    agrees: list[bool]

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.is_last_batch and trainer.current_epoch >= self.start:
            self.model = self.model or AveragedModel(pl_module.net)
            self.model.update_parameters(pl_module.net)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        ours, theirs = dict(pl_module.net.named_parameters()), dict(self.model.module.named_parameters())
        self.agrees = [torch.allclose(ours[k], theirs[k], atol=1e-6) for k in ours]


def test_evaluated_weights_are_torchs_average(make_config: Make) -> None:
    follow = Follow(start=2)
    watched(make_config(recipe="swa(start=0.5)", epochs=4), follow)
    assert follow.agrees
    assert all(follow.agrees)


def test_batch_statistics_are_those_of_the_average(make_config: Make) -> None:
    """Recompute them independently: the mean over batches of each batch norm's input mean."""

    class Statistics(Callback):
        def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            net: Any = pl_module.net
            norm = next(m for m in net.modules() if isinstance(m, torch.nn.BatchNorm1d))
            kept, means = norm.running_mean.clone(), []
            handle = norm.register_forward_pre_hook(lambda m, args: means.append(args[0].mean(0)))
            net.eval()
            with torch.no_grad():
                for x, _ in trainer.datamodule.train_dataloader():  # type: ignore[attr-defined]
                    net(x)
            handle.remove()
            self.difference = float((torch.stack(means).mean(0) - kept).abs().max())

    check = Statistics()
    watched(make_config(recipe="batch_norm+swa(start=0)", epochs=3), check)
    assert check.difference < 1e-2


@torch.no_grad()
@pytest.mark.parametrize("training", [False, True])
def test_recomputed_statistics_are_the_means_over_the_batches(training: bool) -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.BatchNorm1d(6))
    norm, batches = net[1], torch.randn(5, 20, 4)
    net(torch.randn(20, 4) + 3)  # it has been trained on something else
    net.train(training)
    recompute_statistics(net, batches)
    hidden = net[0](batches)
    torch.testing.assert_close(norm.running_mean, hidden.mean((0, 1)))
    torch.testing.assert_close(norm.running_var, hidden.var(1).mean(0))
    assert (norm.momentum, int(norm.num_batches_tracked), norm.training) == (0.1, 1, training)


@torch.no_grad()
def test_recomputed_statistics_of_ghost_batches() -> None:
    torch.manual_seed(0)
    norm, x = GhostBatchNorm(3, dims=0, momentum=0.1, size=16), 2 * torch.randn(20, 64, 3) + 5
    recompute_statistics(norm, x)
    ghosts = x.view(80, 16, 3)
    torch.testing.assert_close(norm.norm.running_mean, ghosts.mean((0, 1)))
    torch.testing.assert_close(norm.norm.running_var, ghosts.var(1).mean(0))
    assert (norm.norm.momentum, int(norm.norm.num_batches_tracked)) == (0.1, 0)


def test_before_the_start_nothing_changes(make_config: Make) -> None:
    plain = watched(make_config(epochs=4))[0]
    averaged = watched(make_config(recipe="swa(start=0.5)", epochs=4))[0]
    assert plain.history[:3] == averaged.history[:3]
    assert plain.history[3] != averaged.history[3]


def test_floating_state_leaves_counters_alone() -> None:
    net = torch.nn.BatchNorm1d(3)
    assert set(floating_state(net)) == {"weight", "bias", "running_mean", "running_var"}


@pytest.mark.parametrize("start", [-0.1, 1.1])
def test_range(start: float) -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        build(f"swa(start={start})")
