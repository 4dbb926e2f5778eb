"""Reference: torchvision's ResNet-18 with the CIFAR stem; parameter counts by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.training import errors, networks
from recipes import Slot, slots
from recipes._core.synced_batch_norm import BatchNorm

IMAGE = (3, 32, 32)


def build(spec: str, shape: tuple[int, ...] = IMAGE, classes: int = 10) -> nn.Module:
    torch.manual_seed(0)
    channels = shape[0]
    return networks.build(spec, shape, classes, torch.full((channels,), 0.5), torch.full((channels,), 0.25))


@pytest.mark.parametrize("name", list(networks.networks()))
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32)])
def test_shapes_and_gradients(name: str, shape: tuple[int, ...]) -> None:
    net = build(f"{name}(width=4)" if name != "linear" else name, shape)
    logits = net(torch.rand(3, *shape))
    assert logits.shape == (3, 10)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_first_layer_standardizes() -> None:
    x = torch.rand(5, *IMAGE)
    mean, std = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 0.6, 0.7])
    expected = (x - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    torch.testing.assert_close(networks.Standardize(mean, std, dims=2)(x), expected)
    torch.testing.assert_close(networks.Standardize(mean, std, dims=0)(x[:, :, 0, 0]), expected[:, :, 0, 0])


def test_mlp_has_the_usual_widths() -> None:
    shapes = [tuple(p.shape) for p in build("mlp", (1, 28, 28)).parameters() if p.ndim == 2]
    assert shapes == [(256, 784), (128, 256), (10, 128)]


def test_plain_networks_have_no_normalization() -> None:
    kinds = (nn.modules.batchnorm._BatchNorm, BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.Dropout)
    for name in ("mlp", "cnn", "resnet9(width=8)"):
        assert not [m for m in build(name).modules() if isinstance(m, kinds)]


def test_resnet9_branches_start_as_identity() -> None:
    for block in (m for m in build("resnet9(width=8)").modules() if isinstance(m, networks.Residual)):
        channels = next(m for m in block.modules() if isinstance(m, nn.Conv2d)).in_channels
        assert block.branch(torch.rand(2, channels, 8, 8)).abs().max() == 0


def test_resnet9_branches_learn() -> None:
    net = build("resnet9(width=4)")
    net(torch.rand(8, *IMAGE)).square().sum().backward()
    for block in (m for m in net.modules() if isinstance(m, networks.Residual)):
        last = [m for m in block.modules() if isinstance(m, nn.Conv2d)][-1]
        assert last.weight.grad is not None
        assert last.weight.grad.abs().max() > 0


def test_resnet9_keeps_the_scale_of_activations() -> None:
    logits = build("resnet9(width=16)")(torch.rand(64, *IMAGE))
    assert 0.05 < float(logits.detach().std()) < 20


def test_resnet18_equals_torchvision() -> None:
    import torchvision

    theirs = torchvision.models.resnet18(num_classes=10)
    theirs.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    theirs.maxpool = nn.Identity()
    ours = build("resnet18")[1]
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters()) == 11_173_962

    def kind(tensors: dict[str, torch.Tensor], dims: int) -> list[torch.Tensor]:
        return [t for t in tensors.values() if t.ndim == dims]

    with torch.no_grad():
        own, other = ours.state_dict(), theirs.state_dict()
        # torchvision registers a block's shortcut after its branch, ours before or after: match by order within shapes.
        for dims in (0, 1, 2, 4):
            pool = kind(own, dims)
            for tensor in kind(other, dims):
                match = next(i for i, t in enumerate(pool) if t.shape == tensor.shape)
                pool.pop(match).copy_(tensor)
    ours.load_state_dict(own)
    x = torch.rand(4, *IMAGE)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("spec", ["linear", "mlp(width=8)", "cnn(width=4)", "resnet9(width=4)", "resnet18(width=4)"])
def test_sizes_are_those_of_the_built_network(spec: str) -> None:
    """What autograd keeps, as its hooks on saved tensors count it, is at least what is estimated."""
    net, saved = build(spec), []
    x = torch.rand(6, *IMAGE)
    held = {t.data_ptr() for t in [*net.parameters(), *net.buffers()]}
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        net(x).sum().backward()
    unique = {t.untyped_storage().data_ptr(): t.numel() for t in saved if t.data_ptr() not in held}
    state = torch.random.get_rng_state()
    size = networks.size_of(spec, IMAGE, 10, rows=6)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert size.parameters == sum(p.numel() for p in net.parameters())
    assert 0 < size.kept <= 1.2 * sum(unique.values())  # one tensor may go into two layers


def test_slots_deepen() -> None:
    depths = [s.depth for s in slots(build("resnet18(width=4)"), "branch")]
    assert depths == sorted(depths)
    assert depths[0] == 1 / 8
    assert depths[-1] == 1.0


def test_no_slot_after_the_output_layer() -> None:
    for name in networks.networks():
        modules = [m for m in build(name).modules() if isinstance(m, (Slot, nn.Linear))]
        assert isinstance(modules[-1], nn.Linear), name


def test_canonical_spec() -> None:
    assert str(networks.parse("resnet9( width=16 )")) == "resnet9(width=16)"
    assert str(networks.parse("resnet9(64)")) == "resnet9"


@pytest.mark.parametrize(
    ("spec", "shape", "words"),
    [
        ("resnet81", IMAGE, "did you mean 'resnet18'"),
        ("mlp(depth=3)", IMAGE, "no argument 'depth'"),
        ("mlp(width=0)", IMAGE, "mlp: width must be from 1 to 65536, got 0"),
        ("mlp(width=1,width=2)", IMAGE, "mlp got argument 'width' twice"),
        ("mlp(1,width=2)", IMAGE, "mlp got argument 'width' twice"),
        ("mlp(width='x')", IMAGE, "mlp: width must be int, got 'x'"),
        ("mlp(", IMAGE, "malformed network"),
        ("mlp+cnn", IMAGE, "malformed network"),
        ("cnn", (100,), "needs images"),
        ("resnet18", (1, 4, 4), "at least 8x8"),
    ],
)
def test_refusals(spec: str, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(errors.NetError, match=words.replace("(", r"\(")) as error:
        build(spec, shape)
    assert "\n" not in str(error.value)
