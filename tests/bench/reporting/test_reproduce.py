"""The commands and facts by which a report can be made again."""

from __future__ import annotations

import shlex
from pathlib import Path

import synthetic
from reading import Report, page
from synthetic import DROPOUT

from bench.run import make_parser as make_run_parser


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


def test_time_of_all_trainings_is_told(tmp_path: Path, report: Report) -> None:
    runs = [synthetic.make("none", seed, seconds=100.0) for seed in range(3)]
    report(synthetic.write(tmp_path, runs))
    assert (
        "| time of all trainings | 5 minutes \\(processor time of 3 runs\\) |" in (tmp_path / "report.md").read_text()
    )
    synthetic.write(tmp_path, [{**runs[0], "cpu_seconds": 0, "seconds": 1e4}, *({**r, "seconds": 0} for r in runs[1:])])
    report(tmp_path)
    assert "3 hours (wall time of 3 runs)" in page(tmp_path).words
