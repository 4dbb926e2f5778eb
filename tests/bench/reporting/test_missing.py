"""What a report takes for missing is what a study would train."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import synthetic
from reading import Report, explained
from synthetic import DROPOUT, RULE, three

from bench.studies.conclusions import unfit_outcome
from bench.studies.fitting import fits, leave_out_unfit
from bench.studies.outcomes import write_unfit
from bench.studies.study_file import load_study


@pytest.mark.parametrize(
    "where", ["datasets: [digits]\nmodels: [mlp, cnn]", "datasets: [sparse_features]\nmodels: [linear]"]
)
def test_unfit_recipes_are_those_that_a_study_finds_with_the_data(tmp_path: Path, where: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(f"recipes: all\n{where}\nseeds: [0]\naccelerator: cpu\n")
    study = load_study(path)
    fitting = [condition for condition in study.conditions() if fits(condition)]
    assert fitting == leave_out_unfit(study).conditions()
    assert len(fitting) < len(study.conditions())


def test_what_a_study_left_out_is_not_missing(tmp_path: Path, report: Report) -> None:
    """By unfit.json, also where nothing else would tell: a recipe from outside the catalogue, which is not imported."""
    plan = "recipes: [none, 'theirs:odd', 'theirs:fine']\nseeds: [0, 1, 2]\nepochs: 3\n"
    folder = synthetic.write(tmp_path / "study", three("none", "theirs:fine(a=1)"), study=plan)
    assert report(folder)[2] == "3 cells have no finished record\n"
    study = load_study(folder / "study.yaml", imports=False)
    odd = next(condition for condition in study.conditions() if condition.recipe == "theirs:odd")
    write_unfit(folder, unfit_outcome(replace(study, unfit={odd: "it is odd"})))
    assert report(folder)[2] == ""


EMPTY = "There are no finished runs in this folder yet."


PLAN = "recipes: [none, 'dropout(p=0.3)']\nseeds: [0, 1, 2]\nepochs: 3\n"


@pytest.mark.parametrize(
    ("made", "plan", "missing", "sentences"),
    [
        (three("none", DROPOUT), PLAN, 0, []),
        (three("none", DROPOUT)[:-1], PLAN, 1, ["1 missing (dropout(p=0.3): seed 2)"]),
        (three("none"), PLAN, 3, ["3 missing (dropout(p=0.3): seeds 0, 1, 2)"]),
        (
            [],
            PLAN,
            6,
            [EMPTY, "6 missing: the study lists 2 rows of tables of which there is no record yet (digits, mlp)"],
        ),
        (three("none", DROPOUT), PLAN + "models: [mlp, cnn]\n", 6, ["6 missing", "(digits, cnn)"]),
        (
            three("none", DROPOUT),
            PLAN + "train_sizes: [null, 300]\n",
            6,
            ["6 missing", "(digits, mlp, 300)"],
        ),
        ([*three("none"), *three(DROPOUT, status="failed")], PLAN, 3, ["3 failed"]),
        ([*three("none"), *three(DROPOUT, status="diverged")], PLAN, 0, ["3 diverged"]),
        # A study without seeds takes five; a folder without a study knows those of its records.
        (three("none", DROPOUT), PLAN.replace("seeds: [0, 1, 2]\n", ""), 4, ["4 missing"]),
        (three("none", DROPOUT)[:-1], "", 1, ["1 missing"]),
        # What does not fit the data or the network is not missing: no flips of digits, no branches in this network.
        (three("none", DROPOUT), PLAN.replace("]\n", ", hflip, stochastic_depth]\n", 1), 0, []),
    ],
)
def test_missing_cells(
    tmp_path: Path, report: Report, made: list[Any], plan: str, missing: int, sentences: list[str]
) -> None:
    folder = synthetic.write(tmp_path / "study", made, **({"study": plan} if plan else {}))
    for flags, expected in ((), 0), (("--fail_on_missing",), 1 if missing else 0):
        status, _, err = report(folder, *flags)
        assert status == expected
        assert err == (f"{missing} cells have no finished record\n" if missing else "")
    explained(folder, *sentences)


@pytest.mark.parametrize(
    ("chosen", "missing"),
    [({"recipe": DROPOUT, "lr": 0.001}, 0), ({"recipe": "dropout(p=0.5)", "lr": 0.001}, 3), (None, 0)],
)
def test_missing_cells_of_a_tuned_study(tmp_path: Path, report: Report, chosen: Any, missing: int) -> None:
    """The strength that was chosen counts; while none is, any."""
    plan = "recipes: [none, dropout]\nseeds: [0, 1, 2]\nepochs: 3\ntune: {trials: 3}\n"
    row = {"dataset": "digits", "model": "mlp", "train_size": None, "recipe": "dropout", "chosen": chosen, "trials": []}
    synthetic.write(
        tmp_path,
        three("none", DROPOUT),
        study=plan,
        tuning={"rule": RULE, "conditions": [row]},
    )
    status, _, err = report(tmp_path, "--fail_on_missing")
    assert status == (1 if missing else 0)
    assert err == (f"{missing} cells have no finished record\n" if missing else "")
