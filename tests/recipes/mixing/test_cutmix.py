from __future__ import annotations

import math

import pytest
import torch
from helpers import UNLIKELY, assert_partners_are_uniform, assert_rate
from scipy import stats
from torchvision.transforms import v2

from recipes import RecipeError, Task, UnfitError, build
from recipes.mixing.cutmix import draw_masks


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 10, 15)])
def test_lambda_is_the_counted_share_of_pixels(per_sample: bool, shape: tuple[int, ...]) -> None:
    """Each image is filled with its own number, so that every pixel tells where it comes from."""
    n = 40
    x = torch.arange(n).float().view(n, 1, 1, 1).expand(n, *shape).clone()
    batch = build(f"cutmix(p=1, per_sample={per_sample})").batch
    for seed in range(20):
        torch.manual_seed(seed)
        before = x.clone()
        out, y = batch(x, torch.eye(n))
        assert torch.equal(x, before)
        counted = torch.stack([(out == i).float().mean((1, 2, 3)) for i in range(n)], dim=1)
        torch.testing.assert_close(y, counted)
        assert ((y > 0).sum(1) <= 2).all()
        assert (len(y.diagonal().unique()) > 1) == per_sample or bool((y.diagonal() == 1).all())


@pytest.mark.parametrize("per_sample", [False, True])
def test_every_other_row_is_a_partner_equally_often(per_sample: bool) -> None:
    assert_partners_are_uniform(build(f"cutmix(p=1, per_sample={per_sample})").batch, torch.rand(5, 1, 8, 8))


def test_boxes_are_the_papers() -> None:
    """rand_bbox of the paper's code, with the same centres: side int(W * sqrt(1 - lambda)), half of it on each side."""
    lam = torch.linspace(0, 1, 50)
    x = torch.zeros(1, 1, 32, 20)
    torch.manual_seed(0)
    masks = draw_masks(x, lam)
    torch.manual_seed(0)
    rows, columns = torch.randint(32, (50,)).tolist(), torch.randint(20, (50,)).tolist()
    for mask, value, r, c in zip(masks[:, 0], lam, rows, columns, strict=True):
        h, w = int(32 * math.sqrt(1 - value)), int(20 * math.sqrt(1 - value))
        expected = torch.zeros(32, 20, dtype=torch.bool)
        expected[max(0, r - h // 2) : min(32, r + h // 2), max(0, c - w // 2) : min(20, c + w // 2)] = True
        assert torch.equal(mask, expected)


def test_lambdas_are_distributed_as_torchvisions() -> None:
    torch.manual_seed(0)
    n = 2000
    x = torch.zeros(n, 1, 32, 32)
    ours = 1 - draw_masks(x[:1], torch.distributions.Beta(1.0, 1.0).sample((n,))).float().mean((1, 2, 3))
    reference = v2.CutMix(alpha=1.0, num_classes=2)
    theirs = [reference.make_params([x[:1]])["lam_adjusted"] for _ in range(n)]
    # torchvision halves the side before it rounds: boxes differ by up to a pixel.
    assert stats.ks_2samp(ours, theirs).statistic < 0.08


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("alpha", [0.3, 1.0, 5.0])
def test_alpha_given_is_that_of_torchvisions_boxes(alpha: float, per_sample: bool) -> None:
    """torchvision halves the side before it rounds: boxes differ by up to a pixel, so on images of many."""
    torch.manual_seed(0)
    n, side = 1000, 64
    batch, reference = build(f"cutmix(p=1, alpha={alpha}, per_sample={per_sample})").batch, v2.CutMix(alpha=alpha)
    rows = torch.arange(n if per_sample else 2.0).view(-1, 1, 1, 1).expand(-1, 1, side, side)
    images = [batch(rows, torch.zeros(len(rows), 1))[0] for _ in range(1 if per_sample else n)]
    ours = torch.cat([(i == rows).float().mean((1, 2, 3))[: None if per_sample else 1] for i in images])
    theirs = [reference.make_params([rows[:1]])["lam_adjusted"] for _ in range(n)]
    assert stats.ks_2samp(ours, theirs).pvalue > UNLIKELY


def test_probability_of_a_mixed_batch() -> None:
    n, p, y = 400, 0.3, torch.eye(4)
    x = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 16, 16)
    batch = build(f"cutmix(p={p})").batch
    torch.manual_seed(0)
    assert_rate(torch.tensor([not torch.equal(batch(x, y)[1], y) for _ in range(n)]), p)


def test_off_and_refusals() -> None:
    assert build("cutmix(p=0)").batch is None
    for wrong in ("p=-0.1", "p=1.1", "alpha=0"):
        with pytest.raises(RecipeError, match="must be"):
            build(f"cutmix({wrong})")
    with pytest.raises(UnfitError, match="images"):
        build("cutmix", Task("features"))
