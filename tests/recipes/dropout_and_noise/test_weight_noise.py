import pytest
import torch
import torch.nn.functional as F
from helpers import twins
from scipy import stats
from torch import nn

from recipes import RecipeError, build
from recipes.dropout_and_noise.weight_noise import Noise, weight_noise


def test_noise_is_normal_with_the_given_deviation() -> None:
    torch.manual_seed(0)
    w = torch.rand(50, 100)
    noise = (Noise(0.2)(w) - w).flatten()
    assert stats.kstest(noise.numpy(), stats.norm(0, 0.2).cdf).pvalue > 0.01


def test_a_pass_uses_one_draw_for_the_batch_in_every_layer() -> None:
    plain, net = twins("weight_noise(sigma=0.1)", "mlp")
    x = torch.rand(6, 1, 8, 8)
    torch.manual_seed(1)
    logits = net(x)
    torch.manual_seed(1)
    h = x.flatten(1)
    layers = [m for m in plain.modules() if isinstance(m, nn.Linear)]
    for layer in layers:
        h = F.linear(h.relu(), layer.weight + 0.1 * torch.randn_like(layer.weight), layer.bias)
    torch.testing.assert_close(logits, h)


@pytest.mark.parametrize("net", ["linear", "cnn", "resnet18(width=2)"])
def test_evaluation_is_the_plain_network_and_gradients_reach_the_clean_weights(net: str) -> None:
    plain, noisy = twins("weight_noise(sigma=0.1)", net)
    x = torch.rand(4, 1, 8, 8)
    assert torch.equal(noisy.eval()(x), plain.eval()(x))
    noisy.train()
    assert not torch.equal(noisy(x), noisy(x))
    before = [p.clone() for p in noisy.parameters()]
    noisy(x).square().sum().backward()
    assert all(torch.equal(p, q) for p, q in zip(noisy.parameters(), before, strict=True))
    assert all(p.grad is not None and p.grad.isfinite().all() for p in noisy.parameters())
    assert sum(p.numel() for p in noisy.parameters()) == sum(p.numel() for p in plain.parameters())


def test_off_and_refusals() -> None:
    assert weight_noise(0.0).model is None
    with pytest.raises(RecipeError, match=r"sigma must be at least 0, got -1\.0"):
        build("weight_noise(sigma=-1)")
