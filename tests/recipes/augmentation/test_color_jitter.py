from __future__ import annotations

import itertools
import math

import pytest
import torch
from helpers import SIGMAS, UNLIKELY, assert_uniform
from scipy import stats
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from recipes import RecipeError, Task, UnfitError, build
from recipes.augmentation.color_jitter import jitter

FUNCTIONS = (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Tensor]]:
    """The orders and parameters that batches draw."""
    kept: list[tuple[Tensor, Tensor]] = []

    def keep(x: Tensor, order: Tensor, parameters: Tensor) -> Tensor:
        kept.append((order, parameters))
        return jitter(x, order, parameters)

    monkeypatch.setattr("recipes.augmentation.color_jitter.jitter", keep)
    return kept


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("magnitude", [0.5, 2.5])
def test_images_are_torchvisions(magnitude: float, channels: int, drawn: list[tuple[Tensor, Tensor]]) -> None:
    torch.manual_seed(0)
    x = torch.rand(50, channels, 8, 9)
    before, (out, _) = x.clone(), build(f"color_jitter(magnitude={magnitude})").batch(x, x)
    assert torch.equal(x, before)
    for image, done, order, parameters in zip(x, out, *drawn[0], strict=True):
        expected = image
        for k in order.tolist():
            expected = FUNCTIONS[k](expected, float(parameters[k]))
        torch.testing.assert_close(done, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "low", "high"),
    [
        ("magnitude=1", (0.6, 0.6, 0.6, -0.1), (1.4, 1.4, 1.4, 0.1)),
        ("magnitude=4", (0, 0, 0, -0.4), (2.6, 2.6, 2.6, 0.4)),
        ("magnitude=2, brightness=0.1, contrast=0.3, saturation=2, hue=0.05", (0.8, 0.4, 0, -0.1), (1.2, 1.6, 5, 0.1)),
        ("magnitude=0.5, brightness=3, contrast=1, saturation=0.2, hue=2", (0, 0.5, 0.9, -0.5), (2.5, 1.5, 1.1, 0.5)),
    ],
)
def test_factors_are_uniform_and_orders_equally_frequent(
    arguments: str, low: tuple[float, ...], high: tuple[float, ...], drawn: list[tuple[Tensor, Tensor]]
) -> None:
    torch.manual_seed(0)
    n = 4000
    x = torch.zeros(n, 3, 1, 1)
    build(f"color_jitter({arguments})").batch(x, x)
    ((orders, parameters),) = drawn
    for values, least, most in zip(parameters.T, low, high, strict=True):
        assert_uniform(values, least, most)
    different, counts = orders.unique(dim=0, return_counts=True)
    assert sorted(different.tolist()) == sorted(map(list, itertools.permutations(range(4))))
    assert stats.chisquare(counts).pvalue > UNLIKELY
    related = torch.corrcoef(torch.cat([orders[:, :3], parameters], dim=1).T)[3:]
    assert (related - torch.eye(7)[3:]).abs().max() < (SIGMAS + 1) / math.sqrt(n)


def test_values_stay_within_the_pixels_range() -> None:
    torch.manual_seed(0)
    x = torch.full((1000, 3, 2, 2), 0.25)
    large, _ = build("color_jitter(magnitude=5)").batch(x, x)
    assert large.min() >= 0
    assert large.max() <= 1


def test_off_and_refusals() -> None:
    assert build("color_jitter(magnitude=0)").batch is None
    for name in ("magnitude", "brightness", "contrast", "saturation", "hue"):
        with pytest.raises(RecipeError, match=f"{name} must be at least 0"):
            build(f"color_jitter({name}=-0.1)")
    with pytest.raises(UnfitError, match="'color'"):
        build("color_jitter", Task("image", frozenset({"rotate"})))
