import pytest
import torch
from helpers import twins
from timm.layers import ScaledStdConv2d, StdConv2d
from torch import nn

from recipes import UnfitError, build, weights
from recipes._core.surgery import weighted
from recipes.normalization.weight_standardization import GAIN, standardize


def test_weights_are_those_of_timm() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, 5, 5)
    plain, scaled = StdConv2d(6, 4, 3, eps=1e-6), ScaledStdConv2d(6, 4, 3, gamma=GAIN, eps=1e-6)
    torch.testing.assert_close(torch.conv2d(x, standardize(plain.weight), padding=1), plain(x))
    conv = nn.Conv2d(6, 4, 3, padding=1)
    scaled.load_state_dict({**conv.state_dict(), "gain": torch.ones(4, 1, 1, 1)})
    model = build("weight_standardization").model
    assert model
    net = model(nn.Sequential(conv, nn.Linear(2, 2)))
    torch.testing.assert_close(net[0](x), scaled(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("net", ["mlp", "cnn", "resnet18(width=4)"])
def test_every_hidden_layer_but_not_the_last_has_mean_zero_and_one_norm(net: str) -> None:
    plain, operated = twins("weight_standardization", net)
    *hidden, last = weighted(operated)
    for layer in hidden:
        rows = layer.weight.flatten(1)
        torch.testing.assert_close(rows.mean(1), torch.zeros(len(rows)), atol=1e-6, rtol=0)
        torch.testing.assert_close(rows.norm(dim=1), torch.full((len(rows),), GAIN), atol=2e-3, rtol=0)
    assert torch.equal(last.weight, weighted(plain)[-1].weight)
    assert len(weights(operated)) == len(weights(plain))
    assert sum(p.numel() for p in operated.parameters()) == sum(p.numel() for p in plain.parameters())


def test_the_gain_keeps_the_variance_through_a_relu() -> None:
    torch.manual_seed(0)
    h = torch.randn(1_000_000).relu()
    assert (GAIN * h).std().item() == pytest.approx(1, abs=0.005)
    assert pytest.approx(1.7139588594436646, rel=1e-3) == GAIN  # Brock et al.'s code has it from samples


def test_a_layer_of_zeros_gives_finite_gradients() -> None:
    _, net = twins("weight_standardization", "resnet9(width=2)")
    net(torch.rand(4, 1, 8, 8)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_refusals() -> None:
    with pytest.raises(UnfitError, match="weight_standardization: this network has no hidden layers"):
        twins("weight_standardization", "linear")
