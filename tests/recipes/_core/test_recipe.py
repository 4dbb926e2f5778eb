"""The laws of composition: the order of a spec's terms does not change what is done to gradients, weights and steps."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import optimize
from torch import Tensor, nn

from recipes import Recipe, Slot, build, techniques
from recipes._core.recipe import Turn, compose

LR = 0.1
ACTING = {
    "adaptive_gradient_clipping": "adaptive_gradient_clipping(lam=0.05)",
    "asam": "asam(rho=1.0)",
    "elastic_net": "elastic_net(lam=0.2)",
    "gradient_clipping": "gradient_clipping(max_norm=0.3)",
    "gradient_noise": "gradient_noise(eta=0.1)",
    "group_lasso": "group_lasso(lam=0.1)",
    "l1": "l1(lam=0.2)",
    "lookahead": "lookahead(k=3)",
    "max_norm": "max_norm(c=0.4)",
    "sam": "sam(rho=0.3)",
    "weight_clip": "weight_clip(c=0.25)",
    "weight_decay": "weight_decay(wd=1.0)",
}
"""Strengths at which each acts in a few steps."""


def editors() -> list[str]:
    """All techniques that touch the gradient, the optimizer or the weights behind its step."""
    made = {name: build(name) for name in techniques()}
    return [name for name, r in made.items() if any((r.gradient, r.optimizer, r.project))]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), Slot("hidden", 8, 0), nn.Linear(8, 3)).double()


def train(spec: str | Recipe, net: nn.Module | None = None, steps: int = 7, momentum: float = 0.0) -> nn.Module:
    """Steps of gradient descent with a recipe, in the order that `Recipe` tells."""
    recipe = build(spec) if isinstance(spec, str) else spec
    net = network() if net is None else copy.deepcopy(net)
    net = recipe.model(net) if recipe.model else net
    optimizer: Any = torch.optim.SGD(net.parameters(), lr=LR, momentum=momentum)
    optimizer = recipe.optimizer(optimizer) if recipe.optimizer else optimizer
    for step in range(steps):
        x, labels = data(step)

        def closure(step: int = step, x: Tensor = x, labels: Tensor = labels) -> Tensor:
            torch.manual_seed(step)
            optimizer.zero_grad()
            mixed, y = recipe.batch(x, labels) if recipe.batch else (x, labels)
            loss = F.cross_entropy(net(mixed), y)
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        def pass_again(closure: Callable[[], Tensor] = closure) -> Tensor:
            loss = closure()
            if recipe.gradient:
                recipe.gradient(net)
            return loss

        closure()
        if getattr(optimizer, "reevaluates", False):
            optimizer.step(pass_again)
        else:
            if recipe.gradient:
                recipe.gradient(net)
            optimizer.step()
        if recipe.project:
            recipe.project(net, lambda p: LR / (1 - momentum))
    return net


def data(step: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(100 + step)
    x = torch.randn(12, 6, generator=random, dtype=torch.float64)
    return x, F.one_hot(torch.randint(3, (12,), generator=random), 3).double()


def flat(net: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(editors(), 2)))
def test_two_that_edit_steps_mean_the_same_in_either_order(first: str, second: str) -> None:
    a, b = ACTING.get(first, first), ACTING.get(second, second)
    one, other = flat(train(f"{a}+{b}")), flat(train(f"{b}+{a}"))
    if {first, second} == {"l1", "elastic_net"}:  # thresholds that add up, which rounds
        torch.testing.assert_close(one, other, rtol=0, atol=1e-14)
    else:
        assert torch.equal(one, other)
    # Both act: without either the weights are others.
    assert not torch.allclose(one, flat(train(a)), rtol=0, atol=1e-9)
    assert not torch.allclose(one, flat(train(b)), rtol=0, atol=1e-9)


def test_no_two_techniques_with_the_same_kind_of_edit_share_a_turn() -> None:
    """But the elastic net, whose threshold is that of `l1`."""
    for kind in ("gradient", "optimizer", "project"):
        made = [build(name) for name in editors() if name not in ("elastic_net", "manifold_mixup")]
        turns = [recipe.parts[0][0] for r in made if (recipe := getattr(r, kind)) is not None]
        assert len(turns) == len(set(turns)) > 1, kind
        assert Turn.ANY not in turns


def test_turns_survive_composition_in_steps() -> None:
    """What is composed of recipes composes as they do."""

    def noting(name: str, turn: Turn) -> Recipe:
        return Recipe(project=lambda net, size: net.append(name), turn=turn, spec=name)

    a, b, c, d = (noting(n, t) for n, t in zip("abcd", (Turn.BALL, Turn.ANY, Turn.BOX, Turn.ANY), strict=True))
    notes: Any = []
    nested = compose([replace(compose([a, b]), spec="ab"), replace(compose([c, d]), spec="cd")])
    assert nested.project
    nested.project(notes, lambda p: 1.0)
    assert notes == ["b", "d", "c", "a"]


# --- by hand --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["weight_decay(1.0)+lookahead(0.5,5)", "lookahead(0.5,5)+weight_decay(1.0)"])
def test_slow_weights_are_those_before_any_decay(spec: str) -> None:
    """A weight of 1, gradients of 0: five decays by 0.9, then halfway back to 1."""
    w = nn.Parameter(torch.ones(1, 1, dtype=torch.float64))
    recipe = build(spec)
    assert recipe.optimizer
    optimizer = recipe.optimizer(torch.optim.SGD([w], lr=LR))
    for _ in range(5):
        w.grad = torch.zeros_like(w)
        optimizer.step()
    assert w.item() == pytest.approx(0.5 + 0.5 * 0.9**5, abs=1e-15)


def gradients(net: nn.Module, step: int) -> list[Tensor]:
    x, y = data(step)
    return list(torch.autograd.grad(F.cross_entropy(net(x), y), list(net.parameters())))


def climb(p: list[Tensor], g: list[Tensor], scales: list[Tensor], rho: float) -> list[Tensor]:
    norm = torch.stack([(a * t).square().sum() for a, t in zip(g, scales, strict=True)]).sum().sqrt()
    return [q.detach() + rho * a * t**2 / norm for q, a, t in zip(p, g, scales, strict=True)]


@torch.no_grad()
def put(net: nn.Module, values: list[Tensor]) -> None:
    for p, value in zip(net.parameters(), values, strict=True):
        p.copy_(value)


def test_sharpness_decay_and_slow_weights_by_hand() -> None:
    """ASAM's climb, SAM's from the start along the gradient there, a decayed step; every third a draw."""
    net = network()
    slow = [p.detach().clone() for p in net.parameters()]
    for step in range(7):
        start = [p.detach().clone() for p in net.parameters()]
        shrunk = [p.abs() + 0.01 if p.ndim > 1 else torch.ones_like(p) for p in start]
        put(net, climb(start, gradients(net, step), shrunk, 1.0))
        g = gradients(net, step)
        put(net, climb(start, g, [torch.ones_like(p) for p in start], 0.3))
        g = gradients(net, step)
        decayed = [p * (1 - LR * 1.0) if p.ndim > 1 else p for p in start]
        put(net, [p - LR * a for p, a in zip(decayed, g, strict=True)])
        if step % 3 == 2:
            slow = [s + 0.5 * (p.detach() - s) for s, p in zip(slow, net.parameters(), strict=True)]
            put(net, slow)
    for terms in itertools.permutations(("sam", "asam", "weight_decay", "lookahead")):
        ours = train("+".join(ACTING[name] for name in terms))
        torch.testing.assert_close(flat(ours), flat(net), rtol=1e-5, atol=1e-7)  # climbs take norms in float32


def test_edits_of_the_gradient_by_hand() -> None:
    """Units are clipped, then the whole; noise keeps its size; what is left has no mean."""
    names = ("adaptive_gradient_clipping", "gradient_clipping", "gradient_noise", "gradient_centralization")
    net = network()
    for step in range(7):
        g = gradients(net, step)
        for i, p in enumerate(list(net.parameters())[:2]):  # all but the output layer
            dims = tuple(range(1, p.ndim)) or None
            bound = 0.05 * torch.linalg.vector_norm(p.detach(), dim=dims, keepdim=p.ndim > 1).clamp_min(1e-3)
            norm = torch.linalg.vector_norm(g[i], dim=dims, keepdim=p.ndim > 1)
            g[i] = g[i] * (bound / norm).clamp_max(1)
        norm = torch.cat([a.flatten() for a in g]).norm()
        g = [a * min(1.0, 0.3 / (float(norm) + 1e-6)) for a in g]
        torch.manual_seed(step)
        g = [a + 0.1**0.5 * torch.randn(a.shape, dtype=a.dtype) for a in g]
        g = [a - a.mean(1, keepdim=True) if a.ndim > 1 else a for a in g]
        put(net, [p - LR * a for p, a in zip(net.parameters(), g, strict=True)])
    for terms in itertools.permutations(names):
        ours = train("+".join(ACTING.get(name, name) for name in terms))
        torch.testing.assert_close(flat(ours), flat(net), rtol=1e-9, atol=1e-12)


def test_two_thresholds_are_the_proximal_step_of_their_sum() -> None:
    """The sparse group lasso, against SciPy's minimum of |u - w|^2 / 2t + lam |u|_1 + mu sqrt(n) |u|."""
    layer = nn.Linear(5, 2, bias=False).double()
    row = np.array([1.0, -0.8, 0.3, 0.05, -0.02])
    lam, mu, step = 0.5, 0.4, 0.2
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.stack([row, row / 20])))

    def objective(split: Any) -> float:
        u = split[:5] - split[5:]
        return float(((u - row) ** 2).sum() / 2 / step + lam * split.sum() + mu * 5**0.5 * np.sqrt((u**2).sum()))

    # u = positive part - negative part, which makes |u|_1 smooth.
    start = np.concatenate([row.clip(0), (-row).clip(0)]) + 0.01
    best = optimize.minimize(objective, start, bounds=[(0, None)] * 10, tol=1e-14, options={"maxfun": 10**5})
    for spec in (f"l1({lam})+group_lasso({mu})", f"group_lasso({mu})+l1({lam})"):
        ours, project = copy.deepcopy(layer), build(spec).project
        assert project
        project(ours, lambda p: step)
        np.testing.assert_allclose(ours.weight[0].detach().numpy(), best.x[:5] - best.x[5:], atol=1e-5)
        assert torch.equal(ours.weight[1], torch.zeros(5, dtype=torch.float64))


def test_both_constraints_hold_for_the_outcome_and_zeros_stay() -> None:
    for terms in itertools.permutations(("l1", "group_lasso", "weight_clip", "max_norm")):
        net: Any = train("+".join(ACTING[name] for name in terms), steps=2)
        for w in (net[0].weight.detach(), net[3].weight.detach()):
            assert float(w.abs().max()) <= 0.25
            assert float(w.norm(dim=1).max()) <= 0.4 + 1e-12
            assert 0 < int((w == 0).sum()) < w.numel()


def test_slow_weights_pass_the_projection_too() -> None:
    """The constraint holds for what a draw gives: weights of 0.5 and 1 at rest, alpha 1/2, a bound of 0.3."""
    layer = nn.Linear(2, 1, bias=False).double()
    put(layer, [torch.tensor([[0.5, 1.0]], dtype=torch.float64)])
    for spec in ("lookahead(0.5,1)+weight_clip(0.3)", "weight_clip(0.3)+lookahead(0.5,1)"):
        ours, recipe = copy.deepcopy(layer), build(spec)
        assert recipe.optimizer
        assert recipe.project
        optimizer = recipe.optimizer(torch.optim.SGD(ours.parameters(), lr=LR))
        for _ in range(2):
            ours.weight.grad = torch.zeros_like(ours.weight)
            optimizer.step()
            recipe.project(ours, lambda p: LR)
        assert ours.weight.tolist() == [[0.3, 0.3]]
