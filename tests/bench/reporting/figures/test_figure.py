"""What figures share."""

from __future__ import annotations

from pathlib import Path

import synthetic
from reading import Report, page

from bench.reporting import labels
from bench.reporting.figures import figure, svg


def test_every_family_has_a_marker_of_its_own() -> None:
    shapes = [figure.family_style(family)[1] for family in labels.families()]
    drawn = {svg.shape(kind, 0, 0, "m") for kind in shapes}
    assert len(drawn) == len(shapes) == len(labels.families())


def test_a_folder_of_images_bears_its_own_name_in_every_figure(tmp_path: Path, report: Report) -> None:
    tuning, trials = synthetic.tuning()
    made, parts = synthetic.study(range(3), (None, 200)) + trials, synthetic.decomposition()
    for record in made:
        record["config"]["dataset"] = record["dataset"]["name"] = "imagefolder"
        record["dataset"]["title"] = "my birds"
    for row in (*tuning["conditions"], *parts):
        row["dataset"] = "imagefolder"
    report(synthetic.write(tmp_path, made, tuning=tuning, decomposition=parts))
    for name in ("strength", "bias-variance"):
        drawn = (tmp_path / "figures" / f"{name}.svg").read_text()
        assert "my birds, mlp" in drawn
        assert "imagefolder" not in drawn


def test_every_figure_of_a_full_study_is_drawn(tmp_path: Path, report: Report) -> None:
    tuning, trials = synthetic.tuning()
    made = synthetic.study(range(3), (None, 200)) + trials
    report(synthetic.write(tmp_path, made, tuning=tuning, decomposition=synthetic.decomposition()))
    kinds = {path.name.split("-")[0].removesuffix(".svg") for path in (tmp_path / "figures").iterdir()}
    assert kinds == {"forest", "gap", "curves", "reliability", "weights", "pairs", "strength", "bias", "sizes"}
    assert "Left out:" not in page(tmp_path).words
