import math

import pytest
import torch
from helpers import apply, assert_rate
from timm.layers.drop import drop_block_2d
from torchvision.ops import drop_block2d

from recipes import RecipeError, UnfitError, build
from recipes._core.distributed import own_rows
from recipes.dropout_and_noise.dropblock import DropBlock, drop_block, dropblock


def paint(starts: torch.Tensor, height: int, width: int, block: int) -> torch.Tensor:
    """The values hit by blocks whose lower right corners are given, one block at a time."""
    hit = torch.zeros(height, width, dtype=torch.bool)
    for row, column in starts.nonzero().tolist():
        hit[max(0, row - block + 1) : row + 1, max(0, column - block + 1) : column + 1] = True
    return hit


def test_blocks_are_those_of_the_loop() -> None:
    torch.manual_seed(0)
    dropped = drop_block(torch.ones(20, 3, 7, 6), 0.3, 3)
    torch.manual_seed(0)
    starts = torch.rand(20, 3, 9, 8) < 1 - 0.7 ** (1 / 9)
    for n in range(20):
        for c in range(3):
            # Our blocks cover what lies up to two places before the corner, seen from a frame two wider on all sides.
            assert torch.equal(dropped[n, c] == 0, paint(starts[n, c], 7, 6, 3))


@pytest.mark.parametrize("p", [0.05, 0.3])
@pytest.mark.parametrize(("side", "block"), [(8, 3), (8, 4), (7, 7), (4, 9), (1, 3)])
def test_every_value_is_dropped_with_rate_p_at_the_edges_too(p: float, side: int, block: int) -> None:
    torch.manual_seed(0)
    n = 20_000
    off = (drop_block(torch.ones(n, 1, side, side), p, block) == 0).double().mean((0, 1))
    assert (off - p).abs().max() < 4.5 * math.sqrt(p * (1 - p) / n)


def test_torchvision_drops_less_and_refuses_even_blocks() -> None:
    torch.manual_seed(0)
    off = (drop_block2d(torch.ones(2000, 1, 8, 8), 0.3, 5) == 0).double().mean((0, 1))
    assert off.mean() < 0.28
    assert off[0, 0] < 0.1
    with pytest.raises(ValueError, match="block size should be odd"):
        drop_block2d(torch.ones(1, 1, 8, 8), 0.3, 4)


def test_timm_drops_more_on_small_maps() -> None:
    """Blocks begin anywhere with the probability gamma: a value that k places reach is hit with 1 - (1 - gamma)^k."""
    torch.manual_seed(0)
    hit = drop_block_2d(torch.ones(6000, 1, 14, 14), 0.1, 7) == 0
    gamma = 0.1 * 14**2 / 7**2 / 8**2
    reach = torch.tensor([min(i + 3, 13) - max(i - 3, 0) + 1 for i in range(14)], dtype=torch.float64)
    rate = 1 - (1 - gamma) ** torch.outer(reach, reach)
    assert float(rate.mean()) == pytest.approx(0.21, abs=0.005)
    torch.testing.assert_close(hit.double().mean((0, 1)), rate, atol=0.03, rtol=0)


def test_mean_is_kept_and_channels_and_images_differ() -> None:
    torch.manual_seed(0)
    dropped = drop_block(torch.ones(4000, 2, 6, 6), 0.2, 3)
    assert abs(dropped.mean().item() - 1) < 0.02
    assert not torch.equal(dropped[:, 0], dropped[:, 1])
    assert dropped[:, 0].flatten(1).unique(dim=0).shape[0] > 1000


def test_two_processes_drop_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.ones(4, 2, 6, 6)
    torch.manual_seed(0)
    whole = drop_block(x, 0.3, 3)
    monkeypatch.setattr("recipes._core.distributed.world", lambda: 2)
    monkeypatch.setattr("recipes._core.distributed.rank", lambda: 1)
    torch.manual_seed(0)
    assert torch.equal(drop_block(own_rows(x), 0.3, 3), whole[2:])


def test_the_rate_rises_with_the_progress() -> None:
    torch.manual_seed(0)
    x = torch.ones(4000, 1, 5, 5)
    layer = DropBlock(0.4, 3, ramp=True)
    assert layer(x) is x
    layer.progress = 0.5
    assert abs((layer(x) == 0).double().mean().item() - 0.2) < 0.015
    assert layer.eval()(x) is x
    assert dropblock(0.1).callbacks
    assert dropblock(0.1, ramp=False).callbacks is None


@pytest.mark.parametrize("p", [0.1, 0.3])
@pytest.mark.parametrize("block", [1, 2, 3, 5])
def test_p_and_block_given_are_those_of_the_layers(p: float, block: int) -> None:
    """b^2 + b places reach two neighbours, b^2 one of them: both stay with probability (1 - p)^((b + 1) / b)."""
    spec = f"dropblock(p={p}, block={block}, ramp=False)"
    layers = [m for m in apply(spec, "cnn").modules() if isinstance(m, DropBlock)]
    assert len(layers) == 2
    for layer in layers:
        stays = layer(torch.ones(10_000, 1, 6, 6))[:, 0, 2, 2:4] != 0
        assert_rate(stays[:, 0], 1 - p)
        assert_rate(stays.all(1), (1 - p) ** ((block + 1) / block))


def test_ramp_given_is_that_of_the_layers() -> None:
    for ramp in (True, False):
        operated = apply(f"dropblock(ramp={ramp})", "cnn")
        assert [m.ramp for m in operated.modules() if isinstance(m, DropBlock)] == [ramp] * 2


def test_refusals() -> None:
    with pytest.raises(RecipeError, match=r"p must be in \[0, 1\), got 1.5"):
        build("dropblock(p=1.5)")
    with pytest.raises(RecipeError, match="block must be from 1 to 1000, got 0"):
        build("dropblock(block=0)")
    with pytest.raises(UnfitError, match="no hidden units in feature maps"):
        apply("dropblock", "mlp")
    assert dropblock(0.0).model is None
