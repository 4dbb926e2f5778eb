import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes import RecipeError, Step, build
from recipes.targets_and_losses.max_sup import max_sup


def total(alpha: float, logits: Tensor, labels: Tensor) -> Tensor:
    penalty = max_sup(alpha).penalty
    assert penalty
    y = F.one_hot(labels, logits.shape[1]).float()
    return F.cross_entropy(logits, y) + penalty(nn.Identity(), Step(torch.zeros(len(y), 1), y, logits, 0.0))


def test_equals_label_smoothing_on_correct_predictions() -> None:
    torch.manual_seed(0)
    logits = 2 * torch.randn(30, 7)
    labels = logits.argmax(1)
    torch.testing.assert_close(total(0.2, logits, labels), F.cross_entropy(logits, labels, label_smoothing=0.2))


def test_penalizes_the_wrong_top_logit_where_label_smoothing_lifts_it() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.0]], requires_grad=True)
    label = torch.tensor([1])
    plain, ours, smoothed = (
        torch.autograd.grad(f, logits)[0][0]
        for f in (
            F.cross_entropy(logits, label),
            total(0.3, logits, label),
            F.cross_entropy(logits, label, label_smoothing=0.3),
        )
    )
    torch.testing.assert_close(ours - plain, 0.3 * (torch.tensor([1.0, 0.0, 0.0]) - 1 / 3))
    assert (smoothed - plain)[0] < 0 < (ours - plain)[0]


def test_off_and_refusals() -> None:
    assert max_sup(0.0).penalty is None
    with pytest.raises(RecipeError, match="alpha must be at least 0"):
        build("max_sup(alpha=-1)")
