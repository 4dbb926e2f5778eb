"""The places of every network, found by its own layers as they run."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.training import networks
from recipes import Slot, build
from recipes.dropout_and_noise.dropblock import DropBlock
from recipes.dropout_and_noise.spatial_dropout import SpatialDropout
from recipes.mixing.manifold_mixup import MixHere

ACTIVATIONS = {"linear": (0, 0), "mlp": (0, 2), "cnn": (2, 1), "resnet9": (8, 0), "resnet18": (17, 0)}
"""Of feature maps and of vectors."""
every = pytest.mark.parametrize("name", networks.networks())


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    spec = name if name == "linear" else f"{name}(width=4)"
    return networks.build(spec, (3, 16, 16), 10, torch.zeros(3), torch.ones(3))


def traced(net: nn.Module) -> list[tuple[nn.Module, Tensor, Tensor]]:
    """The layers without layers of their own, and slots, in the order of a pass, with input and output."""
    calls: list[tuple[nn.Module, Tensor, Tensor]] = []
    for m in net.modules():
        if isinstance(m, Slot) or not list(m.children()):
            m.register_forward_hook(lambda m, inputs, output: calls.append((m, inputs[0], output)))
    net.eval()(torch.rand(2, 3, 16, 16))
    return calls


@every
def test_a_place_for_hidden_units_follows_every_activation(name: str) -> None:
    calls = traced(network(name))
    active = [out for m, _, out in calls if isinstance(m, nn.ReLU)]
    places = [given for m, given, _ in calls if isinstance(m, Slot) and m.kind == "hidden"]
    assert (sum(a.ndim == 4 for a in active), sum(a.ndim == 2 for a in active)) == ACTIVATIONS[name]
    for a in active:
        assert sum(a is p for p in places) == 1
    # Beside them only what is flattened before a fully connected layer.
    others = [p for p in places if not any(a is p for a in active)]
    flattened = [out for m, _, out in calls if isinstance(m, nn.Flatten)]
    assert len(others) == (0 if name in ("linear", "mlp") else 1)
    assert all(any(p is f for f in flattened) for p in others)


@every
def test_a_place_for_normalization_precedes_every_activation(name: str) -> None:
    """It follows a linear or convolutional layer; where a block ends, the addition lies between."""
    calls = traced(network(name))
    layers = [out for m, _, out in calls if isinstance(m, nn.Linear | nn.Conv2d)][:-1]  # not the output layer
    places = [given for m, given, _ in calls if isinstance(m, Slot) and m.kind == "norm"]
    assert len(layers) == len(places)
    for layer in layers:
        assert sum(layer is p for p in places) == 1


@pytest.mark.parametrize("name", ["cnn", "resnet9", "resnet18"])
@pytest.mark.parametrize(("recipe", "kind"), [("spatial_dropout", SpatialDropout), ("dropblock", DropBlock)])
def test_what_drops_maps_acts_on_the_outcome_of_every_activation_of_maps(name: str, recipe: str, kind: Any) -> None:
    model = build(recipe).model
    assert model
    calls = traced(model(network(name)))
    active = [out for m, _, out in calls if isinstance(m, nn.ReLU) and out.ndim == 4]
    given = [x for m, x, _ in calls if isinstance(m, kind)]
    assert len(active) == len(given) == ACTIVATIONS[name][0]
    assert all(any(a is x for x in given) for a in active)


def test_manifold_mixup_can_mix_at_the_end_of_every_block() -> None:
    """The paper's code mixes after the first two of the four stages, which are two blocks each."""
    model = build("manifold_mixup").model
    assert model
    net = model(network("resnet18"))
    ends = [m for m in net.modules() if isinstance(m, networks.Residual)]
    assert len(ends) == 8
    for block in ends:
        assert sum(isinstance(m, MixHere) for m in block.act.modules()) == 1
        assert not any(isinstance(m, MixHere) for m in block.branch.modules())
    assert sum(isinstance(m, MixHere) for m in net.modules()) == 10
