from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import NOTHING
from torch import nn

from recipes import build


def test_parts_by_hand() -> None:
    """lam = 0.4, l1_ratio = 0.25: 0.1 sum |w| by the proximal step, 0.15 sum w^2 as a penalty."""
    net = nn.Linear(3, 1)
    nn.init.constant_(net.weight, 2.0)
    recipe = build("elastic_net(lam=0.4, l1_ratio=0.25)")
    assert recipe.penalty
    assert recipe.project
    assert recipe.penalty(net, NOTHING).item() == pytest.approx(0.15 * 3 * 4)
    recipe.project(net, lambda p: 0.5)
    torch.testing.assert_close(net.weight.detach(), torch.full((1, 3), 1.95))


def test_ends_hold_one_part_only() -> None:
    lasso, ridge = build("elastic_net(l1_ratio=1)"), build("elastic_net(l1_ratio=0)")
    assert (lasso.penalty, ridge.project) == (None, None)
    assert lasso.project
    assert ridge.penalty


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_minimum_and_support_are_scikit_learns(softmax_regression: Any, optimizer: str) -> None:
    spec = "elastic_net(lam=0.04, l1_ratio=0.5)"
    ours, _ = softmax_regression.check(spec, optimizer, lam=0.04, l1_ratio=0.5)
    assert 0.1 < float((ours == 0).float().mean()) < 0.8


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("lam=-1", "lam must be at least 0"),
        ("l1_ratio=1.1", r"l1_ratio must be in \[0, 1\]"),
        ("l1_ratio=-1", "l1_ratio"),
    ],
)
def test_ranges(argument: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(f"elastic_net({argument})")
