"""The commands and facts by which a report can be made again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
from PIL import Image
from reading import Report, page
from synthetic import DROPOUT

from bench import report as report_command
from bench import run as run_command
from bench import study as study_command
from bench.run import make_parser as make_run_parser

PROGRAMS = {"bench/run.py": run_command, "bench/study.py": study_command, "bench/report.py": report_command}


def commands_of(folder: Path) -> list[str]:
    """The printed commands, which are the same in both forms of the report."""
    text = (folder / "report.md").read_text(encoding="utf-8").split("```sh\n")[1].split("\n```")[0]
    assert text in page(folder).words
    return text.splitlines()


def do(line: str, *more: str) -> int:
    """Run a printed command in this process."""
    python, program, *arguments = shlex.split(line)
    assert python == "python"
    status: int = PROGRAMS[program].main([*arguments, *more])
    return status


def draw_images(folder: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for split in ("train", "test"):
        for name in ("a", "b"):
            (folder / split / name).mkdir(parents=True)
            for i in range(12):
                pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{i}.png")


USUAL = ("--wandb", "disabled", "--accelerator", "cpu")


def test_printed_commands_of_runs_make_the_same_records(
    tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """On two folders of images, whose runs differ in nothing else: every run is then found finished."""
    monkeypatch.chdir(tmp_path)
    flags = ["--dataset", "imagefolder", "--model", "linear", "--epochs", "1", "--results_dir", "results/odd name"]
    for i, name in enumerate(("my birds", "fish")):
        draw_images(tmp_path / name, i)
        assert run_command.main([*flags, "--data_dir", name, "--seeds", "2", *USUAL]) == 0
    assert run_command.main([*flags, "--data_dir", "fish", "--seed", "7", "--recipe", "l2(lam=0.5)", *USUAL]) == 0
    folder = tmp_path / "results" / "odd name"
    before = {path.name: path.read_bytes() for path in (folder / "records").iterdir()}
    assert report(folder)[0] == 0
    *runs, last = commands_of(folder)
    assert len(runs) == len(set(runs)) == 3
    for line in runs:
        capsys.readouterr()
        assert do(line, *USUAL) == 0
        assert capsys.readouterr().out.count("found finished") == (2 if "--seeds" in line else 1)
    assert {path.name: path.read_bytes() for path in (folder / "records").iterdir()} == before
    assert do(last) == 0


def test_printed_commands_of_a_study_make_it_again(
    tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "results" / "it's mine"
    plan = "recipes: [none]\nmodels: [linear]\nseeds: [0]\nepochs: 1\naccelerator: cpu\nwandb: disabled\n"
    synthetic.write(folder, [], study=plan)
    monkeypatch.chdir(tmp_path)
    report(folder)
    first, last = commands_of(folder)
    assert do(first, "--workers", "1") == 0
    assert len(list((folder / "records").glob("*.json"))) == 1
    assert do(last, "--fail_on_missing") == 0


def test_older_records_of_images_tell_what_their_folder_was_called(tmp_path: Path, report: Report) -> None:
    made = [synthetic.make("none", seed, dataset="imagefolder") for seed in (0, 1)]
    for record, name in zip(made, ("my birds", "fish"), strict=True):
        record["dataset"]["title"] = name
    report(synthetic.write(tmp_path, made))
    runs = [make_run_parser().parse_args(shlex.split(line)[2:]) for line in commands_of(tmp_path)[:-1]]
    assert {(run.data_dir, run.dataset) for run in runs} == {("my birds", "imagefolder"), ("fish", "imagefolder")}


@pytest.mark.parametrize("text", ["a\nb", "x" * 5_000, "\x1b[31m", "right\u202eto left"])
def test_what_cannot_be_pasted_is_no_command(tmp_path: Path, report: Report, text: str) -> None:
    report(synthetic.write(tmp_path, [synthetic.make(text, 0), synthetic.make("none", 0)]))
    assert sorted(line[:8] for line in commands_of(tmp_path)) == ["# a comm", "python b", "python b"]


def test_commands_of_a_folder_without_a_study_name_all_of_its_runs(tmp_path: Path, report: Report) -> None:
    seeds = {"none": [0, 1], DROPOUT: [0, 5, 6, 7], "l2(lam=0.1)": [3]}
    made = [synthetic.make(recipe, seed) for recipe in seeds for seed in seeds[recipe]]
    report(synthetic.write(tmp_path / "odd name", made))
    lines = commands_of(tmp_path / "odd name")
    assert lines.pop() == "python bench/report.py 'results/odd name'"
    runs = [make_run_parser().parse_args(shlex.split(line)[2:]) for line in lines]
    named = {(run.recipe, run.seed or 0, run.seeds) for run in runs}
    assert named == {("none", 0, 2), (DROPOUT, 0, 1), (DROPOUT, 5, 3), ("l2(lam=0.1)", 3, 1)}
    assert {run.results_dir for run in runs} == {"results/odd name"}


def test_no_command_asks_for_more_seeds_than_it_may(tmp_path: Path, report: Report) -> None:
    report(synthetic.write(tmp_path, [synthetic.make("none", seed, epochs=1) for seed in range(2_100)]))
    runs = [make_run_parser().parse_args(shlex.split(line)[2:]) for line in commands_of(tmp_path)[:-1]]
    assert [(run.seed or 0, run.seeds) for run in runs] == [(0, 1_000), (1_000, 1_000), (2_000, 100)]


def test_time_of_all_trainings_is_told(tmp_path: Path, report: Report) -> None:
    runs = [synthetic.make("none", seed, seconds=100.0) for seed in range(3)]
    report(synthetic.write(tmp_path, runs))
    assert (
        "| time of all trainings | 5 minutes \\(processor time of 3 runs\\) |" in (tmp_path / "report.md").read_text()
    )
    synthetic.write(tmp_path, [{**runs[0], "cpu_seconds": 0, "seconds": 1e4}, *({**r, "seconds": 0} for r in runs[1:])])
    report(tmp_path)
    assert "3 hours (wall time of 3 runs)" in page(tmp_path).words
