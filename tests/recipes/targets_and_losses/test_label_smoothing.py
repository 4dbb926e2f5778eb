from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from bench.training.classifier import soft_cross_entropy
from recipes import build
from recipes.targets_and_losses.label_smoothing import smooth


@pytest.mark.parametrize("epsilon", [0.0, 0.05, 0.4, 1.0])
@pytest.mark.parametrize("classes", [2, 7])
def test_against_torch(epsilon: float, classes: int) -> None:
    torch.manual_seed(0)
    logits, labels = 3 * torch.randn(20, classes), torch.randint(classes, (20,))
    ours = soft_cross_entropy(logits, smooth(F.one_hot(labels, classes).float(), epsilon))
    theirs = F.cross_entropy(logits, labels, label_smoothing=epsilon, reduction="none")
    torch.testing.assert_close(ours, theirs)


def test_mixed_targets_against_torch() -> None:
    torch.manual_seed(0)
    logits, y = torch.randn(20, 5), torch.randn(20, 5).softmax(1)
    theirs = F.cross_entropy(logits, y, label_smoothing=0.3, reduction="none")
    torch.testing.assert_close(soft_cross_entropy(logits, smooth(y, 0.3)), theirs)


def test_rows_stay_probabilities_and_inputs_stay() -> None:
    recipe, x = build("label_smoothing(epsilon=0.2)"), torch.rand(4, 6)
    assert recipe.batch
    same_x, y = recipe.batch(x, torch.eye(4))
    assert same_x is x
    torch.testing.assert_close(y[0], torch.tensor([0.85, 0.05, 0.05, 0.05]))
    torch.testing.assert_close(y.sum(1), torch.ones(4))


def test_validation_loss_stays_unsmoothed(fit: Any) -> None:
    """The strongest smoothing: were the evaluation smoothed too, its loss would be about log K."""
    run = fit("label_smoothing(epsilon=1)", epochs=20)
    data = run.prepared.data
    x, labels = data.splits["val"]
    with torch.no_grad():
        plain = F.cross_entropy(run.net.eval()(x.float() / 255), labels)
    assert run.record.metrics["val"]["loss"] == pytest.approx(float(plain), rel=1e-5)


@pytest.mark.parametrize("epsilon", [-0.1, 1.1])
def test_range(epsilon: float) -> None:
    with pytest.raises(ValueError, match=r"epsilon must be in \[0, 1\]"):
        build(f"label_smoothing(epsilon={epsilon})")
