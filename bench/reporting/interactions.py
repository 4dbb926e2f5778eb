"""Interactions: whether two recipes together do more, or less, than their gains add up to."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bench.reporting.joint_test import JointTest, joint_test
from bench.reporting.statistics import ALPHA, Array


def contrasts(both: ArrayLike, first: ArrayLike, second: ArrayLike, baseline: ArrayLike) -> Array:
    """(n, m) values of `both - first - second + baseline`, seed by seed: 0 where gains add up, below where they overlap.

    The interaction contrast of a two-by-two factorial design (Fisher 1935, The Design of Experiments; Montgomery 2017,
    Design and Analysis of Experiments, chapter 5).

    Args:
        both: (n, m) scores with both recipes of each of m pairs, by seed.
        first, second: (n, m) scores with one of them.
        baseline: (n,) scores with none. NaN, in any of them, where a run is missing.

    Raises:
        ValueError: shapes that differ.
    """
    ab, a, b, none = (np.asarray(v, dtype=np.float64) for v in (both, first, second, baseline))
    if ab.ndim != 2 or not ab.shape == a.shape == b.shape or none.shape != ab.shape[:1]:
        raise ValueError(f"shapes {ab.shape}, {a.shape}, {b.shape} and {none.shape}: (n, m) thrice and (n,) are needed")
    return ab - a - b + none[:, None]


def interactions(
    both: ArrayLike, first: ArrayLike, second: ArrayLike, baseline: ArrayLike, alpha: float = ALPHA
) -> JointTest:
    """The joint test of all pairs' contrasts: which of m pairs interact, with simultaneous intervals; see `contrasts`."""
    return joint_test(contrasts(both, first, second, baseline), alpha)
