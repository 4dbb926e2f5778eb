"""Gradient noise."""

from typing import Annotated, Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from recipes._core.checks import In
from recipes._core.recipe import Recipe, Turn
from recipes._core.registry import register


def deviation(t: int, eta: float, gamma: float) -> float:
    """The noise's standard deviation at step t = 0, 1, ...: sqrt(eta / (1 + t)^gamma)."""
    return float((eta / (1 + t) ** gamma) ** 0.5)


class Clock(Callback):
    """Tells the number of the step. It is the trainer's, so that a resumed run goes on with it."""

    t = 0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.t = trainer.global_step


@register(
    paper="Neelakantan et al. 2015, Adding Gradient Noise Improves Learning for Very Deep Networks",
    reference="the paper's variance eta / (1 + t)^gamma; SciPy's Kolmogorov-Smirnov test of the draws.",
    strength="eta",
    grid=(1e-6, 1e-5, 1e-4, 1e-3, 1e-2),
    off=0.0,
)
def gradient_noise(eta: Annotated[float, In(0, 1e6)] = 1e-5, gamma: Annotated[float, In(0, 10)] = 0.55) -> Recipe:
    """Noise that fades is added to the gradient: g <- g + N(0, eta / (1 + t)^gamma) at step t = 0, 1, ...

    To every parameter's gradient, biases too. Each coordinate has its own draw. The paper takes eta of 0.01, 0.3
    or 1; where gradients are as small as those of the networks here, that is all noise.

    Args:
        eta: the strength: the noise's variance in the first step.
        gamma: how fast it fades; 0.55 in the paper.
    """
    if not eta:
        return Recipe()
    clock = Clock()

    def gradient(net: nn.Module) -> None:
        sigma = deviation(clock.t, eta, gamma)
        for p in net.parameters():
            if p.grad is not None:
                # By shape, not `randn_like`: that fills in the order of memory, which is the layout's matter.
                p.grad.add_(torch.randn(p.shape, device=p.device, dtype=p.dtype), alpha=sigma)

    return Recipe(gradient=gradient, callbacks=lambda: [clock], turn=Turn.NOISE)
