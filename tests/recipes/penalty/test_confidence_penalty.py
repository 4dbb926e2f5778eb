import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from torch import nn

from recipes import RecipeError, Step, build
from recipes.penalty.confidence_penalty import confidence_penalty, entropy


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_entropy_is_scipys_and_torchs(scale: float) -> None:
    torch.manual_seed(0)
    logits = scale * torch.randn(20, 6)
    expected = scipy.stats.entropy(scipy.special.softmax(logits.double().numpy(), axis=1), axis=1)
    np.testing.assert_allclose(entropy(logits).numpy(), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(entropy(logits), torch.distributions.Categorical(logits=logits).entropy())


def test_penalty_rewards_entropy() -> None:
    penalty = confidence_penalty(0.3).penalty
    assert penalty
    logits = torch.zeros(4, 5, requires_grad=True)
    assert penalty(nn.Identity(), Step(torch.zeros(4, 1), torch.zeros(4, 5), logits, 0.0)).item() == pytest.approx(
        -0.3 * np.log(5)
    )


def test_certain_predictions_have_a_finite_gradient() -> None:
    logits = torch.tensor([[1e4, 0.0, -1e4]], requires_grad=True)
    entropy(logits).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_off_and_refusals() -> None:
    assert confidence_penalty(0.0).penalty is None
    with pytest.raises(RecipeError, match="beta must be at least 0"):
        build("confidence_penalty(beta=-1)")
