import numpy as np
import pytest
import torch
from torch import nn

from recipes import RecipeError, build
from recipes.decay_and_gradient.gradient_clipping import gradient_clipping


@pytest.mark.parametrize("max_norm", [0.1, 5.0, 1e3])
def test_all_gradients_together_are_shortened(max_norm: float) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3))
    for p in list(net.parameters())[:3]:
        p.grad = 3 * torch.randn_like(p)
    before = np.concatenate([p.grad.flatten().numpy().copy() for p in net.parameters() if p.grad is not None])
    gradient = gradient_clipping(max_norm).gradient
    assert gradient
    gradient(net)
    after = np.concatenate([p.grad.flatten().numpy() for p in net.parameters() if p.grad is not None])
    np.testing.assert_allclose(after, before * min(1, max_norm / np.linalg.norm(before)), rtol=1e-5)
    assert net[1].bias.grad is None


def test_off_and_refusals() -> None:
    assert gradient_clipping(None).gradient is None
    with pytest.raises(RecipeError, match="max_norm must be above 0"):
        build("gradient_clipping(max_norm=0)")
