import pytest
import torch
import torch.nn.functional as F
from helpers import assert_rate, twins
from torch import nn

from recipes import RecipeError, UnfitError, build, weights
from recipes.dropout_and_noise.dropconnect import drop_weights, dropconnect


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_rate_and_scale(p: float) -> None:
    torch.manual_seed(0)
    w = torch.rand(300, 300) + 0.5
    for factor in (drop_weights(w, p) / w, F.dropout(w, p) / w):
        assert_rate(factor == 0, p)
        torch.testing.assert_close(factor.amax(), torch.tensor(1 / (1 - p)))


def test_a_pass_uses_one_mask_for_the_batch_on_weights_and_biases_of_hidden_layers() -> None:
    plain, net = twins("dropconnect(p=0.5)", "mlp")
    x = torch.rand(6, 1, 8, 8)
    torch.manual_seed(1)
    logits = net(x)
    torch.manual_seed(1)
    h = x.flatten(1)
    first, second, last = (m for m in plain.modules() if isinstance(m, nn.Linear))
    for layer in (first, second):
        masked = [p * (torch.rand_like(p) >= 0.5) * 2 for p in (layer.weight, layer.bias)]
        h = F.linear(h, *masked).relu()
    torch.testing.assert_close(logits, last(h))


def test_evaluation_is_the_plain_network_and_parameters_stay() -> None:
    plain, net = twins("dropconnect(p=0.5)", "cnn")
    x = torch.rand(3, 1, 8, 8)
    assert torch.equal(net.eval()(x), plain.eval()(x))
    assert sum(p.numel() for p in net.parameters()) == sum(p.numel() for p in plain.parameters())
    assert len(weights(net)) == len(weights(plain))
    logits = net.train()(x)
    assert not torch.equal(logits, net(x))
    logits.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_refusals() -> None:
    with pytest.raises(RecipeError, match=r"p must be in \[0, 1\), got 1.0"):
        build("dropconnect(p=1.0)")
    for net in ("linear", "resnet9(width=4)"):
        with pytest.raises(UnfitError, match="no hidden fully connected layer"):
            twins("dropconnect(p=0.5)", net)
    assert dropconnect(0.0).model is None
