import math

import pytest
import torch
import torch.nn.functional as F
from helpers import apply, assert_rate

from recipes import RecipeError, UnfitError, build
from recipes.dropout_and_noise.spatial_dropout import SpatialDropout, spatial_dropout


@pytest.mark.parametrize("p", [0.05, 0.5])
def test_whole_maps_are_dropped_at_torchs_rate_for_each_image_anew(p: float) -> None:
    torch.manual_seed(0)
    x = torch.rand(1000, 20, 3, 3) + 0.5
    error = math.sqrt(p * (1 - p) / 20000)
    for dropped in (SpatialDropout(p)(x), F.dropout2d(x, p)):
        factor = dropped / x
        assert torch.equal(factor.amax((2, 3)) == 0, factor.amin((2, 3)) == 0)  # all of a map or nothing
        torch.testing.assert_close(factor.amax(), torch.tensor(1 / (1 - p)))
        off = (factor[..., 0, 0] == 0).double()
        assert abs(off.mean().item() - p) < 4 * error
        assert (torch.corrcoef(off.T) - torch.eye(20)).abs().max() < 5 / math.sqrt(1000)
        assert off.sum(1).unique().numel() > 2  # images differ


@pytest.mark.parametrize("p", [0.1, 0.3, 0.6])
def test_p_given_is_the_rate(p: float) -> None:
    layers = [m for m in apply(f"spatial_dropout(p={p})", "cnn").modules() if isinstance(m, SpatialDropout)]
    assert len(layers) == 2
    for layer in layers:
        factor = layer(torch.ones(400, 20, 3, 3))
        assert_rate(factor[..., 0, 0] == 0, p)
        assert factor.amax().item() == pytest.approx(1 / (1 - p))


def test_evaluation_is_the_identity() -> None:
    x = torch.rand(2, 3, 4, 4)
    assert SpatialDropout(0.5).eval()(x) is x


def test_refusals() -> None:
    with pytest.raises(RecipeError, match=r"p must be in \[0, 1\), got -0.1"):
        build("spatial_dropout(p=-0.1)")
    with pytest.raises(UnfitError, match="no hidden units in feature maps"):
        apply("spatial_dropout", "mlp")
    assert spatial_dropout(0.0).model is None
