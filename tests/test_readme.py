"""Every measured number of the README stands in a report that its paragraph links to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
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
    """Paragraphs, tables and lists that hold numbers."""
    parts = re.split(r"\n\s*\n", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [part for part in parts if numbers(part)]


def strangers(block: str, root: Path = ROOT) -> set[str]:
    """The numbers of a block that no report linked from it holds."""
    reports = [(root / link).read_text(encoding="utf-8") for link in LINK.findall(block)]
    return numbers(block) - set().union(*map(numbers, reports))


@pytest.mark.parametrize("block", blocks((ROOT / "README.md").read_text(encoding="utf-8")), ids=lambda b: b[:40])
def test_numbers_stand_in_the_reports_that_are_linked(block: str) -> None:
    assert not strangers(block)


def test_a_wrong_number_or_a_missing_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "report.md").write_text("| 98.41 ± 0.10 | +0.12 \\[−0.05, +0.29\\] |")
    text = (
        "It gains 0.12 points [-0.05, 0.29], from 98.41 % ([report](results/report.md)), on Python 3.11.\n\nNot 98.42."
    )
    assert [sorted(strangers(block, tmp_path)) for block in blocks(text)] == [[], ["98.42"]]
    assert strangers("It gains 0.13 ([report](results/report.md))", tmp_path) == {"0.13"}


def test_committed_records_are_small() -> None:
    sizes = {path: path.stat().st_size for path in ROOT.glob("results/*/records/*.json")}
    assert len(sizes) > 5_000
    assert max(sizes.values()) <= 20_000
