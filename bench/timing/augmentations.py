"""Milliseconds of the batched augmentations beside torchvision's per-image loop and kornia, in one process.

Ours and torchvision's loop draw anew for every image. kornia draws parameters for every image too, but its policies
draw operations for the whole batch.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from recipes import build, parse, techniques

SIZES = ((128, 3, 32, 32), (1024, 3, 32, 32))

Make = Callable[[Any], Any]
"""Makes the reference from torchvision.transforms.v2, or from kornia.augmentation."""
REFERENCES: dict[str, tuple[Make | None, Make | None]] = {
    "randaugment(n=2, m=9)": (lambda v2: v2.RandAugment(2, 9), lambda K: K.auto.RandAugment(2, 9)),
    "trivialaugment(p=1)": (lambda v2: v2.TrivialAugmentWide(), lambda K: K.auto.TrivialAugment()),
    "autoaugment(p=1)": (lambda v2: v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10), None),
    "augmix(severity=3)": (lambda v2: v2.AugMix(all_ops=False), None),
    "random_erasing(p=0.5)": (
        lambda v2: v2.RandomErasing(0.5, (0.02, 0.4), (0.3, 1 / 0.3), "random"),
        lambda K: K.RandomErasing((0.02, 0.4), (0.3, 1 / 0.3), p=0.5),
    ),
    "crop+hflip": (
        lambda v2: v2.Compose([v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()]),
        lambda K: K.AugmentationSequential(K.RandomCrop((32, 32), padding=4), K.RandomHorizontalFlip()),
    ),
    "color_jitter(magnitude=1)": (
        lambda v2: v2.ColorJitter(0.4, 0.4, 0.4, 0.1),
        lambda K: K.ColorJitter(0.4, 0.4, 0.4, 0.1),
    ),
    "rotate(degrees=10)": (
        lambda v2: v2.RandomRotation(10, v2.InterpolationMode.BILINEAR),
        lambda K: K.RandomRotation(10.0),
    ),
}
"""By recipe: the same operations with the same ranges in torchvision and kornia."""
FLOAT = ("random_erasing(p=0.5)",)
"""torchvision's loop runs on uint8 images, for which its policies are made, but noise of this one needs float."""


TURN = 0.05
"""Seconds that a contestant runs for in each round, at least one call."""


@dataclass(frozen=True)
class Row:
    """Median milliseconds a batch; `None` where there is no such version, or the library is not installed."""

    recipe: str
    size: tuple[int, ...]
    ours: float
    torchvision: float | None
    kornia: float | None


def measure_augmentations(sizes: Sequence[tuple[int, ...]] = SIZES, rounds: int = 7) -> list[Row]:
    """Time the recipes above and the rest of their family, in turns, after one round that does not count.

    Args:
        sizes: (N, C, H, W) of the batches.
        rounds: how many count.
    """
    covered = {technique.name for spec in REFERENCES for technique, _ in parse(spec)}
    family = [name for name, technique in techniques().items() if technique.family == "augmentation"]
    specs = [*REFERENCES, *(name for name in family if name not in covered)]
    return [_row(spec, size, rounds) for size in sizes for spec in specs]


def _row(spec: str, size: tuple[int, ...], rounds: int) -> Row:
    levels = torch.randint(256, size, dtype=torch.uint8)
    x, y = levels / 255, torch.zeros(size[0], 1)
    ours = build(spec).batch
    assert ours is not None
    makers = REFERENCES.get(spec, (None, None))
    loop, batched = _load("torchvision.transforms.v2", makers[0]), _load("kornia.augmentation", makers[1])
    contestants: dict[str, Callable[[], Any] | None] = {
        "ours": lambda: ours(x, y),
        "torchvision": loop and (lambda: torch.stack([loop(image) for image in (x if spec in FLOAT else levels)])),
        "kornia": batched and (lambda: batched(x)),
    }
    ms: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds + 1):
        for name, run in contestants.items():
            if run is not None:
                ms[name].append(_milliseconds(run))
    medians = {name: statistics.median(values[1:]) if values else None for name, values in ms.items()}
    return Row(spec, size, **medians)  # type: ignore[arg-type]


def _milliseconds(run: Callable[[], Tensor]) -> float:
    """Of one call, the mean of as many as fill TURN: one call of a millisecond measures mostly what ran before it."""
    start, calls = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < TURN:
        run()
        calls += 1
    return 1000 * passed / calls


def _load(module: str, make: Make | None) -> Any:
    if make is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the libraries, about themselves
            return make(import_module(module))
    except ImportError:
        return None
