from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from bench.training import networks
from recipes import Recipe, build, compose


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), id="sgd"),
        pytest.param(lambda p: torch.optim.Adam(p, lr=0.1), id="adam"),
    ],
)
def test_training_is_plain_torch(softmax_regression: Any, request: pytest.FixtureRequest, make: Any) -> None:
    torch.manual_seed(0)
    net: Any = networks.build("linear", (8,), 3, torch.zeros(8), torch.ones(8))
    layer, steps = net[1][1], 25
    optimizer = make(layer.parameters())
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(layer(softmax_regression.x), softmax_regression.labels).backward()
        optimizer.step()
        schedule.step()
    weight, bias = softmax_regression.train("none", request.node.callspec.id, 0.1, steps)
    torch.testing.assert_close(weight, layer.weight.detach(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(bias, (layer.bias - layer.bias.mean()).detach(), atol=1e-5, rtol=1e-4)


def test_it_is_the_empty_composition() -> None:
    assert build("none") == Recipe() == compose([])
    assert str(build("none+label_smoothing")) == str(build("label_smoothing"))
