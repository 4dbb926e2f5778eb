"""From a folder of records to all files of its report."""

from __future__ import annotations

from pathlib import Path

from bench.reporting import csv_files, latex, missing, sentences
from bench.reporting.comparison import lacking, overall, summarize, without_table
from bench.reporting.figures import catalogue
from bench.reporting.html import page
from bench.reporting.markdown import markdown_report
from bench.reporting.model import Report
from bench.reporting.runs import load_runs
from bench.studies import outcomes
from bench.studies.study_file import load_study
from bench.training.errors import ConfigError
from bench.training.files import write_atomically


def read_report(folder: Path) -> Report:
    """What a results folder says, from its files alone.

    Raises:
        ConfigError: there is no such folder, or a file in it is malformed.
    """
    if not (folder / "records").is_dir():
        raise ConfigError(f"{str(folder)!r} holds no records/ folder: train something first, as results/runs")
    path, loaded = folder / "study.yaml", load_runs(folder)
    tuning, unfit = outcomes.read_tuning(folder), outcomes.read_unfit(folder)
    plan = load_study(path, imports=False) if path.exists() else None
    seeds = plan.seeds if plan else ()
    absent = missing.absent(missing.final_conditions(plan, tuning, unfit), loaded.runs) if plan else []
    groups, nowhere = summarize(loaded.runs, seeds, absent), without_table(absent, loaded.runs)
    return Report(
        name=folder.resolve().name,
        is_study=plan is not None,
        groups=groups,
        runs=loaded.runs,
        overall=overall(groups),
        tuning=tuning,
        decomposition=outcomes.read_decomposition(folder) or [],
        notices=sentences.folder_notices(loaded.unreadable, groups, nowhere, seeds),
        lacking=lacking(groups) + len(nowhere) * len(seeds),
    )


def write_report(report: Report, folder: Path) -> None:
    """Write every file of the report, replacing those of an earlier one."""
    figures = catalogue.draw(report)
    drawn = {f"{figure.stem}.svg": figure.file() for figure in figures if figure.panels}
    for old in (folder / "figures").glob("*.svg"):
        if old.name not in drawn:
            old.unlink()
    files = {
        "report.html": page(report, figures),
        "report.md": markdown_report(report, figures),
        "runs.csv": csv_files.runs_csv(report.runs),
        "summary.csv": csv_files.summary_csv(report.groups),
        "table.tex": latex.latex_tables(report.groups),
        **{f"figures/{name}": content for name, content in drawn.items()},
    }
    for name, content in files.items():
        write_atomically(folder / name, content)
