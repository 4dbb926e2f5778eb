"""From a folder of records to all files of its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.reporting import columns, latex, missing, sentences
from bench.reporting.comparison import lacking, overall, summarize, without_table
from bench.reporting.figures import catalogue
from bench.reporting.html import page
from bench.reporting.markdown import markdown_report
from bench.reporting.model import Study
from bench.reporting.runs import load_runs
from bench.studies import outcomes
from bench.studies.study_file import load_study
from bench.training.errors import ConfigError
from bench.training.files import write_atomically


def read_study(folder: Path) -> Study:
    """Everything that the report shows, from the folder's files.

    Raises:
        ConfigError: there is no such folder, or a file in it is malformed.
    """
    if not (folder / "records").is_dir():
        raise ConfigError(f"{str(folder)!r} holds no records/ folder: train something first, as results/runs")
    path, loaded = folder / "study.yaml", load_runs(folder)
    tuning = _json(folder / "tuning.json", {}, outcomes.TUNING)
    decomposition = _json(folder / "decomposition.json", [], outcomes.DECOMPOSITION)
    plan = load_study(path) if path.exists() else None
    seeds = plan.seeds if plan else ()
    absent = missing.absent(missing.final_conditions(plan, tuning), loaded.runs) if plan else []
    groups, nowhere = summarize(loaded.runs, seeds, absent), without_table(absent, loaded.runs)
    return Study(
        name=folder.resolve().name,
        is_study=plan is not None,
        groups=groups,
        runs=loaded.runs,
        overall=overall(groups),
        tuning=tuning,
        notices=sentences.folder_notices(loaded.unreadable, groups, nowhere, seeds),
        lacking=lacking(groups) + len(nowhere) * len(seeds),
        group_figures=[catalogue.of_group(group) for group in groups],
        study_figures=catalogue.of_study(groups, loaded.runs, tuning, decomposition),
    )


def _json(path: Path, default: Any, shape: Any) -> Any:
    if not path.exists():
        return default
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from None
    if wrong := outcomes.misshapen(content, shape):
        raise ConfigError(f"{path}: {wrong} is not what bench/study.py writes; run the study again")
    return content


def write_report(study: Study, folder: Path) -> None:
    """Write every file of the report, replacing those of an earlier one."""
    drawn = {f"{figure.stem}.svg": figure.file() for figure in study.figures if figure.panels}
    for old in (folder / "figures").glob("*.svg"):
        if old.name not in drawn:
            old.unlink()
    files = {
        "report.html": page(study),
        "report.md": markdown_report(study),
        "runs.csv": columns.runs_csv(study.runs),
        "summary.csv": columns.summary_csv(study.groups),
        "table.tex": latex.latex_tables(study.groups),
        **{f"figures/{name}": content for name, content in drawn.items()},
    }
    for name, content in files.items():
        write_atomically(folder / name, content)
