"""What the tests of several techniques share: networks before and after surgery, torchvision's names, bounds."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from scipy import stats
from torch import Tensor, nn
from torchvision.transforms import v2

from bench.training import networks
from recipes import Step, build

NOTHING = Step(torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1, 1), 0.0)
"""For penalties that look at the weights alone."""

# --- networks -------------------------------------------------------------------------------------------------------


def network(name: str, side: int = 8) -> nn.Module:
    """A network for gray images in 10 classes, with the same weights each time."""
    torch.manual_seed(0)
    return networks.build(name, (1, side, side), 10, torch.zeros(1), torch.ones(1))


def apply(spec: str, net: str) -> nn.Module:
    """Such a network after the recipe's surgery."""
    model = build(spec).model
    assert model
    return model(network(net))


def twins(spec: str, net: str) -> tuple[nn.Module, nn.Module]:
    """Such a network before and after surgery."""
    return network(net), apply(spec, net)


def state_of(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def assert_equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    """Bit for bit."""
    assert a.keys() == b.keys()
    different = [name for name in a if not torch.equal(a[name], b[name])]
    assert not different


# --- torchvision's policies -----------------------------------------------------------------------------------------

CLASSES = {"shear_x": "ShearX", "shear_y": "ShearY", "translate_x": "TranslateX", "translate_y": "TranslateY"}
CLASSES |= {"autocontrast": "AutoContrast"}
ON_LEVELS = ("Posterize", "Solarize", "Equalize")
"""What we define, as torchvision on uint8, on the 256 levels of a file."""
OPERATIONS = v2.RandAugment(interpolation=v2.InterpolationMode.BILINEAR)


def theirs(name: str) -> str:
    """torchvision's name of an operation of ours."""
    return CLASSES.get(name, name.capitalize())


def operated(image: Tensor, name: str, magnitude: float) -> Tensor:
    """torchvision's operation, by its own name, on one image (C, H, W) in [0, 1]."""
    given = (image * 255).round().to(torch.uint8) if name in ON_LEVELS else image
    magnitude = round(magnitude) if name == "Posterize" else magnitude
    out: Tensor = OPERATIONS._apply_image_or_video_transform(given, name, magnitude, OPERATIONS.interpolation, {})
    return out / 255 if name in ON_LEVELS else out


# --- chance ---------------------------------------------------------------------------------------------------------

SIGMAS = 4
UNLIKELY = 2 * stats.norm.sf(SIGMAS)
"""How rarely chance goes that many standard deviations away: the least p-value that passes."""


def assert_rate(hits: Tensor, p: float) -> None:
    """The share of true values is p, as far as independent ones can tell."""
    error = math.sqrt(p * (1 - p) / hits.numel())
    assert abs(hits.double().mean().item() - p) <= SIGMAS * error, (hits.double().mean().item(), p, error)


def assert_uniform(values: Tensor, low: float, high: float) -> None:
    """Kolmogorov-Smirnov; all within [low, high]."""
    assert low - 1e-6 <= values.min().item()
    assert values.max().item() <= high + 1e-6
    assert stats.kstest(values.double().numpy(), stats.uniform(low, high - low).cdf).pvalue > UNLIKELY


def assert_partners_are_uniform(batch: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], x: Tensor) -> None:
    """Row 0 of x is mixed with each of the other rows equally often, and with them only."""
    torch.manual_seed(0)
    counts = torch.zeros(len(x))
    for _ in range(600):
        shares = batch(x, torch.eye(len(x)))[1][0]
        others = shares * (torch.arange(len(x)) > 0)
        counts[others.argmax()] += float(others.max() > 0)
    assert counts[0] == 0
    assert counts.sum() > 300
    assert stats.chisquare(counts[1:]).pvalue > UNLIKELY


def assert_beta(lam: Tensor, alpha: float) -> None:
    """Draws from Beta(alpha, alpha): as many on either side of 1/2, the lower ones by Kolmogorov-Smirnov.

    Only the lower ones: near 1, single precision has few numbers.
    """
    assert_rate(lam < 0.5, 0.5)
    lower = stats.kstest(lam[lam < 0.5].double().numpy(), lambda v: 2 * stats.beta(alpha, alpha).cdf(v))
    assert lower.pvalue > UNLIKELY
