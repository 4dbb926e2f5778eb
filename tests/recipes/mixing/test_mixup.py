from __future__ import annotations

import pytest
import torch
from helpers import assert_beta, assert_partners_are_uniform
from scipy import stats
from torchvision.transforms import v2

from recipes import RecipeError, build
from recipes.mixing._mixing import draw_lambda, draw_shift
from recipes.mixing.mixup import mix


@pytest.mark.parametrize("shape", [(5,), (3, 4, 4)])
def test_rows_are_mixed_by_the_formula(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    n, shift = 7, 3
    x, lam = torch.rand(n, *shape), torch.rand(n)
    for given in (lam, lam[:1]):
        expected = [
            float(given[i % len(given)]) * x[i] + (1 - float(given[i % len(given)])) * x[i - shift] for i in range(n)
        ]
        torch.testing.assert_close(mix(x, shift, given), torch.stack(expected))
    assert torch.equal(mix(x, shift, torch.ones(1)), x)


def test_torchvisions_mixup_is_the_shift_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    x, labels = torch.rand(6, 3, 4, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    reference = v2.MixUp(alpha=1.0, num_classes=3)
    monkeypatch.setattr(reference, "make_params", lambda inputs: {"lam": 0.3})
    expected_x, expected_y = reference(x, labels)
    lam = torch.tensor([0.3])
    torch.testing.assert_close(mix(x, 1, lam), expected_x)
    torch.testing.assert_close(mix(torch.eye(3)[labels], 1, lam), expected_y)


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1.0, 20.0])
def test_lambda_is_beta(alpha: float) -> None:
    torch.manual_seed(0)
    lam = draw_lambda(alpha, 4000)
    assert lam.dtype == torch.float32
    assert_beta(lam, alpha)


def test_shift_is_uniform_and_never_the_row_itself() -> None:
    torch.manual_seed(0)
    counts = torch.tensor([draw_shift(5) for _ in range(2000)]).bincount(minlength=5)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:]).pvalue > 1e-3
    assert draw_shift(1) == 0


@pytest.mark.parametrize("per_sample", [False, True])
def test_every_other_row_is_a_partner_equally_often(per_sample: bool) -> None:
    batch = build(f"mixup(alpha=2, per_sample={per_sample})").batch
    assert batch
    assert_partners_are_uniform(batch, torch.rand(5, 3))


@pytest.mark.parametrize("per_sample", [False, True])
def test_inputs_and_targets_share_lambda_and_partner(per_sample: bool) -> None:
    """Rows that are their own one-hot targets stay so when mixed."""
    torch.manual_seed(0)
    y = torch.eye(64)
    x, mixed = build(f"mixup(alpha=1, per_sample={per_sample})").batch(y, y)
    assert torch.equal(x, mixed)
    torch.testing.assert_close(mixed.sum(1), torch.ones(64))
    assert torch.equal(y, torch.eye(64))
    own = mixed.diagonal()
    assert (len(own.unique()) > 1) == per_sample
    assert ((mixed > 0).sum(1) == 2).all()


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_alpha_given_is_that_of_lambda(alpha: float, per_sample: bool) -> None:
    """Of a row that is its own one-hot target, lambda stays."""
    torch.manual_seed(0)
    batch = build(f"mixup(alpha={alpha}, per_sample={per_sample})").batch
    drawn = [batch(y, y)[1].diagonal()[: None if per_sample else 1] for y in [torch.eye(4)] * 500]
    assert_beta(torch.cat(drawn), alpha)


def test_mixing_twice_in_either_order_keeps_rows_together() -> None:
    y = torch.eye(16)
    a, b = torch.tensor([0.3]), torch.tensor([0.8])
    torch.testing.assert_close(mix(mix(y, 3, a), 5, b), mix(mix(y, 5, b), 3, a))


def test_features_and_refusals() -> None:
    x, y = torch.randn(8, 5), torch.eye(2)[torch.arange(8) % 2]
    mixed, _ = build("mixup").batch(x, y)
    assert mixed.shape == x.shape
    assert build("mixup(alpha=0)").batch is None
    with pytest.raises(RecipeError, match="alpha must be at least 0"):
        build("mixup(alpha=-1)")
