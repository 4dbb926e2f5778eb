import pytest
import torch
import torch.nn.functional as F
from helpers import assert_equal, state_of
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from bench.training import networks
from recipes import RecipeError, Step, build
from recipes._core.synced_batch_norm import BatchNorm
from recipes.penalty.input_gradient import input_gradient


def make(spec: str = "mlp(width=16)") -> tuple[nn.Module, Step]:
    torch.manual_seed(0)
    net = networks.build(spec, (1, 8, 8), 10, torch.full((1,), 0.5), torch.full((1,), 0.3))
    x, y = torch.rand(6, 1, 8, 8), torch.rand(6, 10).softmax(1)
    return net, Step(x, y, net(x), 0.0)


@pytest.mark.parametrize("spec", ["linear", "mlp(width=16)", "cnn(width=4)", "resnet9(width=4)"])
def test_penalty_is_the_mean_squared_gradient(spec: str) -> None:
    net, step = make(spec)
    parameters = dict(net.named_parameters())

    def loss(x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(net, parameters, x[None])[0], y)

    gradients = vmap(grad(loss))(step.x, step.y)
    penalty = input_gradient(0.7).penalty
    assert penalty
    assert penalty(net, step).item() == pytest.approx(0.7 * gradients.flatten(1).norm(dim=1).square().mean().item())


def test_gradient_of_the_penalty_is_computed_in_single_precision() -> None:
    net, step = make()
    penalty = input_gradient(1.0).penalty
    assert penalty
    plain = torch.autograd.grad(penalty(net, step), list(net.parameters()), allow_unused=True)
    with torch.autocast("cpu", torch.bfloat16):
        value = penalty(net, step)
    mixed = torch.autograd.grad(value, list(net.parameters()), allow_unused=True)
    assert [a is None for a in plain] == [b is None for b in mixed]
    assert all(torch.equal(a, b) for a, b in zip(plain, mixed, strict=True) if a is not None)


def test_gradient_of_the_penalty_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    step = Step(torch.rand(4, 3).double(), torch.eye(2).repeat(2, 1).double(), torch.zeros(4, 2), 0.0)
    penalty = input_gradient(1.0).penalty
    assert penalty
    parameters = dict(net.named_parameters())

    def value(*values: Tensor) -> Tensor:
        given = dict(zip(parameters, values, strict=True))
        return penalty(Called(net, given), step)

    assert torch.autograd.gradcheck(value, tuple(parameters.values()))


class Called(nn.Module):
    """A network with other parameters."""

    def __init__(self, net: nn.Module, parameters: dict[str, Tensor]) -> None:
        super().__init__()
        self.call = lambda x: functional_call(net, parameters, x)

    def forward(self, x: Tensor) -> Tensor:
        return self.call(x)


def test_running_statistics_stay_and_inputs_need_no_gradient() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), BatchNorm(4, 0), nn.ReLU(), nn.Linear(4, 2))
    before = state_of(net)
    step = Step(torch.rand(8, 3), torch.eye(2).repeat(4, 1), torch.zeros(8, 2), 0.0)
    penalty = input_gradient(1.0).penalty
    assert penalty
    penalty(net, step).backward()
    assert_equal(before, state_of(net))
    assert not step.x.requires_grad
    assert net[0].weight.grad.abs().sum() > 0


def test_off_and_refusals() -> None:
    assert input_gradient(0.0).penalty is None
    with pytest.raises(RecipeError, match="lam must be at least 0"):
        build("input_gradient(lam=-1)")
