"""Also covers `asam`, which shares the wrapper."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.training.errors import ConfigError
from bench.training.prepare import prepare
from bench.training.settings import RunConfig
from recipes import build
from recipes.landscape._sharpness import SharpnessAware, climb


def wrapped(recipe: str, net: nn.Module, base: torch.optim.Optimizer) -> SharpnessAware:
    made = build(recipe)
    assert made.model
    assert made.optimizer
    optimizer = made.optimizer(base) if made.model(net) is net else None
    assert isinstance(optimizer, SharpnessAware)
    return optimizer


def run(optimizer: SharpnessAware, net: nn.Module, x: Tensor, y: Tensor, steps: int = 3) -> None:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        return loss

    for _ in range(steps):
        closure()
        optimizer.step(closure)


def by_hand(
    net: nn.Module, x: Tensor, y: Tensor, rho: float, lr: float, adaptive: float | None, steps: int = 3
) -> None:
    """The papers' pseudocode with autograd.grad and plain gradient descent."""
    parameters = list(net.parameters())
    for _ in range(steps):
        g = torch.autograd.grad(F.cross_entropy(net(x), y), parameters)
        t = [
            p.detach().abs() + adaptive if adaptive is not None and p.ndim > 1 else torch.ones_like(p)
            for p in parameters
        ]
        norm = sum(((a * b) ** 2).sum() for a, b in zip(g, t, strict=True)) ** 0.5
        with torch.no_grad():
            climbs = [rho * b**2 * a / norm for a, b in zip(g, t, strict=True)]
            for p, e in zip(parameters, climbs, strict=True):
                p.add_(e)
        sharp = torch.autograd.grad(F.cross_entropy(net(x), y), parameters)
        with torch.no_grad():
            for p, e, s in zip(parameters, climbs, sharp, strict=True):
                p.sub_(e).sub_(lr * s)


@pytest.mark.parametrize(
    ("recipe", "rho", "adaptive"), [("sam(rho=0.3)", 0.3, None), ("asam(rho=0.7, eta=0.02)", 0.7, 0.02)]
)
def test_against_a_plain_loop(recipe: str, rho: float, adaptive: float | None) -> None:
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    theirs = copy.deepcopy(ours)
    x, y = torch.randn(16, 5, dtype=torch.float64), torch.randint(3, (16,))
    run(wrapped(recipe, ours, torch.optim.SGD(ours.parameters(), lr=0.1)), ours, x, y)
    by_hand(theirs, x, y, rho, 0.1, adaptive)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def step_on_parabola(w: Tensor, optimizer: SharpnessAware) -> None:
    """One step on w^2 / 2."""

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = w.square().sum() / 2
        loss.backward()
        return loss

    closure()
    optimizer.step(closure)


def test_quadratic_by_hand() -> None:
    """loss = w^2 / 2 at w = 2: gradient 2, climb to 2.5, gradient there 2.5, step 0.1: w = 1.75."""
    w = nn.Parameter(torch.tensor([2.0]))
    optimizer = SharpnessAware(torch.optim.SGD([w], lr=0.1), nn.Identity(), rho=0.5, scale=lambda p: 1.0)
    step_on_parabola(w, optimizer)
    assert w.item() == pytest.approx(1.75)


def test_one_around_another_by_hand() -> None:
    """As above, but the step from w = 2 is another one's, which climbs by 0.3 along the gradient at 2.5: w = 1.77."""
    w = nn.Parameter(torch.tensor([2.0]))
    inner = SharpnessAware(torch.optim.SGD([w], lr=0.1), nn.Identity(), rho=0.3, scale=lambda p: 1.0)
    optimizer = SharpnessAware(inner, nn.Identity(), rho=0.5, scale=lambda p: 1.0)
    step_on_parabola(w, optimizer)
    assert w.item() == pytest.approx(1.77)


def test_weights_are_restored_bit_for_bit() -> None:
    """w + e - e need not be w in floating point: the old value itself must come back."""
    w = nn.Parameter(torch.tensor([0.1, 1e-8, 3e7]))
    w.grad = torch.tensor([1.0, 2.0, 3.0])
    before = w.detach().clone()
    ((p, kept),) = climb([w], 0.05, lambda p: 1.0)
    assert not torch.equal(p, before)
    assert torch.equal(kept, before)
    optimizer = SharpnessAware(torch.optim.SGD([w], lr=0.0), nn.Identity(), 0.05, lambda p: 1.0)
    now = w.detach().clone()
    optimizer.step(lambda: None)
    assert torch.equal(w, now)


def test_running_statistics_move_once() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))
    once = copy.deepcopy(net)
    x, y = torch.randn(10, 4), torch.randint(2, (10,))
    once(x)
    run(wrapped("sam", net, torch.optim.SGD(net.parameters(), lr=0.1)), net, x, y, steps=1)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(getattr(net[1], name), getattr(once[1], name))


def test_hooks_of_other_recipes_run_once_around_the_real_step() -> None:
    net = nn.Linear(3, 2)
    calls: list[str] = []
    base = torch.optim.SGD(net.parameters(), lr=0.1)
    optimizer = wrapped("sam", net, base)
    optimizer.register_step_pre_hook(lambda *a: calls.append("pre"))
    optimizer.register_step_post_hook(lambda *a: calls.append("post"))
    run(optimizer, net, torch.randn(4, 3), torch.randint(2, (4,)), steps=2)
    assert calls == ["pre", "post"] * 2


def test_state_is_the_inner_optimizers() -> None:
    net = nn.Linear(3, 2)
    optimizer = wrapped("sam", net, torch.optim.Adam(net.parameters(), lr=0.1))
    run(optimizer, net, torch.randn(4, 3), torch.randint(2, (4,)))
    saved = copy.deepcopy(optimizer.state_dict())
    fresh = wrapped("sam", net, torch.optim.Adam(net.parameters(), lr=0.5))
    fresh.load_state_dict(saved)
    assert fresh.param_groups[0]["lr"] == 0.1
    assert fresh.param_groups is fresh.base.param_groups
    assert torch.equal(fresh.state[net.weight]["exp_avg"], optimizer.state[net.weight]["exp_avg"])


def test_gradient_scaling_is_refused(monkeypatch: Any) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (10**10, 10**10))
    with pytest.raises(ConfigError, match="several passes a step, which precision 16-mixed cannot scale"):
        prepare(RunConfig(recipe="sam", precision="16-mixed"))
    prepare(RunConfig(recipe="dropout", precision="16-mixed"))


@pytest.mark.parametrize("recipe", ["sam(rho=-1)", "asam(rho=-1)", "asam(eta=-1)"])
def test_ranges(recipe: str) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        build(recipe)
