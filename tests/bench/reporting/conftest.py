"""What the tests of the report share: the command, run in this process, and a folder with its report."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from reading import Report

from bench.report import main

GOLDEN = Path(__file__).parent / "golden"
"""Three recipes with six seeds each on one dataset, made up by hand, and a tuning trial that is no row."""


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
