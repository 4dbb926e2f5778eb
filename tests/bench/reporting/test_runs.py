"""Records as the report reads them: old, damaged and impossible ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
from reading import Report, explained, page, summary
from synthetic import BOTH, DROPOUT, SMOOTHING, plain

from bench.reporting.figures import curves


@pytest.mark.parametrize("changes", [{"config": {"seed": True}}, {"metrics": {"test": {"accuracy": 5.0}}}])
def test_records_that_cannot_be_are_left_out(tmp_path: Path, report: Report, changes: dict[str, Any]) -> None:
    wrong = synthetic.make("none", 1)
    for part, change in changes.items():
        wrong[part] |= change
    report(synthetic.write(tmp_path, [synthetic.make("none", 0), wrong]))
    assert f"Left out as no whole records: 1 file ({wrong['run_id']}.json)." in page(tmp_path).words


def test_a_thinned_history_is_drawn_with_lines_between_its_epochs() -> None:
    content = synthetic.make("none", 0, epochs=9)
    whole = curves.mean_curves([synthetic.run(content)]).values
    content["history"] = [content["history"][i] for i in (0, 2, 5, 8)]
    thinned = curves.mean_curves([synthetic.run(content)]).values
    assert thinned.shape == whole.shape
    assert (thinned[[0, 2, 5, 8]] == whole[[0, 2, 5, 8]]).all()
    assert thinned[3:5] == pytest.approx(whole[[2]] + np.array([[1], [2]]) / 3 * (whole[5] - whole[2]))
    content["history"].reverse()
    with pytest.raises(ValueError, match="history"):
        synthetic.run(content)


def test_curves_of_a_million_epochs_are_drawn_at_some_of_them() -> None:
    content = synthetic.make("none", 0, epochs=3)
    for row, epoch in zip(content["history"], (1, 500_000, 1_000_000), strict=True):
        row["epoch"] = epoch
    means = curves.mean_curves([synthetic.run(content)] * 150)
    assert len(means.epochs) == len(means.values) == curves.MOST_EPOCHS
    first, middle = (content["history"][i]["val/loss"] for i in (0, 1))
    at = (means.epochs[500] - 1) / (500_000 - 1)
    assert means.values[500, 1] == pytest.approx(first + at * (middle - first))
    assert means.epochs[-1] > 999_000


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"run_id": 1}', b"\xff\xfe\x00", b"[" * 100_000])
def test_damaged_record(tmp_path: Path, report: Report, content: bytes) -> None:
    synthetic.write(tmp_path, plain(BOTH))
    (tmp_path / "records" / "damaged.json").write_bytes(content)
    assert report(tmp_path, "--fail_on_missing")[0] == 0
    explained(tmp_path, "Left out as no whole records: 1 file (damaged.json).")


@pytest.mark.parametrize(
    "junk", [None, "x", [], {}, float("nan"), float("inf"), -1, 10**400, 1e308, "\ud800", "\0", [1]]
)
def test_no_wrong_value_anywhere_in_a_record_stops_the_report(tmp_path: Path, report: Report, junk: Any) -> None:
    """One copy of a record for each of its values, which is replaced."""

    def spoiled(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [junk, *({**value, k: v} for k in value for v in spoiled(value[k]))]
        return [junk, *([v, *value[1:]] for v in spoiled(value[0]))] if isinstance(value, list) else [junk]

    synthetic.write(tmp_path, plain(BOTH, 2))
    for i, content in enumerate(spoiled(synthetic.make(SMOOTHING, 1, epochs=2))):
        if isinstance(content, dict):
            content = {"run_id": str(i), **content} if content.get("run_id") != junk else content
        (tmp_path / "records" / f"spoiled-{i}.json").write_text(json.dumps(content))
    assert report(tmp_path)[0] == 0
    assert {"none", DROPOUT} <= {row["recipe"] for row in summary(tmp_path)}
