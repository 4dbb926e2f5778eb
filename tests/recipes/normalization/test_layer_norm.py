import pytest
import torch
import torch.nn.functional as F
from helpers import apply

from recipes import Slot, UnfitError


@pytest.mark.parametrize(("net", "count"), [("mlp", 2), ("cnn", 3), ("resnet9(width=2)", 8), ("resnet18(width=2)", 20)])
def test_every_hidden_layer_is_normalized_as_torch_does(net: str, count: int) -> None:
    torch.manual_seed(0)
    operated = apply("layer_norm", net)
    places = [m for m in operated.modules() if isinstance(m, Slot) and m.kind == "norm"]
    assert len(places) == count
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    for slot in places:
        slot.register_forward_hook(lambda slot, args, out: seen.append((args[0], out)))
    operated(torch.rand(3, 1, 8, 8))
    assert len(seen) == count
    for x, y in seen:
        torch.testing.assert_close(y, F.layer_norm(x, x.shape[1:]))


def test_the_batch_does_not_matter_nor_does_the_mode() -> None:
    net, x = apply("layer_norm", "cnn"), torch.rand(6, 1, 8, 8)
    torch.testing.assert_close(net(x)[:2], net.eval()(x[:2]))


def test_refusals() -> None:
    with pytest.raises(UnfitError, match="layer_norm: group_norm normalizes this network's hidden layers already"):
        apply("group_norm+layer_norm", "mlp")
    with pytest.raises(UnfitError, match="no hidden layers"):
        apply("layer_norm", "linear")
