"""sparse_features: few features matter, which is what L1 is for."""

from __future__ import annotations

from pathlib import Path

from datamodules._logistic import equal_weights, logistic
from datamodules._registry import Arrays, register

SEED = 5


@register(kind="features", val_fraction=0.25, source="synthetic; this suite")
def sparse_features(data_dir: Path, image_size: int | None) -> Arrays:
    """100 synthetic features of which 5 decide a binary label, 90 % of which can be predicted.

    Returns:
        float32 features (400, 100) for training and validation, (10000, 100) for testing.
    """
    return logistic(equal_weights(informative(), SEED), SEED)


def informative() -> tuple[int, ...]:
    """Indices of the features that decide the label."""
    return (7, 23, 42, 61, 88)
