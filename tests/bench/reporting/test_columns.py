"""The tables hold what their columns say, alike in all files."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import synthetic
from reading import Report, explained, markdown_tables, page, row_of, summary
from synthetic import DROPOUT, SMOOTHING

from bench.reporting import columns
from bench.training.metrics import METRICS


def test_another_learning_rate_than_the_baselines_is_shown(tmp_path: Path, report: Report) -> None:
    made = [
        synthetic.make(r, i, lr=lr)
        for r, lr in (("none", 0.001), (DROPOUT, 0.001), ("batch_norm", 0.004))
        for i in (0, 1)
    ]
    report(synthetic.write(tmp_path, made))
    table = markdown_tables(tmp_path)[0]
    strengths = {line[0].strip("★≈ "): line[1] for line in table[2:]}
    assert strengths == {"none": "–", "dropout": "p=0.3", r"batch\_norm": "lr=0.004"}


def test_one_row_by_hand(golden: Path) -> None:
    """Dropout's differences are 0.5, -0.2, 0.5, 0.2, -0.1, 0.6: mean 0.25, sum of squares about it 0.575, so that
    sd = 0.3391 and the half-width is 2.5706 * 0.3391 / sqrt(6) = 0.3559. Four of six are positive. Of the 64 sign
    patterns 12 reach a sum of 1.5, so p = 0.1875, and Holm leaves the larger of two as it is. The ratios of seconds
    are 1.5, 1.6, 1.2, 1.7, 1.2, 1.75; the median is 1.55. The gap is 98.93 - 95.00."""
    table = markdown_tables(golden)[0]
    cells = dict(zip(table[0], next(line for line in table if line[0] == "dropout"), strict=True))
    assert cells["strength"] == "p=0.3"
    assert cells["n"] == "6"
    assert cells["difference to baseline, points"] == r"+0.25 \[−0.11, +0.61\]"
    assert cells[r"P\(better\)"] == "0.67"
    assert cells[r"p \(Holm\)"] == "cannot be decided at n=6"
    assert cells["time"] == "1.55×"
    assert cells["gap, points"].startswith("+3.93 ±")
    assert row_of(golden, DROPOUT)["p"] == row_of(golden, DROPOUT)["p_adjusted"] == 0.1875


def test_html_and_latex_have_the_same_rows(golden: Path) -> None:
    row = row_of(golden, SMOOTHING)
    shown = {f"{v:.10g}" for v in (row["test"], row["difference"], row["improvement"], row["cost"])}
    assert shown <= {cell.get("data-v") for cell in page(golden).all("td")}
    line = next(line for line in (golden / "table.tex").read_text().splitlines() if "smoothing" in line)
    assert line == (
        r"$\star$ label\_smoothing & epsilon=0.1 & 6 & 95.67 $\pm$ 0.38 & +0.58 {[}+0.36, +0.81{]} "
        r"& cannot be decided at n=6 & +4.53 $\pm$ 0.39 & 1.08$\times$ \\"
    )


def test_a_mean_reads_the_same_in_every_file(tmp_path: Path, report: Report) -> None:
    """Of 94.71 and 94.72 the mean is 94.715, or the number just below it."""
    results = tmp_path / "results"
    made = [synthetic.make("none", i, accuracy=a) for i, a in enumerate((0.9471, 0.9472))]
    report(synthetic.write(results / "one", made, study="recipes: [none]\nseeds: [0, 1]\n"))
    report(results / "one", "--index")
    assert "94.72 ±" in (results / "one" / "report.md").read_text()
    assert "94.72 %" in (results / "README.md").read_text()


def test_every_column_stands_somewhere_and_no_view_names_another() -> None:
    views = (columns.RUNS, columns.SUMMARY, columns.TABLE, columns.PAPER, columns.PAGE, columns.GLOSSARY)
    assert {name for view in views for name in view} == set(columns.BY_NAME)
    assert len(columns.BY_NAME) == len(columns.COLUMNS)
    for view in views:
        assert len(view) == len(set(view))
    for name in (*columns.TABLE, *columns.PAGE):
        assert columns.BY_NAME[name].heading
    assert all(columns.BY_NAME[name].meaning for name in columns.GLOSSARY)


def with_metric(record: dict[str, Any], value: float) -> dict[str, Any]:
    metrics = {split: {**found, "macro_f1": value} for split, found in record["metrics"].items()}
    return {**record, "metrics": metrics}


def test_a_metric_has_its_columns_by_itself_and_older_records_a_dash(tmp_path: Path, report: Report) -> None:
    """By hand: 0.5 and 0.7 have the mean 0.6; the baseline's records are older than the metric."""
    made = [synthetic.make("none", seed) for seed in (0, 1)]
    made += [with_metric(synthetic.make(DROPOUT, seed), value) for seed, value in ((0, 0.5), (1, 0.7))]
    report(synthetic.write(tmp_path, made))
    rows = {row["recipe"]: row["macro_f1"] for row in summary(tmp_path)}
    assert rows == {DROPOUT: "0.6", "none": ""}
    with (tmp_path / "runs.csv").open(encoding="utf-8", newline="") as file:
        runs = [(row["recipe"], row["val/macro_f1"]) for row in csv.DictReader(file)]
    assert runs == [(DROPOUT, "0.5"), (DROPOUT, "0.7"), ("none", ""), ("none", "")]
    table = markdown_tables(tmp_path)[0]
    place = table[0].index("macro F1")
    assert {line[0].strip("★≈ "): line[place] for line in table[2:]} == {"dropout": "0.6000", "none": "–"}
    explained(tmp_path, "macro F1", "precision and recall, 0 to 1; higher is better.")
    assert "balanced accuracy" not in page(tmp_path).words  # no record has it


def test_metrics_that_all_records_lack_have_no_column(golden: Path) -> None:
    named = {metric.name for metric in METRICS}
    assert named & set(summary(golden)[0]) == {"loss", "ece", "brier"}
    assert "macro F1" not in page(golden).words


def test_a_page_sorts_what_is_better_first(golden: Path) -> None:
    found = [head["data-first"] for head in page(golden).all("th") if "data-first" in head]
    lower = {"p_adjusted", "gap", "cost", "loss", "ece", "brier"}
    shown = [name for name in columns.PAGE if name not in ("balanced_accuracy", "macro_f1", "zeros")]
    assert found == ["up", *("up" if name in lower else "down" for name in shown)]
