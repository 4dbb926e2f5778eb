import kornia
import pytest
import scipy.special
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from recipes import RecipeError, build
from recipes.targets_and_losses.focal import focal, focal_loss


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_is_kornias(gamma: float) -> None:
    torch.manual_seed(0)
    logits, labels = 3 * torch.randn(40, 6), torch.randint(6, (40,))
    expected = kornia.losses.focal_loss(logits, labels, alpha=None, gamma=gamma, reduction="none").sum(1)
    torch.testing.assert_close(focal_loss(logits, F.one_hot(labels, 6).float(), gamma), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_two_classes_are_torchvisions_sigmoid(gamma: float) -> None:
    torch.manual_seed(0)
    z, target = 3 * torch.randn(40), torch.randint(2, (40,))
    logits = torch.stack([torch.zeros(40), z], dim=1)
    expected = sigmoid_focal_loss(z, target.float(), alpha=-1, gamma=gamma)
    torch.testing.assert_close(focal_loss(logits, F.one_hot(target, 2).float(), gamma), expected, rtol=1e-4, atol=1e-6)


def test_soft_targets_weigh_the_terms() -> None:
    torch.manual_seed(0)
    logits, y = torch.randn(5, 4, dtype=torch.float64), torch.rand(5, 4, dtype=torch.float64).softmax(1)
    p = scipy.special.softmax(logits.numpy(), axis=1)
    expected = [
        -sum(y[i, k] * (1 - p[i, k]) ** 2 * scipy.special.log_softmax(logits[i].numpy())[k] for k in range(4))
        for i in range(5)
    ]
    torch.testing.assert_close(focal_loss(logits, y, 2.0).double(), torch.stack(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_certain_predictions_have_a_finite_gradient(gamma: float) -> None:
    for label in (0, 1):
        logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
        focal_loss(logits, torch.eye(2)[[label]], gamma).sum().backward()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


def test_gamma_0_is_cross_entropy() -> None:
    torch.manual_seed(0)
    logits, y = torch.randn(5, 4), torch.rand(5, 4).softmax(1)
    torch.testing.assert_close(focal_loss(logits, y, 0.0), F.cross_entropy(logits, y, reduction="none"))


@pytest.mark.parametrize("gamma", [0.5, 2.0, 3.0])
def test_gamma_given_is_kornias(gamma: float) -> None:
    torch.manual_seed(0)
    logits, labels = 3 * torch.randn(40, 6), torch.randint(6, (40,))
    expected = kornia.losses.focal_loss(logits, labels, alpha=None, gamma=gamma, reduction="none").sum(1)
    loss = build(f"focal(gamma={gamma})").loss
    assert loss
    torch.testing.assert_close(loss(logits, F.one_hot(labels, 6).float()), expected, rtol=1e-4, atol=1e-6)


def test_off_and_refusals() -> None:
    assert focal(0.0).loss is None
    with pytest.raises(RecipeError, match="gamma must be at least 0"):
        build("focal(gamma=-1)")
    with pytest.raises(RecipeError, match="both set the loss"):
        build("focal+flooding")
