"""Lookahead: slow weights that follow the fast ones."""

from typing import Annotated, Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from recipes._core.checks import In, Whole
from recipes._core.recipe import Recipe, Turn
from recipes._core.registry import register

SLOW, COUNT = "lookahead_slow", "lookahead_steps"


@register(
    paper="Zhang, Lucas, Hinton and Ba 2019, Lookahead Optimizer: k steps forward, 1 step back",
    reference="algorithm 1 of the paper written out around torch's optimizers.",
    strength="alpha",
    grid=(0.9, 0.8, 0.5, 0.3, 0.1),
    off=1.0,
)
def lookahead(
    alpha: Annotated[float, In(0, 1, left=False)] = 0.5, k: Annotated[int, Whole(1, 1_000_000)] = 5
) -> Recipe:
    """Every k steps the weights are drawn back: slow <- slow + alpha * (w - slow), then w <- slow.

    The slow weights live in the optimizer's state, so they are saved with it. They start at the initial weights, as in
    the paper, before any decay; timm starts them at the first draw. The optimizer's momentum is kept: of the three ways
    that the paper tries, the default of the authors' code. Where training ends between two draws, the fast weights are
    evaluated.

    Args:
        alpha: the strength, the smaller the stronger: the slow weights' step; at 1 nothing changes.
        k: steps between two draws.
    """

    def hooked(optimizer: Optimizer) -> Optimizer:
        # Of their own until the first step: the optimizer's state must stay empty until it has filled it itself.
        first = {p: p.detach().clone() for group in optimizer.param_groups for p in group["params"]}
        optimizer.register_step_post_hook(lambda optimizer, args, kwargs: _draw_back(optimizer, first, alpha, k))
        return optimizer

    return Recipe(optimizer=hooked if alpha < 1 else None, turn=Turn.AROUND)


@torch.no_grad()
def _draw_back(optimizer: Optimizer, first: dict[Tensor, Tensor], alpha: float, k: int) -> None:
    for group in optimizer.param_groups:
        group[COUNT] = group.get(COUNT, 0) + 1
        for p in group["params"]:
            state: dict[str, Any] = optimizer.state[p]
            start = first.pop(p, None)
            state.setdefault(SLOW, start)  # a resumed run has slow weights already
            if group[COUNT] % k == 0:
                p.copy_(state[SLOW].lerp_(p, alpha))
