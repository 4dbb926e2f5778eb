"""Error over the strength."""

from __future__ import annotations

from pathlib import Path

import pytest
import synthetic
from reading import Report
from synthetic import RULE, three


@pytest.mark.parametrize(("other", "title"), [("p=0.3", "dropout+label_smoothing"), ("p={}", None)])
def test_a_compositions_strength_is_drawn_where_one_of_them_moves(
    tmp_path: Path, report: Report, other: str, title: str | None
) -> None:
    values = (0.1, 0.2, 0.4)
    recipes = [f"dropout({other.format(v)})+label_smoothing(epsilon={v})" for v in values]
    runs = [synthetic.make(r, 1000000, trial=True) for r in recipes]
    trials = [
        {"recipe": r, "lr": 0.001, "score": 0.1, "run_ids": [run["run_id"]]}
        for r, run in zip(recipes, runs, strict=True)
    ]
    row = {"dataset": "digits", "model": "mlp", "train_size": None, "recipe": "dropout+label_smoothing"}
    tuning = {
        "rule": RULE,
        "conditions": [{**row, "chosen": {"recipe": recipes[0], "lr": 0.001}, "trials": trials}],
    }
    report(synthetic.write(tmp_path, [*three("none", recipes[0]), *runs], tuning=tuning))
    drawn = tmp_path / "figures" / "strength.svg"
    assert drawn.exists() == (title is not None)
    assert title is None or f">{title}<" in drawn.read_text()
