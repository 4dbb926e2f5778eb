"""What a training step's recipe does with a device: numbers travel to it, nothing is asked of it.

Without a CUDA device by the meta device, which has no numbers to give: whatever would wait for one raises there.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from recipes import Slot, Step, build, techniques
from recipes._core.transfer import to_device

BATCHES = [name for name in techniques() if not build(name).teacher and build(name).batch]
PENALTIES = ["augmix(jsd=12)", "regmixup"]


def network() -> nn.Module:
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), Slot("hidden", 4, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, Slot("hidden", 4, 0), nn.Linear(4, 5))


def on_meta(like: tuple[int, ...]) -> Tensor:
    return torch.empty(like, device="meta")


@pytest.mark.parametrize("name", BATCHES)
def test_no_batch_asks_the_device_for_a_number(name: str) -> None:
    """The control: `random_erasing` counted the hidden pixels there, and raised."""
    recipe = build(name)
    assert recipe.batch
    if recipe.model:
        recipe.model(network().to("meta"))
    x, y = recipe.batch(on_meta((12, 3, 8, 8)), on_meta((12, 5)))
    assert (x.shape, x.device.type, y.shape, y.device.type) == ((12, 3, 8, 8), "meta", (12, 5), "meta")


@pytest.mark.parametrize("spec", PENALTIES)
def test_no_penalty_on_other_images_asks_the_device_for_a_number(spec: str) -> None:
    penalty, net = build(spec).penalty, network().to("meta")
    assert penalty
    x, y = on_meta((12, 3, 8, 8)), on_meta((12, 5))
    assert penalty(net, Step(x, y, net(x), 0.5)).shape == ()


@pytest.mark.parametrize("name", ["manifold_mixup", "gyro_dropout", "dropout", "dropblock", "spatial_dropout"])
def test_no_layer_asks_the_device_for_a_number(name: str) -> None:
    recipe = build(name)
    assert recipe.model
    net = recipe.model(network()).to("meta").train()
    x, y = on_meta((12, 3, 8, 8)), on_meta((12, 5))
    for _ in range(4):  # the layer that is mixed is drawn
        given, _ = recipe.batch(x, y) if recipe.batch else (x, y)
        assert net(given).shape == (12, 5)


def test_on_one_device_it_is_the_tensor_itself() -> None:
    x = torch.arange(3)
    assert to_device(x, torch.zeros(1)) is x
    assert to_device(x, torch.zeros(1), torch.float64).dtype == torch.float64


def test_to_cuda_it_goes_from_pinned_memory_and_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []

    class Device:
        is_cuda, device = True, torch.device("meta")

    def pin(x: Tensor) -> Tensor:
        calls.append(x.dtype)
        return x

    to = Tensor.to
    monkeypatch.setattr(Tensor, "pin_memory", pin)
    monkeypatch.setattr(Tensor, "to", lambda x, *a, **k: (calls.append((a, k)), to(x, *a, **k))[1])
    moved = to_device(torch.ones(3), Device(), torch.bfloat16)  # type: ignore[arg-type]
    assert (moved.device.type, moved.dtype) == ("meta", torch.bfloat16)
    # The type first, then the pinned copy, which only moves.
    assert calls == [((torch.bfloat16,), {}), torch.bfloat16, ((torch.device("meta"),), {"non_blocking": True})]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", BATCHES)
def test_no_batch_waits_for_cuda(name: str) -> None:
    recipe, x, y = build(name), torch.rand(12, 3, 8, 8, device="cuda"), torch.eye(12, device="cuda")
    assert recipe.batch
    recipe.batch(x, y)  # what is done once, is done
    torch.cuda.set_sync_debug_mode("error")
    try:
        recipe.batch(x, y)
    finally:
        torch.cuda.set_sync_debug_mode("default")
