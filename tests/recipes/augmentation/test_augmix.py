from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers import UNLIKELY, assert_beta, assert_equal, assert_uniform, state_of
from scipy import stats
from scipy.spatial.distance import jensenshannon
from torch import Tensor, nn
from torch.distributions import Categorical, kl_divergence

from recipes import RecipeError, Step, Task, UnfitError, build
from recipes.augmentation._policies import NAMES, apply_
from recipes.augmentation.augmix import DEPTH, WIDTH, Chains, draw_chains, jensen_shannon, mild_space, mix_chains

N = 4000


def test_mixtures_image_by_image() -> None:
    torch.manual_seed(0)
    x = torch.randint(256, (12, 3, 16, 16)) / 255
    chains = draw_chains(12, mild_space(16, 16), 5.0, 1.0)
    before, out = x.clone(), mix_chains(x, chains)
    assert torch.equal(x, before)
    for i in range(12):
        expected = chains.weights[i, 0] * x[i]
        for c in range(WIDTH):
            version = x[i : i + 1].clone()
            for d in range(int(chains.length[i, c])):
                apply_(version, chains.which[i, c, d : d + 1], chains.magnitude[i, c, d : d + 1])
            expected = expected + chains.weights[i, 1 + c] * version[0]
        torch.testing.assert_close(out[i], expected, atol=1e-6, rtol=0)


def test_draws_have_their_distributions() -> None:
    torch.manual_seed(0)
    alpha, severity, among = 2.0, 4.0, {"rotate": (0.0, 30.0)}
    chains = draw_chains(N, among, severity, alpha)
    assert chains.which.shape == chains.magnitude.shape == (N, WIDTH, DEPTH)
    torch.testing.assert_close(chains.weights.sum(1), torch.ones(N))
    clean = chains.weights[:, 0]
    assert abs(clean.mean() - 0.5) < 4 * math.sqrt(1 / (4 * (2 * alpha + 1)) / N)
    assert abs(clean.var() - 1 / (4 * (2 * alpha + 1))) < 0.005
    shares = chains.weights[:, 1:] / (1 - clean)[:, None]
    variance = (1 / 3) * (2 / 3) / (3 * alpha + 1)
    assert ((shares.mean(0) - 1 / 3).abs() < 4 * math.sqrt(variance / N)).all()
    assert ((shares.var(0) - variance).abs() < 0.005).all()
    rates = chains.length.flatten().bincount() / chains.length.numel()
    assert rates[0] == 0
    assert ((rates[1:] - 1 / 3).abs() < 4 * math.sqrt(2 / 9 / (3 * N))).all()
    degrees = chains.magnitude.abs()
    assert degrees.min() >= 0.3
    assert degrees.max() <= 12
    assert abs(degrees.mean() - (0.3 + 12) / 2) < 0.1


@pytest.mark.parametrize("jsd", [0.0, 12.0])
@pytest.mark.parametrize(("severity", "alpha"), [(1.0, 0.5), (3.0, 1.0), (10.0, 4.0)])
def test_severity_and_alpha_given_are_those_of_the_chains(
    severity: float, alpha: float, jsd: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Levels ~ U(0.1, severity) of 10; the image's share ~ Beta(alpha, alpha), a chain's ~ Beta(alpha, 2 alpha)."""
    torch.manual_seed(0)
    drawn: list[Chains] = []
    monkeypatch.setattr("recipes.augmentation.augmix.mix_chains", lambda x, chains: drawn.append(chains) or x)
    recipe = build(f"augmix(severity={severity}, alpha={alpha}, jsd={jsd})", Task("image", frozenset({"rotate"})))
    x = torch.zeros(1000, 1, 2, 2)
    if jsd:
        recipe.penalty(nn.Flatten(), Step(x, x, x.flatten(1), 0.0))
    else:
        recipe.batch(x, x)
    assert len(drawn) == (2 if jsd else 1)
    for chains in drawn:
        rotated = chains.magnitude[chains.which == NAMES.index("rotate")].abs() / 30
        assert_uniform(rotated[:500], 0.01, severity / 10)
        assert_beta(chains.weights[:, 0], alpha)
        share = chains.weights[:, 1] / (1 - chains.weights[:, 0])
        assert stats.kstest(share.double().numpy(), stats.beta(alpha, 2 * alpha).cdf).pvalue > UNLIKELY


def test_divergence_is_scipys() -> None:
    torch.manual_seed(0)
    logits = [3 * torch.randn(5, 7) for _ in range(3)]
    p = np.stack([z.double().softmax(1).numpy() for z in logits])
    mixture = p.mean(0)
    expected = (p * np.log(p / mixture)).sum(2).mean()
    assert float(jensen_shannon(logits)) == pytest.approx(expected, rel=1e-5)
    # SciPy has it for two distributions only; a third equal to their mean changes the sum's count alone.
    two = [z.softmax(1) for z in logits[:2]]
    pair = jensen_shannon([*logits[:2], ((two[0] + two[1]) / 2).log()])
    theirs = np.mean([jensenshannon(a, b) ** 2 for a, b in zip(*(t.double().numpy() for t in two), strict=True)])
    assert float(pair) == pytest.approx(2 / 3 * theirs, rel=1e-4)


def test_full_method_is_a_penalty_on_three_predictions() -> None:
    recipe = build("augmix(jsd=12)")
    assert recipe.batch is None
    net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 3))
    x, y = torch.rand(10, 1, 8, 8), torch.eye(3)[torch.arange(10) % 3]
    logits = net(x)
    statistics = state_of(net[1])
    torch.manual_seed(0)
    penalty = recipe.penalty(net, Step(x, y, logits, 0.0))
    assert_equal(statistics, state_of(net[1]))
    torch.manual_seed(0)
    drawn = [draw_chains(10, mild_space(8, 8), 3.0, 1.0) for _ in range(2)]
    views: list[Tensor] = [logits, *(net(mix_chains(x, chains)) for chains in drawn)]
    expected = 12 * written_out(views)
    torch.testing.assert_close(penalty, expected)
    weights = [net[2].weight, net[2].bias]
    ours, theirs = (torch.autograd.grad(v, weights, retain_graph=True) for v in (penalty, expected))
    torch.testing.assert_close(ours, theirs)
    assert ours[0].any()


def written_out(views: list[Tensor]) -> Tensor:
    """The mean divergence of each prediction from the mean of all, by torch."""
    p = torch.stack([z.softmax(1) for z in views])
    apart = kl_divergence(Categorical(probs=p), Categorical(probs=p.mean(0).expand_as(p)))
    return apart.mean()


def test_off_and_refusals() -> None:
    assert build("augmix(severity=0)").batch is None
    assert build("augmix(severity=0, jsd=12)").penalty is None
    for wrong in ("severity=-1", "severity=11", "alpha=0", "jsd=-1"):
        with pytest.raises(RecipeError, match="must be"):
            build(f"augmix({wrong})")
    with pytest.raises(UnfitError, match="labels"):
        build("augmix", Task("image", frozenset({"hflip"})))
