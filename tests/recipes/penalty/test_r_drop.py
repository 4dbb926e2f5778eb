import pytest
import torch
from helpers import apply, network
from torch.distributions import Categorical, kl_divergence

from recipes import RecipeError, Step, UnfitError, build
from recipes.dropout_and_noise.dropout import Dropout
from recipes.penalty.r_drop import r_drop, symmetric_kl


def test_divergence_is_torchs() -> None:
    torch.manual_seed(0)
    a, b = 3 * torch.randn(2, 9, 5)
    p, q = Categorical(logits=a), Categorical(logits=b)
    torch.testing.assert_close(symmetric_kl(a, b), (kl_divergence(p, q) + kl_divergence(q, p)) / 2)
    assert not symmetric_kl(a, a).any()


@pytest.mark.parametrize("p", [0.0, 0.4])
def test_penalty_compares_two_passes_that_drop_differently(p: float) -> None:
    net = network("mlp(width=32)")
    recipe = build(f"r_drop(alpha=2.0, p={p})")
    net = recipe.model(net) if recipe.model else net
    x = torch.rand(12, 1, 8, 8)
    torch.manual_seed(1)
    first, second = net(x), net(x)
    torch.manual_seed(1)
    logits = net(x)
    assert recipe.penalty
    value = recipe.penalty(net, Step(x, torch.zeros(12, 10), logits, 0.0))
    torch.testing.assert_close(value, 2 * symmetric_kl(first, second).mean())
    assert bool(value > 0) == bool(p)
    if p:
        a, b = Categorical(logits=first), Categorical(logits=second)
        expected = (kl_divergence(a, b) + kl_divergence(b, a)).mean()
        theirs, ours = (torch.autograd.grad(v, list(net.parameters())) for v in (expected, value))
        torch.testing.assert_close(ours, theirs)
        assert all(g.any() for g in ours)


def test_it_brings_dropout_only_where_asked() -> None:
    net = network("mlp(width=32)")
    model = r_drop(1.0, 0.3).model
    assert model
    assert [m.p for m in model(net).modules() if isinstance(m, Dropout)] == [0.3, 0.3]
    assert r_drop(1.0, 0.0).model is None


def test_off_and_refusals() -> None:
    off = r_drop(0.0)
    assert off.penalty is off.model is None
    with pytest.raises(RecipeError, match="alpha must be at least 0"):
        build("r_drop(alpha=-1)")
    with pytest.raises(RecipeError, match=r"p must be in \[0, 1\)"):
        build("r_drop(p=1)")
    with pytest.raises(UnfitError, match="no hidden units"):
        apply("r_drop", "linear")
