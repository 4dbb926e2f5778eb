"""The one LightningModule: it takes any recipe through its laws and knows none by name."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.training import metrics
from bench.training.settings import RunConfig
from recipes import Recipe, Step, StepSize
from recipes._core.distributed import all_sum, own_rows, world

VAL, PROBE = "val", "train_probe"
CARRIED_OVER = ("history", "seconds", "cpu_seconds", "training_seconds")
"""What a resumed run takes over from its checkpoint beside weights and optimizer."""
History = list[dict[str, float]]


class Classifier(LightningModule):
    """Trains a network with a recipe, and evaluates it on validation data and the train probe after each epoch.

    Args:
        net: maps (N, C, H, W) images in [0, 1], or (N, D) features, to (N, K) logits; already operated on by the
            recipe's `model`.
        recipe: what regularizes.
        config: resolved settings.
        steps: training steps of the whole run, for the schedule and for `Step.progress`.
    """

    def __init__(self, net: nn.Module, recipe: Recipe, config: RunConfig, steps: int) -> None:
        super().__init__()
        # Manual: one batch may need several passes (SAM), each with the same random numbers; hooks of the optimizer
        # must see the final gradient, without the loss scale, whereas Lightning runs the backward pass inside of
        # `step`; and a projection follows the step. So `training_step` runs the backward pass and the step itself.
        self.automatic_optimization = False
        self.net, self.recipe, self.config, self.steps = net, recipe, config, steps
        self.history: History = []
        self.diverged: str | None = None
        self.final: dict[str, Tensor] = {}
        self.predictions: Tensor | None = None
        self.seconds = self.cpu_seconds = self.training_seconds = 0.0
        self.epoch_start = self.cpu_start = 0.0
        self.objective = torch.zeros(())
        self.batches = 0
        self.totals: dict[str, Tensor] = {}
        self.classes = 0

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)  # type: ignore[no-any-return]

    def configure_optimizers(self) -> Optimizer:
        optimizer = make_optimizer(self.net, self.config)
        return self.recipe.optimizer(optimizer) if self.recipe.optimizer else optimizer

    # --- training ---------------------------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        self.epoch_start, self.cpu_start = time.perf_counter(), time.process_time()
        self.objective, self.batches = torch.zeros((), device=self.device), 0

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        step = self.global_step
        optimizer: Any = self.optimizers()
        bare: Optimizer = optimizer.optimizer
        lr = learning_rate(self.config, step / self.steps)
        for group in bare.param_groups:
            group["lr"] = lr

        def closure() -> Tensor:
            seed_step(self.config.seed, step, self.device)
            bare.zero_grad()
            loss = self.loss(batch, step)
            self.manual_backward(loss)
            return loss

        self.objective += closure().detach()
        self.batches += 1
        # Such an optimizer (SAM) takes the gradient that is there further, by passes of its own.
        optimizer.step(closure if getattr(bare, "reevaluates", False) else None)
        if self.recipe.project:
            self.recipe.project(self.net, step_size(bare))

    def loss(self, batch: tuple[Tensor, Tensor], step: int) -> Tensor:
        """The training loss of this process's share of a whole batch; a scalar."""
        with torch.autocast(self.device.type, enabled=False):  # pixels and targets stay float32
            x, y = self.recipe.batch(*batch) if self.recipe.batch else batch
        x, y = own_rows(x), own_rows(y)
        logits = self.net(x)
        loss = (self.recipe.loss or soft_cross_entropy)(logits, y).mean()
        if self.recipe.penalty:
            loss = loss + self.recipe.penalty(self.net, Step(x, y, logits, step / self.steps))
        return loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        if self.recipe.gradient:
            self.recipe.gradient(self.net)

    # --- evaluation: always eval mode, clean data, plain cross-entropy ---------------------------------------------

    def on_validation_epoch_start(self) -> None:
        self.training_seconds += time.perf_counter() - self.epoch_start
        self.totals = {}

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int, dataloader_idx: int = 0) -> None:
        x, labels = batch
        name = (VAL, PROBE)[dataloader_idx]
        logits = self.net(x)
        self.classes = logits.shape[1]
        totals = metrics.sums(logits, labels)
        self.totals[name] = self.totals[name] + totals if name in self.totals else totals

    def on_validation_epoch_end(self) -> None:
        self.seconds += time.perf_counter() - self.epoch_start
        self.cpu_seconds += time.process_time() - self.cpu_start
        row = self._epoch_row()
        self.history.append(row)
        self.diverged = self._find_divergence(row)
        self.trainer.should_stop = self.trainer.should_stop or self.diverged is not None
        # As `self.log_dict(row)`, which rounds to single precision and takes 7 % of the time of an epoch of digits.
        self.trainer.callback_metrics.update({k: torch.tensor(v) for k, v in row.items()})
        for logger in self.loggers:
            logger.log_metrics(row, self.global_step)

    def _epoch_row(self) -> dict[str, float]:
        val, probe = (metrics.finish(all_sum(self.totals[name]), self.classes) for name in (VAL, PROBE))
        row: dict[str, float] = {"epoch": self.current_epoch + 1}
        row["objective"] = float(all_sum(self.objective)) / (self.batches * world())
        for name, values in ((PROBE, probe), (VAL, val), ("gap", metrics.gap(probe, val))):
            row |= {f"{name}/{k}": value for k, value in values.items()}
        return row

    def _find_divergence(self, row: dict[str, float]) -> str | None:
        for name, value in row.items():
            if not math.isfinite(value):
                return f"{name} is {value} after epoch {row['epoch']:.0f}"
        finite = all(bool(p.isfinite().all()) for p in self.net.parameters())
        return None if finite else f"a weight is not finite after epoch {row['epoch']:.0f}"

    def on_train_end(self) -> None:
        # Lightning runs the callbacks' hooks first, so the selected weights (best, averaged) are in place.
        if self.diverged is None:
            data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
            splits = ("train", "val") if self.config.trial else ("train", "val", "test")
            self.final = {split: self.evaluate(data.loader(split)) for split in splits}
            if self.config.resample is not None:
                self.predictions = self.predict(data.loader("test"))

    @torch.no_grad()
    def evaluate(self, loader: Any) -> Tensor:
        """`metrics.sums` of the present weights over a whole split."""
        self.eval()
        with self.trainer.precision_plugin.val_step_context():
            totals = sum(metrics.sums(self.net(x), labels) for x, labels in loader)
        assert isinstance(totals, Tensor)
        return all_sum(totals)

    @torch.no_grad()
    def predict(self, loader: Any) -> Tensor:
        """(N, K) probabilities of this process's rows of a split."""
        self.eval()
        with self.trainer.precision_plugin.val_step_context():
            return torch.cat([self.net(x).float().softmax(1) for x, _ in loader])

    # --- resuming ---------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["run"] = {k: getattr(self, k) for k in CARRIED_OVER}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        for k in CARRIED_OVER:
            setattr(self, k, checkpoint["run"][k])


def soft_cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """-sum_k y_k log softmax(logits)_k for logits and target probabilities of shape (N, K); returns (N,) nats."""
    return F.cross_entropy(logits, y, reduction="none")


def make_optimizer(net: nn.Module, config: RunConfig) -> Optimizer:
    """The optimizer of the settings, without any weight decay: that is a recipe's."""
    assert config.lr is not None
    # A fused optimizer divides by the loss scale itself, too late for recipes that look at gradients.
    fused = config.precision != "16-mixed"
    if config.optimizer == "sgd":
        return torch.optim.SGD(net.parameters(), lr=config.lr, momentum=config.momentum, fused=fused)
    return torch.optim.Adam(net.parameters(), lr=config.lr, fused=fused)


def learning_rate(config: RunConfig, progress: float) -> float:
    """The learning rate at a share of the run in [0, 1]: constant, or half a cosine to 0 (Loshchilov, Hutter 2017)."""
    assert config.lr is not None
    return config.lr * (0.5 * (1 + math.cos(math.pi * progress)) if config.schedule == "cosine" else 1.0)


def seed_step(seed: int, step: int, device: torch.device) -> None:
    """Seed torch so that each step draws its own numbers, the same ones in a resumed run and on every process.

    Not by `torch.manual_seed`: where CUDA is not in use, that formats three stack traces a call (1 ms a step).
    """
    key = _mix(seed << 32 | step)
    torch.default_generator.manual_seed(key)
    if device.type == "cuda":
        torch.cuda.manual_seed(key)
    elif device.type == "mps":
        torch.mps.manual_seed(key)


def _mix(key: int) -> int:
    """splitmix64's finalizer (Steele, Lea and Flood 2014): torch's CPU generator reads 32 bits of a seed."""
    key = (key ^ key >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    key = (key ^ key >> 27) * 0x94D049BB133111EB % 2**64
    return (key ^ key >> 31) % 2**63


def step_size(optimizer: Optimizer) -> StepSize:
    """How far one unit of constant gradient moves each parameter per step: what a proximal operator is scaled by.

    SGD: lr / (1 - momentum). Adam: lr / (sqrt(v) + eps), one value a coordinate; v: bias-corrected second moment.
    """
    groups = {p: group for group in optimizer.param_groups for p in group["params"]}

    def size(p: nn.Parameter) -> Tensor | float:
        group, state = groups[p], optimizer.state[p]
        lr = float(group["lr"])
        if "exp_avg_sq" not in state:
            return lr / (1 - float(group.get("momentum", 0.0)))
        second = state["exp_avg_sq"] / (1 - group["betas"][1] ** float(state["step"]))
        scaled: Tensor = lr / (second.sqrt() + float(group["eps"]))
        return scaled

    return size
