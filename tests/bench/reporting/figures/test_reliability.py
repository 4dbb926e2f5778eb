"""Accuracy by confidence."""

from __future__ import annotations

from pathlib import Path

import synthetic
from reading import Report, explained


def test_a_bin_of_confidence_of_few_samples_is_not_drawn(tmp_path: Path, report: Report) -> None:
    record = synthetic.make("none", 0)
    bins = record["reliability"]
    record["reliability"] = {**bins, "count": [9, 10, 200, *[0] * (len(bins["count"]) - 3)]}
    report(synthetic.write(tmp_path, [record]))
    (drawn,) = (tmp_path / "figures").glob("reliability-*.svg")
    assert drawn.read_text().count("<circle") == 2
    explained(tmp_path, "those of fewer than 10 samples are left out")
