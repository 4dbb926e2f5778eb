"""Every measured number of the README stands in a report that it links to, on the row that it speaks of."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

import pytest

from bench.reporting import labels
from bench.reporting.numbers import number

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINK = re.compile(r"\]\((results/[^)#]+)\)")
NUMBER = re.compile(r"(?<![\w.])[+-]?\d[\d,]*\.\d+(?!\w|\.\d)")
VERSIONS = {"3.11", "3.12", "3.13"}
"""Of Python."""


def plain(text: str) -> str:
    """Text without code and Markdown's escapes, with ASCII's minus."""
    without_code = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    return without_code.replace("−", "-").replace("\\", "")


def numbers(text: str) -> set[str]:
    return {n.lstrip("+") for n in NUMBER.findall(plain(text))} - VERSIONS


def blocks(text: str) -> list[str]:
    """Paragraphs, tables and items of lists that hold numbers."""
    parts = re.split(r"\n\s*\n|\n(?=- )", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [part for part in parts if numbers(part)]


def strangers(block: str, root: Path = ROOT) -> set[str]:
    """The numbers of a block that no report linked from it holds."""
    reports = [(root / link).read_text(encoding="utf-8") for link in LINK.findall(block)]
    return numbers(block) - set().union(*map(numbers, reports))


@pytest.mark.parametrize("block", blocks(README), ids=lambda b: b[:40])
def test_numbers_stand_in_the_reports_that_are_linked(block: str) -> None:
    assert not strangers(block)


def test_a_wrong_number_or_a_missing_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "report.md").write_text("| 98.41 ± 0.10 | +0.12 \\[−0.05, +0.29\\] |")
    text = "- It gains 0.12 points [-0.05, 0.29], 98.41 % ([report](results/report.md)), on Python 3.11.\n- Not 98.42."
    assert [sorted(strangers(block, tmp_path)) for block in blocks(text)] == [[], ["98.42"]]
    assert strangers("It gains 0.13 ([report](results/report.md))", tmp_path) == {"0.13"}


# -------------------------------------------------------------------------------------------------------- main table

COLUMNS = (("mnist", "1000"), ("mnist", ""), ("cifar10-images", "5000"))
ROWS = {
    "batch norm + augmentation + weight decay": "batch_norm + augment + weight_decay",
    "batch norm + augmentation + EMA": "batch_norm + augment + ema",
    "batch norm + augmentation": "batch_norm + augment",
    "augmentation + label smoothing": "augment + label_smoothing",
    "augmentation + dropout": "augment + dropout",
    "augmentation": "augment",
    "batch norm": "batch_norm",
    "RandAugment": "randaugment",
    "CutMix": "cutmix",
    "label smoothing": "label_smoothing",
    "weight decay": "weight_decay",
    "stochastic depth": "stochastic_depth",
    "L1": "l1",
    "L2": "l2",
    "elastic net": "elastic_net",
    "SAM": "sam",
    "EMA of the weights": "ema",
    "SWA": "swa",
    "early stopping": "early_stopping",
}


def rows_of_the_main_table() -> list[list[str]]:
    table = README[README.index("| difference in test accuracy") :].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def expected(study: str, size: str, recipe: str) -> str:
    """A cell of the main table, from the study's summary; bold where the mean is the highest, `–` without a row."""
    with (ROOT / "results" / study / "summary.csv").open(encoding="utf-8", newline="") as file:
        found = [row for row in csv.DictReader(file) if row["train_size"] == size]
    row = next((row for row in found if labels.names(row["recipe"]) == recipe), None)
    if row is None:
        return "–"
    if recipe == labels.BASELINE:
        return f"{number(float(row['test']))} %"
    mean, low, high = (number(float(row[f"difference{end}"]), signed=True) for end in ("", "_low", "_high"))
    return f"{f'**{mean}**' if row['mark'] == 'best' else mean} [{low}, {high}]"


def test_the_main_table_is_the_reports() -> None:
    for name, *cells in rows_of_the_main_table():
        recipe = labels.BASELINE if name.startswith("baseline") else ROWS.get(name, name)
        assert cells == [expected(*column, recipe) for column in COLUMNS], name


def test_the_main_table_leaves_no_recipe_out() -> None:
    shown = {ROWS.get(row[0], row[0]) for row in rows_of_the_main_table()} | {labels.BASELINE}
    for study, _ in COLUMNS:
        with (ROOT / "results" / study / "summary.csv").open(encoding="utf-8", newline="") as file:
            assert {labels.names(row["recipe"]) for row in csv.DictReader(file)} <= shown


# ------------------------------------------------------------------------------------------------------------ claims


@cache
def lines_of(study: str) -> list[str]:
    """The lines of a report, each after the heading of its table; without the marks of rows."""
    heading, found = "", []
    for line in plain((ROOT / "results" / study / "report.md").read_text(encoding="utf-8")).splitlines():
        heading = line if line.startswith("## ") else heading
        found.append(f"{heading} {line}".replace("| ★ ", "| ").replace("| ≈ ", "| "))
    return found


CLAIMS: dict[str, list[tuple[str, tuple[str, ...], str]]] = {
    "Weight decay shrinks": [
        ("mnist", ("1,000 training samples", "| none |"), "26.95"),
        ("mnist", ("1,000 training samples", "| weight_decay |"), "16.10"),
        ("mnist", ("1,000 training samples", "| l2 |"), "18.11"),
    ],
    "L1 sets weights to zero": [
        ("mnist", ("1,000 training samples", "| l1 |"), "46.77"),
        ("cifar10-images", ("| l1 |",), "80.1"),
    ],
    "L1 wins when few": [
        ("features", ("sparse_features", "| l1 |"), "87.01"),
        ("features", ("sparse_features", "| l2 |"), "80.08"),
        ("features", ("sparse_features", "| none |"), "78.75"),
        ("features", ("dense_features", "| l2 |"), "80.04 0.4128"),
        ("features", ("dense_features", "| l1 |"), "75.39"),
        ("features", ("dense_features", "| none |"), "81.00 0.5804"),
    ],
    "Augmentation gains most": [
        ("mnist", ("1,000 training samples", "| none |"), "9.86"),
        ("mnist", ("1,000 training samples", "| augment |"), "7.28"),
        ("mnist", ("1,000 training samples", "| augment + label_smoothing |"), "6.80"),
        ("mnist", ("1,000 training samples", "| label_smoothing |"), "8.98"),
        ("mnist", ("1,000 training samples", "| dropout |"), "9.70"),
        ("cifar10-images", ("| none |",), "47.40"),
        ("cifar10-images", ("| augment |",), "9.02"),
        ("cifar10-images", ("| randaugment |",), "17.23"),
        ("cifar10-images", ("| dropout |",), "43.24"),
        ("cifar10-images", ("| label_smoothing |",), "+0.15"),
    ],
    "On small, easy data": [
        ("digits", ("digits, cnn", "| batch_norm |"), "0.74 0.117"),
        ("digits", ("digits, cnn", "| augment |"), "0.37"),
        ("digits", ("digits, mlp", "| confidence_penalty |"), "0.81 0.029"),
        ("digits", ("digits, mlp", "| augment |"), "0.56"),
    ],
    "Batch norm regularizes": [("cifar10-images", ("| batch_norm |",), "9.26 37.25")],
    "Some regularizers help": [
        ("pairs", ("| batch_norm + augment |",), "94.72"),
        ("pairs", ("| augment | batch_norm |",), "1.51 1.39 1.62"),
        ("pairs", ("| gaussian_noise | mixup |",), "-0.70 -0.85 -0.55"),
    ],
    "Early stopping costs": [
        ("mnist", ("1,000 training samples", "| none |"), "0.3958"),
        ("mnist", ("1,000 training samples", "| early_stopping |"), "0.3684 -1.26"),
        ("cifar10-images", ("epochs (of which early_stopping",), "16.1"),
        ("cifar10-images", ("| none |",), "2.8643"),
        ("cifar10-images", ("| early_stopping |",), "1.3872 -2.19"),
        ("digits", ("digits, cnn", "| early_stopping |"), "-0.05 -0.15 0.06"),
    ],
    "A strength has a best": [
        ("tradeoff", ("| augment |", "| 0.25 |"), "8.38"),
        ("tradeoff", ("| augment |", "| 0.5 |"), "7.00"),
        ("tradeoff", ("| augment |", "| 4 |"), "40.55 41.20"),
        ("tradeoff", ("| l2 |", "| 0.0001 |"), "9.45"),
        ("tradeoff", ("| l2 |", "| 0.01 |"), "10.62"),
        ("tradeoff", ("| label_smoothing |", "| 0.02 |"), "9.68"),
        ("tradeoff", ("| label_smoothing |", "| 0.4 |"), "8.25"),
    ],
    "Bias rises": [
        ("tradeoff", ("| l2 |", "| 0 |"), "0.1413 0.0349"),
        ("tradeoff", ("| l2 |", "| 0.01 |"), "0.1626 0.0186"),
        ("tradeoff", ("| augment |", "| 1 |"), "0.1091 0.0189"),
        ("tradeoff", ("| label_smoothing |", "| 0 |"), "0.0979 0.0160"),
        ("tradeoff", ("| label_smoothing |", "| 0.4 |"), "0.3128 0.0771 0.0175"),
    ],
}
"""By the start of a claim: the study, words of the heading and the line that must hold its numbers, and these."""


@pytest.mark.parametrize("claim", CLAIMS)
def test_claims_stand_on_the_rows_that_they_speak_of(claim: str) -> None:
    (block,) = (block for block in blocks(README) if block.startswith(f"- **{claim}"))
    for study, words, values in CLAIMS[claim]:
        wanted = {value.lstrip("+") for value in values.split()}
        lines = [line for line in lines_of(study) if all(word in line for word in words)]
        assert any(wanted <= numbers(line) for line in lines), (words, values)
    stated = {value.lstrip("+") for _, _, values in CLAIMS[claim] for value in values.split()}
    assert numbers(block) == stated


def test_every_claim_is_checked() -> None:
    section = README[README.index("## What the measurements say") : README.index("## Use")]
    starts = re.findall(r"^- \*\*(.+?)\*\*", section, flags=re.MULTILINE | re.DOTALL)
    assert len(starts) == len(CLAIMS)
    assert all(any(start.startswith(claim) for claim in CLAIMS) for start in starts)


def test_committed_records_are_small() -> None:
    sizes = {path: path.stat().st_size for path in ROOT.glob("results/*/records/*.json")}
    assert len(sizes) > 5_000
    assert max(sizes.values()) <= 20_000
