"""Study files: what they expand to, and what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from bench.studies.study_file import Condition, as_written, free_strengths, load_study, with_strengths
from bench.studies.tuning import candidates
from bench.training.errors import ConfigError
from recipes import techniques


def load(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return load_study(path)


def test_lists_multiply_and_scalars_are_shared(tmp_path: Path) -> None:
    study = load(
        tmp_path, "recipes: [none, l2]\nmodels: [mlp, cnn]\ntrain_sizes: [100, null]\nseeds: [3, 4]\nepochs: 7\n"
    )
    expected = itertools.product(["digits"], ["mlp", "cnn"], [100, None], ["none", "l2"])
    assert study.conditions() == [Condition(*parts) for parts in expected]
    config = study.config(study.conditions()[0], "none", 3)
    assert (config.epochs, config.train_size, config.group, config.results_dir) == (
        7,
        100,
        tmp_path.name,
        str(tmp_path),
    )


def test_recipes_expand(tmp_path: Path) -> None:
    study = load(tmp_path, "recipes: [none, stopping, {pairs: [l2, dropout(0.5), label_smoothing]}]\n")
    pairs = ["l2+dropout(p=0.5)", "l2+label_smoothing", "dropout(p=0.5)+label_smoothing"]
    stopping = [name for name, t in techniques().items() if t.family == "stopping"]
    assert list(study.recipes) == ["none", *stopping, *pairs]
    assert set(load(tmp_path, "recipes: all\n").recipes) == set(techniques())


def test_recipes_without_a_strength_may_stand_beside_tuned_ones(tmp_path: Path) -> None:
    study = load(tmp_path, "recipes: [none, l2, batch_norm, dropout(p=0.3)]\ntune: {trials: 3}\n")
    fixed = [c for c in study.conditions() if not free_strengths(c.recipe)]
    assert [c.recipe for c in fixed] == ["none", "batch_norm", "dropout(p=0.3)"]
    for condition in fixed:
        trials = candidates(study, condition, [])
        assert len({t.recipe for t in trials}) == 1
        assert len({t.lr for t in trials}) == 3


def test_strengths_that_are_not_given_are_free() -> None:
    assert as_written("dropout( 0.3 )+label_smoothing") == "dropout(p=0.3)+label_smoothing"
    assert [t.name for t in free_strengths("dropout(p=0.3)+label_smoothing")] == ["label_smoothing"]
    spec = with_strengths("dropout(p=0.4)+label_smoothing", {"label_smoothing": 0.2})
    assert spec == "dropout(p=0.4)+label_smoothing(epsilon=0.2)"


WRONG = [
    ("recipes: [none, drpout]", "unknown recipe 'drpout', did you mean 'dropout'"),
    ("recipes: ['dropout(q=1)']", "no argument 'q'"),
    ("recipes: ['dropout(p=2)']", "p must be in [0, 1)"),
    ("recipes: ['dropout(']", "malformed recipe"),
    ("recipes: []", "recipes is empty"),
    ("seeds: [0]", "recipes is empty"),
    ("recipes: [3]", "3 is neither a recipe"),
    ("recipes: [{pair: [l1, l2]}]", "neither a recipe nor `pairs"),
    ("recipes: [{pairs: [l1]}]", "at least two recipes"),
    ("recipes: [{pairs: [l1, l22]}]", "unknown recipe 'l22'"),
    ("recipes: [{pairs: [l1, l1]}]", "l1 appears twice"),
    ("recipes: [none]\ndatasets: [digit]", "did you mean 'digits'"),
    ("recipes: [none]\ndatasets: []", "datasets is empty"),
    ("recipes: [none]\ndatasets: [digits, digits]", "'digits' appears twice"),
    ("recipes: [none]\ndatasets: [1]", "1 is not of type str"),
    ("recipes: [none]\nmodels: [mpl]", "did you mean 'mlp'"),
    ("recipes: [none]\nmodels: ['mlp(depth=2)']", "no argument 'depth'"),
    ("recipes: [none]\nmodels: []", "models is empty"),
    ("recipes: [none]\nseeds: []", "seeds is empty"),
    (f"recipes: [none]\nseeds: {list(range(1_001))}", "seeds: 1,001 entries, at most 1,000"),
    ("recipes: [none]\nseeds: [0, 0]", "0 appears twice"),
    ("recipes: [none]\nseeds: [a]", "'a' is not of type int"),
    ("recipes: [none]\nseeds: [true]", "True is not of type int"),
    ("recipes: [none]\nseeds: [-1]", "-1 must lie between"),
    ("recipes: [none]\nseeds: [1000000]", "1000000 must lie between"),
    ("recipes: [none]\ntrain_sizes: [0]", "train_size must be from 1 to 1000000000"),
    ("recipes: [none]\ntrain_sizes: [all]", "'all' is not of type int"),
    ("recipes: [none]\nepochs: 0", "epochs must be from 1 to 1000000"),
    ("recipes: [none]\nepochs: [1, 2]", "epochs must be int"),
    ("recipes: [none]\nepoch: 3", "unknown key 'epoch', did you mean 'epochs'"),
    ("recipes: [none]\nseed: 3", "a study gives 'seeds'"),
    ("recipe: none", "a study gives 'recipes'"),
    ("recipes: [none]\nlr: -1", "lr must be in (0, 1e+100]"),
    ("recipes: [none]\nresults_dir: x", "unknown key 'results_dir'"),
    ("recipes: [none]\nfolds: 5", "unknown key 'folds'"),
    ("recipes: [l1]\ntune: {folds: 1}", "folds must be at least 2, got 1"),
    ("recipes: [l1]\ntune: {trials: 0}", "trials must be at least 1"),
    ("recipes: [l1]\ntune: {trials: 99}", "more than the"),
    ("recipes: [l1]\ntune: {trials: 2000000000}", "trials must be at most 1,000"),
    ("recipes: [l1]\ntune: {folds: 2000000000}", "folds must be at most 1,000"),
    ("recipes: [early_stopping]\ntune: {trials: 99, sampler: random}", "more than the 10 values between the ends"),
    ("recipes: [l1]\ntune: {trials: 2, sampler: qmc, grids: {l1: [0.1]}}", "more than the 1 values between the ends"),
    ("recipes: [l1]\ntune: {trials: 1, grids: {l2: [0.1]}}", "no recipe of the study leaves l2's strength open"),
    ("recipes: [l1]\ntune: {grids: {l1: [1, 1.0]}}", "list of distinct values"),
    ("recipes: [l1]\ntune: {grids: {l1: 0.1}}", "list of distinct values"),
    ("recipes: [{pairs: [1, 2]}]", "pairs: 1 is no recipe"),
    ("recipes: [none]\nmodels: [mlp, 'mlp()']", "'mlp()' appears twice"),
    ("recipes: [l1]\ntune: {trial: 5}", "unknown key 'trial', did you mean 'trials'"),
    ("recipes: [l1]\ntune: {select: test/accuracy}", "would look at test data"),
    ("recipes: [l1]\ntune: {select: val/eec}", "unknown select 'val/eec'"),
    ("recipes: [l1]\ntune: {space: lr}", "unknown space 'lr'"),
    ("recipes: [l1]\ntune: {sampler: grids}", "did you mean 'grid'"),
    ("recipes: [l1]\ntune: {sampler: grid, space: strength+lr}", "covers the strength only"),
    ("recipes: [l1]\ntune: 5", "tune: expected `key: value`"),
    ("recipes: [batch_norm]\ntune: {trials: 2}", "batch_norm leaves no strength to tune"),
    ("recipes: ['l1(lam=0.1)']\ntune: {trials: 2}", "leaves no strength to tune"),
    ("recipes: [l1]\ntune: {grids: {l3: [1]}}", "unknown recipe 'l3'"),
    ("recipes: [l1]\ntune: {grids: {batch_norm: [1]}}", "batch_norm has no strength"),
    ("recipes: [l1]\ntune: {grids: {l1: [0.1, 0.1]}}", "list of distinct values"),
    ("recipes: [l1]\ntune: {grids: {l1: [0.1, -2]}}", "lam must be at least 0"),
    ("recipes: [l1]\ntune: {trials: 3, grids: {l1: [0.1, 0.2]}}", "more than the 2 values"),
    ("recipes: [l1]\ndecompose: {resamples: 1}", "resamples must be at least 2"),
    ("recipes: [l1]\ndecompose: {resamples: 2000000000}", "resamples must be at most 1,000"),
    ("recipes: [l1]\ndecompose: {samples: 3}", "unknown key 'samples'"),
    ("recipes: [none]\nrecipes: [l1]", "duplicate key 'recipes'"),
    ("recipes: &a [none]\nseeds: *a", "aliases (*name) are not read"),
    ("recipes: [none]\nepochs: 1000000000", "epochs must be from 1 to 1000000"),
    ("recipes: [none]\nepochs: 0x" + "f" * 6000, "epochs must be from 1 to 1000000"),
    ("recipes: [none]\nlr: 1.0e+200", "lr must be in (0, 1e+100]"),
    (
        "recipes: [dropout]\ntune: {trials: 60, sampler: random, grids: {dropout: [0.1, 0.105]}}",
        "more than the 51 values between the ends",
    ),
    (
        "recipes: [dropout]\ntune: {trials: 9, sampler: qmc, grids: {dropout: [0.1, 0.1000001]}}",
        "more than the 1 values between the ends",
    ),
    ("recipes: [none", "study.yaml"),
    ("- recipes", "expected `key: value`"),
]


@pytest.mark.parametrize(("text", "words"), WRONG, ids=[text.replace("\n", " ")[:90] for text, _ in WRONG])
def test_wrong_studies_are_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text + "\n")
    message = str(error.value)
    assert words in message
    assert "study.yaml" in message
    assert "\n" not in message
