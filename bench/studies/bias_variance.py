"""Bias and variance of a recipe's predictions over training sets, by strength."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.studies.outcomes import SquaredParts, ZeroOneParts
from bench.studies.study_file import Condition, Study, free_strengths, grid_of, with_strengths
from bench.training import predictions
from bench.training.settings import RunConfig

Array = NDArray[np.float64]


def squared(probabilities: Array, labels: NDArray[np.int64]) -> SquaredParts:
    """Expected squared error of predicted probabilities = squared bias + variance.

    With the mean prediction m over R networks: variance = sum_r |p_r - m|^2 / (R - 1), which is unbiased, and squared
    bias = error - variance (Yang, Yu, You, Steinhardt and Ma 2020, Rethinking Bias-Variance Trade-off). The labels'
    own noise counts as bias.

    Args:
        probabilities: (R, N, K), R >= 2.
        labels: (N,).
    """
    targets = np.eye(probabilities.shape[2])[labels]
    error = float(((probabilities - targets) ** 2).sum(2).mean())
    deviation = probabilities - probabilities.mean(0)
    variance = float((deviation**2).sum(2).sum(0).mean() / (len(probabilities) - 1))
    return SquaredParts(error=error, bias2=error - variance, variance=variance)


def zero_one(probabilities: Array, labels: NDArray[np.int64]) -> ZeroOneParts:
    """Error rate = bias + net variance, for 0-1 loss (Domingos 2000, A Unified Bias-Variance Decomposition).

    The main prediction of a sample is the class that most networks choose. Bias: how often it is wrong. Net variance:
    error - bias; varying from a right main prediction costs, from a wrong one it may help.

    Args:
        probabilities: (R, N, K).
        labels: (N,).
    """
    chosen = probabilities.argmax(2)
    votes = np.eye(probabilities.shape[2])[chosen].sum(0)
    bias = float((votes.argmax(1) != labels).mean())
    error = float((chosen != labels).mean())
    return ZeroOneParts(error=error, bias=bias, variance=error - bias)


def strengths(study: Study, condition: Condition) -> list[tuple[str, Any]]:
    """(canonical spec, strength) at which a condition is decomposed: its grid, from off; a fixed recipe only once."""
    free = free_strengths(condition.recipe)
    if len(free) != 1:
        return [(with_strengths(condition.recipe, {}), None)]
    technique = free[0]
    values = [*([technique.off] if technique.off is not None else []), *grid_of(study.tune, technique)]
    return [(with_strengths(condition.recipe, {technique.name: value}), value) for value in dict.fromkeys(values)]


def resample_configs(study: Study, condition: Condition, recipe: str) -> list[RunConfig]:
    """The runs of one strength: one seed, R bootstrap resamples of the training split."""
    assert study.decompose is not None
    seed = study.seeds[0]
    return [study.config(condition, recipe, seed, resample=r) for r in range(study.decompose.resamples)]


def measure(paths: Sequence[Path]) -> tuple[SquaredParts, ZeroOneParts] | None:
    """Both decompositions from the stored predictions of R networks; None if some are damaged, which are set aside."""
    loaded = [predictions.load_or_set_aside(path) for path in paths]
    whole = [found for found in loaded if found is not None]
    if len(whole) < len(loaded):
        return None
    probabilities = np.stack([found.probabilities.astype(np.float64) for found in whole])
    return squared(probabilities, whole[0].labels), zero_one(probabilities, whole[0].labels)
