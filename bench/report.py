"""Turn a folder of records into tables and figures: `python bench/report.py results/mnist`."""

from __future__ import annotations

import argparse
import csv
import gc
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

if __package__ in (None, ""):  # run as a script: the repository's root, not bench/, belongs on the path
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    gc.disable()  # the process ends soon, and hardly leaves cycles: an eighth of its time, for 10 MB

from bench import expected, figures, labels, shapes, tables, tracking, words
from bench.config import ConfigError
from bench.figures import Figure
from bench.page import Study, page
from bench.parser import WRONG_INPUT, Parser, refuse
from bench.plan import load_study
from bench.record import write_atomically
from bench.runs import load_runs
from bench.statistics_ import Interval
from bench.summary import Group, Overall, lacking, overall, summarize, without_table
from bench.tables import code, markdown, markdown_table, number, span, title

INDEX_MARK = "<!-- made by bench/report.py -->"


def make_parser() -> Parser:
    parser = Parser(prog="report.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="results folder: it holds records/, and study.yaml if it is a study")
    parser.add_argument("--fail_on_missing", action="store_true", help="exit status 1 if a cell has no finished record")
    parser.add_argument(
        "--wandb", default="disabled", help=f"log the table to Weights & Biases: {', '.join(tracking.MODES)}"
    )
    parser.add_argument("--project", default="regularization-bench", help="Weights & Biases project")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 a cell is missing and --fail_on_missing was given, 2 the input is wrong."""
    with refuse((*WRONG_INPUT, OSError)) as refused:  # OSError: a folder that cannot be written to
        flags = make_parser().parse_args(sys.argv[1:] if argv is None else argv)
        _check_mode(flags.wandb)
        study = read_study(flags.folder)
        write_report(study, flags.folder)
        if flags.folder.resolve().parent.name == "results":
            write_index(flags.folder.resolve().parent)
        log_table(study.name, study.groups, flags.wandb, flags.project, flags.folder)
        return _finish(study, flags.folder, flags.fail_on_missing)
    return refused.status


def _check_mode(mode: str) -> None:
    if mode not in tracking.MODES:
        raise ConfigError(f"unknown wandb mode {mode!r}; choose from {', '.join(tracking.MODES)}")


def _finish(study: Study, folder: Path, fail_on_missing: bool) -> int:
    print(
        f"{len(study.runs):,} records: {folder / 'report.html'}, report.md, summary.csv, runs.csv, table.tex, figures/"
    )
    if study.lacking:
        print(f"{study.lacking} cells have no finished record", file=sys.stderr)
    return 1 if study.lacking and fail_on_missing else 0


def read_study(folder: Path) -> Study:
    """Everything that the report shows, from the folder's files.

    Raises:
        ConfigError: there is no such folder, or a file in it is malformed.
    """
    if not (folder / "records").is_dir():
        raise ConfigError(f"{str(folder)!r} holds no records/ folder: train something first, as results/runs")
    path, loaded = folder / "study.yaml", load_runs(folder)
    tuning = _json(folder / "tuning.json", {}, shapes.TUNING)
    decomposition = _json(folder / "decomposition.json", [], shapes.DECOMPOSITION)
    plan = load_study(path) if path.exists() else None
    seeds = plan.seeds if plan else ()
    absent = expected.absent(expected.final_conditions(plan, tuning), loaded.runs) if plan else []
    groups, nowhere = summarize(loaded.runs, seeds, absent), without_table(absent, loaded.runs)
    return Study(
        name=folder.resolve().name,
        is_study=plan is not None,
        groups=groups,
        runs=loaded.runs,
        overall=overall(groups),
        tuning=tuning,
        notices=words.folder_notices(loaded.unreadable, groups, nowhere, seeds),
        lacking=lacking(groups) + len(nowhere) * len(seeds),
        group_figures=[figures.of_group(group) for group in groups],
        study_figures=figures.of_study(groups, loaded.runs, tuning, decomposition),
    )


def _json(path: Path, default: Any, shape: Any) -> Any:
    if not path.exists():
        return default
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from None
    if wrong := shapes.misshapen(content, shape):
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
        "runs.csv": tables.runs_csv(study.runs),
        "summary.csv": tables.summary_csv(study.groups),
        "table.tex": tables.latex_tables(study.groups),
        **{f"figures/{name}": content for name, content in drawn.items()},
    }
    for name, content in files.items():
        write_atomically(folder / name, content)


def markdown_report(study: Study) -> str:
    """The report as GitHub shows it."""
    parts = [f"# Regularization report: {markdown(study.name)}\n", "[The same, interactive](report.html).\n"]
    parts += [f"> {markdown_sentence(notice)}\n" for notice in study.notices]
    for group, drawn in zip(study.groups, study.group_figures, strict=True):
        parts += _markdown_group(group, drawn, study.tuning)
    parts += _markdown_overall(study.overall)
    if study.groups:
        parts += ["## Across tables\n", *map(_markdown_figure, study.study_figures), *_markdown_reading(study)]
    parts += ["## Reproduce\n", "```sh", *words.command(study.name, study.is_study, study.groups), "```\n"]
    parts.append(markdown_table(("what", "value"), words.provenance(study.runs)))
    return "\n".join(parts)


def _markdown_group(group: Group, drawn: Sequence[Figure], tuning: Mapping[str, Any]) -> list[str]:
    rows = [tables.cells(row) for row in group.rows]
    return [
        f"## {markdown(title(group))}\n",
        *(f"{markdown_sentence(s)}" for s in words.verdict(group)),
        "",
        *(f"> {markdown_sentence(notice)}\n" for notice in words.notices(group)),
        markdown_table(tables.HEADINGS, rows),
        f"{markdown_sentence(words.budget(group))}. ± is the half-width of the 95 % t interval over seeds; "
        "★ highest mean test accuracy, ≈ cannot be told from it.\n",
        *(f"{markdown_sentence(s)}\n" for s in words.choices(group, tuning)),
        *map(_markdown_figure, drawn),
    ]


def markdown_sentence(sentence: str) -> str:
    """A sentence of ours, which may hold names from the records, at the start too: that makes no list of it."""
    return re.sub(r"^([-+=]|\d+(?=[.)]))", lambda m: f"&#{ord(m[0][0])};{m[0][1:]}", markdown(sentence, 1200))


def _markdown_figure(figure: Figure) -> str:
    image = f"![{markdown(figure.heading)}](figures/{figure.stem}.svg)\n\n" if figure.panels else ""
    return f"### {markdown(figure.heading)}\n\n{image}{markdown_sentence(figure.caption)}\n{_markdown_data(figure)}"


def _markdown_data(figure: Figure) -> str:
    headings, rows = figure.data
    table = markdown_table(headings, rows) if rows else ""
    return f"\n<details><summary>The numbers</summary>\n\n{table}\n</details>\n" if table else ""


def _markdown_overall(rows: Sequence[Overall]) -> list[str]:
    if not rows:
        return []
    headings = ("recipe", "network", "train size", "difference, points", "datasets")
    cells = [
        (
            o.names,
            o.model,
            str(o.train_size or "all"),
            f"{number(o.interval.mean, signed=True)} {span(o.interval)}",
            str(o.datasets),
        )
        for o in rows
    ]
    intro = "Interquartile mean of the paired differences, with its 95 % stratified bootstrap interval (Agarwal et al. 2021), which is too narrow where seeds are few.\n"
    return ["## Over datasets\n", intro, markdown_table(headings, cells)]


def _markdown_reading(study: Study) -> list[str]:
    used = [(name, f"{summary} {paper}".strip()) for name, summary, paper in words.techniques_used(study.groups)]
    return [
        "## The techniques\n",
        *(f"- {code(name)}: {markdown_sentence(what)}" for name, what in used),
        "\n## The columns\n",
        *(f"- **{markdown(name)}**: {markdown_sentence(what)}" for name, what in words.COLUMNS),
        "\n## Protocol\n",
        *(f"{i}. {markdown_sentence(line)}" for i, line in enumerate(words.protocol(study.groups, study.tuning), 1)),
        "\n## What not to conclude\n",
        *(f"- {markdown_sentence(line)}" for line in words.NOT_TO_CONCLUDE),
        "",
    ]


def write_index(results: Path) -> None:
    """`results/README.md`: every study with a report, unless a person wrote that file."""
    path = results / "README.md"
    if path.exists() and not path.read_text(encoding="utf-8").startswith(INDEX_MARK):
        return
    rows = [
        _index_row(file.parent)
        for file in sorted(results.glob("*/study.yaml"))
        if (file.parent / "summary.csv").exists()
    ]
    headings = ("study", "tables", "recipes", "runs", "highest test accuracy")
    table = "\n".join(["| " + " | ".join(cells) + " |" for cells in (headings, ["---"] * 5, *rows)])
    write_atomically(
        path,
        f"{INDEX_MARK}\n# Results\n\nOne folder a study, complete in itself: its `study.yaml`, records and report.\n\n{table}\n\n"
        "Recipes are counted without the baseline. Behind the accuracy stands its difference to the baseline in points, with its 95 % "
        "interval, and how many other rows cannot be told from the highest (≈).\n",
    )


def _index_row(folder: Path) -> list[str]:
    link = f"[{markdown(folder.name)}]({quote(folder.name)}/report.md)"
    try:
        return [link, *_index_cells(folder / "summary.csv")]
    except (ValueError, KeyError):
        return [link, *["not readable"] * 4]


def _index_cells(summary: Path) -> list[str]:
    with summary.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    best = [r for r in rows if r["mark"] == "best"]
    wins = "<br>".join(_index_win(row, rows) for row in best[:8]) + ("<br>..." if len(best) > 8 else "")
    recipes = len({labels.names(r["recipe"]) for r in rows} - {labels.BASELINE})
    settings = {(r["dataset"], r["model"], r["train_size"], r["fingerprint"]) for r in rows}
    return [str(len(settings)), str(recipes), str(sum(int(r["n"]) for r in rows)), wins]


def _index_win(row: Mapping[str, str], rows: Sequence[Mapping[str, str]]) -> str:
    place = labels.place(row["dataset"], row["model"], int(row["train_size"] or 0))
    keys = ("dataset", "model", "train_size", "fingerprint")
    tied = sum(other["mark"] == "tied" and all(other[k] == row[k] for k in keys) for other in rows)
    mean, low, high = (float(row[f"difference{end}"] or "nan") for end in ("", "_low", "_high"))
    gain = f", {number(mean, signed=True)} {span(Interval(mean, low, high, 0))}".rstrip() if math.isfinite(mean) else ""
    return (
        f"{markdown(place)}: {code(labels.short(row['recipe'], 60))} {float(row['test']):.2f} %{gain}"
        f"{f', ≈ {tied}' if tied else ''}"
    )


def log_table(name: str, groups: Sequence[Group], mode: str, project: str, folder: Path) -> None:
    """The summary as a `wandb.Table`, in a run named after the study. Whatever W&B does, the files stand.

    Args:
        name: the study's.
        groups: its tables.
        mode: auto, online, offline or disabled.
        project: W&B's.
        folder: under whose `wandb` an offline run is kept.

    Raises:
        ConfigError: an unknown mode.
    """
    _check_mode(mode)
    title = {"group": name, "job_type": "comparison", "name": f"{name}: comparison"}
    run = tracking.start(mode, project=project, tags=[], config={"study": name}, directory=folder, **title)
    run.table("comparison", tables.SUMMARY_COLUMNS, tables.summary_cells(groups))
    run.finish({"tables": len(groups), "rows": sum(len(group.rows) for group in groups)})


if __name__ == "__main__":
    sys.exit(main())
