from __future__ import annotations

import itertools
import math

import pytest
import torch
from helpers import UNLIKELY
from scipy import stats
from torch import Tensor

from recipes import RecipeError, Task, UnfitError, build
from recipes.augmentation.cutout import cut_out


def test_images_are_the_papers() -> None:
    torch.manual_seed(0)
    x, side = torch.rand(50, 3, 12, 10), 6
    row, column = torch.randint(12, (50,)), torch.randint(10, (50,))
    out = cut_out(x, row, column, side)
    for image, done, r, c in zip(x, out, row.tolist(), column.tolist(), strict=True):
        expected = image.clone()
        top, bottom = max(0, r - side // 2), min(12, r + side // 2)
        left, right = max(0, c - side // 2), min(10, c + side // 2)
        expected[:, top:bottom, left:right] = x.mean((0, 2, 3))[:, None, None]
        assert torch.equal(done, expected)


@pytest.mark.parametrize(("side", "authors"), [(4, 4), (5, 4), (1, 0)])
def test_an_odd_side_is_hidden_whole(side: int, authors: int) -> None:
    """The authors' code hides `centre - side // 2` up to, but not including, `centre + side // 2`."""
    x, centre = torch.rand(1, 1, 20, 20), torch.tensor([10])
    assert int((cut_out(x, centre, centre, side) != x).sum()) == side**2
    assert len(range(10 - side // 2, 10 + side // 2)) == authors


def black_and_white(n: int, height: int, width: int) -> Tensor:
    """Images of which no pixel has their mean color."""
    return (torch.arange(n) % 2).float().view(n, 1, 1, 1).expand(n, 1, height, width)


def test_hidden_pixels_have_their_mean_number() -> None:
    """Mean clipped length of a side s of n pixels: the sum over n centres of those within, over n."""
    torch.manual_seed(0)
    n, side = 5000, 16
    x = black_and_white(n, 32, 32)
    out, _ = build("cutout(size=0.5)").batch(x, torch.zeros(n, 1))
    hidden = (out != x).flatten(1).sum(1).float()
    lengths = torch.tensor([min(32, c + side // 2) - max(0, c - side // 2) for c in range(32)], dtype=torch.float32)
    mean, second = lengths.mean() ** 2, lengths.square().mean() ** 2
    assert abs(hidden.mean() - mean) < 4 * math.sqrt((second - mean**2) / n)
    assert len(hidden.unique()) > 20
    assert hidden.max() == side**2


@pytest.mark.parametrize(("height", "width"), [(12, 20), (20, 12), (7, 9)])
def test_centres_are_anywhere_in_images_that_are_not_square(height: int, width: int) -> None:
    """Every centre has a clipped box of its own, and all are equally frequent."""
    torch.manual_seed(0)
    n, side = 100 * height * width, round(0.5 * min(height, width))
    x = black_and_white(n, height, width)
    hidden = (build("cutout(size=0.5)").batch(x, x)[0] != x)[:, 0].flatten(1)
    different, counts = hidden.unique(dim=0, return_counts=True)
    expected = torch.zeros(height, width, height, width, dtype=torch.bool)
    for r, c in itertools.product(range(height), range(width)):
        top, left = r - side // 2, c - side // 2
        expected[r, c, max(0, top) : top + side, max(0, left) : left + side] = True
    assert torch.equal(different, expected.view(height * width, -1).unique(dim=0))
    assert stats.chisquare(counts).pvalue > UNLIKELY


def test_sizes_are_rounded_to_at_least_a_pixel() -> None:
    x = torch.rand(100, 1, 8, 8)
    for size, side in ((0.01, 1), (0.25, 2), (0.375, 3), (1.0, 8)):
        hidden = (build(f"cutout(size={size})").batch(x, x)[0] != x).flatten(1).sum(1)
        assert 1 <= hidden.max() <= side**2
    assert (build("cutout(size=2)").batch(x, x)[0] == x.mean()).all()


def test_off_and_refusals() -> None:
    assert build("cutout(size=0)").batch is None
    for wrong in (-0.1, 2.1):
        with pytest.raises(RecipeError, match="size must be in"):
            build(f"cutout(size={wrong})")
    with pytest.raises(UnfitError, match="'erase'"):
        build("cutout", Task("image", frozenset({"rotate"})))
