"""Equal budgets, and a choice that never sees test data."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.studies import tuning
from bench.studies.study_file import TUNING_SEED, load_study
from bench.studies.tuning import Candidate
from bench.training.errors import ConfigError
from bench.training.metrics import METRICS
from recipes import techniques


def make(tmp_path: Path, tune: str, recipe: str = "[none, dropout, l1+label_smoothing]") -> Any:
    path = tmp_path / "study.yaml"
    path.write_text(f"recipes: {recipe}\nseeds: [0, 1]\ntune: {tune}\n")
    return load_study(path)


@pytest.mark.parametrize(
    "tune",
    ["{trials: 4}", "{trials: 4, sampler: qmc}", "{trials: 4, sampler: random}", "{trials: 4, space: strength+lr}"],
)
def test_every_recipe_has_the_same_number_of_distinct_trials(tmp_path: Path, tune: str) -> None:
    study = make(tmp_path, tune)
    for condition in study.conditions():
        found = tuning.candidates(study, condition, [])
        assert len(found) == len(set(found)) == 4
        assert found == tuning.candidates(study, condition, [])


def test_grid_spans_the_techniques_own(tmp_path: Path) -> None:
    study = make(tmp_path, "{trials: 3}")
    grid = techniques()["dropout"].grid
    specs = [c.recipe for c in tuning.candidates(study, study.conditions()[1], [])]
    assert specs[0] == f"dropout(p={grid[0]})"
    assert specs[-1] == f"dropout(p={grid[-1]})"


def test_a_study_may_give_its_own_grid(tmp_path: Path) -> None:
    study = make(tmp_path, "{trials: 2, grids: {dropout: [0.11, 0.22]}}")
    specs = [c.recipe for c in tuning.candidates(study, study.conditions()[1], [])]
    assert specs == ["dropout(p=0.11)", "dropout(p=0.22)"]


def test_baselines_budget_goes_to_the_learning_rate(tmp_path: Path) -> None:
    study = make(tmp_path, "{trials: 3}")
    found = tuning.candidates(study, study.conditions()[0], [])
    assert [c.lr for c in found] == pytest.approx([0.00025, 0.001, 0.004])
    assert {c.recipe for c in found} == {"none"}


def test_strengths_are_tuned_at_the_baselines_learning_rate(tmp_path: Path) -> None:
    study = make(tmp_path, "{trials: 3}", "[none, dropout, batch_norm]")
    none, dropout, batch_norm = study.conditions()
    assert [tuning.rate_source(study, c) for c in (none, dropout, batch_norm)] == [None, none, None]
    found = tuning.candidates(study, dropout, [], 0.004)
    assert [c.lr for c in found] == [0.004] * 3
    both = make(tmp_path, "{trials: 3, space: strength+lr}", "[none, dropout]")
    assert tuning.rate_source(both, both.conditions()[1]) is None
    alone = make(tmp_path, "{trials: 3}", "[dropout]")
    assert tuning.rate_source(alone, alone.conditions()[0]) is None


def test_tpe_asks_one_at_a_time_and_replays(tmp_path: Path) -> None:
    study = make(tmp_path, "{trials: 6, sampler: tpe, space: strength+lr}")
    condition = study.conditions()[1]
    scores: list[float] = []
    history: list[Candidate] = []
    while len(history) < 6:
        found = tuning.candidates(study, condition, scores)
        assert found[: len(history)] == history
        assert len(found) == len(history) + 1
        history = found
        scores.append(float(len(history)) if len(history) != 3 else math.inf)
    assert tuning.candidates(study, condition, scores) == history


def test_trials_never_measure_test_and_use_their_own_seed(tmp_path: Path) -> None:
    study = make(tmp_path, "{trials: 3, folds: 4}")
    configs = tuning.trial_configs(study, study.conditions()[1], Candidate("dropout(p=0.5)", 0.01))
    assert [(c.fold, c.folds) for c in configs] == [(i, 4) for i in range(4)]
    assert all(c.trial and c.seed == TUNING_SEED and c.lr == 0.01 for c in configs)


def record(status: str = "ok", **val: float) -> Any:
    return SimpleNamespace(run_id="0123456789abcdef", status=status, metrics={"val": val})


def test_score_is_the_mean_over_folds_as_a_loss() -> None:
    folds = [record(loss=1.0, accuracy=0.5), record(loss=3.0, accuracy=0.9)]
    assert tuning.score(folds, "val/loss") == 2.0
    assert tuning.score(folds, "val/accuracy") == pytest.approx(-0.7)
    assert tuning.score([record(ece=0.25)], "val/ece") == 0.25
    assert tuning.score([record(macro_f1=0.25)], "val/macro_f1") == -0.25
    assert tuning.score([*folds, record("diverged")], "val/loss") == math.inf


def test_a_trial_that_was_measured_before_the_suite_had_the_metric_is_named() -> None:
    with pytest.raises(ConfigError, match=r"0123456789abcdef.* has no val/macro_f1"):
        tuning.score([record(loss=1.0, accuracy=0.5)], "val/macro_f1")


def test_any_metric_that_is_measured_on_validation_data_can_choose(tmp_path: Path) -> None:
    for metric in METRICS:
        assert make(tmp_path, f"{{select: val/{metric.name}}}").tune.select == f"val/{metric.name}"
    with pytest.raises(ConfigError, match="val/balanced_accuracy"):
        make(tmp_path, "{select: val/recall}")


def test_choice() -> None:
    a, b, c = (Candidate(name) for name in "abc")
    assert tuning.choose([(a, 2.0), (b, 1.0), (c, 1.0)]) == b
    assert tuning.choose([(a, math.inf), (b, math.inf)]) is None
