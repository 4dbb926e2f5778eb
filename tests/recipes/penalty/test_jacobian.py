import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from bench.training import networks
from recipes import RecipeError, Step, build
from recipes.penalty.jacobian import jacobian, squared_jacobian


def make(spec: str) -> tuple[nn.Module, Step, Tensor]:
    """A network, a step and the squared Frobenius norms of its samples' Jacobians."""
    torch.manual_seed(0)
    net = networks.build(spec, (1, 8, 8), 10, torch.full((1,), 0.5), torch.full((1,), 0.3))
    x = torch.rand(6, 1, 8, 8)
    parameters = dict(net.named_parameters())
    jacobians = vmap(jacrev(lambda x: functional_call(net, parameters, x[None])[0]))(x)
    return net, Step(x, torch.eye(10)[:6], net(x), 0.0), jacobians.flatten(1).square().sum(1).detach()


@pytest.mark.parametrize("spec", ["linear", "mlp(width=16)", "cnn(width=4)"])
def test_mean_over_an_orthonormal_basis_is_exact(spec: str) -> None:
    net, step, exact = make(spec)
    basis = [torch.eye(10)[i].expand(6, 10) for i in range(10)]
    estimate = torch.stack([squared_jacobian(net, step.x, v) for v in basis]).mean(0)
    torch.testing.assert_close(estimate.detach(), exact)


def test_random_projections_are_without_bias() -> None:
    net, step, exact = make("mlp(width=16)")
    penalty = jacobian(0.2).penalty
    assert penalty
    draws = torch.stack([penalty(net, step).detach() for _ in range(400)])
    error = draws.std() / len(draws) ** 0.5
    assert abs(draws.mean() - 0.1 * exact.mean()) < 4 * error
    assert error < 0.05 * draws.mean()
    many = jacobian(0.2, projections=50).penalty
    assert many
    assert torch.stack([many(net, step).detach() for _ in range(5)]).std() < 0.5 * draws.std()


def test_gradient_is_that_of_the_exact_penalty() -> None:
    """Of a linear network x W^T the Jacobian is W, so that the penalty is lam / 2 * |W|^2 and its gradient lam * W."""
    torch.manual_seed(0)
    net = nn.Linear(4, 3)
    step = Step(torch.rand(3000, 4), torch.zeros(3000, 3), torch.zeros(3000, 3), 0.0)
    penalty = jacobian(2.0).penalty
    assert penalty
    penalty(net, step).backward()
    assert net.weight.grad is not None
    torch.testing.assert_close(net.weight.grad, 2 * net.weight.detach(), rtol=0.0, atol=0.12)


def test_off_and_refusals() -> None:
    assert jacobian(0.0).penalty is None
    with pytest.raises(RecipeError, match="lam must be at least 0"):
        build("jacobian(lam=-1)")
    with pytest.raises(RecipeError, match="projections must be from 1 to 1000, got 0"):
        build("jacobian(projections=0)")
