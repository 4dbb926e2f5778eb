from __future__ import annotations

import math

import pytest
import torch
from helpers import UNLIKELY, assert_rate
from scipy import stats
from torchvision.transforms import v2

from recipes import RecipeError, Task, UnfitError, build
from recipes.augmentation.random_erasing import draw_boxes

N = 3000


def test_boxes_are_distributed_as_torchvisions() -> None:
    torch.manual_seed(0)
    ours = torch.stack(draw_boxes(torch.zeros(N, 3, 32, 40), (0.02, 0.4), 0.3), dim=1)
    reference = v2.RandomErasing(1.0, (0.02, 0.4), (0.3, 1 / 0.3))
    drawn = [reference.make_params([torch.zeros(3, 32, 40)]) for _ in range(N)]
    theirs = torch.tensor([[d["i"], d["j"], d["h"], d["w"]] for d in drawn])
    for column in range(4):
        assert stats.ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-3
    areas = [boxes[:, 2] * boxes[:, 3] for boxes in (ours, theirs)]
    assert stats.ks_2samp(*areas).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (3, 5, 30)])
def test_boxes_lie_within_and_only_they_change(shape: tuple[int, ...]) -> None:
    x = torch.rand(N, *shape)
    torch.manual_seed(0)
    boxes = draw_boxes(x, (0.02, 0.4), 0.3)
    assert (boxes.top >= 0).all()
    assert (boxes.left >= 0).all()
    assert (boxes.top + boxes.height <= shape[1]).all()
    assert (boxes.left + boxes.width <= shape[2]).all()
    torch.manual_seed(0)
    before, (out, _) = x.clone(), build("random_erasing(p=1)").batch(x, torch.zeros(N, 1))
    assert torch.equal(x, before)
    changed = (out != x).all(1)
    assert torch.equal(changed, (out != x).any(1)), "all channels are erased alike"
    assert torch.equal(changed.flatten(1).sum(1), boxes.height * boxes.width)


@pytest.mark.parametrize(("low", "high", "ratio"), [(0.02, 0.4, 0.3), (0.1, 0.2, 0.6), (0.2, 0.5, 0.3), (0.02, 0.1, 1)])
def test_ranges_given_are_those_of_torchvisions_boxes(low: float, high: float, ratio: float) -> None:
    torch.manual_seed(0)
    n, side = 2000, 32
    x = torch.full((n, 1, side, side), 2.0)
    out, _ = build(f"random_erasing(p=1, low={low}, high={high}, ratio={ratio})").batch(x, x)
    erased = (out != 2)[:, 0]
    heights, widths = erased.any(2).sum(1), erased.any(1).sum(1)
    reference = v2.RandomErasing(1.0, (low, high), (ratio, 1 / ratio))
    drawn = [reference.make_params([x[0]]) for _ in range(n)]
    theirs = torch.tensor([[d["h"], d["w"], d["h"] * d["w"]] for d in drawn])
    for ours, reference_values in zip((heights, widths, heights * widths), theirs.T, strict=True):
        assert stats.ks_2samp(ours, reference_values).pvalue > UNLIKELY


def test_probability_and_noise() -> None:
    torch.manual_seed(0)
    p = 0.4
    x = torch.full((N, 3, 16, 16), 2.0)
    out, _ = build(f"random_erasing(p={p})").batch(x, torch.zeros(N, 1))
    erased = (out != 2).flatten(1).any(1)
    assert_rate(erased, p)
    noise = out[out != 2]
    assert abs(noise.mean() - 0.5) < 4 / math.sqrt(12 * len(noise))
    assert abs(noise.var() - 1 / 12) < 1e-3


def test_off_and_refusals() -> None:
    assert build("random_erasing(p=0)").batch is None
    for wrong in ("p=-0.1", "p=1.1", "low=0", "low=0.5", "high=1", "ratio=0", "ratio=2"):
        with pytest.raises(RecipeError, match="must be"):
            build(f"random_erasing({wrong})")
    with pytest.raises(UnfitError, match="'erase'"):
        build("random_erasing", Task("image", frozenset({"rotate"})))
