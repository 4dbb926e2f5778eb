from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from recipes import RecipeError, Task, UnfitError, build
from recipes.augmentation.crop import random_crop


@pytest.mark.parametrize(("mode", "theirs"), [("zero", "constant"), ("reflect", "reflect")])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (3, 10, 15)])
def test_every_image_is_a_window_of_the_padded_one(mode: str, theirs: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    n, (down, right) = 300, (2, 3)
    image = torch.rand(shape)
    out = random_crop(image.expand(n, *shape), (down, right), mode)
    padded = tv.pad(image, [right, down], padding_mode=theirs)
    corners = [(top, left) for top in range(2 * down + 1) for left in range(2 * right + 1)]
    windows = torch.stack([tv.crop(padded, top, left, *shape[1:]) for top, left in corners])
    match = torch.stack([((out - w).abs() < 1e-6).flatten(1).all(1) for w in windows])
    assert (match.sum(0) == 1).all()
    counts = match.sum(1)
    expected = n / len(corners)
    # A chi-squared statistic of 34 degrees of freedom: mean 34, standard deviation 8.2.
    assert ((counts - expected) ** 2 / expected).sum() < 34 + 4 * 8.2


def test_padding_is_a_share_of_the_side() -> None:
    torch.manual_seed(0)
    for side, padding, largest in ((32, 0.125, 4), (8, 0.125, 1), (8, 0.03125, 1), (28, 0.25, 7)):
        x = torch.zeros(400, 1, side, side)
        x[..., side // 2, side // 2] = 1
        out, _ = build(f"crop(padding={padding})").batch(x, torch.zeros(400, 1))
        rows = out.sum((1, 3)).argmax(1) - side // 2
        assert (int(rows.min()), int(rows.max())) == (-largest, largest)


def test_off_and_refusals() -> None:
    assert build("crop(padding=0)").batch is None
    for wrong in ("padding=-0.1", "padding=0.6", "mode='edge'"):
        with pytest.raises(RecipeError, match="must be"):
            build(f"crop({wrong})")
    with pytest.raises(UnfitError, match="'crop'"):
        build("crop", Task("image", frozenset({"rotate"})))
