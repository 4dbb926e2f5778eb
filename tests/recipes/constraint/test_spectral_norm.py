import copy
from collections.abc import Callable

import pytest
import torch
from helpers import assert_equal, state_of, twins
from torch import nn
from torch.nn.utils import parametrizations

from recipes import RecipeError, build, weights
from recipes._core.surgery import weighted
from recipes.constraint.spectral_norm import Bounded, iterate, spectral_norm


def settle(net: nn.Module, passes: int = 150) -> None:
    for _ in range(passes):
        for layer in weighted(net):
            layer.weight  # noqa: B018 (each access in training mode iterates)


@pytest.mark.parametrize("net", ["linear", "mlp(width=16)", "cnn(width=2)"])
@pytest.mark.parametrize("c", [0.5, 1.2])
def test_norms_are_bounded_and_smaller_ones_left(net: str, c: float) -> None:
    plain, bounded = twins(f"spectral_norm(c={c})", net)
    settle(bounded)
    for before, after in zip(weighted(plain), weighted(bounded), strict=True):
        sigma = torch.linalg.matrix_norm(before.weight.flatten(1), 2)
        expected = before.weight / max(1.0, sigma.item() / c)
        torch.testing.assert_close(after.weight, expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("make_layer", [lambda: nn.Linear(12, 7), lambda: nn.Conv2d(3, 5, 3)])
def test_weight_and_gradient_are_torchs_where_the_bound_is_active(make_layer: Callable[[], nn.Linear]) -> None:
    torch.manual_seed(0)
    layer = make_layer()
    theirs = parametrizations.spectral_norm(copy.deepcopy(layer), n_power_iterations=200)
    model = spectral_norm(0.1).model
    assert model
    ours = model(nn.Sequential(copy.deepcopy(layer)))
    settle(ours, 300)
    target = torch.randn_like(layer.weight)
    grads = []
    for net, scale in ((theirs, 0.1), (ours[0], 1.0)):
        weight = net.weight * scale
        torch.testing.assert_close(weight, theirs.weight * 0.1, atol=1e-5, rtol=1e-4)
        (weight * target).sum().backward()
        grads.append(weights(net)[0].grad)
    torch.testing.assert_close(grads[0], grads[1], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("net", ["linear", "mlp(width=16)", "cnn(width=4)"])
def test_the_bound_holds_before_the_first_step(net: str) -> None:
    plain, bounded = twins("spectral_norm(c=0.5)", net)
    bounded.eval()
    for before, after in zip(weighted(plain), weighted(bounded), strict=True):
        assert torch.linalg.matrix_norm(before.weight.flatten(1), 2) > 0.55
        assert torch.linalg.matrix_norm(after.weight.flatten(1), 2).item() == pytest.approx(0.5, rel=0.05)


def test_an_average_of_directions_is_made_one_again() -> None:
    torch.manual_seed(0)
    w = torch.randn(5, 6)
    layer = Bounded(w, 1.0)
    for _ in range(100):
        layer(w)
    layer.v *= 0.5
    assert torch.linalg.matrix_norm(layer.eval()(w), 2).item() == pytest.approx(1, abs=1e-3)


def test_evaluation_does_not_iterate() -> None:
    _, net = twins("spectral_norm(c=0.5)", "mlp")
    x = torch.rand(4, 1, 8, 8)
    net(x)
    before = state_of(net.eval())
    assert torch.equal(net(x), net(x))
    assert_equal(before, state_of(net))
    net.train()(x)
    assert any(not torch.equal(v, before[k]) for k, v in net.state_dict().items() if k.endswith(".v"))


def test_two_passes_before_a_backward_pass_are_no_trouble() -> None:
    _, net = twins("spectral_norm(c=0.5)", "cnn")
    x = torch.rand(4, 1, 8, 8)
    (net(x) + net(x)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_a_layer_that_starts_at_zero_is_bounded_once_it_grows() -> None:
    torch.manual_seed(0)
    layer = Bounded(torch.zeros(5, 6), 1.0)
    assert torch.equal(layer(torch.zeros(5, 6)), torch.zeros(5, 6))
    w = torch.randn(5, 6)
    for _ in range(100):
        bounded = layer(w)
    assert torch.linalg.matrix_norm(bounded, 2).item() == pytest.approx(1, abs=1e-3)


def test_the_power_method_finds_the_first_singular_vector() -> None:
    torch.manual_seed(0)
    w, v = torch.randn(8, 5), torch.randn(5)
    for _ in range(300):
        v = iterate(w, v)
    expected = torch.linalg.svd(w).Vh[0]
    torch.testing.assert_close(v * (v @ expected).sign(), expected, atol=1e-4, rtol=0)


def test_off_and_refusals() -> None:
    assert spectral_norm(None).model is None
    with pytest.raises(RecipeError, match=r"c must be above 0, or None, got 0\.0"):
        build("spectral_norm(c=0)")
