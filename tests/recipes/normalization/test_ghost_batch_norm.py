import pytest
import torch
from helpers import apply, assert_equal, state_of
from torch import nn

from recipes import RecipeError, UnfitError, build
from recipes._core.passes import frozen_statistics
from recipes._core.synced_batch_norm import BatchNorm
from recipes.normalization.ghost_batch_norm import GhostBatchNorm, ghost_batch_norm


@pytest.mark.parametrize("shape", [(12, 5), (12, 5, 3, 3)])
def test_outputs_statistics_and_gradients_are_torchs_on_each_ghost_batch(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    ours = GhostBatchNorm(5, len(shape) - 2, momentum=0.2, size=4)
    theirs = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(5, momentum=0.2)
    for _ in range(3):
        x, target = torch.randn(shape) * 2 + 1, torch.randn(shape)
        expected = torch.cat([theirs(x[i : i + 4]) for i in (0, 4, 8)])
        got = ours(x)
        torch.testing.assert_close(got, expected)
        for y in (got, expected):
            (y - target).square().sum().backward()
    for name, theirs_value in theirs.named_parameters():
        torch.testing.assert_close(dict(ours.norm.named_parameters())[name].grad, theirs_value.grad)
    torch.testing.assert_close(ours.norm.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.norm.running_var, theirs.running_var)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))
    assert torch.equal(ours(x), ours(x))


def test_one_ghost_batch_is_batch_norm() -> None:
    torch.manual_seed(0)
    x = torch.randn(8, 5)
    ours, theirs = GhostBatchNorm(5, 0, 0.1, size=8), BatchNorm(5, 0, 0.1)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.norm.running_var, theirs.norm.running_var)


def test_rows_left_over_join_the_ghost_batches() -> None:
    x = torch.randn(9, 5)
    y = GhostBatchNorm(5, 0, 0.1, size=4)(x)
    torch.testing.assert_close(y[:5].mean(0), torch.zeros(5), atol=1e-6, rtol=0)
    torch.testing.assert_close(y[5:].mean(0), torch.zeros(5), atol=1e-6, rtol=0)
    small = GhostBatchNorm(5, 0, 0.1, size=16)(x)
    torch.testing.assert_close(small.mean(0), torch.zeros(5), atol=1e-6, rtol=0)


def test_frozen_statistics_stay() -> None:
    layer = GhostBatchNorm(5, 0, 0.1, size=4)
    before = state_of(layer)
    with frozen_statistics(layer):
        layer(torch.randn(8, 5))
    assert_equal(before, state_of(layer))


def test_it_replaces_a_networks_own_batch_norm_but_no_other_recipes() -> None:
    net = apply("ghost_batch_norm(size=2)", "resnet18(width=2)")
    assert sum(isinstance(m, GhostBatchNorm) for m in net.modules()) == 20
    assert not any(isinstance(m, BatchNorm) for m in net.modules())
    with pytest.raises(UnfitError, match="ghost_batch_norm: batch_norm normalizes this network's hidden layers"):
        apply("batch_norm+ghost_batch_norm", "mlp")
    with pytest.raises(UnfitError, match="no hidden layers"):
        apply("ghost_batch_norm", "linear")


def test_off_and_refusals() -> None:
    assert ghost_batch_norm(None).model is None
    with pytest.raises(RecipeError, match="size must be from 2 to 1000000, or None, got 1"):
        build("ghost_batch_norm(size=1)")
    with pytest.raises(RecipeError, match=r"momentum must be in \(0, 1\], got 2.0"):
        build("ghost_batch_norm(momentum=2)")
