from __future__ import annotations

import math

import pytest
import torch
from helpers import operated, theirs

from recipes import RecipeError, Task, UnfitError, build
from recipes.augmentation._policies import NAMES, draw
from recipes.augmentation.trivialaugment import wide_space


def test_one_operation_an_image_as_torchvisions() -> None:
    n = 100
    x = torch.randint(256, (n, 3, 32, 32), generator=torch.Generator().manual_seed(1)) / 255
    torch.manual_seed(7)
    which, magnitude = draw(wide_space(32, 32), torch.randint(31, (n,)) / 30)
    torch.manual_seed(7)
    out, _ = build("trivialaugment").batch(x, torch.zeros(n, 1))
    for i in range(n):
        name = NAMES[which[i]] if which[i] >= 0 else "identity"
        expected = operated(x[i], theirs(name), float(magnitude[i]))
        torch.testing.assert_close(out[i], expected, atol=3e-5, rtol=0, msg=name)


def test_share_of_augmented_images() -> None:
    torch.manual_seed(0)
    n, p = 4000, 0.5
    x = torch.rand(1, 3, 8, 8).expand(n, -1, -1, -1)
    changed = [
        (build(f"trivialaugment(p={q})").batch(x, torch.zeros(n, 1))[0] != x).flatten(1).any(1).float().mean()
        for q in (1.0, p)
    ]
    assert abs(changed[1] - p * changed[0]) < 4 * math.sqrt(0.25 / n) * 1.5


def test_shifts_end_at_the_side_of_small_images() -> None:
    assert wide_space(8, 64)["translate_x"] == (0, 32)
    assert wide_space(8, 64)["translate_y"] == (0, 8)


def test_off_and_refusals() -> None:
    assert build("trivialaugment(p=0)").batch is None
    for wrong in (-0.1, 1.1):
        with pytest.raises(RecipeError, match="p must be in"):
            build(f"trivialaugment(p={wrong})")
    with pytest.raises(UnfitError, match="labels"):
        build("trivialaugment", Task("image", frozenset()))
