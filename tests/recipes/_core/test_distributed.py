"""Sums over processes, as two equal processes would see them."""

import pytest
import torch
from torch import Tensor

from recipes._core.distributed import all_sum


@pytest.fixture
def _twins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipes._core.distributed.world", lambda: 2)
    monkeypatch.setattr("torch.distributed.all_reduce", lambda x, op, group: x.mul_(2))


def test_alone_it_is_the_identity() -> None:
    x = torch.ones(3)
    assert all_sum(x) is x


@pytest.mark.usefixtures("_twins")
def test_gradients_of_first_and_second_order_are_the_sums() -> None:
    """With T = x1 + x2 both hold the loss T^3: together 2 T^3, whose gradient to x1 is 6 T^2. Both hold that as well:
    together 12 T^2, whose gradient is 24 T."""
    x = torch.tensor([1.0, 3.0], requires_grad=True)

    def loss(x: Tensor) -> Tensor:
        return all_sum(x).pow(3).sum()

    (first,) = torch.autograd.grad(loss(x), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    total = 2 * x.detach()
    torch.testing.assert_close(first.detach(), 6 * total**2)
    torch.testing.assert_close(second, 24 * total)
    assert torch.equal(x.detach(), torch.tensor([1.0, 3.0]))
