import numpy as np
import pytest
import scipy.special
import torch

from recipes import RecipeError, build
from recipes.targets_and_losses.logit_norm import logit_norm, normalized


def test_loss_is_the_papers() -> None:
    torch.manual_seed(0)
    logits, y = 4 * torch.randn(6, 5), torch.rand(6, 5).softmax(1)
    loss = logit_norm(0.1).loss
    assert loss
    for value, z, t in zip(loss(logits, y), logits.numpy(), y.numpy(), strict=True):
        expected = -(t * scipy.special.log_softmax(z / (0.1 * np.linalg.norm(z)))).sum()
        assert value.item() == pytest.approx(expected, rel=1e-4)


def test_only_the_direction_counts() -> None:
    torch.manual_seed(0)
    logits, y = torch.randn(6, 5), torch.rand(6, 5).softmax(1)
    loss = logit_norm(0.1).loss
    assert loss
    torch.testing.assert_close(loss(logits, y), loss(7 * logits, y))
    torch.testing.assert_close(normalized(logits, 0.1).norm(dim=1), torch.full((6,), 10.0))


def test_zero_logits_have_a_finite_gradient() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    loss = logit_norm(0.04).loss
    assert loss
    loss(logits, torch.eye(3)[:2]).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_off_and_refusals() -> None:
    assert logit_norm(None).loss is None
    with pytest.raises(RecipeError, match="tau must be above 0"):
        build("logit_norm(tau=0)")
