import numpy as np
import pytest
from helpers import network

from recipes import RecipeError, build
from recipes.constraint.weight_clip import weight_clip


@pytest.mark.parametrize("net", ["mlp", "resnet18(width=2)"])
def test_weights_are_clipped_and_biases_and_normalization_left(net: str) -> None:
    operated = network(net)
    before = {k: p.detach().clone().numpy() for k, p in operated.named_parameters()}
    project = weight_clip(0.05).project
    assert project
    project(operated, lambda p: 0.0)
    for name, p in operated.named_parameters():
        expected = np.clip(before[name], -0.05, 0.05) if p.ndim >= 2 else before[name]
        np.testing.assert_array_equal(p.detach().numpy(), expected.astype(np.float32))


def test_off_and_refusals() -> None:
    assert weight_clip(None).project is None
    with pytest.raises(RecipeError, match=r"c must be above 0, or None, got -0\.1"):
        build("weight_clip(c=-0.1)")
