"""The report's numbers against SciPy, statsmodels and hand computation; its odd cases, in files and in words."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import synthetic
from reading import explained, markdown_tables, page, summary
from scipy import stats

from bench.report import main
from bench.reporting import labels
from bench.reporting.comparison import summarize
from bench.reporting.figures import figure, reliability, sizes, svg
from bench.reporting.runs import parse
from bench.reporting.statistics import Interval
from bench.run import make_parser as make_run_parser

GOLDEN = Path(__file__).parent / "golden"
"""Three recipes with six seeds each on one dataset, made up by hand, and a tuning trial that is no row."""
ROOT = Path(__file__).resolve().parents[3]
TEXTS = ("dataset", "model", "recipe", "fingerprint", "suite", "mark")
"""Columns of summary.csv that hold no numbers."""
RULE = {"trials": 5, "folds": None, "select": "val/loss", "space": "strength", "sampler": None}
TUNING = json.dumps({"rule": RULE, "conditions": []})
CONDITION = '{"dataset": "digits", "model": "mlp", "train_size": 200, "recipe": "none", "chosen": null, "trials": []}'
SMOOTHING, DROPOUT = "label_smoothing(epsilon=0.1)", "dropout(p=0.3)"

Report = Callable[..., tuple[int, str, str]]


@pytest.fixture
def report(capsys: Any) -> Report:
    """Run the command in this process; returns (exit status, stdout, stderr)."""

    def call(folder: Path, *flags: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([str(folder), *flags])
        return (status, *capsys.readouterr())

    return call


@pytest.fixture
def golden(tmp_path: Path, report: Report) -> Path:
    folder = shutil.copytree(GOLDEN, tmp_path / "golden")
    assert report(folder)[0] == 0
    return folder


def records(recipe: str) -> list[dict[str, Any]]:
    """The golden records of a recipe by seed, read without any code of the report."""
    found = [json.loads(path.read_text()) for path in (GOLDEN / "records").iterdir()]
    found = [r for r in found if r["recipe"] == recipe and not r["config"].get("trial")]
    return sorted(found, key=lambda r: r["config"]["seed"])


def values(recipe: str, *keys: str) -> np.ndarray:
    scale = 100 if keys[-1] == "accuracy" else 1

    def number(record: Any) -> float:
        for key in keys:
            record = record[key]
        return float(record)

    return scale * np.array([number(record) for record in records(recipe)])


def accuracies(recipe: str) -> np.ndarray:
    return values(recipe, "metrics", "test", "accuracy")


def row_of(folder: Path, recipe: str) -> dict[str, float]:
    found = next(row for row in summary(folder) if row["recipe"] == recipe)
    return {k: float(v) for k, v in found.items() if k not in TEXTS and v}


# ----------------------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("recipe", ["none", SMOOTHING, DROPOUT])
def test_means_and_intervals_are_scipys(golden: Path, recipe: str) -> None:
    row = row_of(golden, recipe)
    assert row["n"] == 6
    splits = {name: ("metrics", name, "accuracy") for name in ("train", "val", "test")}
    for name, keys in {**splits, "gap": ("gap", "accuracy")}.items():
        x = values(recipe, *keys)
        low, high = stats.t.interval(0.95, 5, x.mean(), max(stats.sem(x), 1e-300))
        assert [row[name], row[f"{name}_low"], row[f"{name}_high"]] == pytest.approx([x.mean(), low, high]), name
    for name in ("loss", "ece", "brier"):
        assert row[name] == pytest.approx(values(recipe, "metrics", "test", name).mean())


@pytest.mark.parametrize("recipe", [SMOOTHING, DROPOUT])
def test_paired_differences_are_scipys(golden: Path, recipe: str) -> None:
    row, a, b = row_of(golden, recipe), accuracies(recipe), accuracies("none")
    interval = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert row["difference"] == pytest.approx((a - b).mean())
    assert [row["difference_low"], row["difference_high"]] == pytest.approx([interval.low, interval.high])
    gaps = values(recipe, "gap", "accuracy"), values("none", "gap", "accuracy")
    interval = stats.ttest_rel(*gaps).confidence_interval(0.95)
    assert [row["gap_change_low"], row["gap_change_high"]] == pytest.approx([interval.low, interval.high])
    assert row["improvement"] == pytest.approx(np.mean(a > b))
    assert row["cost"] == pytest.approx(np.median(values(recipe, "seconds") / values("none", "seconds")))


def test_the_cost_is_of_processor_time_where_every_run_has_it(tmp_path: Path, report: Report) -> None:
    """By hand: 3 / 2, 4 / 2 and 9 / 3 have the median 2; the wall times, which other work disturbs, the median 1."""
    times = {"none": (2.0, 2.0, 3.0), "sam(rho=0.05)": (3.0, 4.0, 9.0)}
    made = [
        {**synthetic.make(name, i), "seconds": 7.0, "cpu_seconds": t}
        for name in times
        for i, t in enumerate(times[name])
    ]
    report(synthetic.write(tmp_path, made))
    assert row_of(tmp_path, "sam(rho=0.05)")["cost"] == 2
    report(synthetic.write(tmp_path, [{**made[1], "cpu_seconds": 0.0}]))
    assert row_of(tmp_path, "sam(rho=0.05)")["cost"] == 2.25  # of 1.5 and 3
    report(synthetic.write(tmp_path, [{**r, "cpu_seconds": 0.0} for r in made[:3]]))
    assert row_of(tmp_path, "sam(rho=0.05)")["cost"] == 1


def test_p_values_are_scipys_and_statsmodels(golden: Path) -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    differences = [accuracies(recipe) - accuracies("none") for recipe in (SMOOTHING, DROPOUT)]
    flips = {"permutation_type": "samples", "n_resamples": np.inf, "vectorized": True}
    exact = [stats.permutation_test((d,), lambda x, axis: x.mean(axis=axis), **flips).pvalue for d in differences]
    rows = [row_of(golden, recipe) for recipe in (SMOOTHING, DROPOUT)]
    assert [row["p"] for row in rows] == pytest.approx(exact)
    assert [row["p_adjusted"] for row in rows] == pytest.approx(multitest.multipletests(exact, method="holm")[1])


@pytest.mark.parametrize("recipe", [SMOOTHING, DROPOUT])
def test_smallest_detectable_difference_is_statsmodels(golden: Path, recipe: str) -> None:
    power = pytest.importorskip("statsmodels.stats.power")
    effect = power.TTestPower().solve_power(nobs=6, alpha=0.05, power=0.8)
    spread = (accuracies(recipe) - accuracies("none")).std(ddof=1)
    assert row_of(golden, recipe)["detectable"] == pytest.approx(effect * spread, rel=1e-4)


def test_marks_are_scipys_paired_t_with_statsmodels_holm(golden: Path) -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    others = [DROPOUT, "none"]
    p = [stats.ttest_rel(accuracies(SMOOTHING), accuracies(other)).pvalue for other in others]
    told = multitest.multipletests(p, alpha=0.05, method="holm")[0]
    marks = {row["recipe"]: row["mark"] for row in summary(golden)}
    assert marks == {SMOOTHING: "best", **{o: "" if t else "tied" for o, t in zip(others, told, strict=True)}}


def test_equal_means_share_the_star_and_what_one_of_them_leaves_is_tied(tmp_path: Path, report: Report) -> None:
    """Of two recipes at 96 % on average one is always 1 point above the third, the other by 3, 1 and -1."""
    by_recipe = {
        "sam(rho=0.05)": (0.950, 0.960, 0.970),
        DROPOUT: (0.970, 0.960, 0.950),
        "none": (0.9401, 0.950, 0.9599),
    }
    made = [synthetic.make(r, i, accuracy=a) for r, accuracies in by_recipe.items() for i, a in enumerate(accuracies)]
    for record in made:
        record["metrics"]["val"]["loss"] = 0.1 if record["recipe"] == DROPOUT else 0.2
    report(synthetic.write(tmp_path, made))
    rows = {row["recipe"]: row["mark"] for row in summary(tmp_path)}
    assert rows == {DROPOUT: "best", "sam(rho=0.05)": "best", "none": "tied"}
    assert next(iter(rows)) == DROPOUT  # the lower validation loss
    lead = "dropout(p=0.3) has the highest mean test accuracy, shared with sam(rho=0.05): 96.00"
    assert lead in page(tmp_path).words


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


def test_every_family_has_a_marker_of_its_own() -> None:
    shapes = [figure.family_style(family)[1] for family in labels.families()]
    drawn = {svg.shape(kind, 0, 0, "m") for kind in shapes}
    assert len(drawn) == len(shapes) == len(labels.families())


def test_a_mean_reads_the_same_in_every_file(tmp_path: Path, report: Report) -> None:
    """Of 94.71 and 94.72 the mean is 94.715, or the number just below it."""
    results = tmp_path / "results"
    made = [synthetic.make("none", i, accuracy=a) for i, a in enumerate((0.9471, 0.9472))]
    report(synthetic.write(results / "one", made, study="recipes: [none]\nseeds: [0, 1]\n"))
    assert "94.72 ±" in (results / "one" / "report.md").read_text()
    assert "94.72 %" in (results / "README.md").read_text()


def test_labels_of_ticks_keep_their_distance_and_the_ends_have_theirs() -> None:
    ticks = [(0.0, "0"), (12.0, "0.05"), (40.0, "0.1"), (90.0, "0.5"), (100.0, "0.7")]
    assert sorted(svg.apart(ticks)) == [(0.0, "0"), (40.0, "0.1"), (100.0, "0.7")]
    assert svg.apart(ticks[:1]) == ticks[:1]
    assert svg.apart([]) == []


def test_names_at_the_ends_of_lines_keep_their_distance() -> None:
    frame = svg.Frame(svg.Axis("", 0, 1, ()), sizes._error_axis([90.0, 99.0]), height=200)
    rows: Any = [
        (f"r{i}", SimpleNamespace(test=Interval(99.0 - i / 100, 0, 0, 3), recipe="none", family="baseline", label=str))
        for i in range(40)
    ]
    ys = [
        float(y) for y in re.findall(r'<text x="[\d.]+" y="([\d.]+)"', "".join(sizes._names_at_the_right(frame, rows)))
    ]
    assert len(ys) > 5
    assert min(b - a for a, b in itertools.pairwise(ys)) > 11.9
    assert ys[0] > frame.top - 9
    assert ys[-1] <= frame.height - frame.bottom + 4


@pytest.mark.parametrize("changes", [{"config": {"seed": True}}, {"metrics": {"test": {"accuracy": 5.0}}}])
def test_records_that_cannot_be_are_left_out(tmp_path: Path, report: Report, changes: dict[str, Any]) -> None:
    wrong = synthetic.make("none", 1)
    for part, change in changes.items():
        wrong[part] |= change
    report(synthetic.write(tmp_path, [synthetic.make("none", 0), wrong]))
    assert f"Left out as no whole records: 1 file ({wrong['run_id']}.json)." in page(tmp_path).words


def test_a_thinned_history_is_drawn_with_lines_between_its_epochs() -> None:
    content = synthetic.make("none", 0, epochs=9)
    whole = parse(content).history
    content["history"] = [content["history"][i] for i in (0, 2, 5, 8)]
    thinned = parse(content).history
    assert thinned.shape == whole.shape
    assert (thinned[[0, 2, 5, 8]] == whole[[0, 2, 5, 8]]).all()
    assert thinned[3:5] == pytest.approx(whole[[2]] + np.array([[1], [2]]) / 3 * (whole[5] - whole[2]))
    content["history"].reverse()
    with pytest.raises(ValueError, match="history"):
        parse(content)


def test_the_clock_and_records_of_one_seed_are_told(tmp_path: Path, report: Report) -> None:
    made = three("none", DROPOUT)
    report(synthetic.write(tmp_path, made))
    assert "times of the processor" in page(tmp_path).words
    synthetic.write(tmp_path, [{**made[0], "run_id": "0" * 16}, *({**r, "cpu_seconds": 0.0} for r in made)])
    report(tmp_path)
    assert "wall times" in page(tmp_path).words
    assert "Several records of one seed: none. The first by id counts." in page(tmp_path).words


def test_seeds_that_all_gain_alike_are_too_few_to_tell_rows_apart(tmp_path: Path, report: Report) -> None:
    made = [synthetic.make(r, seed, accuracy=a) for r, a in (("none", 0.95), (DROPOUT, 0.96)) for seed in (0, 1)]
    report(synthetic.write(tmp_path, made))
    assert {row["recipe"]: row["mark"] for row in summary(tmp_path)} == {DROPOUT: "best", "none": "tied"}
    explained(tmp_path, "cannot be decided at n=2")
    explained(
        tmp_path,
        "A paired t test, which takes the differences to be normally distributed, cannot tell 1 of the other 1 rows",
    )


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


def test_a_bin_of_confidence_of_few_samples_is_not_drawn(tmp_path: Path) -> None:
    (record,) = three("none")[:1]
    bins = record["reliability"]
    record["reliability"] = {**bins, "count": [9, 10, 200, *[0] * (len(bins["count"]) - 3)]}
    (drawn,) = reliability.reliability(report_of([parse(record)]))
    assert sum(panel.body.count("<circle") for panel in drawn.panels) == 2
    assert "fewer than 10 samples are left out" in drawn.caption


def test_commands_of_a_folder_without_a_study_make_its_records(tmp_path: Path, report: Report) -> None:
    made = [synthetic.make("none", seed) for seed in (0, 1)] + [synthetic.make(DROPOUT, seed) for seed in (0, 5)]
    report(synthetic.write(tmp_path / "odd name", made))
    lines = (tmp_path / "odd name" / "report.md").read_text().split("```sh\n")[1].split("\n```")[0].splitlines()
    assert lines.pop() == "python bench/report.py 'results/odd name'"
    runs = [make_run_parser().parse_args(shlex.split(line)[2:]) for line in lines]
    assert {(run.recipe, run.seed, run.seeds) for run in runs} == {
        ("none", None, 2),
        (DROPOUT, 0, None),
        (DROPOUT, 5, None),
    }
    assert {run.results_dir for run in runs} == {"results/odd name"}


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


def test_too_few_seeds_for_two_recipes_are_enough_for_one(golden: Path, report: Report) -> None:
    explained(golden, "cannot be decided at n=6", "with 2 recipes compared, an exact test needs at least 7 seeds")
    for path in (golden / "records").iterdir():
        if json.loads(path.read_text())["recipe"] == DROPOUT:
            path.unlink()
    assert report(golden)[0] == 0
    explained(golden, "That is significant at 0.05 (p = 0.031 after Holm's correction, 1 recipe compared).")


def test_html_and_latex_have_the_same_rows(golden: Path) -> None:
    row = row_of(golden, SMOOTHING)
    shown = {f"{v:.10g}" for v in (row["test"], row["difference"], row["improvement"], row["cost"])}
    assert shown <= {cell.get("data-v") for cell in page(golden).all("td")}
    line = next(line for line in (golden / "table.tex").read_text().splitlines() if "smoothing" in line)
    assert line == (
        r"$\star$ label\_smoothing & epsilon=0.1 & 6 & 95.67 $\pm$ 0.38 & +0.58 {[}+0.36, +0.81{]} "
        r"& cannot be decided at n=6 & +4.53 $\pm$ 0.39 & 1.08$\times$ \\"
    )


def test_means_over_four_datasets(tmp_path: Path, report: Report) -> None:
    """Oracle: SciPy's trimmed mean, and a stratified bootstrap of it with draws of its own."""
    rng = np.random.default_rng(3)
    gains = np.round(rng.normal(1.0, 0.8, (4, 5)), 2)
    made = []
    for dataset, row in zip(("digits", "mnist", "kmnist", "letters"), gains, strict=True):
        for seed, gain in enumerate(row):
            made.append(synthetic.make("none", seed, accuracy=0.9, dataset=dataset))
            made.append(synthetic.make(DROPOUT, seed, accuracy=0.9 + gain / 100, dataset=dataset))
    report(synthetic.write(tmp_path / "three", made[:30]))
    assert "Over datasets" not in page(tmp_path / "three").words
    report(synthetic.write(tmp_path / "four", made))
    assert "Over datasets" in page(tmp_path / "four").words
    (cells,) = [t for t in markdown_tables(tmp_path / "four") if t[0][-1] == "datasets"]
    mean, low, high = (float(v) for v in cells[2][3].replace("\\[", "").replace("\\]", "").replace(",", "").split())
    resampled = [np.concatenate([rng.choice(row, 5) for row in gains]) for _ in range(4000)]
    ends = np.quantile([stats.trim_mean(x, 0.25) for x in resampled], [0.025, 0.975])
    assert cells[2][0] == "dropout"
    assert cells[2][4] == "4"
    assert mean == pytest.approx(stats.trim_mean(gains.ravel(), 0.25), abs=0.005)
    assert [low, high] == pytest.approx(ends, abs=0.08)


# --------------------------------------------------------------------------------------------------------- odd cases


def study(recipes: dict[str, float], seeds: int = 5, **settings: Any) -> list[dict[str, Any]]:
    made = [
        synthetic.make(r, seed, gain=gain, epochs=3, **settings) for r, gain in recipes.items() for seed in range(seeds)
    ]
    return made


BOTH = {"none": 0.0, DROPOUT: 0.01}
EMPTY = "There are no finished runs in this folder yet."
SEPARATE = "come from 2 settings, which are never mixed"
CASES: dict[str, tuple[list[dict[str, Any]], list[int], list[str]]] = {
    # name: records, rows of each table, sentences
    "no records": ([], [], [EMPTY]),
    "only a trial": (study({"none": 0.0}, 1, trial=True), [], [EMPTY]),
    "one seed": (
        study(BOTH, 1),
        [2],
        ["with one seed, which leaves its spread unknown", "cannot be decided at n=1", "cannot tell 1 of the other 1"],
    ),
    "one recipe": (study({"none": 0.0}), [1], ["There is no other recipe beside it."]),
    "no baseline": (
        study({DROPOUT: 0.01, SMOOTHING: 0.0}),
        [2],
        ["There is no baseline of this setting, so no differences can be given."],
    ),
    "all diverged": (
        study(BOTH, status="diverged"),
        [2],
        [
            "No run of this setting ended well, so there is nothing to compare.",
            "10 diverged (dropout(p=0.3): seeds 0, 1",
        ],
    ),
    "all failed": (study(BOTH, status="failed"), [2], ["No run of this setting ended well", "10 failed"]),
    "the baseline diverged": (
        [*study({"none": 0.0}, status="diverged"), *study({DROPOUT: 0.01})],
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
        study({"none": 0.0, **{f"dropout(p={i / 100})": i / 5000 for i in range(1, 60)}}, 3),
        [60],
        ["cannot be decided at n=3", "Shown are the 24 recipes of highest test accuracy, of 59."],
    ),
    "a thousand seeds": (
        study(BOTH, 1000),
        [2],
        ["over 1000 seeds", "exact up to 30 pairs and with 9,999 random patterns beyond", "p < 0.001"],
    ),
    "two fingerprints": (
        study(BOTH) + study(BOTH, fingerprint="e" * 64),
        [2, 2],
        [SEPARATE, "fingerprint eeeeeeeeeee…"],
    ),
    "two suites": (study(BOTH) + study(BOTH, suite="0.2.0"), [2, 2], [SEPARATE, "suite 0.1.0", "suite 0.2.0"]),
    "two budgets": (study(BOTH) + study(BOTH, batch_size=64), [2, 2], [SEPARATE, "batches of 64", "batches of 32"]),
    "two machines": (
        study({"none": 0.0}) + study({DROPOUT: 0.01}, device="b"),
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


def test_settings_never_share_a_row(tmp_path: Path, report: Report) -> None:
    made = study(BOTH, 6) + [r for r in study(BOTH, 9, fingerprint="e" * 64) if r["config"]["seed"] >= 6]
    report(synthetic.write(tmp_path, made))
    for row in summary(tmp_path):
        assert (row["fingerprint"][0], row["n"]) in {("f", "6"), ("e", "3")}
    names = [path.name for path in (tmp_path / "figures").iterdir()]
    assert len([name for name in names if name.startswith("forest-digits-mlp-all-")]) == 2


def test_a_metric_that_is_not_finite_counts_as_diverged(tmp_path: Path, report: Report) -> None:
    made = study(BOTH)
    made[7]["metrics"]["test"]["loss"] = float("nan")
    report(synthetic.write(tmp_path, made))
    explained(tmp_path, "1 diverged (dropout(p=0.3): seed 2). Means are over the seeds that ended well.")
    assert [(row["recipe"], row["n"], row["diverged"]) for row in summary(tmp_path)] == [
        (DROPOUT, "4", "1"),
        ("none", "5", "0"),
    ]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"run_id": 1}', b"\xff\xfe\x00", b"[" * 100_000])
def test_damaged_record(tmp_path: Path, report: Report, content: bytes) -> None:
    synthetic.write(tmp_path, study(BOTH))
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

    synthetic.write(tmp_path, study(BOTH, 2))
    for i, content in enumerate(spoiled(synthetic.make(SMOOTHING, 1, epochs=2))):
        if isinstance(content, dict):
            content = {"run_id": str(i), **content} if content.get("run_id") != junk else content
        (tmp_path / "records" / f"spoiled-{i}.json").write_text(json.dumps(content))
    assert report(tmp_path)[0] == 0
    assert {"none", DROPOUT} <= {row["recipe"] for row in summary(tmp_path)}


# ----------------------------------------------------------------------------------------------------- missing cells


PLAN = "recipes: [none, 'dropout(p=0.3)']\nseeds: [0, 1, 2]\nepochs: 3\n"


def three(*recipes: str, **settings: Any) -> list[dict[str, Any]]:
    return study(dict.fromkeys(recipes, 0.0), 3, **settings)


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
        (three("none", DROPOUT), PLAN + "train_sizes: [null, 300]\n", 6, ["6 missing", "(digits, mlp, 300)"]),
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
    synthetic.write(tmp_path, three("none", DROPOUT), study=plan, tuning={"rule": RULE, "conditions": [row]})
    status, _, err = report(tmp_path, "--fail_on_missing")
    assert status == (1 if missing else 0)
    assert err == (f"{missing} cells have no finished record\n" if missing else "")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"study": "seeds: [0"}, "study.yaml"),
        ({"study": "recipes: [nonne]"}, "nonne"),
        ({"tuning": "{"}, "tuning.json is not JSON"),
        ({"decomposition": "{}"}, "decomposition.json: the file is not what bench/study.py writes"),
        ({"decomposition": "[{}]"}, "decomposition.json: [0].dataset is not what"),
        ({"tuning": "[]"}, "tuning.json: the file is not what"),
        ({"tuning": "{}"}, "tuning.json: rule is not what"),
        ({"tuning": TUNING.replace("[]", "[3]")}, "tuning.json: conditions[0] is not what"),
        (
            {"tuning": TUNING.replace("[]", "[" + CONDITION.replace("[]", "[{}]") + "]")},
            "conditions[0].trials[0].recipe is",
        ),
        ({"tuning": TUNING.replace("[]", "[" + CONDITION.replace("null", '"none"') + "]")}, "conditions[0].chosen is"),
    ],
)
def test_wrong_files_are_refused_in_one_line(tmp_path: Path, report: Report, files: dict[str, str], words: str) -> None:
    status, out, err = report(synthetic.write(tmp_path, study(BOTH, 1), **files))
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err


def test_a_folder_without_records_is_refused(tmp_path: Path, report: Report) -> None:
    status, _, err = report(tmp_path / "nowhere")
    assert status == 2
    assert err.count("\n") == 1


# ----------------------------------------------------------------------------------------------------- a pure function


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.parent.name != "records"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    """Whatever the order in which they were written, their dates, the locale, the time zone and Python's hash seed."""
    tuning, trials = synthetic.tuning()
    made = synthetic.study(range(3), (None, 200)) + trials
    commands = []
    for seed, order in (("1", made), ("2", made[::-1])):
        folder = tmp_path / seed / "study"
        synthetic.write(folder, order, tuning=tuning, decomposition=synthetic.decomposition())
        for i, path in enumerate(sorted((folder / "records").iterdir())):
            os.utime(path, (i * int(seed), i * int(seed)))
        other = {"LC_ALL": "C", "TZ": "UTC"} if seed == "1" else {"LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Tokyo"}
        command = [sys.executable, str(ROOT / "bench" / "report.py"), str(folder)]
        environment = {**os.environ, "PYTHONHASHSEED": seed, **other}
        commands.append(subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL))
    assert [command.wait(120) for command in commands] == [0, 0]
    first, second = (contents(tmp_path / seed / "study") for seed in "12")
    assert first == second
    assert {"report.html", "report.md", "runs.csv", "summary.csv", "table.tex"} <= first.keys()
    assert main([str(tmp_path / "1" / "study")]) == 0
    assert contents(tmp_path / "1" / "study") == first


def test_figures_of_an_earlier_report_go(golden: Path, report: Report) -> None:
    (golden / "figures" / "old.svg").write_text("")
    report(golden)
    assert "old.svg" not in contents(golden)


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
    tuning = {"rule": RULE, "conditions": [{**row, "chosen": {"recipe": recipes[0], "lr": 0.001}, "trials": trials}]}
    report(synthetic.write(tmp_path, [*three("none", recipes[0]), *runs], tuning=tuning))
    drawn = tmp_path / "figures" / "strength.svg"
    assert drawn.exists() == (title is not None)
    assert title is None or f">{title}<" in drawn.read_text()


def test_every_figure_of_a_full_study_is_drawn(tmp_path: Path, report: Report) -> None:
    tuning, trials = synthetic.tuning()
    made = synthetic.study(range(3), (None, 200)) + trials
    report(synthetic.write(tmp_path, made, tuning=tuning, decomposition=synthetic.decomposition()))
    kinds = {path.name.split("-")[0].removesuffix(".svg") for path in (tmp_path / "figures").iterdir()}
    assert kinds == {"forest", "gap", "curves", "reliability", "weights", "pairs", "strength", "bias", "sizes"}
    assert "Left out:" not in page(tmp_path).words


def test_time_of_all_trainings_is_told(tmp_path: Path, report: Report) -> None:
    runs = [synthetic.make("none", seed, seconds=100.0) for seed in range(3)]
    report(synthetic.write(tmp_path, runs))
    assert (
        "| time of all trainings | 5 minutes \\(processor time of 3 runs\\) |" in (tmp_path / "report.md").read_text()
    )
    synthetic.write(tmp_path, [{**runs[0], "cpu_seconds": 0, "seconds": 1e4}, *({**r, "seconds": 0} for r in runs[1:])])
    report(tmp_path)
    assert "3 hours (wall time of 3 runs)" in page(tmp_path).words


# ------------------------------------------------------------------------------------------------------------- index


def test_index_over_all_studies(tmp_path: Path, report: Report) -> None:
    results = tmp_path / "results"
    for name in ("one", "two|x"):
        report(synthetic.write(results / name, study(BOTH), study=PLAN))
    tuned = [synthetic.make(f"dropout(p={p})", s, train_size=n) for p, n in ((0.1, 200), (0.3, 1000)) for s in (0, 1)]
    report(synthetic.write(results / "three", tuned, study=PLAN))
    synthetic.write(results / "runs", study(BOTH))  # no study
    (results / "odd").mkdir()
    (results / "odd" / "study.yaml").write_text(PLAN)
    (results / "odd" / "summary.csv").write_text("an,older,table\n1,2,3\n")
    report(results / "one")
    lines = [line for line in (results / "README.md").read_text().splitlines() if line.startswith("| [")]
    assert [line.split("]")[0] for line in lines] == ["| [odd", "| [one", "| [three", r"| [two\|x"]
    assert "not readable" in lines[0]
    assert "(one/report.md) | 1 | 1 | 10 | digits, mlp: `dropout(p=0.3)` " in lines[1]
    assert "| 2 | 1 | 4 | digits, mlp, 200 samples: `dropout(p=0.1)` " in lines[2]
    assert "<br>digits, mlp, 1,000 samples: `dropout(p=0.3)` " in lines[2]
    best, other = summary(results / "one")
    ends = [f"{float(best[f'difference{end}']):+.2f}".replace("-", "−") for end in ("", "_low", "_high")]
    assert f" {float(best['test']):.2f} %, {ends[0]} [{ends[1]}, {ends[2]}]" in lines[1]
    assert (", ≈ 1 |" in lines[1]) == (other["mark"] == "tied")


def test_an_index_that_a_person_wrote_stays(tmp_path: Path, report: Report) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "README.md").write_text("mine")
    report(synthetic.write(tmp_path / "results" / "one", study(BOTH), study=PLAN))
    assert (tmp_path / "results" / "README.md").read_text() == "mine"
