"""Choosing strengths under one budget: which trials a condition needs, and which of them wins."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench.studies.study_file import TUNING_SEED, Condition, Study, Tune, free_strengths, grid_of, with_strengths
from bench.training import metrics
from bench.training.errors import ConfigError
from bench.training.record import Record
from bench.training.settings import RunConfig
from recipes import Technique

BASELINE = "none"
REPEATS = 20
"""How often, per trial, a sampler may name a value again before others are drawn at random."""
LR_SPAN = 4.0
"""Learning rates are tried from the usual one divided by this to it multiplied by this."""


@dataclass(frozen=True)
class Candidate:
    """One trial: a canonical spec and a learning rate (`None`: the usual one)."""

    recipe: str
    lr: float | None = None


def rate_source(study: Study, condition: Condition) -> Condition | None:
    """The condition whose trials choose the learning rate at which this one's strengths are tuned.

    Where only strengths are tuned that is the baseline: it has none, so it spends its trials on the learning rate, and
    what a strength is compared with then differs in nothing but the recipe.
    """
    assert study.tune is not None
    baseline = replace(condition, recipe=BASELINE)
    own = study.tune.space != "strength" or not free_strengths(condition.recipe) or BASELINE not in study.recipes
    return None if own else baseline


def candidates(study: Study, condition: Condition, scores: Sequence[float], lr: float | None = None) -> list[Candidate]:
    """The trials that can be named so far, in order: all of them, or with `tpe` one more than there are scores.

    The baseline and some recipes have no strength; where only strengths are tuned, their trials are spent on the
    learning rate, so that all have the same budget.

    Args:
        study: tells the rule.
        condition: whose strength is tuned.
        scores: of the trials so far.
        lr: of all trials, where the rate setter chose it; `None`: the usual one.
    """
    tune = study.tune
    assert tune is not None
    free = free_strengths(condition.recipe)
    usual = study.config(condition, with_strengths(condition.recipe, {}), TUNING_SEED).lr or 0.0
    if not free and tune.space == "strength":
        span = np.geomspace(usual / LR_SPAN, usual * LR_SPAN, tune.trials) if tune.trials > 1 else [usual]
        return [Candidate(with_strengths(condition.recipe, {}), float(f"{lr:.6g}")) for lr in span]
    if tune.sampler in (None, "grid") and tune.space == "strength":
        return [Candidate(with_strengths(condition.recipe, values), lr) for values in _grid(tune, free)]
    found = _search(tune, condition.recipe, free, usual, scores)
    return found if lr is None else [replace(c, lr=lr) for c in found]


def trial_configs(study: Study, condition: Condition, candidate: Candidate) -> list[RunConfig]:
    """The runs that score a candidate: one a fold, or one on the validation split; none measures the test split."""
    assert study.tune is not None
    folds = study.tune.folds
    changes: dict[str, Any] = {"trial": True} | ({} if candidate.lr is None else {"lr": candidate.lr})
    config = lambda **fold: study.config(condition, candidate.recipe, TUNING_SEED, **changes, **fold)  # noqa: E731
    return [config()] if folds is None else [config(fold=i, folds=folds) for i in range(folds)]


def score(records: Sequence[Record], select: str) -> float:
    """The mean over folds of the selection metric, as a loss: the smaller the better; infinite if any run has none.

    Raises:
        ConfigError: a run was measured before the suite had that metric.
    """
    split, metric = select.split("/")
    if any(r.status != "ok" for r in records):
        return math.inf
    old = next((r.run_id for r in records if metric not in r.metrics[split]), None)
    if old:
        raise ConfigError(f"tune: the trial records/{old}.json has no {select}: remove it, it is then trained again")
    return metrics.by_name(metric).cost(float(np.mean([r.metrics[split][metric] for r in records])))


def choose(trials: Sequence[tuple[Candidate, float]]) -> Candidate | None:
    """The candidate of the smallest score, the first of equals; None if every one diverged."""
    best = min(trials, key=lambda trial: trial[1])
    return best[0] if math.isfinite(best[1]) else None


def _grid(tune: Tune, free: Sequence[Technique]) -> list[Mapping[str, Any]]:
    """Evenly spaced values of each technique's grid; several techniques go up their grids together."""
    grids = {t.name: grid_of(tune, t) for t in free}
    picks = {name: [values[i] for i in _spread(len(values), tune.trials)] for name, values in grids.items()}
    return [{name: values[i] for name, values in picks.items()} for i in range(tune.trials)]


def _spread(size: int, n: int) -> list[int]:
    return [round(x) for x in np.linspace(0, size - 1, n)] if n > 1 else [size // 2]


def _search(
    tune: Tune, recipe: str, free: Sequence[Technique], usual: float, scores: Sequence[float]
) -> list[Candidate]:
    """Ask an Optuna sampler, which is seeded and told the scores in order: a resumed study asks for the same trials."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers: dict[str, Any] = {
        "qmc": optuna.samplers.QMCSampler,
        "random": optuna.samplers.RandomSampler,
        "tpe": optuna.samplers.TPESampler,
    }
    name = tune.sampler or "qmc"
    distributions = {t.name: _distribution(grid_of(tune, t)) for t in free}
    if tune.space == "strength+lr":
        distributions["lr"] = optuna.distributions.FloatDistribution(usual / LR_SPAN, usual * LR_SPAN, log=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=optuna.exceptions.ExperimentalWarning)
        # By default TPE draws its first 10 trials at random, which may be all there are.
        options = {"n_startup_trials": min(10, max(2, tune.trials // 2))} if name == "tpe" else {}
        search = optuna.create_study(sampler=samplers[name](seed=TUNING_SEED, **options))
        asked = min(tune.trials, len(scores) + 1) if name == "tpe" else tune.trials
        found: list[Candidate] = []
        asks = 0
        while len(found) < asked:
            asks += 1
            if asks > REPEATS * tune.trials:  # it has settled on one value: the rest at random
                search.sampler = samplers["random"](seed=TUNING_SEED + asks)
            trial = search.ask(distributions)
            candidate = _candidate(recipe, trial.params)
            found += [candidate] if candidate not in found else []
            i = found.index(candidate)
            if i < len(scores):
                search.tell(trial, scores[i] if math.isfinite(scores[i]) else 1e9)
    return found


def _candidate(recipe: str, params: Mapping[str, Any]) -> Candidate:
    rounded = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in params.items()}
    lr = rounded.pop("lr", None)
    return Candidate(with_strengths(recipe, rounded), lr)


def _distribution(grid: Sequence[Any]) -> Any:
    """The range of a grid: logarithmic where it spans a factor of ten or more."""
    import optuna

    low, high = min(grid), max(grid)
    log = low > 0 and high / low >= 10
    if all(isinstance(v, int) for v in grid):
        return optuna.distributions.IntDistribution(low, high, log=log)
    return optuna.distributions.FloatDistribution(low, high, log=log)
