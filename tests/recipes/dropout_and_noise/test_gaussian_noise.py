import pytest
import torch
from scipy import stats

from recipes import RecipeError, build
from recipes.dropout_and_noise.gaussian_noise import gaussian_noise


def test_noise_is_normal_with_the_given_deviation_and_new_for_each_value_and_step() -> None:
    torch.manual_seed(0)
    batch = gaussian_noise(0.2).batch
    assert batch
    x, y = torch.rand(50, 3, 8, 8), torch.eye(10)[torch.arange(50) % 10]
    kept = x.clone()
    noisy, same = batch(x, y)
    noise = (noisy - x).flatten()
    assert torch.equal(x, kept)
    assert same is y
    assert stats.kstest(noise.numpy(), stats.norm(0, 0.2).cdf).pvalue > 0.01
    assert noise.unique().numel() > 0.99 * noise.numel()
    assert noisy.min() < 0  # not clipped
    assert not torch.equal(batch(x, y)[0], noisy)


def test_off_and_refusals() -> None:
    assert gaussian_noise(0.0).batch is None
    with pytest.raises(RecipeError, match=r"sigma must be at least 0, got -0\.1"):
        build("gaussian_noise(sigma=-0.1)")
