"""Which conditions a study leaves out, and what it foretells of the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.studies import fitting
from bench.studies.fitting import leave_out_unfit
from bench.studies.study_file import load_study

THEIRS = """
from recipes import Recipe, UnfitError

def broken() -> Recipe:
    def model(net):
        raise RuntimeError("it is broken\\nin two lines")
    return Recipe(model=model)

def picky(least: int = 60_000) -> Recipe:
    def model(net):
        size = sum(p.numel() for p in net.parameters())
        if size < least:
            raise UnfitError(f"{size} parameters are too few")
        return net
    return Recipe(model=model)
"""


@pytest.fixture(autouse=True)
def _theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "theirs", raising=False)


def test_a_recipe_that_breaks_is_a_failed_cell(study: Any) -> None:
    """Its study goes on."""
    text = "recipes: [none, 'theirs:broken']\nmodels: [linear]\nseeds: [0]\nepochs: 1\n"
    status, out, err = study(text + "wandb: disabled\naccelerator: cpu\n")
    assert status == 1
    assert "theirs:broken on digits, linear will fail: RuntimeError: it is broken\n" in err
    assert "1 cells ok, 1 cells failed" in out


def test_what_cannot_fit_in_memory_is_refused(study: Any) -> None:
    status, _, err = study("recipes: [none]\nmodels: [mlp(width=3000000)]\nseeds: [0]\n")
    assert status == 2
    assert "width" in err
    assert err.count("\n") == 1


def test_fits_are_asked_once_for_all_sizes_and_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "study.yaml").write_text(
        "recipes: [none, l2, 'theirs:picky']\nmodels: [linear, mlp]\ntrain_sizes: [100, 200, null]\nseeds: [0, 1]\n"
        "accelerator: cpu\n"
    )
    asked = []
    ask = fitting.operate
    monkeypatch.setattr(fitting, "operate", lambda *args: asked.append(args[0].recipe) or ask(*args))
    found = leave_out_unfit(load_study(tmp_path / "study.yaml"))
    assert len(asked) == 3 * 2
    reasons = {(c.model, c.train_size, c.recipe): reason for c, reason in found.unfit.items()}
    assert set(reasons) == {(model, n, "theirs:picky") for model in ("linear", "mlp") for n in (100, 200, None)}
    assert reasons["linear", 100, "theirs:picky"] == "650 parameters are too few"  # (8 x 8 + 1) x 10
    assert len(found.conditions()) == 2 * 2 * 3


def test_what_was_left_out_is_kept_with_its_reason(study: Any, tmp_path: Path) -> None:
    text = "recipes: [none, dropout]\nmodels: [linear]\nseeds: [0]\nepochs: 1\nwandb: disabled\naccelerator: cpu\n"
    assert study(text)[0] == 0
    (row,) = json.loads((tmp_path / "unfit.json").read_text())["conditions"]
    assert (row["recipe"], row["dataset"], row["model"], row["train_size"]) == ("dropout", "digits", "linear", None)
    assert "hidden" in row["reason"]
