"""Whether a run is done, asked of settings, data and records alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import RunConfig, train
from bench.training import networks, predictions, record
from bench.training.errors import NetError
from bench.training.lookup import finished, identify
from bench.training.prepare import prepare
from bench.training.recording import record_failure
from datamodules import DataError
from recipes import RecipeError

Make = Callable[..., RunConfig]


def test_a_finished_run_is_found_without_a_network(make_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(train_size=100, recipe=" dropout( 0.3 )")
    assert finished(config) is None
    result = train(config)

    def build(*_: Any) -> Any:
        raise AssertionError("a network was built")

    monkeypatch.setattr(networks, "build", build)
    for equal in ({}, {"recipe": "dropout(p=0.3)", "lr": 1e-3}, {"group": "g"}):
        assert finished(replace(config, **equal)) == result
    assert finished(config.resolve()) == result
    for other in ({"seed": 1}, {"train_size": 99}, {"split_seed": 1}, {"lr": 2e-3}, {"recipe": "none"}):
        assert finished(replace(config, **other)) is None


def test_the_id_is_that_of_the_prepared_run(make_config: Make) -> None:
    for settings in ({}, {"fold": 1, "folds": 3}, {"resample": 2}, {"model": "cnn", "train_size": 50}):
        config = make_config(**settings)
        assert identify(config) == prepare(config).run_id


def test_a_failure_is_not_finished_and_a_divergence_is(make_config: Make) -> None:
    config = make_config(lr=1e30, optimizer="sgd")
    failed = record_failure(config.resolve(), "no reason")
    assert record.path_of(config.results, failed.run_id).exists()
    assert finished(config) is None
    assert train(config).status == "diverged"
    found = finished(config)
    assert found
    assert found.status == "diverged"


def test_a_resample_without_its_predictions_is_not_finished(make_config: Make) -> None:
    config = make_config(train_size=100, resample=0)
    result = train(config)
    assert finished(config) == result
    predictions.predictions_path(config.results, result.run_id).unlink()
    assert finished(config) is None


def test_a_damaged_record_is_set_aside(make_config: Make, tmp_path: Path, capsys: Any) -> None:
    config = make_config(train_size=100)
    path = record.path_of(tmp_path / "results", train(config).run_id)
    path.write_text(path.read_text().replace("0.", "1.", 1))
    assert finished(config) is None
    assert not path.exists()
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "error"),
    [({"recipe": "nope"}, RecipeError), ({"model": "nope"}, NetError), ({"dataset": "nope"}, DataError)],
)
def test_wrong_settings_are_refused(make_config: Make, settings: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error, match="nope"):
        finished(make_config(**settings))
