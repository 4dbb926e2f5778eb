"""Sharpness-aware steps: the gradient is taken at the worst nearby weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from recipes._core.passes import frozen_statistics
from recipes._core.recipe import Recipe, Turn

Scale = Callable[[Tensor], "Tensor | float"]
TINY = 1e-12


class SharpnessAware(Optimizer):
    """Wraps an optimizer: climbs by rho, takes the gradient there, restores the weights bit for bit, then steps.

    It shares groups, state and hooks with the optimizer inside, whose hooks run around the one real step.

    Args:
        base: makes the step.
        net: the network, whose batch norm statistics stay frozen in the second pass.
        rho: radius of the neighbourhood.
        scale: per-parameter scaling T of the neighbourhood; 1 for a ball.
    """

    reevaluates = True

    def __init__(self, base: Optimizer, net: nn.Module, rho: float, scale: Scale) -> None:
        self.base, self.net, self.rho, self.scale = base, net, rho, scale
        self.defaults = base.defaults
        self._share()

    def _share(self) -> None:
        self.param_groups, self.state = self.base.param_groups, self.base.state
        self._optimizer_step_pre_hooks = self.base._optimizer_step_pre_hooks
        self._optimizer_step_post_hooks = self.base._optimizer_step_post_hooks

    def step(self, closure: Any = None) -> Any:
        """One step. The batch's gradient is there already; `closure` computes it anew at the present weights.

        Raises:
            RuntimeError: without a closure, as gradient scalers call it.
        """
        if closure is None:
            raise RuntimeError("sharpness-aware steps need a second pass: use precision 32-true or bf16-mixed")
        kept = climb(self.parameters(), self.rho, self.scale)
        with torch.enable_grad(), frozen_statistics(self.net):
            loss = closure()
        with torch.no_grad():
            for p, before in kept:
                p.copy_(before)
        # Around another one (asam around sam), that one climbs from here in its turn.
        self.base.step(closure if getattr(self.base, "reevaluates", False) else None)
        return loss

    def parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"] if p.grad is not None]

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.base.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        return self.base.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.base.load_state_dict(state_dict)
        self._share()


@torch.no_grad()
def climb(parameters: list[Tensor], rho: float, scale: Scale) -> list[tuple[Tensor, Tensor]]:
    """w <- w + rho * T^2 g / |T g|, in place, the norm running over all parameters; returns each with its old value."""
    scales = [scale(p) for p in parameters]
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = [(g * t).float().square().sum() for g, t in zip(gradients, scales, strict=True)]
    factor = rho / (torch.stack(norms).sum().sqrt() + TINY)
    kept = [(p, p.clone()) for p in parameters]
    for p, g, t in zip(parameters, gradients, scales, strict=True):
        p.add_((g * t * t * factor).to(p.dtype))
    return kept


def sharpness_aware(rho: float, scale: Scale, turn: Turn) -> Recipe:
    """The recipe that wraps a run's optimizer; `model` only looks at the network, whose statistics it must freeze."""
    nets: list[nn.Module] = []

    def model(net: nn.Module) -> nn.Module:
        nets[:] = [net]
        return net

    if not rho:
        return Recipe()
    return Recipe(model=model, optimizer=lambda base: SharpnessAware(base, nets[0], rho, scale), turn=turn)
