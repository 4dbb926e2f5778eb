from __future__ import annotations

import pytest
import torch
from helpers import operated, theirs

from recipes import RecipeError, Task, UnfitError, build
from recipes.augmentation._policies import NAMES, draw, space


def test_two_operations_an_image_as_torchvisions() -> None:
    n = 80
    x = torch.randint(256, (n, 3, 16, 16), generator=torch.Generator().manual_seed(1)) / 255
    torch.manual_seed(7)
    steps = [draw(space(16, 16), torch.full((n,), 0.3)) for _ in range(2)]
    torch.manual_seed(7)
    before, (out, _) = x.clone(), build("randaugment(m=9)").batch(x, torch.zeros(n, 1))
    assert torch.equal(x, before)
    for i in range(n):
        expected = x[i]
        for which, magnitude in steps:
            name = NAMES[which[i]] if which[i] >= 0 else "identity"
            expected = operated(expected, theirs(name), float(magnitude[i]))
        # Between two operations torchvision's uint8 rounds to a level and ours does not: posterize may then fall into
        # the next step for a few pixels, while the others stay within about a level.
        assert ((out[i] - expected).abs() > 1.5 / 255).float().mean() < 0.02


def test_images_of_a_batch_differ() -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 3, 16, 16).expand(64, -1, -1, -1)
    out, _ = build("randaugment(n=3, m=20)").batch(x, torch.zeros(64, 1))
    assert len(out.flatten(1).unique(dim=0)) > 55
    assert out.min() >= 0
    assert out.max() <= 1


def test_operations_that_change_labels_are_left_out() -> None:
    torch.manual_seed(0)
    x = torch.randint(256, (300, 1, 9, 9)) / 255
    task = Task("image", frozenset({"invert"}))
    out, _ = build("randaugment(n=1, m=30)", task).batch(x, torch.zeros(300, 1))
    level = (x * 255).round()
    posterized = (level / 16).floor() * 16 / 255  # 4 bits stay
    solarized = 1 - x  # threshold 0
    kinds = [(out - other).abs().flatten(1).amax(1) < 1e-6 for other in (x, posterized, solarized)]
    assert (sum(k.int() for k in kinds) == 1).all()
    assert all(70 < k.sum() < 130 for k in kinds)
    with pytest.raises(UnfitError, match="labels"):
        build("randaugment", Task("image", frozenset({"hflip"})))
    with pytest.raises(UnfitError, match="images"):
        build("randaugment", Task("features"))


def test_off_and_refusals() -> None:
    assert build("randaugment(m=0)").batch is None
    for wrong in ("n=0", "m=-1", "m=31"):
        with pytest.raises(RecipeError, match="must be"):
            build(f"randaugment({wrong})")
