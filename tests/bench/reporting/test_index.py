"""The index of a folder of studies: made where it is asked for, kept up to date where it is, and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import synthetic
from reading import Report, summary
from synthetic import BOTH, plain

from bench.reporting.index import INDEX_MARK

PLAN = "recipes: [none, 'dropout(p=0.3)']\nseeds: [0, 1, 2]\nepochs: 3\n"


def lines_of(results: Path) -> list[str]:
    return [line for line in (results / "README.md").read_text().splitlines() if line.startswith("| [")]


def test_index_over_all_studies(tmp_path: Path, report: Report) -> None:
    for name in ("one", "two|x"):
        report(synthetic.write(tmp_path / name, plain(BOTH), study=PLAN))
    tuned = [synthetic.make(f"dropout(p={p})", s, train_size=n) for p, n in ((0.1, 200), (0.3, 1000)) for s in (0, 1)]
    report(synthetic.write(tmp_path / "three", tuned, study=PLAN))
    synthetic.write(tmp_path / "runs", plain(BOTH))  # no study
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "study.yaml").write_text(PLAN)
    (tmp_path / "odd" / "summary.csv").write_text("an,older,table\n1,2,3\n")
    assert report(tmp_path / "one", "--index")[0] == 0
    lines = lines_of(tmp_path)
    assert [line.split("]")[0] for line in lines] == ["| [odd", "| [one", "| [three", r"| [two\|x"]
    assert "not readable" in lines[0]
    assert "(one/report.md) | 1 | 1 | 10 | digits, mlp: `dropout(p=0.3)` " in lines[1]
    assert "| 2 | 1 | 4 | digits, mlp, 200 samples: `dropout(p=0.1)` " in lines[2]
    assert "<br>digits, mlp, 1,000 samples: `dropout(p=0.3)` " in lines[2]
    best, other = summary(tmp_path / "one")
    ends = [f"{float(best[f'difference{end}']):+.2f}".replace("-", "−") for end in ("", "_low", "_high")]
    assert f" {float(best['test']):.2f} %, {ends[0]} [{ends[1]}, {ends[2]}]" in lines[1]
    assert (", ≈ 1 |" in lines[1]) == (other["mark"] == "tied")


def test_an_index_is_made_on_request_and_then_kept_up_to_date(tmp_path: Path, report: Report) -> None:
    report(synthetic.write(tmp_path / "results" / "one", plain(BOTH), study=PLAN))
    assert not (tmp_path / "results" / "README.md").exists()
    report(tmp_path / "results" / "one", "--index")
    assert len(lines_of(tmp_path / "results")) == 1
    report(synthetic.write(tmp_path / "results" / "two", plain(BOTH), study=PLAN))
    assert len(lines_of(tmp_path / "results")) == 2


@pytest.mark.parametrize("content", [b"mine", b"\xff\xfe\x00 not UTF-8", b"", b"words before\n" + INDEX_MARK.encode()])
def test_a_readme_that_a_person_wrote_stays(tmp_path: Path, report: Report, content: bytes) -> None:
    (tmp_path / "README.md").write_bytes(content)
    assert report(synthetic.write(tmp_path / "one", plain(BOTH), study=PLAN))[0] == 0
    status, out, err = report(tmp_path / "one", "--index")
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert str(tmp_path / "README.md") in err
    assert (tmp_path / "README.md").read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"mark,dataset\n" + b"x" * 200_000 + b",y\n",
        b'"' * 9,
        b"mark,n\nbest,many\n",
        b"dataset,model,train_size,fingerprint,recipe,n,mark,test,difference,difference_low,difference_high\nbest\n",
    ],
)
def test_an_unreadable_summary_of_another_study_is_named(tmp_path: Path, report: Report, content: bytes) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "study.yaml").write_text(PLAN)
    (tmp_path / "other" / "summary.csv").write_bytes(content)
    status, _, err = report(synthetic.write(tmp_path / "this", plain(BOTH), study=PLAN), "--index")
    assert (status, err) == (0, "")
    other, this = lines_of(tmp_path)
    assert other.startswith("| [other](other/report.md) | ")
    assert "not readable" in other
    assert "not readable" not in this


@pytest.mark.parametrize("name", ["README.md", "other/summary.csv"])
def test_no_pipe_is_waited_for(tmp_path: Path, report: Report, name: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "study.yaml").write_text(PLAN)
    os.mkfifo(tmp_path / name)
    assert report(synthetic.write(tmp_path / "this", plain(BOTH), study=PLAN))[0] == 0
    assert report(tmp_path / "this", "--index")[0] == (2 if name == "README.md" else 0)
    assert name == "README.md" or "not readable" in lines_of(tmp_path)[0]
