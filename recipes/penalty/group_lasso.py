"""Group lasso by the proximal step: whole units and filters become exactly zero."""

from typing import Annotated

import torch
from torch import Tensor, nn

from recipes._core.checks import AtLeast, OneOf
from recipes._core.recipe import Recipe, StepSize, Turn
from recipes._core.registry import register
from recipes._core.slots import weights

ROUNDS = 6
"""Of Newton's method: 1 is exact where step sizes are equal, 5 are where they differ by up to 1e10."""


def group_threshold(w: Tensor, threshold: Tensor) -> Tensor:
    """argmin over u of sum_i (u_i - w_i)^2 / (2 t_i) + |u| for each row w: the proximal operator of the norm |u|.

    The row is zero if |w / t| <= 1. Otherwise u_i = w_i / (1 + t_i / |u|), where the norm |u| = v solves
    |w / (v + t)| = 1; for equal t it is |w| - t, so that u = w * (1 - t / |w|).

    Args:
        w: (G, n), one group a row.
        threshold: (G, n) or broadcast to it, above 0: the step size times the penalty's weight.
    """
    t = threshold.expand_as(w).clamp_min(1e-30)
    v = (w.norm(dim=1, keepdim=True) - t.amax(1, keepdim=True)).clamp_min(0)
    for _ in range(ROUNDS):
        # Newton on 1 / |w / (v + t)|, which is concave and for equal t linear: v rises to the root without passing it.
        ratio = w / (v + t)
        squared = ratio.square().sum(1, keepdim=True)
        v = v + (squared.sqrt() - 1) * squared / (ratio.square() / (v + t)).sum(1, keepdim=True)
    kept = (w / t).norm(dim=1, keepdim=True) > 1
    return torch.where(kept, w * v / (v + t), 0)


@register(
    paper="Yuan and Lin 2006, Model Selection and Estimation in Regression with Grouped Variables; "
    "Wen, Wu, Wang, Chen and Li 2016, Learning Structured Sparsity in Deep Neural Networks",
    reference="scikit-learn's MultiTaskLasso on the same convex problem, under SGD and under Adam; SciPy's minimizer.",
    strength="lam",
    grid=(1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3),
    off=0.0,
)
def group_lasso(lam: Annotated[float, AtLeast(0)] = 1e-4, axis: Annotated[int, OneOf((0, 1))] = 0) -> Recipe:
    """Whole units become exactly zero: minimizes loss + lam * sum_g sqrt(n_g) * |w_g| over groups of n_g weights.

    A group is a unit's or filter's incoming weights (Wen et al.), or with axis = 1 what leaves it (Scardapane et al.
    2017), the pixels included. sqrt(n_g) as in Yuan and Lin, so that lam compares to `l1`'s; Wen et al. leave it out.
    By a proximal step after each optimizer step, as in `l1`, exact in the optimizer's own metric: under Adam a group's
    coordinates have their own step sizes, and with their mean the minimum would be another objective's.
    Biases and normalization parameters are exempt.

    Args:
        lam: lambda, the strength, in units of the loss.
        axis: 0 groups each weight by output unit or filter, 1 by input unit or channel.
    """

    @torch.no_grad()
    def project(net: nn.Module, step_size: StepSize) -> None:
        for w in weights(net):
            groups = w.transpose(0, axis)
            step = torch.as_tensor(step_size(w), dtype=w.dtype, device=w.device).expand_as(w).transpose(0, axis)
            rows, steps = groups.flatten(1), step.flatten(1)
            groups.copy_(group_threshold(rows, lam * rows.shape[1] ** 0.5 * steps).view_as(groups))

    return Recipe(project=project if lam else None, turn=Turn.GROUP_THRESHOLD)
