"""Which recipes of a study fit its data and networks."""

from __future__ import annotations

import copy
import itertools
import sys
from dataclasses import replace

from torch import nn

from bench.studies.study_file import Condition, Study, with_strengths
from bench.training.errors import WRONG_INPUT, ConfigError
from bench.training.lookup import data_fingerprint
from bench.training.prepare import initialize, load_data, operate
from bench.training.settings import RunConfig
from datamodules import DataModule
from recipes import Task, UnfitError, build


def leave_out_unfit(study: Study, check_machine: bool = True) -> Study:
    """The study without the conditions whose recipe does not fit its data or network.

    Args:
        study: as written.
        check_machine: refuse what this machine lacks; cells of other machines need no such check.

    Raises:
        ConfigError: nothing is left.
        DataError, NetError: data are missing, or too few for the folds.
    """
    conditions = study.conditions()
    reasons = _reasons(study, check_machine)
    unfit = {c: reasons[c.dataset, c.model, c.recipe] for c in conditions if (c.dataset, c.model, c.recipe) in reasons}
    if len(unfit) == len(conditions):
        raise ConfigError(f"the matrix is empty: no recipe fits its data and network ({next(iter(unfit.values()))})")
    if study.tune and study.tune.folds:
        for first in {(c.dataset, c.train_size): c for c in conditions}.values():
            data_fingerprint(study.config(first, "none", study.seeds[0], fold=0, folds=study.tune.folds))
    return replace(study, unfit=unfit)


def _reasons(study: Study, check_machine: bool) -> dict[tuple[str, str, str], str]:
    """Why a recipe (third) does not fit a dataset (first) and a network (second): asked once for all sizes."""
    reasons: dict[tuple[str, str, str], str] = {}
    for dataset, model in itertools.product(study.datasets, study.models):
        places = [Condition(dataset, model, size, "none") for size in study.train_sizes]
        configs = [study.config(place, place.recipe, study.seeds[0]) for place in places]
        try:
            loaded = [load_data(config, check_machine=check_machine) for config in configs]
            config, data = loaded[0]
            net = initialize(config, data)
        except WRONG_INPUT:
            raise
        except Exception as error:
            for recipe in study.recipes:
                _foretell(recipe, dataset, model, error)
            continue
        for recipe in study.recipes:
            if why := _misfit(replace(config, recipe=with_strengths(recipe, {})), data, net):
                reasons[dataset, model, recipe] = why
    return reasons


def _misfit(config: RunConfig, data: DataModule, net: nn.Module) -> str | None:
    """Why a run's recipe does not fit its data or network; None if it does."""
    try:
        operate(config, data, build(config.recipe, Task(data.kind, data.keeps)), copy.deepcopy(net))
    except UnfitError as error:
        return str(error)
    except WRONG_INPUT:
        raise
    except Exception as error:
        _foretell(config.recipe, config.dataset, config.model, error)
    return None


def _foretell(recipe: str, dataset: str, model: str, error: Exception) -> None:
    """Say what the cells of a condition will record."""
    reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
    print(f"{recipe} on {dataset}, {model} will fail: {reason}", file=sys.stderr)
