"""dense_features: every feature matters a little, which is what L2 is for."""

from __future__ import annotations

from pathlib import Path

from datamodules._logistic import FEATURES, equal_weights, logistic
from datamodules._registry import Arrays, register

SEED = 100


@register(kind="features", val_fraction=0.25, source="synthetic; this suite")
def dense_features(data_dir: Path, image_size: int | None) -> Arrays:
    """100 synthetic features that all bear on a binary label, 90 % of which can be predicted.

    Returns:
        float32 features (400, 100) for training and validation, (10000, 100) for testing.
    """
    return logistic(equal_weights(informative(), SEED), SEED)


def informative() -> tuple[int, ...]:
    """Indices of the features that bear on the label: all."""
    return tuple(range(FEATURES))
