"""Reference: torchvision v2's operations and magnitudes for the draws made, image by image (spaces: test_policies)."""

from __future__ import annotations

import math

import pytest
import torch
from torchvision.transforms import v2

from recipes import RecipeError, Task, UnfitError, build
from recipes._policies import NAMES, draw
from recipes.trivialaugment import wide_space

CLASSES = {"shear_x": "ShearX", "shear_y": "ShearY", "translate_x": "TranslateX", "translate_y": "TranslateY"}
BILINEAR = v2.InterpolationMode.BILINEAR


def theirs(name: str) -> str:
    return CLASSES.get(name) or {"autocontrast": "AutoContrast"}.get(name, name.capitalize())


def test_one_operation_an_image_as_torchvisions() -> None:
    n = 100
    x = torch.randint(256, (n, 3, 32, 32), generator=torch.Generator().manual_seed(1)) / 255
    torch.manual_seed(7)
    which, magnitude = draw(wide_space(32, 32), torch.randint(31, (n,)) / 30)
    torch.manual_seed(7)
    out, _ = build("trivialaugment").batch(x, torch.zeros(n, 1))
    policy = v2.TrivialAugmentWide(interpolation=BILINEAR)
    for i in range(n):
        name = NAMES[which[i]] if which[i] >= 0 else "identity"
        on_levels = name in {"posterize", "solarize", "equalize"}
        given = (x[i] * 255).round().to(torch.uint8) if on_levels else x[i]
        m = round(float(magnitude[i])) if name == "posterize" else float(magnitude[i])
        expected = policy._apply_image_or_video_transform(given, theirs(name), m, BILINEAR, {})
        torch.testing.assert_close(out[i], expected / 255 if on_levels else expected, atol=3e-5, rtol=0, msg=name)


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
