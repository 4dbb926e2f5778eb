"""What a report takes for missing is what a study would train."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.reporting.missing import fits
from bench.studies.scheduler import leave_out_unfit
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
