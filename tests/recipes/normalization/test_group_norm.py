import pytest
import torch
from helpers import apply

from recipes import RecipeError, Slot, UnfitError, build
from recipes.normalization.group_norm import count_groups


@pytest.mark.parametrize("net", ["mlp(width=48)", "cnn(width=16)", "resnet18(width=16)"])
def test_every_group_of_every_sample_is_normalized(net: str) -> None:
    torch.manual_seed(0)
    operated = apply("group_norm(size=8)", net)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    for slot in (m for m in operated.modules() if isinstance(m, Slot) and m.kind == "norm"):
        slot.register_forward_hook(lambda slot, args, out: seen.append((args[0], out)))
    operated(torch.rand(2, 1, 8, 8))
    assert seen
    for x, y in seen:
        for n in range(len(x)):
            for start in range(0, x.shape[1], 8):
                group = x[n, start : start + 8]
                expected = (group - group.mean()) / (group.var(correction=0) + 1e-5).sqrt()
                torch.testing.assert_close(y[n, start : start + 8], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("channels", "size", "groups"), [(64, 16, 4), (128, 2, 64), (8, 16, 1), (100, 16, 5), (37, 16, 1), (1, 2, 1)]
)
def test_groups_have_the_next_larger_size_that_divides(channels: int, size: int, groups: int) -> None:
    assert count_groups(channels, size) == groups


def test_the_batch_does_not_matter_nor_does_the_mode() -> None:
    net, x = apply("group_norm", "cnn"), torch.rand(6, 1, 8, 8)
    torch.testing.assert_close(net(x)[:2], net.eval()(x[:2]))


def test_refusals() -> None:
    with pytest.raises(RecipeError, match="size must be from 2 to 1000000, got 1"):
        build("group_norm(size=1)")
    with pytest.raises(UnfitError, match="group_norm: batch_norm normalizes this network's hidden layers already"):
        apply("batch_norm+group_norm", "mlp")
    with pytest.raises(UnfitError, match="no hidden layers"):
        apply("group_norm", "linear")
