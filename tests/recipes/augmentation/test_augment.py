from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from recipes import RecipeError, Task, UnfitError, build


def dot(side: int = 41) -> Tensor:
    """One bright pixel right of the centre: where it goes tells angle and shift."""
    x = torch.zeros(1, 1, side, side)
    x[..., side // 2, side // 2 + 15] = 1
    return x


def augmented(spec: str, x: Tensor, seed: int = 0, task: Task | None = None) -> Tensor:
    torch.manual_seed(seed)
    batch = build(spec, task).batch
    assert batch is not None
    return batch(x, torch.zeros(len(x), 2))[0]


def position(x: Tensor) -> tuple[Tensor, Tensor]:
    """Columns and rows, from the centre, of each image's centre of mass."""
    axis = torch.arange(x.shape[-1]) - (x.shape[-1] - 1) / 2
    mass = x.sum((1, 2, 3))
    return (x.sum((1, 2)) * axis).sum(1) / mass, (x.sum((1, 3)) * axis).sum(1) / mass


def test_one_image_is_torchvisions() -> None:
    x = torch.rand(5, 3, 32, 32)
    torch.manual_seed(3)
    angle = 2 * torch.rand(3, 5)[0] - 1
    mirror = torch.rand(5) < 0.5
    out = augmented("augment(degrees=25, translate=0)", x, seed=3)
    for i in range(5):
        image = tv.horizontal_flip(x[i]) if mirror[i] else x[i]
        expected = tv.rotate(image, float(angle[i]) * 25, InterpolationMode.BILINEAR)
        torch.testing.assert_close(out[i], expected, atol=2e-5, rtol=0)


def test_angles_shifts_and_flips_have_their_distribution() -> None:
    n = 4000
    column, row = position(augmented("augment(magnitude=2, translate=0, hflip=0)", dot().expand(n, -1, -1, -1)))
    angle = torch.atan2(-row, column).rad2deg()
    assert angle.abs().max() <= 20.1
    assert abs(angle.mean()) < 4 * 20 / math.sqrt(3 * n)
    assert abs(angle.var() - 20**2 / 3) < 12
    column, row = position(augmented("augment(degrees=0, hflip=0)", dot().expand(n, -1, -1, -1)))
    for moved in (column - 15, row):
        assert moved.abs().max() <= 0.08 * 41 + 0.01
        assert abs(moved.var() - (0.08 * 41) ** 2 / 3) < 0.25
    assert abs(torch.corrcoef(torch.stack([column, row]))[0, 1]) < 4 / math.sqrt(n)
    column, _ = position(augmented("augment(degrees=0, translate=0)", dot().expand(n, -1, -1, -1)))
    assert abs((column < 0).float().mean() - 0.5) < 4 * 0.5 / math.sqrt(n)


def test_no_flip_where_labels_forbid_it() -> None:
    task = Task("image", frozenset({"rotate", "translate"}))
    column, _ = position(augmented("augment", dot().expand(200, -1, -1, -1), task=task))
    assert (column > 0).all()
    with pytest.raises(UnfitError, match="'rotate'"):
        build("augment", Task("image", frozenset({"translate"})))
    with pytest.raises(UnfitError, match="images"):
        build("augment", Task("features"))


def test_off_and_refusals() -> None:
    assert build("augment(magnitude=0)").batch is None
    for wrong in ("magnitude=-1", "degrees=-1", "translate=-0.1", "hflip=1.5", "hflip=-0.1"):
        with pytest.raises(RecipeError, match="must be"):
            build(f"augment({wrong})")
