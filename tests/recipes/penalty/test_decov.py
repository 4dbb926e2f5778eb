import copy

import numpy as np
import pytest
import torch
from helpers import apply, network
from torch import Tensor, nn

from recipes import RecipeError, Step, UnfitError, build, slots
from recipes.penalty.decov import Listener, decov, squared_covariance


def test_off_diagonal_covariance_is_numpys() -> None:
    torch.manual_seed(0)
    h = torch.randn(12, 5, dtype=torch.float64)
    c = np.cov(h.numpy(), rowvar=False, bias=True)
    expected = (np.linalg.norm(c, "fro") ** 2 - np.linalg.norm(np.diag(c)) ** 2) / 2
    assert squared_covariance(h).item() == pytest.approx(expected)
    assert squared_covariance(torch.eye(2).repeat(1, 1)[:, :1]).item() == pytest.approx(0)


def test_two_processes_share_the_batchs_covariance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums over both halves, in the order in which the two processes take part in them."""
    torch.manual_seed(0)
    h = torch.randn(12, 5, dtype=torch.float64)
    centred = h - h.mean(0)
    others = iter([h[6:].sum(0), centred[6:].T @ centred[6:]])
    monkeypatch.setattr("recipes.penalty.decov.world", lambda: 2)
    monkeypatch.setattr("recipes.penalty.decov.all_sum", lambda x: x + next(others))
    half = squared_covariance(h[:6])
    monkeypatch.undo()
    torch.testing.assert_close(half, squared_covariance(h))


@pytest.mark.parametrize("order", ["decov(lam=2.0)+dropout", "dropout+decov(lam=2.0)"])
def test_it_hears_the_step_s_own_activations_before_dropout(order: str) -> None:
    net = network("cnn(width=4)")
    recipe = build(order)
    assert recipe.model
    assert recipe.batch
    assert recipe.penalty
    net = recipe.model(net)
    heard: list[Tensor] = []
    slots(net, "hidden", dims=0)[-1].register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    copy.deepcopy(net)
    x, y = recipe.batch(torch.rand(9, 1, 8, 8), torch.zeros(9, 10))
    logits = net(x)
    net(x.flip(0) / 2)  # another penalty's pass
    value = recipe.penalty(net, Step(x, y, logits, 0.0))
    torch.testing.assert_close(value, 2 * squared_covariance(heard[0]))
    value.backward()
    grads = {k: p.grad for k, p in net.named_parameters()}
    *below, weight, bias = grads.values()
    assert all(g is not None and g.abs().sum() > 0 for g in below)
    assert weight is None
    assert bias is None  # the output layer has no part in it


def test_evaluation_is_not_heard() -> None:
    listener = Listener()
    listener.wait(torch.zeros(1), torch.zeros(1))
    listener.hear(nn.Identity().eval(), (torch.zeros(3, 2),))
    assert listener.heard is None
    listener.hear(nn.Identity().train(), (torch.ones(3, 2),))
    assert listener.take().sum() == 6
    assert listener.heard is None


def test_off_and_refusals() -> None:
    off = decov(0.0)
    assert off.model is off.batch is off.penalty is None
    with pytest.raises(RecipeError, match="lam must be at least 0"):
        build("decov(lam=-1)")
    with pytest.raises(UnfitError, match="no hidden units"):
        apply("decov", "linear")
