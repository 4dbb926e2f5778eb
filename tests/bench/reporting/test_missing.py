"""What a report takes for missing, from the texts of a folder alone: nothing that they name is imported or run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import synthetic
from reading import Report, explained
from synthetic import DROPOUT, RULE, three

EMPTY = "There are no finished runs in this folder yet."
PLAN = "recipes: [none, 'dropout(p=0.3)']\nseeds: [0, 1, 2]\nepochs: 3\n"


@pytest.mark.parametrize(
    ("made", "plan", "missing", "sentences"),
    [
        (three("none", DROPOUT), PLAN, 0, []),
        (three("none", DROPOUT)[:-1], PLAN, 1, ["1 missing (dropout(p=0.3): seed 2)"]),
        (three("none"), PLAN, 3, ["3 missing (dropout(p=0.3): seeds 0, 1, 2)"]),
        (
            [],
            PLAN,
            6,
            [EMPTY, "6 missing: the study lists 2 rows of tables of which there is no record yet (digits, mlp)"],
        ),
        (three("none", DROPOUT), PLAN + "models: [mlp, cnn]\n", 6, ["6 missing", "(digits, cnn)"]),
        (three("none", DROPOUT), PLAN + "train_sizes: [null, 300]\n", 6, ["6 missing", "(digits, mlp, 300)"]),
        ([*three("none"), *three(DROPOUT, status="failed")], PLAN, 3, ["3 failed"]),
        ([*three("none"), *three(DROPOUT, status="diverged")], PLAN, 0, ["3 diverged"]),
        # A study without seeds takes five; a folder without a study knows those of its records.
        (three("none", DROPOUT), PLAN.replace("seeds: [0, 1, 2]\n", ""), 4, ["4 missing"]),
        (three("none", DROPOUT)[:-1], "", 1, ["1 missing"]),
        # However a spec is written: by position, with spaces, with its default, by a family or as pairs.
        (three("none", DROPOUT), PLAN.replace("p=0.3", " 0.3 "), 0, []),
        (three("none", "label_smoothing(epsilon=0.1)"), PLAN.replace("dropout(p=0.3)", "label_smoothing"), 0, []),
        (three("none", DROPOUT, model="cnn(width=8)"), PLAN + "models: [cnn( 8 )]\n", 0, []),
        (three("none", DROPOUT, model="cnn"), PLAN + "models: [cnn(width=32)]\n", 0, []),
        (
            three("none", "dropout(p=0.3)+l2(lam=0.001)"),
            "recipes: [none, {pairs: [dropout(0.3), l2(0.001)]}]\nseeds: [0, 1, 2]\n",
            0,
            [],
        ),
    ],
)
def test_missing_cells(
    tmp_path: Path, report: Report, made: list[Any], plan: str, missing: int, sentences: list[str]
) -> None:
    folder = synthetic.write(tmp_path / "study", made, **({"study": plan} if plan else {}))
    for flags, expected in ((), 0), (("--fail_on_missing",), 1 if missing else 0):
        status, _, err = report(folder, *flags)
        assert status == expected
        assert err == (f"{missing} cells have no finished record\n" if missing else "")
    explained(folder, *sentences)


def tuned(recipe: str, chosen: Any) -> dict[str, Any]:
    where = {"dataset": "digits", "model": "mlp", "train_size": None}
    return {**where, "recipe": recipe, "chosen": chosen and {"recipe": chosen, "lr": 0.001}, "trials": []}


@pytest.mark.parametrize(("chosen", "missing"), [(DROPOUT, 0), ("dropout(p=0.5)", 3), (None, 0)])
def test_missing_cells_of_a_tuned_study(tmp_path: Path, report: Report, chosen: Any, missing: int) -> None:
    """The strength that was chosen counts; while none is, any."""
    plan = "recipes: [none, dropout]\nseeds: [0, 1, 2]\nepochs: 3\ntune: {trials: 3}\n"
    rows = [tuned("none", None), tuned("dropout", chosen)]
    synthetic.write(tmp_path, three("none", DROPOUT), study=plan, tuning={"rule": RULE, "conditions": rows})
    status, _, err = report(tmp_path, "--fail_on_missing")
    assert status == (1 if missing else 0)
    assert err == (f"{missing} cells have no finished record\n" if missing else "")


def test_what_did_not_fit_is_not_missing(tmp_path: Path, report: Report) -> None:
    """A study of an earlier version says so only by what it tuned: no mirror images of digits."""
    plan = "recipes: [none, dropout, hflip]\nseeds: [0, 1, 2]\nepochs: 3\ntune: {trials: 3}\n"
    rows = [tuned("none", "none"), tuned("dropout", DROPOUT)]
    synthetic.write(tmp_path, three("none", DROPOUT), study=plan, tuning={"rule": RULE, "conditions": rows})
    assert report(tmp_path, "--fail_on_missing") == (0, *report(tmp_path)[1:])


@pytest.mark.parametrize(
    ("recipe", "trained", "missing"),
    [
        ("somebody.module:own", "somebody.module:own(width=2)", 0),
        ("somebody.module:own(width=2)", "somebody.module:own(width=2, depth=3)", 0),
        ("somebody.module:own(width=3)", "somebody.module:own(width=2)", 3),
        ("dropout(0.3)+somebody.module:own", "dropout(p=0.3)+somebody.module:own(width=2)", 0),
        ("dropout(0.4)+somebody.module:own", "dropout(p=0.3)+somebody.module:own(width=2)", 3),
        ("somebody.module:own(2)", "somebody.module:own(width=2, depth=3)", 0),
        ("somebody.module:own(3)", "somebody.module:own(width=2, depth=3)", 3),
        ("other.module:own", "somebody.module:own", 3),
    ],
)
def test_a_recipe_of_somebodys_own_is_reported_from_any_folder(
    tmp_path: Path, report: Report, recipe: str, trained: str, missing: int
) -> None:
    plan = f"recipes: [none, '{recipe}']\nseeds: [0, 1, 2]\nepochs: 3\n"
    status, _, err = report(synthetic.write(tmp_path, three("none", trained), study=plan))
    assert status == 0
    assert err == (f"{missing} cells have no finished record\n" if missing else "")


PAYLOAD = """recipes:
  - none
  - "os:system(command='touch {0}')"
  - "subprocess:run(args='touch {0}', shell=True)"
  - "planted:run"
seeds: [0]
tune: {{trials: 2, grids: {{"planted:grid": [1, 2]}}}}
"""


@pytest.mark.parametrize("place", ["study.yaml", "records", "tuning.json"])
def test_nothing_that_a_folder_names_is_run(
    tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    touched = tmp_path / "touched"
    code = (
        f"import pathlib\npathlib.Path({str(touched)!r}).touch()\ndef run(): pathlib.Path({str(touched)!r}).touch()\n"
    )
    (tmp_path / "planted.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    payload = f"os:system(command='touch {touched}')"
    folder = tmp_path / "study"
    records = [synthetic.make("none", 0)]
    if place == "records":
        records += [synthetic.make(recipe, 0, epochs=2) for recipe in (payload, "planted:run")]
        records.append(synthetic.make("none", 0, dataset="planted:run", model=payload))
    tuning = {"rule": RULE, "conditions": [tuned(payload, "planted:run")]} if place == "tuning.json" else None
    plan = {"study": PAYLOAD.format(touched)} if place == "study.yaml" else {"study": "recipes: [none]\nseeds: [0]\n"}
    synthetic.write(folder, records, **plan, **({"tuning": json.dumps(tuning)} if tuning else {}))
    assert report(folder)[0] == 0
    assert not touched.exists()
