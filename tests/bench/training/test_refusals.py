"""What is refused before anything is trained: memory, processes, packages."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

from bench import RunConfig
from bench.training import prepare as module
from bench.training.errors import ConfigError, NetError
from bench.training.prepare import prepare

Make = Callable[..., RunConfig]


@pytest.mark.parametrize(
    ("settings", "free", "error", "words"),
    [
        ({"model": "mlp(width=65536)"}, 10**10, NetError, r"2,152,.* parameters, which take 34.4 GB"),
        (
            {"model": "mlp(width=65536)", "optimizer": "sgd"},
            10**10,
            NetError,
            "25.8 GB to train: 10.0 GB are free",
        ),
        ({"model": "resnet9(width=4096)"}, 10**11, NetError, "resnet9.* parameters"),
        (
            {"model": "resnet9(width=16)", "batch_size": 1150},
            2 * 10**7,
            ConfigError,
            "batch_size: 1150 samples a",
        ),
    ],
)
def test_what_cannot_fit_in_memory(
    make_config: Make, monkeypatch: Any, settings: dict[str, Any], free: int, error: type[Exception], words: str
) -> None:
    monkeypatch.setattr(module, "available_memory", lambda: free)
    with pytest.raises(error, match=words):
        prepare(make_config(**settings))


def test_what_fits(make_config: Make, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "available_memory", lambda: 10**9)
    assert prepare(make_config(model="resnet9(width=16)", batch_size=115)).parameters > 10**5


def test_every_process_needs_rows_of_every_split(make_config: Make) -> None:
    few = {"train_size": 30, "val_fraction": 0.007, "batch_size": 30}
    rows = prepare(make_config(**few)).data.sizes["val"]
    assert rows < 15
    with pytest.raises(ConfigError, match=f"15 processes .* for {rows} val rows: use {rows} at most"):
        prepare(make_config(**few, devices=15))
    assert 30 % 10 == 0
    prepare(make_config(**few, devices=10))  # the advice works


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_logger_whose_package_is_missing_names_the_extra(make_config: Make, monkeypatch: Any, name: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None if package == name else find(package))
    with pytest.raises(ConfigError, match=rf"logger '{name}' needs .*regularization-bench\[loggers\]"):
        prepare(make_config(logger=f"csv,{name}"))
