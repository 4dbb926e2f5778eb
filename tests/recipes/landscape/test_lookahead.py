from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from recipes import build


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD])
def test_against_the_papers_loop(kind: type[torch.optim.Optimizer]) -> None:
    torch.manual_seed(0)
    ours = nn.Linear(4, 3)
    theirs = copy.deepcopy(ours)
    recipe = build("lookahead(alpha=0.3, k=3)")
    assert recipe.optimizer
    mine = recipe.optimizer(kind(ours.parameters(), lr=0.1))
    inner = kind(theirs.parameters(), lr=0.1)
    slow = [p.detach().clone() for p in theirs.parameters()]
    for step in range(1, 11):
        x = torch.randn(8, 4)
        for net, optimizer in ((ours, mine), (theirs, inner)):
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step()
        if step % 3 == 0:
            slow = [phi + 0.3 * (p.detach() - phi) for phi, p in zip(slow, theirs.parameters(), strict=True)]
            with torch.no_grad():
                for p, phi in zip(theirs.parameters(), slow, strict=True):
                    p.copy_(phi)
        torch.testing.assert_close(ours.weight, theirs.weight)


def test_slow_weights_are_saved_with_the_optimizer() -> None:
    torch.manual_seed(0)
    net = nn.Linear(4, 3)
    recipe = build("lookahead(k=4)")
    assert recipe.optimizer

    def steps(net: nn.Linear, optimizer: torch.optim.Optimizer, n: int) -> None:
        for _ in range(n):
            optimizer.zero_grad()
            net(torch.ones(2, 4)).square().mean().backward()
            optimizer.step()

    optimizer = recipe.optimizer(torch.optim.Adam(net.parameters(), lr=0.1))
    steps(net, optimizer, 6)
    copied, saved = copy.deepcopy(net), copy.deepcopy(optimizer.state_dict())
    steps(net, optimizer, 6)
    resumed = recipe.optimizer(torch.optim.Adam(copied.parameters(), lr=0.1))
    resumed.load_state_dict(saved)
    steps(copied, resumed, 6)
    assert torch.equal(net.weight, copied.weight)


@pytest.mark.parametrize("recipe", ["lookahead(alpha=0)", "lookahead(alpha=1.5)", "lookahead(k=0)"])
def test_ranges(recipe: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        build(recipe)
