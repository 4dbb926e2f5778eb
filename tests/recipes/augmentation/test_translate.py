from __future__ import annotations

import math

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from recipes import RecipeError, Task, UnfitError, build
from recipes.augmentation import _images as images


def test_whole_pixels_are_torchvisions() -> None:
    x, right, down = torch.rand(4, 3, 9, 13), torch.tensor([0.0, 3.0, -5.0, 20.0]), torch.tensor([0.0, -2.0, 4.0, 1.0])
    out = images.translate(x, right, down)
    for image, done, r, d in zip(x, out, right, down, strict=True):
        expected = tv.affine(image, 0.0, [int(r), int(d)], 1.0, [0.0, 0.0])
        torch.testing.assert_close(done, expected, atol=1e-5, rtol=0)


def test_parts_of_pixels_are_weighted_by_distance() -> None:
    x = torch.rand(1, 1, 6, 6)
    out = images.translate(x, torch.tensor([0.25]), torch.tensor([0.0]))
    expected = 0.75 * x
    expected[..., 1:] += 0.25 * x[..., :-1]
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=0)


def test_shifts_are_uniform_and_independent() -> None:
    n = 4000
    x = torch.zeros(1, 1, 31, 21)
    x[..., 15, 10] = 1
    torch.manual_seed(0)
    out, _ = build("translate(share=0.25)").batch(x.expand(n, -1, -1, -1), torch.zeros(n, 1))
    down, right = (
        (out.sum(other) * (torch.arange(out.shape[axis]) - c)).sum(1)
        for axis, other, c in ((2, (1, 3), 15), (3, (1, 2), 10))
    )
    for moved, largest in ((down, 0.25 * 31), (right, 0.25 * 21)):
        assert moved.abs().max() <= largest + 1e-3
        assert abs(moved.mean()) < 4 * largest / math.sqrt(3 * n)
        assert abs(moved.var() - largest**2 / 3) < 4 * largest**2 * math.sqrt(4 / 45 / n)
    assert abs(torch.corrcoef(torch.stack([down, right]))[0, 1]) < 4 / math.sqrt(n)


def test_off_and_refusals() -> None:
    assert build("translate(share=0)").batch is None
    for wrong in (-0.1, 1.1):
        with pytest.raises(RecipeError, match="share must be in"):
            build(f"translate(share={wrong})")
    with pytest.raises(UnfitError, match="'translate'"):
        build("translate", Task("image", frozenset({"rotate"})))
