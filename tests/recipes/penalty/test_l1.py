from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from recipes import build
from recipes.penalty.l1 import soft_threshold


@pytest.mark.parametrize("threshold", [0.0, 0.3, 5.0])
def test_soft_threshold_against_torch(threshold: float) -> None:
    torch.manual_seed(0)
    w = torch.randn(50, 20)
    torch.testing.assert_close(soft_threshold(w, threshold), nn.functional.softshrink(w, threshold))


def test_each_coordinate_has_its_own_threshold() -> None:
    w, threshold = torch.tensor([[1.0, -1.0, 0.5]]), torch.tensor([[0.25, 2.0, 0.5]])
    assert soft_threshold(w, threshold).tolist() == [[0.75, 0.0, 0.0]]


def test_step_is_lam_times_step_size_on_weights_only() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    nn.init.constant_(net[0].weight, 1.0)  # type: ignore[arg-type]
    nn.init.constant_(net[0].bias, 1.0)  # type: ignore[arg-type]
    recipe = build("l1(lam=0.5)")
    assert recipe.project
    recipe.project(net, lambda p: 0.2)
    assert torch.equal(net[0].weight, torch.full((2, 2), 0.9))
    assert torch.equal(net[0].bias, torch.ones(2))
    assert torch.equal(net[1].weight, torch.ones(2))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_minimum_and_support_are_scikit_learns(softmax_regression: Any, optimizer: str) -> None:
    ours, _ = softmax_regression.check("l1(lam=0.02)", optimizer, lam=0.02, l1_ratio=1.0)
    assert 0.2 < float((ours == 0).float().mean()) < 0.8


def test_range() -> None:
    with pytest.raises(ValueError, match="lam must be at least 0, got -1"):
        build("l1(lam=-1)")
