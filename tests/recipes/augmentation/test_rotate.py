from __future__ import annotations

import math

import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from recipes import RecipeError, Task, UnfitError, build


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_torchvisions(channels: int) -> None:
    x, y = torch.rand(6, channels, 20, 24), torch.rand(6, 3)
    torch.manual_seed(5)
    angles = 30 * (2 * torch.rand(6) - 1)
    torch.manual_seed(5)
    out, same = build("rotate(degrees=30)").batch(x, y)
    assert same is y
    assert len(angles.unique()) == 6
    for image, done, angle in zip(x, out, angles, strict=True):
        expected = tv.rotate(image, float(angle), InterpolationMode.BILINEAR)
        torch.testing.assert_close(done, expected, atol=2e-5, rtol=0)


def test_angles_are_uniform() -> None:
    n = 4000
    x = torch.zeros(1, 1, 41, 41)
    x[..., 20, 38] = 1
    torch.manual_seed(0)
    out, _ = build("rotate(degrees=45)").batch(x.expand(n, -1, -1, -1), torch.zeros(n, 1))
    axis = torch.arange(41.0) - 20
    angle = torch.atan2(-(out.sum((1, 3)) * axis).sum(1), (out.sum((1, 2)) * axis).sum(1)).rad2deg()
    assert angle.abs().max() < 45.2
    assert abs(angle.mean()) < 4 * 45 / math.sqrt(3 * n)
    assert abs(angle.var() - 45**2 / 3) < 4 * 45**2 * math.sqrt(4 / 45 / n)


def test_off_and_refusals() -> None:
    assert build("rotate(degrees=0)").batch is None
    for wrong in (-1, 181):
        with pytest.raises(RecipeError, match="degrees must be in"):
            build(f"rotate(degrees={wrong})")
    with pytest.raises(UnfitError, match="'rotate'"):
        build("rotate", Task("image", frozenset({"translate"})))
    with pytest.raises(UnfitError, match="images"):
        build("rotate", Task("features"))
