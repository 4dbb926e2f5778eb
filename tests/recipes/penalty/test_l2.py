from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from helpers import NOTHING
from torch import Tensor, nn

from recipes import build
from recipes.penalty.l2 import squared_norm


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3)).double()


def test_squared_norm_leaves_biases_and_normalization_out() -> None:
    net = small()
    expected = sum(float((w.detach() ** 2).sum()) for w in (net[0].weight, net[3].weight))  # type: ignore[index]
    assert squared_norm(net).item() == pytest.approx(expected)


def test_gradient_is_that_of_coupled_weight_decay() -> None:
    """torch's weight_decay adds wd * w to the gradient: wd = 2 * lam."""
    ours, recipe = small(), build("l2(lam=0.05)")
    theirs = copy.deepcopy(ours)
    assert recipe.penalty
    mine = torch.optim.SGD(ours.parameters(), lr=0.1, momentum=0.9)
    parts: tuple[list[Tensor], list[Tensor]] = ([], [])
    for p in theirs.parameters():
        parts[p.ndim == 1].append(p)
    groups = [{"params": parts[0], "weight_decay": 0.1}, {"params": parts[1]}]
    reference = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    for _ in range(5):
        x = torch.randn(6, 1, 4, 4, dtype=torch.float64)
        mine.zero_grad()
        reference.zero_grad()
        (ours(x).square().mean() + recipe.penalty(ours, NOTHING)).backward()
        theirs(x).square().mean().backward()
        mine.step()
        reference.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_minimum_is_scikit_learns(softmax_regression: Any, optimizer: str) -> None:
    softmax_regression.check("l2(lam=0.02)", optimizer, lam=0.04, l1_ratio=0.0)


def test_range() -> None:
    with pytest.raises(ValueError, match="lam must be at least 0, got -1"):
        build("l2(lam=-1)")
