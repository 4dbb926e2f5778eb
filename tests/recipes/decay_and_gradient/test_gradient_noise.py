from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

from bench import train
from recipes import RecipeError, build
from recipes.decay_and_gradient.gradient_noise import Clock, deviation, gradient_noise


class FakeTrainer:
    global_step = 99


@pytest.mark.parametrize("t", [0, 99])
def test_noise_is_normal_with_the_step_s_variance(t: int) -> None:
    torch.manual_seed(0)
    net = nn.Linear(200, 100)
    for p in net.parameters():
        p.grad = torch.ones_like(p)
    recipe = gradient_noise(0.3, 0.55)
    assert recipe.callbacks
    assert recipe.gradient
    (clock,) = recipe.callbacks()
    assert isinstance(clock, Clock)
    if t:
        clock.on_train_batch_start(FakeTrainer(), None, None, 0)  # type: ignore[arg-type]
    recipe.gradient(net)
    assert net.weight.grad is not None
    assert net.bias.grad is not None
    noise = torch.cat([net.weight.grad.flatten(), net.bias.grad]).double().numpy() - 1
    sigma = np.sqrt(0.3 / (1 + t) ** 0.55)
    assert noise.std() == pytest.approx(sigma, rel=4 / np.sqrt(2 * noise.size))
    assert scipy.stats.kstest(noise / sigma, "norm").pvalue > 0.01


def test_noise_does_not_depend_on_the_memory_layout() -> None:
    grads = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        net = nn.Conv2d(3, 4, 3)
        net.weight.grad = torch.zeros_like(net.weight).to(memory_format=layout)
        gradient = gradient_noise(1.0).gradient
        assert gradient
        gradient(net)
        grads.append(net.weight.grad)
    assert torch.equal(*grads)


def test_frozen_parameters_are_left_alone() -> None:
    net = nn.Linear(2, 2)
    gradient = gradient_noise(1.0).gradient
    assert gradient
    gradient(net)
    assert net.weight.grad is None


def test_a_run_counts_its_steps(make_config: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(
        "recipes.decay_and_gradient.gradient_noise.deviation", lambda t, eta, gamma: seen.append(t) or 0.0
    )
    assert train(make_config(recipe="gradient_noise", train_size=100, batch_size=25)).status == "ok"
    assert seen == list(range(8))
    assert deviation(3, 0.16, 1.0) == pytest.approx(0.2)


def test_off_and_refusals() -> None:
    off = gradient_noise(0.0)
    assert off.gradient is off.callbacks is None
    for name, most in (("eta", 1e6), ("gamma", 10)):
        for value in (-1, 2 * most):
            with pytest.raises(RecipeError, match=rf"{name} must be in \[0, "):
                build(f"gradient_noise({name}={value})")
