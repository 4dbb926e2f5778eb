"""What the report says about its tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import synthetic
from reading import Report, explained, markdown_tables, page, summary
from synthetic import BOTH, DROPOUT, SMOOTHING, plain, three

from bench.reporting import labels


def test_the_clock_and_records_of_one_seed_are_told(tmp_path: Path, report: Report) -> None:
    made = three("none", DROPOUT)
    report(synthetic.write(tmp_path, made))
    assert "times of the processor" in page(tmp_path).words
    synthetic.write(tmp_path, [{**made[0], "run_id": "0" * 16}, *({**r, "cpu_seconds": 0.0} for r in made)])
    report(tmp_path)
    assert "wall times" in page(tmp_path).words
    assert "Several records of one seed: none. The first by id counts." in page(tmp_path).words


def test_a_gap_that_rounds_to_the_same_stays(tmp_path: Path, report: Report) -> None:
    made = [synthetic.make(r, 0, accuracy=a) for r, a in (("none", 0.95), (DROPOUT, 0.96))]
    for i, record in enumerate(made):
        record["gap"]["accuracy"] = 0.03 + 1e-6 * i
    report(synthetic.write(tmp_path, made))
    explained(tmp_path, "The gap between training and validation accuracy stays at 3.00 points.")


def test_runs_that_ended_early_are_told(tmp_path: Path, report: Report) -> None:
    made = [synthetic.make(r, seed, epochs=9) for r in ("none", "early_stopping(patience=3)") for seed in range(3)]
    report(synthetic.write(tmp_path, made))
    explained(tmp_path, "9 epochs, every run to the end, batches of 32")
    for record, epochs in zip(made[3:], (9, 5, 6), strict=True):
        record["epochs_run"] = epochs
    report(synthetic.write(tmp_path, made))
    explained(tmp_path, "9 epochs (of which early_stopping(patience=3) ran 6.7), batches of 32")


def tuned(recipes: Sequence[str], rates: Sequence[float], scores: Sequence[float]) -> dict[str, Any]:
    """A condition of tuning.json; the first trial was chosen."""
    where = {"dataset": "digits", "model": "mlp", "train_size": None, "recipe": labels.names(recipes[0])}
    trials = [
        {"recipe": r, "lr": lr, "score": score, "run_ids": []}
        for r, lr, score in zip(recipes, rates, scores, strict=True)
    ]
    return {**where, "chosen": {"recipe": recipes[0], "lr": rates[0]}, "trials": trials}


def test_choices_at_an_end_or_by_chance_are_told(tmp_path: Path, report: Report) -> None:
    stopping = [f"early_stopping(patience={n})" for n in (10, 5, 3)]
    conditions = [
        tuned(["none"] * 3, (0.004, 0.001, 0.002), (1, 2, 3)),
        tuned([f"dropout(p={p})" for p in (0.3, 0.1, 0.5)], (0.001,) * 3, (1, 2, 3)),
        tuned([f"label_smoothing(epsilon={e})" for e in (0.4, 0.1, 0.2)], (0.001,) * 3, (1, 2, 3)),
        tuned(stopping, (0.001,) * 3, (1, 1, 1)),
    ]
    rule = {"trials": 3, "folds": None, "select": "val/loss", "space": "strength", "sampler": None}
    made = three("none", "dropout(p=0.3)", "label_smoothing(epsilon=0.4)", stopping[0])
    report(synthetic.write(tmp_path, made, tuning={"rule": rule, "conditions": conditions}))
    explained(
        tmp_path,
        "Chosen at an end of the values tried, so that a value beyond might do better: none (learning rate 0.004), "
        "label_smoothing(epsilon=0.4).",
    )
    explained(
        tmp_path, "All values tried scored alike, so that tuning had nothing to choose by: early_stopping(patience=10)."
    )


def test_too_few_seeds_for_two_recipes_are_enough_for_one(golden: Path, report: Report) -> None:
    explained(golden, "cannot be decided at n=6", "with 2 recipes compared, an exact test needs at least 7 seeds")
    for path in (golden / "records").iterdir():
        if json.loads(path.read_text())["recipe"] == DROPOUT:
            path.unlink()
    assert report(golden)[0] == 0
    explained(golden, "That is significant at 0.05 (p = 0.031 after Holm's correction, 1 recipe compared).")


EMPTY = "There are no finished runs in this folder yet."


SEPARATE = "come from 2 settings, which are never mixed"


CASES: dict[str, tuple[list[dict[str, Any]], list[int], list[str]]] = {
    # name: records, rows of each table, sentences
    "no records": ([], [], [EMPTY]),
    "only a trial": (plain({"none": 0.0}, 1, trial=True), [], [EMPTY]),
    "one seed": (
        plain(BOTH, 1),
        [2],
        ["with one seed, which leaves its spread unknown", "cannot be decided at n=1", "cannot tell 1 of the other 1"],
    ),
    "one recipe": (plain({"none": 0.0}), [1], ["There is no other recipe beside it."]),
    "no baseline": (
        plain({DROPOUT: 0.01, SMOOTHING: 0.0}),
        [2],
        ["There is no baseline of this setting, so no differences can be given."],
    ),
    "all diverged": (
        plain(BOTH, status="diverged"),
        [2],
        [
            "No run of this setting ended well, so there is nothing to compare.",
            "10 diverged (dropout(p=0.3): seeds 0, 1",
        ],
    ),
    "all failed": (
        plain(BOTH, status="failed"),
        [2],
        ["No run of this setting ended well", "10 failed"],
    ),
    "the baseline diverged": (
        [*plain({"none": 0.0}, status="diverged"), *plain({DROPOUT: 0.01})],
        [2],
        ["There is no baseline of this setting", "5 diverged (none: seeds 0, 1, 2, 3, 4)"],
    ),
    "zero variance": (
        [synthetic.make(r, s, accuracy=a) for r, a in (("none", 0.9), (DROPOUT, 0.95)) for s in range(6)],
        [2],
        ["95.00 ± 0.00 % over 6 seeds, +5.00 points", "interval [+5.00, +5.00]", "p = 0.031"],
    ),
    "nothing differs": (
        [synthetic.make(r, s, accuracy=0.9) for r in ("none", DROPOUT) for s in range(6)],
        [2],
        ["The baseline (no regularization) has the highest mean", "No recipe has a higher mean."],
    ),
    "sixty recipes": (
        plain({"none": 0.0, **{f"dropout(p={i / 100})": i / 5000 for i in range(1, 60)}}, 3),
        [60],
        ["cannot be decided at n=3", "Shown are the 24 recipes of highest test accuracy, of 59."],
    ),
    "a thousand seeds": (
        plain(BOTH, 1000),
        [2],
        ["over 1000 seeds", "exact up to 30 pairs and with 9,999 random patterns beyond", "p < 0.001"],
    ),
    "two fingerprints": (
        plain(BOTH) + plain(BOTH, fingerprint="e" * 64),
        [2, 2],
        [SEPARATE, "fingerprint eeeeeeeeeee…"],
    ),
    "two suites": (
        plain(BOTH) + plain(BOTH, suite="0.2.0"),
        [2, 2],
        [SEPARATE, "suite 0.1.0", "suite 0.2.0"],
    ),
    "two budgets": (
        plain(BOTH) + plain(BOTH, batch_size=64),
        [2, 2],
        [SEPARATE, "batches of 64", "batches of 32"],
    ),
    "two machines": (
        plain({"none": 0.0}) + plain({DROPOUT: 0.01}, device="b"),
        [2],
        ["more than one kind of hardware"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_odd_cases_are_rendered_and_explained(tmp_path: Path, report: Report, case: str) -> None:
    made, rows, sentences = CASES[case]
    status, out, err = report(synthetic.write(tmp_path / "study", made))
    assert (status, err) == (0, "10 cells have no finished record\n" if case == "all failed" else "")
    assert out.startswith(f"{len(made):,} records: ")
    explained(tmp_path / "study", *sentences)
    shown = [table for table in markdown_tables(tmp_path / "study") if r"p \(Holm\)" in table[0]]
    assert [len(table) - 2 for table in shown] == rows
    assert len(summary(tmp_path / "study")) == sum(rows)
    text = (tmp_path / "study" / "report.html").read_text() + (tmp_path / "study" / "report.md").read_text()
    assert not [word for word in (">nan", "nan ", "inf ", "None<", "NaN") if word in text]
