import copy

import pytest
import torch
from helpers import apply, network
from timm.utils import adaptive_clip_grad

from recipes import RecipeError, UnfitError, build
from recipes.decay_and_gradient.adaptive_gradient_clipping import adaptive_gradient_clipping


@pytest.mark.parametrize("lam", [0.005, 0.05, 1e6])
@pytest.mark.parametrize("spec", ["mlp(width=16)", "cnn(width=4)", "resnet18(width=4)"])
def test_is_timms_on_all_but_the_output_layer(spec: str, lam: float) -> None:
    net = network(spec)
    net(torch.rand(16, 1, 8, 8)).square().sum().backward()
    plain, reference = copy.deepcopy(net), copy.deepcopy(net)
    for p, q in zip(plain.parameters(), net.parameters(), strict=True):
        p.grad = q.grad.clone() if q.grad is not None else None
    for p, q in zip(reference.parameters(), net.parameters(), strict=True):
        p.grad = q.grad.clone() if q.grad is not None else None
    adaptive_clip_grad(list(reference.parameters())[:-2], clip_factor=lam)
    gradient = adaptive_gradient_clipping(lam).gradient
    assert gradient
    gradient(net)
    for p, q in zip(net.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad)
    changed = [
        not torch.equal(p.grad, q.grad)
        for p, q in zip(net.parameters(), plain.parameters(), strict=True)  # type: ignore[arg-type]
    ]
    assert not any(changed[-2:])
    assert any(changed) == (lam < 1)


def test_units_have_ratios_of_at_most_lam() -> None:
    net = network("mlp(width=16)")
    net(torch.rand(16, 1, 8, 8)).square().sum().backward()
    recipe = build("adaptive_gradient_clipping(lam=0.01)+weight_standardization")
    assert recipe.model
    assert recipe.gradient
    recipe.gradient(net)
    w = net[1][1].weight
    assert w.grad is not None
    assert (w.grad.norm(dim=1) <= 0.01 * w.norm(dim=1) * 1.0001).all()


def test_off_and_refusals() -> None:
    off = adaptive_gradient_clipping(None)
    assert off.gradient is off.model is None
    with pytest.raises(RecipeError, match="lam must be above 0"):
        build("adaptive_gradient_clipping(lam=0)")
    with pytest.raises(UnfitError, match="no layer before its output layer"):
        apply("adaptive_gradient_clipping", "linear")
