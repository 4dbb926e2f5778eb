import pytest
import torch
from helpers import apply, assert_rate
from timm.layers import drop_path
from torchvision.ops import stochastic_depth as torchvision_stochastic_depth

from bench.training import networks
from recipes import RecipeError, UnfitError, build
from recipes.dropout_and_noise.stochastic_depth import DropBranch, stochastic_depth


@pytest.mark.parametrize("p", [0.05, 0.5])
def test_whole_rows_are_dropped_at_the_libraries_rate(p: float) -> None:
    torch.manual_seed(0)
    n = 20_000
    x = torch.ones(n, 2, 2, 2)
    for dropped in (
        DropBranch(p)(x),
        torchvision_stochastic_depth(x, p, "row"),
        drop_path(x, p, training=True),
    ):
        rows = dropped.flatten(1)
        assert torch.equal(rows.amax(1), rows.amin(1))
        torch.testing.assert_close(rows.amax(), torch.tensor(1 / (1 - p)))
        assert_rate(rows[:, 0] == 0, p)


@pytest.mark.parametrize(("net", "blocks"), [("resnet9(width=2)", 2), ("resnet18(width=2)", 8)])
def test_rates_rise_linearly_from_p_over_l_to_p(net: str, blocks: int) -> None:
    operated = apply("stochastic_depth(p=0.4)", net)
    rates = [m.p for m in operated.modules() if isinstance(m, DropBranch)]
    assert rates == pytest.approx([0.4 * (i + 1) / blocks for i in range(blocks)])


def test_a_dropped_branch_leaves_the_shortcut() -> None:
    torch.manual_seed(0)
    block = networks.Residual(DropBranch(0.5))
    x = torch.rand(50, 3)
    ratio = (block(x) / x).round().unique()
    assert ratio.tolist() == [1, 3]  # x alone, or x + 2 x
    torch.testing.assert_close(block.eval()(x), 2 * x)


def test_refusals() -> None:
    with pytest.raises(RecipeError, match=r"p must be in \[0, 1\), got 1.0"):
        build("stochastic_depth(p=1.0)")
    with pytest.raises(UnfitError, match="no residual branches"):
        apply("stochastic_depth", "cnn")
    assert stochastic_depth(0.0).model is None
