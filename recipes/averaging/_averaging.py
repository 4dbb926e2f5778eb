"""Weights averaged along the training run: the ones that are evaluated, each epoch and at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from recipes._core.distributed import own_rows
from recipes._core.passes import frozen_statistics

State = dict[str, Tensor]


class Averaging(Callback):
    """Keeps an average of the network's weights and buffers and evaluates that.

    The averaged weights are in place from the start of a validation to the end of its epoch, so that whatever looks at
    the evaluated network meanwhile (early stopping's snapshot) sees them. Until the first update they are the current
    ones: Lightning's own callback would evaluate untrained weights (lightning issue 21724).

    Args:
        weight: (step, updates so far, last batch of the epoch, share of the run done) -> weight of the newest weights
            in the average, in [0, 1]; None: no update at this step.
        recompute: recompute batch norm's statistics for the averaged weights, by a pass over the clean training data.
    """

    def __init__(self, weight: Callable[[int, int, bool, float], float | None], recompute: bool = False) -> None:
        self.weight, self.recompute = weight, recompute
        self.average: State = {}
        self.updates = 0
        self.swapped = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        total = int(trainer.num_training_batches) * (trainer.max_epochs or 1)
        newest = self.weight(trainer.global_step, self.updates, trainer.is_last_batch, trainer.global_step / total)
        if newest is not None:
            blend(self.average, floating_state(_net(pl_module)), newest if self.updates else 1.0)
            self.updates += 1

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.updates and not self.swapped:
            exchange(self.average, floating_state(_net(pl_module)))
            self.swapped = True
            if self.recompute:
                self._recompute(trainer, _net(pl_module))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.swapped:
            exchange(self.average, floating_state(_net(pl_module)))
            self.swapped = False

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.updates:
            blend(floating_state(_net(pl_module)), self.average, 1.0)

    def state_dict(self) -> dict[str, Any]:
        return {"average": self.average, "updates": self.updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.average, self.updates = state_dict["average"], state_dict["updates"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.average = {name: tensor.to(pl_module.device) for name, tensor in self.average.items()}

    def _recompute(self, trainer: Trainer, net: nn.Module) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        recompute_statistics(net, (own_rows(x) for x, _ in data.train_dataloader()))


def recompute_statistics(net: nn.Module, batches: Iterable[Tensor]) -> None:
    """Batch norm's running statistics become the means over these batches; its counters and momenta stay."""
    with frozen_statistics(net):
        update_bn(batches, net)


def floating_state(net: nn.Module) -> State:
    """Weights and floating buffers, by name; the tensors themselves. Counters stay the network's."""
    return {name: tensor for name, tensor in net.state_dict().items() if tensor.is_floating_point()}


@torch.no_grad()
def blend(average: State, current: State, weight: float) -> None:
    """average <- (1 - weight) * average + weight * current, in place; at weight 1 a copy."""
    for name, tensor in current.items():
        if name not in average:
            average[name] = tensor.clone()
        elif weight == 1.0:
            average[name].copy_(tensor)
        else:
            average[name].lerp_(tensor, weight)


@torch.no_grad()
def exchange(a: State, b: State) -> None:
    """Swap the values of equally named tensors."""
    for name, tensor in a.items():
        kept = tensor.clone()
        tensor.copy_(b[name])
        b[name].copy_(kept)


def _net(module: LightningModule) -> nn.Module:
    return module.net  # type: ignore[return-value]
