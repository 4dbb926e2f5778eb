"""Reference: torchvision v2's four color functions, image by image, in the order drawn; moments of the factors."""

from __future__ import annotations

import math

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from recipes import RecipeError, Task, UnfitError, build
from recipes.color_jitter import jitter

FUNCTIONS = (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_torchvisions(channels: int) -> None:
    torch.manual_seed(0)
    n = 20
    x, order = torch.rand(n, channels, 8, 9), torch.rand(n, 4).argsort(1)
    parameters = torch.rand(n, 4) * torch.tensor([2, 2, 2, 1]) - torch.tensor([0, 0, 0, 0.5])
    before, out = x.clone(), jitter(x, order, parameters)
    assert torch.equal(x, before)
    for i in range(n):
        expected = x[i]
        for k in order[i].tolist():
            expected = FUNCTIONS[k](expected, float(parameters[i, k]))
        torch.testing.assert_close(out[i], expected, atol=1e-4, rtol=0)


def test_factors_are_uniform() -> None:
    torch.manual_seed(0)
    n = 4000
    x = torch.full((n, 3, 2, 2), 0.25)
    only = "color_jitter(magnitude=2, contrast=0, saturation=0, hue=0, brightness=0.3)"
    factor = build(only).batch(x, torch.zeros(n, 1))[0][:, 0, 0, 0] / 0.25
    assert abs(factor.mean() - 1) < 4 * 0.6 / math.sqrt(3 * n)
    assert abs(factor.var() - 0.6**2 / 3) < 4 * 0.6**2 * math.sqrt(4 / 45 / n)
    large = build("color_jitter(magnitude=5)").batch(x, torch.zeros(n, 1))[0]
    assert large.min() >= 0
    assert large.max() <= 1


def test_off_and_refusals() -> None:
    assert build("color_jitter(magnitude=0)").batch is None
    for name in ("magnitude", "brightness", "contrast", "saturation", "hue"):
        with pytest.raises(RecipeError, match=f"{name} must be at least 0"):
            build(f"color_jitter({name}=-0.1)")
    with pytest.raises(UnfitError, match="'color'"):
        build("color_jitter", Task("image", frozenset({"rotate"})))
