import pytest
import torch
import torch.nn.functional as F

from recipes import RecipeError, build
from recipes.targets_and_losses.flooding import flood, flooding


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_mean_and_gradient_are_the_papers(scale: float) -> None:
    torch.manual_seed(0)
    logits = torch.randn(8, 5)
    logits = (logits + scale * 4 * F.one_hot(torch.arange(8) % 5, 5)).requires_grad_()
    y = F.one_hot(torch.arange(8) % 5, 5).float()
    mean = F.cross_entropy(logits, y)
    expected = (mean - 0.5).abs() + 0.5
    loss = flooding(0.5).loss
    assert loss
    ours = loss(logits, y).mean()
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(torch.autograd.grad(ours, logits)[0], torch.autograd.grad(expected, logits)[0])
    assert (mean < 0.5) == (scale > 0.5)


def test_level_is_the_whole_batchs(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process's half lies below the level, the whole batch above it."""
    monkeypatch.setattr("recipes.targets_and_losses.flooding.world", lambda: 2)
    monkeypatch.setattr("recipes.targets_and_losses.flooding.all_sum", lambda x: x + 10.0)
    losses = torch.tensor([0.1, 0.2])
    assert torch.equal(flood(losses, 1.0), losses)
    torch.testing.assert_close(flood(losses, 3.0), 6 - losses)


def test_off_and_refusals() -> None:
    assert flooding(0.0).loss is None
    with pytest.raises(RecipeError, match="b must be at least 0"):
        build("flooding(b=-1)")
