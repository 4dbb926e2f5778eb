"""Settings: identity, defaults, YAML, refusals."""

from __future__ import annotations

import math
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from bench.training.errors import ConfigError
from bench.training.settings import RunConfig, from_mapping, run_id, setting_types
from bench.training.typed_json import canonical_json
from bench.training.yaml_files import load_yaml
from recipes import Whole
from recipes._core.checks import kinds_of, ranges_of

FOLDS = {"fold": 0, "folds": 5}
HERE = {
    "data_dir",
    "results_dir",
    "wandb",
    "project",
    "group",
    "logger",
    "accelerator",
    "devices",
    "num_nodes",
    "checkpoint",
}


def test_identity_holds_what_decides_the_numbers_only() -> None:
    identity = RunConfig().resolve().identity()
    everything = {f.name for f in fields(RunConfig)}
    assert set(identity) == everything - HERE - {
        "train_size",
        "val_fraction",
        "image_size",
        "fold",
        "folds",
        "resample",
        "trial",
    }


def test_run_id_changes_with_every_setting_that_counts() -> None:
    base = RunConfig().resolve()
    changes: dict[str, Any] = {
        "recipe": "dropout(p=0.3)", "dataset": "mnist", "model": "cnn", "seed": 1, "epochs": 7, "train_size": 99,
        "val_fraction": 0.3, "split_seed": 1, "image_size": 9, "batch_size": 7, "lr": 0.5, "optimizer": "sgd",
        "momentum": 0.5, "fold": 1, "folds": 6, "resample": 1, "trial": True,
        "schedule": "constant", "precision": "bf16-mixed",
    }  # fmt: skip
    ids = {run_id(base, "f"), run_id(base, "g")} | {
        run_id(replace(base, **(FOLDS | {k: v} if k in FOLDS else {k: v})), "f") for k, v in changes.items()
    }
    assert len(ids) == 2 + len(changes)
    assert changes.keys() | HERE == {f.name for f in fields(RunConfig)}
    assert all(re.fullmatch("[0-9a-f]{16}", i) for i in ids)
    for k in HERE - {"accelerator"}:
        other = {"wandb": "offline", "logger": "csv", "devices": 2, "num_nodes": 2, "checkpoint": True}.get(
            k, "elsewhere"
        )
        assert run_id(replace(base, **{k: other}), "f") == run_id(base, "f")


def test_equal_runs_written_differently_share_an_id() -> None:
    a = RunConfig(recipe=" dropout( 0.3 ) + label_smoothing", model="mlp(256)").resolve()
    b = RunConfig(recipe="dropout+label_smoothing(epsilon=0.1)", lr=1e-3, optimizer="adam").resolve()
    assert a == b


def test_other_optimizer_has_its_own_learning_rate() -> None:
    assert RunConfig(optimizer="sgd").resolve().lr == 0.05
    assert RunConfig(optimizer="sgd", lr=0.3).resolve().lr == 0.3
    assert RunConfig().resolve().optimizer == "adam"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epochs": 0}, "epochs must be from 1 to 1000000, or None, got 0"),
        ({"batch_size": 0}, "batch_size must be from 1 to 1000000, or None, got 0"),
        ({"batch_size": 10**7}, "batch_size must be from 1 to 1000000, or None, got 10000000"),
        ({"train_size": 0}, "train_size must be from 1 to"),
        ({"seed": -1}, "seed must be from 0 to 2147483647, got -1"),
        ({"seed": 2**31}, "seed must be from 0 to"),
        ({"lr": 0.0}, "lr must be in (0, 1e+100], or None, got 0.0"),
        ({"lr": math.inf}, "lr must be in"),
        ({"lr": math.nan}, "lr must be in"),
        ({"momentum": 1.0}, "momentum must be in"),
        ({"val_fraction": 1.0}, "val_fraction must be in (0, 1), or None, got 1.0"),
        ({"optimizer": "adm"}, "did you mean 'adam'"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"precision": "16"}, "choose from 32-true"),
        ({"accelerator": "tpu"}, "choose from auto"),
        ({"wandb": "ofline"}, "did you mean 'offline'"),
        ({"epochs": "ten"}, "epochs must be int or None, got 'ten'"),
        ({"epochs": True}, "epochs must be int or None, got True"),
        ({"recipe": 3}, "recipe must be str"),
        ({"results_dir": "a\0b"}, r"results_dir must hold no zero byte, got 'a\x00b'"),
        ({"fold": 5, "folds": 5}, "fold must lie between 0 and 4, got 5"),
        ({"fold": 0}, "fold and folds are given together"),
        ({"logger": "csv,tensorbord"}, "unknown logger 'tensorbord', did you mean 'tensorboard'"),
        ({"recepi": "none"}, "unknown key 'recepi', did you mean 'recipe'"),
    ],
)
def test_refusals(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)) as error:
        from_mapping(values)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: 1\nseed: 2\n", "duplicate key 'seed'"),
        ("a: {b: 1, b: 2}\n", "duplicate key 'b'"),
        ("[1, 2]\n", "expected `key: value` lines"),
        ("seed: [1\n", "settings.yaml"),
        (
            "x: !!python/object/apply:os.getcwd []\n",
            "tags are not read, got 'tag:yaml.org,2002:python/object",
        ),
        ("seed: !!bool x\n", "tags are not read, got 'tag:yaml.org,2002:bool'"),
        ("seed: !!timestamp x\n", "tags are not read"),
        ("seed: !!int 3\n", "tags are not read"),
        ("a: [!x {}]\n", "tags are not read, got '!x'"),
        ("epochs: 1:30:00\n", "'1:30:00' at line 1 could be read as a number in base 8 or 60"),
        ("a: 1\nlr: 1:30.5\n", "'1:30.5' at line 2 could be read"),
        ("seed: 010\n", "'010' at line 1 could be read as a number in base 8 or 60: write the number that is meant"),
        ("a: &x 1\nb: *x\n", "aliases (*name) are not read"),
        ("", "expected `key: value` lines"),
    ],
)
def test_yaml_refusals(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(words)) as error:
        load_yaml(path)
    assert "\n" not in str(error.value)


def test_yaml_numbers_as_everybody_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("lr: 1e-3\nepochs: 7\na: 0\nb: 0.5\nc: -0.25\nd: 1_000\ne: 0e1\nf: '010'\ng: 2024-13-45\nh: 0x10\n")
    assert load_yaml(path) == {
        "lr": 0.001, "epochs": 7, "a": 0, "b": 0.5, "c": -0.25, "d": 1000, "e": 0.0, "f": "010",
        "g": "2024-13-45", "h": 16,
    }  # fmt: skip


def test_yaml_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_yaml(tmp_path / "settings.yaml")


def test_yaml_that_has_no_end_is_not_read(tmp_path: Path) -> None:
    for path in (Path("/dev/zero"), tmp_path):
        with pytest.raises(ConfigError, match="it is no ordinary file"):
            load_yaml(path)
    (tmp_path / "long.yaml").write_text("a" * 2**21)
    with pytest.raises(ConfigError, match="more than"):
        load_yaml(tmp_path / "long.yaml")


def test_every_whole_number_has_an_upper_bound() -> None:
    for name, annotation in setting_types().items():
        if int in kinds_of(annotation):
            (allowed,) = ranges_of(annotation)
            assert isinstance(allowed, Whole), name


def test_canonical_json_is_sorted_and_refuses_nan() -> None:
    assert canonical_json({"b": 1, "a": [1.5, None]}) == '{"a":[1.5,null],"b":1}'
    with pytest.raises(ValueError):
        canonical_json(math.nan)
