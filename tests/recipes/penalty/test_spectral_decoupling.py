import numpy as np
import pytest
import torch
from torch import nn

from recipes import RecipeError, Step, build
from recipes.penalty.spectral_decoupling import spectral_decoupling


def test_penalty_and_gradient() -> None:
    torch.manual_seed(0)
    logits = torch.randn(7, 5, requires_grad=True)
    penalty = spectral_decoupling(0.3).penalty
    assert penalty
    value = penalty(nn.Identity(), Step(torch.zeros(7, 2), torch.zeros(7, 5), logits, 0.0))
    rows = logits.detach().numpy()
    assert value.item() == pytest.approx(np.mean([0.3 / 2 * np.dot(z, z) for z in rows]))
    value.backward()
    torch.testing.assert_close(logits.grad, 0.3 * logits.detach() / 7)


def test_off_and_refusals() -> None:
    assert spectral_decoupling(0.0).penalty is None
    with pytest.raises(RecipeError, match="lam must be at least 0"):
        build("spectral_decoupling(lam=-1)")
