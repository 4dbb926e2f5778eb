from __future__ import annotations

import torch
from torch import nn

from recipes.landscape._sharpness import climb


def test_neighbourhood_is_blind_to_rescaling() -> None:
    """Scaling a layer by 10 and the next by 1/10 leaves the function and so the relative climb as they were."""
    w = torch.tensor([[1.0, -2.0], [0.5, 4.0]])
    g = torch.tensor([[0.3, 0.1], [-0.2, 0.7]])
    climbs = []
    for factor in (1.0, 10.0):
        p = nn.Parameter(w * factor)
        p.grad = g / factor
        climb([p], 0.5, lambda p: p.detach().abs())
        climbs.append((p.detach() - w * factor) / factor)
    torch.testing.assert_close(climbs[0], climbs[1])
