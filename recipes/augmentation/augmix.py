"""AugMix."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from torch import Tensor, nn

from recipes._core.checks import Above, AtLeast, In
from recipes._core.distributed import own_rows, world
from recipes._core.passes import frozen_statistics
from recipes._core.recipe import Recipe, Step, Task
from recipes._core.registry import register
from recipes._core.transfer import to_device
from recipes.augmentation._policies import IDENTITY, Space, apply_, draw, only, permitted

LARGEST = 10
WIDTH, DEPTH = 3, 3
"""Chains of an image, and the most operations of a chain; the paper's values."""


def mild_space(height: int, width: int) -> Space:
    """The paper's operations: none that overlaps with the corruptions of ImageNet-C, as contrast or sharpness would."""
    return {
        "autocontrast": (0, 0),
        "equalize": (0, 0),
        "posterize": (4, 0),
        "rotate": (0, 30),
        "solarize": (1, 0),
        "shear_x": (0, 0.3),
        "shear_y": (0, 0.3),
        "translate_x": (0, width / 3),
        "translate_y": (0, height / 3),
    }


class Chains(NamedTuple):
    """What N images go through, on the CPU."""

    which: Tensor
    """(N, WIDTH, DEPTH) operations."""
    magnitude: Tensor
    """(N, WIDTH, DEPTH)"""
    length: Tensor
    """(N, WIDTH) operations that count, 1 to DEPTH."""
    weights: Tensor
    """(N, 1 + WIDTH) of the image itself and of its chains; rows sum to 1."""


def draw_chains(n: int, among: Space, severity: float, alpha: float) -> Chains:
    """Draw levels ~ U(0.1, severity) of 10, lengths ~ U{1, 2, 3}, Dirichlet weights and a Beta share of the chains."""
    level = (0.1 + (severity - 0.1) * torch.rand(n, WIDTH, DEPTH)) / LARGEST
    weights = torch.distributions.Dirichlet(torch.full((WIDTH,), alpha)).sample((n,))
    share = torch.distributions.Beta(alpha, alpha).sample((n, 1))
    length = torch.randint(1, DEPTH + 1, (n, WIDTH))
    return Chains(*draw(among, level), length, torch.cat([1 - share, share * weights], dim=1))


def mix_chains(x: Tensor, chains: Chains) -> Tensor:
    """Each image mixed with its augmented versions: w_0 x + sum_i w_i chain_i(x); (N, C, H, W) -> (N, C, H, W)."""
    weights = to_device(chains.weights, x, x.dtype)[..., None, None, None]
    mixed = weights[:, 0] * x
    for i in range(WIDTH):
        version = x.clone()
        for step in range(DEPTH):
            which = torch.where(chains.length[:, i] > step, chains.which[:, i, step], IDENTITY)
            apply_(version, which, chains.magnitude[:, i, step])
        mixed.addcmul_(weights[:, 1 + i], version)
    return mixed


def jensen_shannon(logits: list[Tensor]) -> Tensor:
    """Mean over rows of the Jensen-Shannon divergence of the predictions; a list of (N, K) -> scalar."""
    logs = torch.stack([z.float().log_softmax(dim=1) for z in logits])
    mixture = logs.exp().mean(dim=0).clamp_min(1e-7).log()
    return (logs.exp() * (logs - mixture)).sum(dim=2).mean()


@register(
    paper="Hendrycks, Mu, Cubuk, Zoph, Gilmer and Lakshminarayanan 2020, AugMix",
    reference="chains image by image by the paper's formula, SciPy's Jensen-Shannon distance; moments of the weights.",
    strength="severity",
    grid=(0.5, 1.0, 2.0, 3.0, 5.0, 10.0),
    off=0.0,
    needs=("image",),
)
def augmix(
    severity: Annotated[float, In(0, 10)] = 3.0,
    alpha: Annotated[float, Above(0)] = 1.0,
    jsd: Annotated[float, AtLeast(0)] = 0.0,
    *,
    task: Task,
) -> Recipe:
    """Every training image is mixed with three augmented versions: x <- (1 - m) x + m * sum_i w_i chain_i(x).

    m ~ Beta(alpha, alpha), w ~ Dirichlet(alpha, alpha, alpha); a chain is one to three of the paper's nine operations,
    bilinear. torchvision adds color operations by default and draws from as many of 10 magnitudes as the severity
    says; levels here are ~ U(0.1, severity) of 10, as in the paper's code, which rounds posterize's bits up, we to the
    nearest.
    By default only the mixing, to be compared with other augmentations; with jsd = 12 the paper's full method: the
    network trains on clean images, and its predictions on an image and on two mixtures of it are drawn together.

    Args:
        severity: the strength: the largest level, of 10.
        alpha: concentration of both distributions.
        jsd: weight of the Jensen-Shannon divergence it costs two more passes a step.
        task: tells which operations keep the labels.

    Raises:
        UnfitError: the dataset holds no images, or no operation keeps their labels.
    """
    names = permitted(mild_space(1, 1), task)
    if not severity:
        return Recipe()

    def chains(n: int, x: Tensor) -> Chains:
        return draw_chains(n, only(names, mild_space(*x.shape[2:])), severity, alpha)

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return mix_chains(x, chains(len(x), x)), y

    def penalty(net: nn.Module, step: Step) -> Tensor:
        drawn = [Chains(*map(own_rows, chains(world() * len(step.x), step.x))) for _ in range(2)]
        with frozen_statistics(net):
            return jsd * jensen_shannon([step.logits, *(net(mix_chains(step.x, c)) for c in drawn)])

    return Recipe(penalty=penalty) if jsd else Recipe(batch=batch)
