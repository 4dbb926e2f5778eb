from __future__ import annotations

import pytest
import torch
from helpers import assert_rate
from torchvision.transforms.v2 import functional as tv

from recipes import RecipeError, Task, UnfitError, build


@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_is_kept_or_flipped(channels: int) -> None:
    torch.manual_seed(0)
    n, p = 4000, 0.3
    x = torch.rand(n, channels, 4, 5)
    before = x.clone()
    out, _ = build(f"hflip(p={p})").batch(x, torch.zeros(n, 1))
    flipped = (out == tv.horizontal_flip(x)).flatten(1).all(1)
    kept = (out == x).flatten(1).all(1)
    assert torch.equal(x, before)
    assert (flipped ^ kept).all()
    assert_rate(flipped, p)


def test_certain_flip() -> None:
    x = torch.rand(10, 3, 6, 6)
    assert torch.equal(build("hflip(p=1)").batch(x, x)[0], x.flip(-1))


def test_off_and_refusals() -> None:
    assert build("hflip(p=0)").batch is None
    for wrong in (-0.1, 1.1):
        with pytest.raises(RecipeError, match="p must be in"):
            build(f"hflip(p={wrong})")
    with pytest.raises(UnfitError, match="'hflip'"):
        build("hflip", Task("image", frozenset({"rotate"})))
