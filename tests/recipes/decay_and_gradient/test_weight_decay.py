from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from recipes import build
from recipes.decay_and_gradient.weight_decay import decay


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.BatchNorm1d(5), nn.Linear(5, 2))


def decayed(optimizer: Optimizer) -> Optimizer:
    recipe = build("weight_decay(wd=0.3)")
    assert recipe.optimizer
    return recipe.optimizer(optimizer)


def steps(net: nn.Module, optimizer: Optimizer) -> None:
    """Ten steps while the learning rate falls."""
    torch.manual_seed(1)
    for i in range(10):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * (1 - i / 10)
        optimizer.zero_grad()
        net(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()


def split(net: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Weights, and what is exempt."""
    parameters = list(net.parameters())
    return [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim == 1]


@pytest.mark.parametrize("fused", [False, True])
def test_against_adamw(fused: bool) -> None:
    ours = small()
    theirs = copy.deepcopy(ours)
    decaying, exempt = split(theirs)
    groups = [{"params": decaying, "weight_decay": 0.3}, {"params": exempt, "weight_decay": 0.0}]
    steps(ours, decayed(torch.optim.Adam(ours.parameters(), lr=0.1, fused=fused)))
    steps(theirs, torch.optim.AdamW(groups, lr=0.1))
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_it_is_not_adams_coupled_weight_decay() -> None:
    ours = small()
    theirs = copy.deepcopy(ours)
    steps(ours, decayed(torch.optim.Adam(ours.parameters(), lr=0.1)))
    steps(theirs, torch.optim.Adam(theirs.parameters(), lr=0.1, weight_decay=0.3))
    assert not torch.allclose(ours[0].weight, theirs[0].weight, atol=1e-2)  # type: ignore[index]


def test_gradient_descent_with_momentum_by_hand() -> None:
    ours = small()
    theirs = copy.deepcopy(ours)
    steps(ours, decayed(torch.optim.SGD(ours.parameters(), lr=0.1, momentum=0.9)))
    torch.manual_seed(1)
    momenta = [torch.zeros_like(p) for p in theirs.parameters()]
    for i in range(10):
        lr = 0.1 * (1 - i / 10)
        gradients = torch.autograd.grad(theirs(torch.randn(8, 4)).square().mean(), list(theirs.parameters()))
        with torch.no_grad():
            for p, m, g in zip(theirs.parameters(), momenta, gradients, strict=True):
                m.mul_(0.9).add_(g)
                p.copy_((p * (1 - lr * 0.3) if p.ndim > 1 else p) - lr * m)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_each_weight_shrinks_once_by_its_groups_rate_and_the_rest_stays() -> None:
    net = small()
    before = copy.deepcopy(net)
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    groups = [{"params": net[0].parameters(), "lr": 0.5}, {"params": [*net[2].parameters(), *net[3].parameters()]}]  # type: ignore[index]
    decay(torch.optim.SGD(groups, lr=0.1), wd=0.2)
    torch.testing.assert_close(net[0].weight, before[0].weight * 0.9)  # type: ignore[index]
    torch.testing.assert_close(net[3].weight, before[3].weight * 0.98)  # type: ignore[index]
    assert all(torch.equal(p, q) for p, q in zip(split(net)[1], split(before)[1], strict=True))


def test_range() -> None:
    with pytest.raises(ValueError, match="wd must be at least 0, got -1"):
        build("weight_decay(wd=-1)")
