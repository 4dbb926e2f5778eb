"""What a study's records say, as it keeps it: what was tuned and chosen, bias and variance, what does not fit."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bench.studies import bias_variance, outcomes, tuning
from bench.studies.ledger import Ledger, final_candidate, final_configs, trials
from bench.studies.outcomes import (
    Choice,
    DecompositionOutcome,
    Trial,
    TunedCondition,
    TuningOutcome,
    TuningRule,
    Unfit,
    UnfitOutcome,
)
from bench.studies.study_file import Condition, Study, Tune, free_strengths
from bench.training import predictions


def conclude(study: Study, ledger: Ledger) -> None:
    """Write what the records say into the study's folder: tuning.json, decomposition.json and unfit.json."""
    if study.tune:
        outcomes.write_tuning(study.folder, tuning_outcome(study, study.tune, ledger))
    if study.decompose:
        rows = [row for c in study.conditions() for row in decomposition_outcomes(study, c, ledger)]
        if rows:
            outcomes.write_decomposition(study.folder, rows)
    outcomes.write_unfit(study.folder, unfit_outcome(study))


def tuning_outcome(study: Study, tune: Tune, ledger: Ledger) -> TuningOutcome:
    """What was chosen, and every trial."""
    rule = TuningRule(trials=tune.trials, folds=tune.folds, select=tune.select, space=tune.space, sampler=tune.sampler)
    return TuningOutcome(rule=rule, conditions=[_tuned(study, c, ledger) for c in study.conditions()])


def _tuned(study: Study, condition: Condition, ledger: Ledger) -> TunedCondition:
    chosen = final_candidate(study, condition, ledger)
    tried = []
    for candidate, score in trials(study, condition, ledger):
        configs = tuning.trial_configs(study, condition, candidate)
        found = [r.run_id for c in configs if (r := ledger.find(c))]
        value = score if math.isfinite(score) else None
        tried.append(Trial(recipe=candidate.recipe, lr=configs[0].lr, score=value, run_ids=found))
    lr = None if chosen is None else final_configs(study, condition, chosen)[0].lr
    return TunedCondition(
        dataset=condition.dataset,
        model=condition.model,
        train_size=condition.train_size,
        recipe=condition.recipe,
        chosen=None if chosen is None else Choice(recipe=chosen.recipe, lr=lr),
        trials=tried,
    )


def decomposition_outcomes(study: Study, condition: Condition, ledger: Ledger) -> Iterator[DecompositionOutcome]:
    """One a strength, once all its networks are trained; the kept one where their predictions are gone.

    Damaged predictions are set aside and what was kept of them is forgotten, so that their resamples are trained again.
    """
    for recipe, strength in bias_variance.strengths(study, condition):
        records = [ledger.find(c) for c in bias_variance.resample_configs(study, condition, recipe)]
        trained = [r for r in records if r and r.status == "ok"]
        if len(trained) < len(records):
            continue
        paths = [predictions.predictions_path(study.folder, r.run_id) for r in trained]
        if not all(path.exists() for path in paths):
            yield ledger.decomposed[*condition.place, recipe]
        elif (parts := bias_variance.measure(paths)) is None:
            ledger.decomposed.pop((*condition.place, recipe), None)
        else:
            free = free_strengths(condition.recipe)
            yield DecompositionOutcome(
                dataset=condition.dataset,
                model=condition.model,
                train_size=condition.train_size,
                recipe=recipe,
                technique=free[0].name if len(free) == 1 else condition.recipe,
                strength=strength,
                resamples=len(paths),
                run_ids=[r.run_id for r in trained],
                squared=parts[0],
                zero_one=parts[1],
            )


def unfit_outcome(study: Study) -> UnfitOutcome:
    """The conditions that were left out, with the reasons."""
    left_out = [
        Unfit(dataset=c.dataset, model=c.model, train_size=c.train_size, recipe=c.recipe, reason=reason)
        for c, reason in study.unfit.items()
    ]
    return UnfitOutcome(conditions=left_out)
