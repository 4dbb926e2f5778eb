from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from helpers import assert_beta, assert_equal, state_of
from torch import Tensor, nn

from recipes import RecipeError, Step, build
from recipes.mixing._mixing import draw_lambda, draw_shift


@pytest.mark.parametrize("shape", [(6,), (1, 4, 4)])
def test_penalty_is_the_mixup_loss(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(shape).numel(), 3))
    x, labels = torch.rand(10, *shape), torch.arange(10) % 3
    recipe = build("regmixup(eta=2, alpha=1)")
    assert recipe.batch is None
    torch.manual_seed(4)
    lam, shift = float(draw_lambda(1.0)), draw_shift(10)
    mixed = torch.stack([lam * x[i] + (1 - lam) * x[i - shift] for i in range(10)])
    partners = labels.roll(shift)
    expected = lam * F.cross_entropy(net(mixed), labels) + (1 - lam) * F.cross_entropy(net(mixed), partners)
    torch.manual_seed(4)
    found = recipe.penalty(net, Step(x, torch.eye(3)[labels], net(x), 0.0))
    torch.testing.assert_close(found, 2 * expected)
    found.backward()
    assert net[1].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("alpha", [0.5, 2.0, 20.0])
def test_alpha_given_is_that_of_lambda(alpha: float) -> None:
    """The network sees rows of which lambda stays where each is a unit vector."""
    torch.manual_seed(0)
    seen: list[Tensor] = []
    net = nn.Identity()
    net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0, 0]))
    penalty, x = build(f"regmixup(alpha={alpha})").penalty, torch.eye(4)
    for _ in range(500):
        penalty(net, Step(x, x, x, 0.0))
    assert_beta(torch.stack(seen), alpha)


def test_running_statistics_do_not_move() -> None:
    net = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 3))
    x, y = torch.randn(10, 6), torch.eye(3)[torch.arange(10) % 3]
    logits = net(x)
    before = state_of(net)
    build("regmixup").penalty(net, Step(x, y, logits, 0.0))
    assert_equal(before, state_of(net))
    net(x)
    assert net[0].num_batches_tracked == 2
    assert net[0].momentum == 0.1


def test_off_and_refusals() -> None:
    assert build("regmixup(eta=0)").penalty is None
    for wrong in ("eta=-1", "alpha=0"):
        with pytest.raises(RecipeError, match="must be"):
            build(f"regmixup({wrong})")
