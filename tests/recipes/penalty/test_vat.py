from collections.abc import Callable, Iterable

import pytest
import torch
from helpers import assert_equal, assert_rate, state_of
from torch import Tensor, nn
from torch.distributions import Categorical, kl_divergence
from torch.func import hessian

from bench.training import networks
from recipes import RecipeError, Step, build
from recipes._core.synced_batch_norm import BatchNorm
from recipes.dropout_and_noise.dropout import Dropout
from recipes.penalty.vat import divergence, unit, vat


def smooth(features: int = 6, classes: int = 4) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(features, 16), nn.Tanh(), nn.Linear(16, classes)).double()


def step_of(x: Tensor) -> Step:
    return Step(x, torch.zeros(len(x), 4), torch.zeros(len(x), 4), 0.0)


def test_divergence_is_torchs() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(2, 9, 5)
    expected = kl_divergence(Categorical(logits=a), Categorical(logits=b))
    torch.testing.assert_close(divergence(a.log_softmax(1), b), expected)


def test_unit_rows_also_of_tiny_ones() -> None:
    d = torch.stack([torch.full((1, 2, 2), 1e-30), torch.full((1, 2, 2), -3.0), torch.zeros(1, 2, 2)])
    torch.testing.assert_close(unit(d)[:, 0, 0, 0], torch.tensor([0.5, -0.5, 0.0]))


def test_the_search_starts_in_any_direction() -> None:
    net = smooth()
    seen: list[Tensor] = []
    net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    penalty, x = vat(1.0).penalty, torch.rand(500, 6).double()
    assert penalty
    penalty(net, step_of(x))
    start = (seen[1] - x).flatten()
    assert_rate(start > 0, 0.5)
    assert_rate(start.view(500, 6)[:, 0] * start.view(500, 6)[:, 1] > 0, 0.5)


def test_many_rounds_find_the_first_eigenvector() -> None:
    net = smooth()
    x = torch.rand(5, 6).double()
    seen: list[Tensor] = []
    handle = net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    penalty = vat(1e-3, xi=1e-3, rounds=60).penalty
    assert penalty
    value = penalty(net, step_of(x))
    handle.remove()
    shift = seen[-1] - x
    torch.testing.assert_close(shift.norm(dim=1), torch.full((5,), 1e-3).double())
    largest = []
    for i in range(5):
        log_p = net(x[i : i + 1]).log_softmax(1).detach()
        curvature = hessian(lambda r, i=i, log_p=log_p: divergence(log_p, net(x[i : i + 1] + r)).sum())(
            torch.zeros(6).double()
        )
        values, vectors = torch.linalg.eigh(curvature)
        largest.append(values[-1])
        assert (vectors[:, -1] @ shift[i]).abs().item() == pytest.approx(1e-3, rel=1e-3)
    # To second order the divergence is half the eigenvalue times the square of the shift's length.
    torch.testing.assert_close(value, torch.stack(largest).mean() / 2 * 1e-6, rtol=1e-2, atol=0.0)


def test_one_round_is_worse_than_many_and_better_than_none() -> None:
    net = smooth(40)
    x = torch.rand(200, 40).double()
    log_p = net(x).log_softmax(1).detach()
    random = divergence(log_p, net(x + 0.5 * unit(torch.randn_like(x)))).mean()
    one, many = (build(f"vat(epsilon=0.5, rounds={k})").penalty for k in (1, 20))
    assert one
    assert many
    assert 2 * random < one(net, step_of(x)) < many(net, step_of(x))


def slopes(value: Callable[[], Tensor], parameters: Iterable[Tensor], h: float = 1e-5) -> Tensor:
    """The gradient by central differences, one parameter after the other."""
    found = []
    with torch.no_grad():
        for one in (p.view(-1)[i] for p in parameters for i in range(p.numel())):
            one += h
            above = value()
            one -= 2 * h
            found.append((above - value()) / (2 * h))
            one += h
    return torch.stack(found)


def test_clean_prediction_is_held_constant() -> None:
    """The gradient is that of differences in which p(x) and r stay, and far from one in which p(x) moves too."""
    net, x = smooth(), torch.rand(5, 6).double()
    seen: list[Tensor] = []
    handle = net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    penalty = vat(0.5, alpha=0.7).penalty
    assert penalty
    penalty(net, step_of(x)).backward()
    handle.remove()
    found = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])
    held = Categorical(logits=net(x).detach())

    def value(clean: Categorical | None) -> Tensor:
        return 0.7 * kl_divergence(clean or Categorical(logits=net(x)), Categorical(logits=net(seen[-1]))).mean()

    constant, moving = (slopes(lambda clean=clean: value(clean), net.parameters()) for clean in (held, None))
    torch.testing.assert_close(found, constant, atol=1e-8, rtol=1e-5)
    assert (found - moving).norm() > 0.3 * found.norm()


def test_all_passes_drop_the_same_units_and_statistics_stay() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 32), BatchNorm(32, 0), nn.ReLU(), Dropout(0.5), nn.Linear(32, 4))
    before = state_of(net)
    penalty = vat(1e-3).penalty
    assert penalty
    x = torch.rand(30, 6)
    a, b = penalty(net, step_of(x)), penalty(net, step_of(x))
    assert abs(float(a.detach())) < 1e-5  # other masks would make it 0.08
    assert float(b.detach()) != float(a.detach())
    assert_equal(before, state_of(net))


def test_direction_matters_also_in_single_precision_and_autocast() -> None:
    torch.manual_seed(0)
    net = networks.build("mlp(width=64)", (1, 28, 28), 4, torch.zeros(1), torch.ones(1))
    step = step_of(torch.rand(50, 1, 28, 28))
    penalty = vat(2.0).penalty
    assert penalty
    torch.manual_seed(1)
    single = penalty(net, step)
    torch.manual_seed(1)
    double = penalty(net.double(), step._replace(x=step.x.double()))
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        lowered = penalty(net.float(), step)
    assert torch.equal(single, lowered)
    assert single.item() == pytest.approx(double.item(), rel=0.1)  # the random starts differ


def test_off_and_refusals() -> None:
    assert vat(0.0).penalty is None
    assert vat(alpha=0.0).penalty is None
    for arguments in ("epsilon=-1", "alpha=-1", "xi=0", "rounds=0"):
        with pytest.raises(RecipeError, match=f"{arguments.split('=')[0]} must be"):
            build(f"vat({arguments})")
