from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from helpers import UNLIKELY, operated, theirs
from scipy import stats
from torch import Tensor
from torchvision.transforms import v2

from recipes import RecipeError, Task, UnfitError, build
from recipes.augmentation._policies import NAMES
from recipes.augmentation.autoaugment import POLICY, magnitudes

REFERENCE = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)


def test_the_policy_is_torchvisions() -> None:
    assert len(POLICY) == len(REFERENCE._policies)
    strengths = magnitudes(32, 40)
    for ours, pair, m in zip(POLICY, REFERENCE._policies, strengths.tolist(), strict=True):
        for step, (name, chance, level), magnitude in zip(ours, pair, m, strict=True):
            assert (theirs(step[0]), step[1]) == (name, chance)
            make, _ = REFERENCE._AUGMENTATION_SPACE[name]
            table = make(10, 32, 40)
            assert (table is None) == (level is None)
            if table is not None:
                expected = float(table[level])
                assert abs((round(magnitude) if name == "Posterize" else magnitude) - expected) < 1e-4


def outcomes(image: Tensor, steps: Any) -> list[tuple[Tensor, float]]:
    """What torchvision makes of an image by a sub-policy, with either sign, and how likely each is."""
    done = [(image, 1.0)]
    for name, chance, level in steps:
        table, signed = REFERENCE._AUGMENTATION_SPACE[name]
        magnitudes = table(10, *image.shape[1:])
        m = 0.0 if magnitudes is None else float(magnitudes[level])
        signs = (m, -m) if signed else (m,)
        taken = [(operated(x, name, m), p * chance / len(signs)) for x, p in done for m in signs]
        done = [(x, p * (1 - chance)) for x, p in done] + taken
    return done


@pytest.mark.parametrize("p", [0.3, 1.0])
def test_images_have_torchvisions_outcomes_as_often(p: float) -> None:
    """All that the 25 sub-policies can make of an image, step by step: operation, magnitude, sign, order, frequency."""
    torch.manual_seed(0)
    n, image = 6000, torch.randint(30, 200, (3, 16, 24)) / 255
    batch = image.expand(n, -1, -1, -1)
    found, counts = build(f"autoaugment(p={p})").batch(batch, batch)[0].flatten(1).unique(dim=0, return_counts=True)
    possible = [(x, p * q / 25) for steps in REFERENCE._policies for x, q in outcomes(image, steps) if q]
    images, chances = zip(*possible, (image, 1 - p), strict=True)
    wanted, rates = torch.stack(images).flatten(1), torch.tensor(chances, dtype=torch.float64)
    same, unlike = 1e-3 * wanted.shape[1], torch.cdist(found, wanted, p=1)  # as a rule they differ by 1e-2 a value
    assert unlike.amin(1).max() < same
    first = (torch.cdist(wanted, wanted, p=1) < same).int().argmax(1)  # of those that look alike
    expected = torch.zeros_like(rates).index_add(0, first, n * rates)
    drawn = torch.zeros_like(rates).index_add(0, first[unlike.argmin(1)], counts.double())
    often = expected >= 5
    assert often.sum() > 50
    ours, reference = (torch.cat([t[often], t[~often].sum(0, keepdim=True)]) for t in (drawn, expected))
    assert stats.chisquare(ours, reference).pvalue > UNLIKELY


def test_rates_of_the_sub_policies() -> None:
    """Inversion happens in sub-policies 0, 14 and 23 of 25: with probability (0.1 + 0 + 0.1) / 25."""
    torch.manual_seed(0)
    n, task = 20_000, Task("image", frozenset({"invert"}))
    x = torch.full((n, 1, 2, 2), 0.9)
    out, _ = build("autoaugment", task).batch(x, torch.zeros(n, 1))
    # What is left: invert, posterize at level 7 (5 bits: 0.9 becomes 224 / 255), solarize at levels 2, 8, 5 and 3.
    solarized = (0.5 + 0.2 + 0.4 + 0.8) / 25  # thresholds 7/9, 1/9, 4/9 and 6/9: all below 0.9
    inverted = (out - 0.1).abs().flatten(1).amax(1) < 1e-6
    expected = solarized + 0.2 / 25
    assert abs(inverted.float().mean() - expected) < 4 * math.sqrt(expected / n)
    posterized = (out - 224 / 255).abs().flatten(1).amax(1) < 1e-6
    assert abs(posterized.float().mean() - 0.3 / 25) < 4 * math.sqrt(0.3 / 25 / n)
    assert (inverted | posterized | (out == x).flatten(1).all(1)).all()


def test_images_of_a_batch_differ_and_the_input_stays() -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 3, 20, 20).expand(64, -1, -1, -1)
    before, (out, _) = x.clone(), build("autoaugment").batch(x, torch.zeros(64, 1))
    assert torch.equal(x, before)
    assert len(out.flatten(1).unique(dim=0)) > 20
    assert set(NAMES) >= {name for pair in POLICY for name, _, _ in pair}


def test_off_and_refusals() -> None:
    assert build("autoaugment(p=0)").batch is None
    for wrong in (-0.1, 1.1):
        with pytest.raises(RecipeError, match="p must be in"):
            build(f"autoaugment(p={wrong})")
    with pytest.raises(UnfitError, match="labels"):
        build("autoaugment", Task("image", frozenset({"hflip"})))
