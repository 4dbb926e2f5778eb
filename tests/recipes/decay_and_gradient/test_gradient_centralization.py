import numpy as np
import pytest
import torch
from helpers import network
from torch import nn

from recipes import RecipeError, build, weights
from recipes.decay_and_gradient.gradient_centralization import centralize, gradient_centralization


@pytest.mark.parametrize("shape", [(6, 5), (4, 3, 3, 3)])
@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_each_unit_loses_its_mean(shape: tuple[int, ...], alpha: float) -> None:
    torch.manual_seed(0)
    gradient = torch.randn(shape)
    ours = centralize(gradient, alpha).numpy()
    for row, g in zip(ours, gradient.numpy(), strict=True):
        np.testing.assert_allclose(row, g - alpha * g.mean(), rtol=1e-5, atol=1e-6)
    size = gradient[0].numel()
    projection = np.eye(size) - alpha * np.ones((size, size)) / size
    expected = gradient.flatten(1).numpy() @ projection
    np.testing.assert_allclose(ours.reshape(shape[0], -1), expected, rtol=1e-4, atol=1e-6)


def test_sgd_keeps_the_sums_of_weights_and_biases_learn() -> None:
    net = network("cnn(width=4)")
    sums = [w.detach().flatten(1).sum(1) for w in weights(net)]
    biases = [p.detach().clone() for p in net.parameters() if p.ndim < 2]
    gradient = gradient_centralization().gradient
    assert gradient
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(torch.rand(16, 1, 8, 8)), torch.arange(16) % 10).backward()
        gradient(net)
        optimizer.step()
    for w, before in zip(weights(net), sums, strict=True):
        torch.testing.assert_close(w.detach().flatten(1).sum(1), before, rtol=1e-4, atol=1e-5)
    after = [p for p in net.parameters() if p.ndim < 2]
    assert not any(torch.equal(p, b) for p, b in zip(after, biases, strict=True))


def test_off_and_refusals() -> None:
    assert gradient_centralization(0.0).gradient is None
    with pytest.raises(RecipeError, match=r"alpha must be in \[0, 1\]"):
        build("gradient_centralization(alpha=1.5)")
