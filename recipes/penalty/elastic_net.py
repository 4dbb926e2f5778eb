"""Elastic net: L1 and L2 together."""

from dataclasses import replace
from typing import Annotated

from recipes._core.checks import AtLeast, In
from recipes._core.recipe import Recipe, compose
from recipes._core.registry import register
from recipes.penalty.l1 import l1
from recipes.penalty.l2 import l2


@register(
    paper="Zou and Hastie 2005, Regularization and Variable Selection via the Elastic Net",
    reference="scikit-learn's elastic net logistic regression; its ends are `l1` and `l2`, tested on their own.",
    strength="lam",
    grid=(1e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3),
    off=0.0,
)
def elastic_net(lam: Annotated[float, AtLeast(0)] = 3e-5, l1_ratio: Annotated[float, In(0, 1)] = 0.5) -> Recipe:
    """L1's zeros with L2's grouping: minimizes loss + lam * (l1_ratio * sum |w| + (1 - l1_ratio) / 2 * sum w^2).

    The L1 part is `l1`'s proximal step, the L2 part `l2`'s penalty; the parametrization is scikit-learn's.

    Args:
        lam: the strength, in units of the loss.
        l1_ratio: the share of L1.
    """
    parts = {"l1": l1(lam * l1_ratio), "l2": l2(lam * (1 - l1_ratio) / 2)}
    return compose([replace(part, spec=name) for name, part in parts.items()])
