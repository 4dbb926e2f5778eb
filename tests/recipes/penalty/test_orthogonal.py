import numpy as np
import pytest
import torch
from helpers import NOTHING, network

from recipes import RecipeError, build, weights
from recipes.penalty.orthogonal import deviation, orthogonal


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (6, 6), (4, 3, 3, 3), (40, 2, 3, 3)])
def test_deviation_is_that_of_the_singular_values(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    w = torch.randn(shape, dtype=torch.float64)
    singular = np.linalg.svd(w.flatten(1).numpy(), compute_uv=False)
    assert deviation(w).item() == pytest.approx(((singular**2 - 1) ** 2).sum())


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (4, 3, 3, 3)])
def test_zero_where_orthonormal(shape: tuple[int, ...]) -> None:
    assert deviation(torch.nn.init.orthogonal_(torch.empty(shape))).item() == pytest.approx(0, abs=1e-9)


def test_both_sides_have_one_gradient() -> None:
    torch.manual_seed(0)
    w = torch.randn(5, 9, dtype=torch.float64, requires_grad=True)
    ours, left, right = (
        torch.autograd.grad(f, w)[0]
        for f in (
            deviation(w),
            (w @ w.T - torch.eye(5)).square().sum(),
            (w.T @ w - torch.eye(9)).square().sum(),
        )
    )
    torch.testing.assert_close(ours, left)
    torch.testing.assert_close(ours, right)


def test_penalty_sums_over_layers_also_under_autocast() -> None:
    net = network("cnn(width=4)")
    penalty = orthogonal(0.5).penalty
    assert penalty
    value = penalty(net, NOTHING)
    assert value.item() == pytest.approx(0.5 * sum(deviation(w).item() for w in weights(net)))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(penalty(net, NOTHING), value)


def test_off_and_refusals() -> None:
    assert orthogonal(0.0).penalty is None
    with pytest.raises(RecipeError, match="lam must be at least 0"):
        build("orthogonal(lam=-1)")
