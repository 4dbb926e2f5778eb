import math

import pytest
import torch
import torch.nn.functional as F
from helpers import SIGMAS, apply
from scipy import stats

from recipes import RecipeError, UnfitError, build
from recipes.dropout_and_noise.gaussian_dropout import GaussianDropout, gaussian_dropout, multiply_noise


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_factor_is_normal_around_1_with_dropouts_variance(p: float) -> None:
    torch.manual_seed(0)
    x = torch.rand(200, 100) + 0.5
    factor = (multiply_noise(x, p) / x).flatten().double()
    assert stats.kstest(factor.numpy(), stats.norm(1, math.sqrt(p / (1 - p))).cdf).pvalue > 0.01
    dropped = F.dropout(torch.ones(1_000_000), p)
    assert abs(factor.mean() - dropped.mean()) < 0.04
    assert abs(factor.var() / dropped.var() - 1) < 0.05


@pytest.mark.parametrize("p", [0.1, 0.3, 0.6])
def test_p_given_is_that_of_the_variance(p: float) -> None:
    """p / (1 - p), within the standard error of a normal sample's variance."""
    layers = [m for m in apply(f"gaussian_dropout(p={p})", "mlp").modules() if isinstance(m, GaussianDropout)]
    assert len(layers) == 2
    for layer in layers:
        factor = layer(torch.ones(200, 100))
        assert factor.var().item() == pytest.approx(p / (1 - p), rel=SIGMAS * math.sqrt(2 / factor.numel()))


def test_rows_differ_and_evaluation_is_the_identity() -> None:
    x = torch.ones(4, 10)
    layer = GaussianDropout(0.3)
    assert layer(x).unique(dim=0).shape[0] == 4
    assert layer.eval()(x) is x
    half = torch.ones(4, 10, dtype=torch.bfloat16)
    assert layer.train()(half).dtype == torch.bfloat16


def test_refusals() -> None:
    with pytest.raises(RecipeError, match=r"p must be in \[0, 1\), got 1.0"):
        build("gaussian_dropout(p=1.0)")
    with pytest.raises(UnfitError, match="no hidden units in fully connected layers"):
        apply("gaussian_dropout", "linear")
    assert gaussian_dropout(0.0).model is None
