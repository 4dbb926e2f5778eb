import math

import numpy as np
import pytest
import scipy.optimize
import torch
from helpers import network
from sklearn.linear_model import MultiTaskLasso
from torch import Tensor, nn

from bench.training.classifier import step_size
from recipes import RecipeError, build, weights
from recipes.penalty.group_lasso import group_lasso, group_threshold


def test_equal_step_sizes_give_the_closed_form() -> None:
    torch.manual_seed(0)
    w = torch.randn(50, 7)
    norm = w.norm(dim=1, keepdim=True)
    expected = w * (1 - 2.5 / norm).clamp_min(0)
    torch.testing.assert_close(group_threshold(w, torch.tensor(2.5)), expected)
    assert 0 < int((expected == 0).all(1).sum()) < 50
    assert torch.equal(group_threshold(w, torch.tensor(2.5)) == 0, expected == 0)


def test_unequal_step_sizes_give_the_minimum_that_scipy_finds() -> None:
    rng = np.random.default_rng(0)
    w, t = rng.normal(size=(6, 4)), 10 ** rng.uniform(-2, 0.5, size=(6, 4))
    ours = group_threshold(torch.tensor(w), torch.tensor(t)).numpy()
    for row, steps, u in zip(w, t, ours, strict=True):

        def objective(u: np.ndarray, row: np.ndarray = row, steps: np.ndarray = steps) -> float:
            return float(((u - row) ** 2 / (2 * steps)).sum() + np.linalg.norm(u))

        best = scipy.optimize.minimize(objective, row, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
        if u.any():
            np.testing.assert_allclose(u, best.x, atol=1e-5)
        assert objective(u) <= best.fun + 1e-9


def test_extreme_step_sizes() -> None:
    """Adam's step size of a weight that never had a gradient, as a dead pixel's, is lr / eps, 1e5."""
    w = torch.tensor([[3.0, 4.0, 1.0], [0.0, 0.0, 0.0], [3.0, 4.0, 1.0]])
    t = torch.tensor([[1e-3, 1e-3, 1e5], [1e-3, 1e-3, 1e-3], [1e5, 1e5, 1e5]])
    u = group_threshold(w, t)
    torch.testing.assert_close(u[0], torch.tensor([3 * 0.9998, 4 * 0.9998, 5e-5]), rtol=1e-5, atol=1e-6)
    assert not u[1:].any()
    assert torch.equal(group_threshold(w, torch.zeros(1)), w)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_minimum_is_scikit_learns(optimizer: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 8)) * np.array([1, 1, 1, 1, 3, 3, 0.5, 0.5])
    y = x @ (rng.normal(size=(8, 3)) * np.array([1, 0, 1, 0, 1, 0, 0, 1])[:, None]) + 0.3 * rng.normal(size=(60, 3))
    lam = 0.15
    # 1/(2n) |Y - XW|^2 + alpha * sum over features of |W_j|: here a feature is a column of the layer's weight.
    sklearn = MultiTaskLasso(alpha=lam * math.sqrt(3), fit_intercept=False, tol=1e-10, max_iter=100_000).fit(x, y)
    net = nn.Linear(8, 3, bias=False, dtype=torch.float64)
    nn.init.zeros_(net.weight)
    inputs, targets = torch.tensor(x), torch.tensor(y)
    parameters = list(net.parameters())
    opt: torch.optim.Optimizer = (
        torch.optim.SGD(parameters, lr=0.02, momentum=0.5)
        if optimizer == "sgd"
        else torch.optim.Adam(parameters, lr=0.03)
    )
    project = group_lasso(lam, axis=1).project
    assert project
    for step in range(800):
        opt.param_groups[0]["lr"] *= 0.99 if optimizer == "adam" and step > 300 else 1.0
        opt.zero_grad()
        loss = (net(inputs) - targets).square().sum() / (2 * len(x))
        loss.backward()
        opt.step()
        project(net, step_size(opt))
    np.testing.assert_allclose(net.weight.detach().numpy(), sklearn.coef_, atol=2e-3)
    zero = (net.weight == 0).all(0).numpy()
    assert (zero == (sklearn.coef_ == 0).all(0)).all()
    assert 0 < zero.sum() < 8


@pytest.mark.parametrize("axis", [0, 1])
def test_whole_units_of_every_kind_of_layer_become_zero(axis: int) -> None:
    net = network("cnn(width=8)")
    net = net.to(memory_format=torch.channels_last)
    before = [w.detach().clone() for w in weights(net)]
    biases = [p.clone() for p in net.parameters() if p.ndim < 2]
    project = group_lasso(1.0, axis).project
    assert project

    def half_of_them(w: Tensor) -> float:
        rows = w.detach().transpose(0, axis).flatten(1)
        return 1.00001 * float(rows.norm(dim=1).median()) / math.sqrt(rows.shape[1])

    scales = [half_of_them(w) for w in before]
    project(net, half_of_them)
    for w, old, scale in zip(weights(net), before, scales, strict=True):
        rows, old_rows = w.transpose(0, axis).flatten(1), old.transpose(0, axis).flatten(1)
        threshold = scale * math.sqrt(rows.shape[1])
        shrunk = old_rows * (1 - threshold / old_rows.norm(dim=1, keepdim=True)).clamp_min(0)
        torch.testing.assert_close(rows, shrunk, rtol=1e-4, atol=1e-6)
    zero = [(w == 0).transpose(0, axis).flatten(1).all(1) for w in weights(net)]
    assert [int(z.sum()) for z in zero] == [(len(z) + 1) // 2 for z in zero]
    assert all(torch.equal(p, b) for p, b in zip((p for p in net.parameters() if p.ndim < 2), biases, strict=True))


def test_off_and_refusals() -> None:
    assert group_lasso(0.0).project is None
    with pytest.raises(RecipeError, match="lam must be at least 0"):
        build("group_lasso(lam=-1)")
    with pytest.raises(RecipeError, match="axis must be 0 or 1"):
        build("group_lasso(axis=2)")
