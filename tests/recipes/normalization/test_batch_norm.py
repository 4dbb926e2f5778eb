import pytest
import torch
from helpers import apply, assert_equal, state_of
from torch import nn

from recipes import RecipeError, Slot, UnfitError, build
from recipes._core.synced_batch_norm import BatchNorm
from recipes.normalization.batch_norm import batch_norm


@pytest.mark.parametrize("shape", [(16, 5), (16, 5, 4, 4)])
def test_closed_form_and_running_statistics(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    ours = BatchNorm(5, len(shape) - 2, momentum=0.3)
    theirs = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(5, momentum=0.3)
    for _ in range(3):
        x = torch.randn(shape) * 2 + 1
        rows = x.transpose(0, 1).flatten(1)
        expected = (rows - rows.mean(1, keepdim=True)) / (rows.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
        normalized = ours(x)
        torch.testing.assert_close(normalized.transpose(0, 1).flatten(1), expected)
        theirs(x)
    assert all(torch.equal(a, b) for a, b in zip(ours.buffers(), theirs.buffers(), strict=True))
    assert torch.equal(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize(("net", "layers"), [("mlp", 2), ("cnn", 3)])
def test_it_stands_between_every_hidden_layer_and_its_activation(net: str, layers: int) -> None:
    _, body = apply("batch_norm", net).children()
    order = list(body.children())
    places = [i for i, m in enumerate(order) if isinstance(m, Slot) and not m.empty]
    assert len(places) == layers
    for i in places:
        assert isinstance(order[i - 1], nn.Linear | nn.Conv2d)
        assert isinstance(order[i + 1], nn.ReLU)


@pytest.mark.parametrize("momentum", [0.01, 0.1, 0.6])
@pytest.mark.parametrize("net", ["mlp(width=8)", "cnn(width=4)"])
def test_momentum_given_is_that_of_the_statistics(net: str, momentum: float) -> None:
    """From mean 0 and variance 1 they go that share of the way to the first batch's."""
    operated = apply(f"batch_norm(momentum={momentum})", net)
    seen: list[tuple[BatchNorm, torch.Tensor]] = []
    for norm in (m for m in operated.modules() if isinstance(m, BatchNorm)):
        norm.register_forward_pre_hook(lambda norm, inputs: seen.append((norm, inputs[0].transpose(0, 1).flatten(1))))
    operated(torch.rand(16, 1, 8, 8))
    assert seen
    for norm, rows in seen:
        torch.testing.assert_close(norm.norm.running_mean, momentum * rows.mean(1))
        torch.testing.assert_close(norm.norm.running_var, 1 - momentum + momentum * rows.var(1))


def test_evaluation_changes_nothing() -> None:
    net = apply("batch_norm", "mlp")
    net(torch.rand(8, 1, 8, 8))
    before = state_of(net)
    x = torch.rand(3, 1, 8, 8)
    assert torch.equal(net.eval()(x), net(x))
    assert_equal(before, state_of(net))


def test_refusals() -> None:
    with pytest.raises(RecipeError, match=r"momentum must be in \(0, 1\], got 0.0"):
        build("batch_norm(momentum=0)")
    with pytest.raises(UnfitError, match="batch_norm: this network's hidden layers are normalized already"):
        apply("batch_norm", "resnet18(width=4)")
    with pytest.raises(UnfitError, match="batch_norm: layer_norm normalizes this network's hidden layers already"):
        apply("layer_norm+batch_norm", "mlp")
    with pytest.raises(UnfitError, match="no hidden layers"):
        apply("batch_norm", "linear")
    assert batch_norm().model
