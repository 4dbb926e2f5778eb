from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from helpers import assert_beta, assert_partners_are_uniform, network
from torch import Tensor, nn

from bench.training import networks
from recipes import RecipeError, Step, UnfitError, build, slots
from recipes._core.distributed import own_rows
from recipes.mixing.manifold_mixup import MixHere, eligible
from recipes.mixing.mixup import mix

X = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.eye(10)[torch.arange(12) % 10]


def layers(net: nn.Module) -> list[MixHere]:
    return [m for m in net.modules() if isinstance(m, MixHere)]


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_alpha_given_is_that_of_lambda(alpha: float) -> None:
    recipe, y = build(f"manifold_mixup(alpha={alpha})"), torch.eye(4)
    recipe.model(network("mlp"))
    assert_beta(torch.stack([recipe.batch(y, y)[1][0, 0] for _ in range(500)]), alpha)


def test_every_other_row_is_a_partner_equally_often() -> None:
    recipe = build("manifold_mixup(alpha=2)")
    recipe.model(network("mlp"))
    assert_partners_are_uniform(recipe.batch, torch.rand(5, 1, 8, 8))


def test_each_layer_is_mixed_in_turn() -> None:
    recipe = build("manifold_mixup(alpha=1)")
    plain, net = network("mlp"), recipe.model(network("mlp"))
    standardize, (flatten, *body) = plain[0], plain[1]
    hidden = [i for i, m in enumerate(body) if m in slots(plain, "hidden")]
    drawn = []
    for seed in range(30):
        torch.manual_seed(seed)
        x, y = recipe.batch(X, Y)
        draw = layers(net)[0].draw
        drawn.append(draw.layer)
        h = flatten(standardize(mix(X, draw.shift, draw.lam) if draw.layer == 0 else X))
        for i, module in enumerate(body):
            h = module(h)
            if draw.layer and i == hidden[draw.layer - 1]:
                h = draw.lam * h + (1 - draw.lam) * h.roll(draw.shift, 0)
        torch.testing.assert_close(net(x), h)
        torch.testing.assert_close(y, mix(Y, draw.shift, draw.lam))
    counts = torch.tensor(drawn).bincount(minlength=3)
    assert (counts >= 4).all(), "input and both hidden layers are equally likely"


def test_nothing_is_mixed_in_evaluation_or_between_steps() -> None:
    recipe = build("manifold_mixup(alpha=1)")
    plain, net = network("mlp"), recipe.model(network("mlp"))
    torch.manual_seed(1)
    while layers(net)[0].draw.layer in (None, 0):
        recipe.batch(X, Y)
    assert not torch.equal(net(X), plain(X))
    assert torch.equal(net.eval()(X), plain.eval()(X))
    recipe.project(net.train(), lambda p: 0.0)
    assert torch.equal(net(X), plain(X))


@pytest.mark.parametrize(("name", "dims"), [("resnet9(width=4)", [2] * 6 + [0]), ("resnet18(width=4)", [2] * 9 + [0])])
def test_layers_within_residual_branches_are_not_mixed(name: str, dims: list[int]) -> None:
    net = network(name, 16)
    inside = {
        slot for block in net.modules() if isinstance(block, networks.Residual) for slot in block.branch.modules()
    }
    found = eligible(net)
    assert [slot.dims for slot in found] == dims
    assert set(found) == set(slots(net, "hidden")) - inside


def test_off_and_refusals() -> None:
    recipe = build("manifold_mixup(alpha=0)")
    assert recipe.model is None
    assert recipe.batch is None
    with pytest.raises(RecipeError, match="alpha must be at least 0"):
        build("manifold_mixup(alpha=-1)")
    with pytest.raises(UnfitError, match="hidden"):
        build("manifold_mixup").model(network("linear"))


@pytest.mark.parametrize("after", ["self_distillation", "mixup(per_sample=True)", "cutmix(per_sample=True)"])
def test_what_treats_each_row_in_its_own_way_comes_before(after: str) -> None:
    with pytest.raises(RecipeError, match="mixes targets for a hidden layer: write"):
        build(f"manifold_mixup+label_smoothing+{after}")
    assert build(f"{after}+manifold_mixup").mixes_layers


def test_lambda_follows_alpha() -> None:
    """Beta(4, 4) has mean 1/2 and variance 1/36; targets of two classes show lambda."""
    batch = build("manifold_mixup(alpha=4)").batch
    assert batch
    x, y = torch.zeros(2, 1), torch.eye(2)
    torch.manual_seed(0)
    lams = torch.tensor([float(batch(x, y)[1][0, 0]) for _ in range(4000)])
    lams = lams[lams < 1]  # a row that is its own partner
    assert abs(float(lams.mean()) - 0.5) < 0.02
    assert abs(float(lams.var()) - 1 / 36) < 0.004


def gradients(spec: str) -> list[Tensor]:
    """Of four steps, with dropout between the mixed layers' draws, of this process's share of the rows."""
    recipe = build(spec)
    net = recipe.model(network("mlp")) if recipe.model else network("mlp")
    for seed in range(4):
        torch.manual_seed(seed)
        x, y = recipe.batch(X, Y) if recipe.batch else (X, Y)
        x, y = own_rows(x), own_rows(y)
        logits = net(x)
        loss = nn.functional.cross_entropy(logits, y)
        if recipe.penalty:
            loss = loss + recipe.penalty(net, Step(x, y, logits, 0.0))
        loss.backward()
    return [p.grad for p in net.parameters()]


def of_two(rank: int, spec: str, rendezvous: str, result: Any) -> None:
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    torch.set_num_threads(1)
    grads = gradients(spec)
    for g in grads:
        dist.all_reduce(g)
    if rank == 0:
        torch.save([g / 2 for g in grads], result)
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_have_one_process_gradients(tmp_path: Path) -> None:
    spec = "manifold_mixup(alpha=1)+regmixup+dropout+mixup+augmix(jsd=12)"
    mp.spawn(of_two, (spec, str(tmp_path / "rendezvous"), str(tmp_path / "grads")), nprocs=2)
    for ours, expected in zip(torch.load(tmp_path / "grads", weights_only=True), gradients(spec), strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)
