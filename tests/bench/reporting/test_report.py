"""A report is a pure function of the files of its folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import synthetic
from reading import Report
from synthetic import BOTH, RULE, plain

from bench.report import main

ROOT = Path(__file__).resolve().parents[3]


TUNING = json.dumps({"rule": RULE, "conditions": []})


CONDITION = '{"dataset": "digits", "model": "mlp", "train_size": 200, "recipe": "none", "chosen": null, "trials": []}'


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
    status, out, err = report(synthetic.write(tmp_path, plain(BOTH, 1), **files))
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err


def test_a_folder_without_records_is_refused(tmp_path: Path, report: Report) -> None:
    status, _, err = report(tmp_path / "nowhere")
    assert status == 2
    assert err.count("\n") == 1


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


def test_a_report_needs_neither_torch_nor_lightning(tmp_path: Path) -> None:
    """Of a tuned study with everything in it, networks and a recipe of somebody's own among them; with its index."""
    tuning, trials = synthetic.tuning()
    plan = "recipes: [none, dropout, 'somebody.module:own']\nmodels: [mlp, resnet9(width=8)]\nseeds: [0]\ntune: {}\n"
    made = synthetic.study(range(3), (None, 200)) + trials + [synthetic.make("somebody.module:own(p=1)", 0)]
    synthetic.write(tmp_path / "study", made, tuning=tuning, decomposition=synthetic.decomposition(), study=plan)
    code = "import sys; from bench.report import main; status = main(sys.argv[1:]); "
    code += "print(sorted({'torch', 'lightning', 'torchvision', 'torchmetrics', 'wandb'} & set(sys.modules)))"
    command = [sys.executable, "-c", code, str(tmp_path / "study"), "--index"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert (tmp_path / "study" / "report.html").exists()
    assert (tmp_path / "README.md").exists()


def test_records_that_cannot_be_listed_are_an_error(
    tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root lists every folder, so that permissions show nothing where tests run as root."""
    folder, scandir = synthetic.write(tmp_path, [synthetic.make("none", 0)]), os.scandir

    def refuse(path: Any = ".") -> Any:
        if Path(path).name == "records":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    status, out, err = report(folder)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "records" in err
