import math

import pytest
import torch
import torch.nn.functional as F
from helpers import apply
from torch import nn

from recipes import RecipeError, UnfitError, build
from recipes._core.distributed import own_rows
from recipes.dropout_and_noise.dropout import Dropout, drop, dropout


@pytest.mark.parametrize("p", [0.01, 0.3, 0.7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rate_and_scale_are_those_of_torch(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.ones(500, 400, dtype=dtype)
    ours, theirs = drop(x, p, (400,)), F.dropout(x, p)
    assert ours.dtype == dtype
    assert torch.equal(ours.unique(), theirs.unique())  # 0 and 1 / (1 - p)
    error = math.sqrt(p * (1 - p) / x.numel())
    for dropped in (ours, theirs):
        assert abs((dropped == 0).double().mean().item() - p) < 4 * error


def test_rows_and_units_are_dropped_independently() -> None:
    torch.manual_seed(0)
    kept = (drop(torch.ones(2000, 20), 0.5, (20,)) != 0).double()
    correlation = torch.corrcoef(kept.T) - torch.eye(20)
    assert correlation.abs().max() < 5 / math.sqrt(2000)
    assert not torch.equal(kept[0], kept[1])


def test_two_processes_drop_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.ones(8, 5)
    torch.manual_seed(0)
    whole = drop(x, 0.5, (5,))
    monkeypatch.setattr("recipes._core.distributed.world", lambda: 2)
    for rank in (0, 1):
        monkeypatch.setattr("recipes._core.distributed.rank", lambda rank=rank: rank)
        torch.manual_seed(0)
        assert torch.equal(drop(own_rows(x), 0.5, (5,)), own_rows(whole))


def test_it_stands_before_all_dense_layers_but_the_first_and_not_after_the_last() -> None:
    net = apply("dropout(p=0.5)", "mlp")
    x = torch.rand(4, 1, 8, 8)
    inputs: list[torch.Tensor] = []
    for layer in (m for m in net.modules() if isinstance(m, nn.Linear)):
        layer.register_forward_pre_hook(lambda layer, args: inputs.append(args[0]))
    first, second = net(x), net(x)
    assert not torch.equal(first, second)
    shares = [(x == 0).float().mean().item() for x in inputs[:3]]
    assert shares[0] == 0
    assert min(shares[1:]) > 0.6  # half of the units dropped, and half of the rest stopped by the ReLU
    assert (first != 0).all()


def test_evaluation_is_the_identity() -> None:
    x = torch.rand(5, 4)
    assert Dropout(0.5).eval()(x) is x


def test_refusals() -> None:
    with pytest.raises(RecipeError, match=r"p must be in \[0, 1\), got 1.0"):
        build("dropout(p=1)")
    with pytest.raises(UnfitError, match="no hidden units in fully connected layers"):
        apply("dropout", "linear")
    assert dropout(0.0).model is None
