"""Reference: torchvision v2's augmentation spaces and its operations, image by image; the binomial distribution."""

from __future__ import annotations

import pytest
import torch
from helpers import operated, theirs
from torchvision.transforms import v2

from recipes import Task, UnfitError
from recipes.augmentation._policies import IDENTITY, NAMES, SIGNED, Space, apply_, draw, only, permitted, space
from recipes.augmentation.augmix import mild_space
from recipes.augmentation.trivialaugment import wide_space

BINS = 31


@pytest.mark.parametrize(
    ("ours", "reference"),
    [
        (space(32, 48), v2.RandAugment._AUGMENTATION_SPACE),
        (wide_space(32, 48), v2.TrivialAugmentWide._AUGMENTATION_SPACE),
        (mild_space(32, 48), v2.AugMix._PARTIAL_AUGMENTATION_SPACE),
        ({**space(32, 48), "invert": (0, 0)}, v2.AutoAugment._AUGMENTATION_SPACE | {"Identity": (None, False)}),
    ],
    ids=["randaugment", "trivialaugment", "augmix", "autoaugment"],
)
def test_spaces_are_torchvisions(ours: Space, reference: dict) -> None:
    assert {theirs(name) for name in ours} == set(reference)
    level = torch.linspace(0, 1, BINS)
    for name, (low, high) in ours.items():
        magnitudes, signed = reference[theirs(name)]
        expected = magnitudes(BINS, 32, 48) if magnitudes else None
        assert signed == (name in SIGNED)
        if expected is None:
            assert (low, high) == (0, 0)
            continue
        found = low + (high - low) * level
        found = found.round() if name == "posterize" else found
        torch.testing.assert_close(found, expected.float(), atol=1e-4, rtol=0)


def test_each_image_gets_its_own_operation() -> None:
    """Every operation of every policy, at a magnitude of its own, beside torchvision's policies on the one image."""
    torch.manual_seed(0)
    which = torch.arange(len(NAMES)).repeat(3)[torch.randperm(3 * len(NAMES))]
    x = torch.randint(256, (len(which), 3, 20, 20)) / 255
    _, magnitude = draw(dict.fromkeys(NAMES, (0.1, 0.4)), torch.rand(len(which)))
    magnitude[which == NAMES.index("posterize")] = 3.0
    magnitude[which >= NAMES.index("autocontrast")] = magnitude[which >= NAMES.index("autocontrast")].abs()
    out = x.clone()
    apply_(out, which, magnitude)
    for image, done, name, m in zip(x, out, which.tolist(), magnitude.tolist(), strict=True):
        expected = operated(image, theirs(NAMES[name]), m)
        torch.testing.assert_close(done, expected, atol=2e-5, rtol=0, msg=NAMES[name])


def test_identity_leaves_images_alone() -> None:
    x = torch.rand(8, 1, 5, 5)
    out = x.clone()
    which = torch.tensor([IDENTITY, 0, IDENTITY, 13, IDENTITY, IDENTITY, 4, IDENTITY])
    apply_(out, which, torch.full((8,), 0.7))
    same = (out == x).flatten(1).all(1)
    assert same.tolist() == [True, False, True, False, True, True, False, True]


def test_draw_is_uniform_with_fair_signs() -> None:
    torch.manual_seed(0)
    among, n = space(32, 32), 14_000
    which, magnitude = draw(among, torch.full((n,), 0.5))
    counts = (which + 1).bincount(minlength=len(NAMES) + 1)
    drawn = counts[[0, *(NAMES.index(name) + 1 for name in among if name != "identity")]]
    assert drawn.sum() == n
    assert ((drawn - n / 14).abs() < 4 * (n * 13 / 14**2) ** 0.5).all()
    for name in ("rotate", "color"):
        of = magnitude[which == NAMES.index(name)]
        assert of.abs().allclose(torch.tensor(0.5 * among[name][1]))
        assert abs((of < 0).float().mean() - 0.5) < 4 * 0.5 / len(of) ** 0.5
    assert (magnitude[which == NAMES.index("solarize")] == 0.5).all()


def test_only_what_keeps_the_labels_is_permitted() -> None:
    task = Task("image", frozenset({"rotate", "invert"}))
    assert permitted(space(8, 8), task) == ["identity", "rotate", "posterize", "solarize"]
    assert set(only(["rotate"], space(8, 8))) == {"rotate"}
    with pytest.raises(UnfitError, match="labels"):
        permitted(space(8, 8), Task("image", frozenset({"hflip"})))
