"""Lightning's own loggers beside the mirror: what they hold is the record's history, and they can fail no run."""

from __future__ import annotations

import csv
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import Logger

from bench import RunConfig, train
from bench.training import loggers
from bench.training.loggers import Guarded

Make = Callable[..., RunConfig]
NAMES = ("val/loss", "train_probe/accuracy", "gap/loss", "val/macro_f1")


def test_csv(make_config: Make, tmp_path: Path, capsys: Any) -> None:
    result = train(make_config(logger="csv", epochs=3, train_size=100))
    path = tmp_path / "results" / "logs" / result.run_id / "csv" / "metrics.csv"
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [int(float(row["epoch"])) for row in rows] == [1, 2, 3]
    for row, ours in zip(rows, result.history, strict=True):
        assert {name: float(row[name]) for name in NAMES} == pytest.approx({k: ours[k] for k in NAMES}, rel=1e-4)
    settings = (path.parent / "hparams.yaml").read_text()
    assert "recipe: none" in settings
    assert capsys.readouterr().err == ""


def test_tensorboard(make_config: Make, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra [loggers]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = train(make_config(logger="tensorboard", train_size=100))
    events = EventAccumulator(str(tmp_path / "results" / "logs" / result.run_id / "tensorboard"))
    events.Reload()
    for name in NAMES:
        values = [event.value for event in events.Scalars(name)]
        assert values == pytest.approx([row[name] for row in result.history], rel=1e-4)


def test_mlflow_beside_others(make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs the extra [loggers]")
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_ALLOW_FILE_STORE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    result = train(make_config(logger="csv,mlflow,csv", train_size=100))
    folder = tmp_path / "results" / "logs" / result.run_id
    assert sorted(path.name for path in folder.iterdir()) == ["csv", "mlflow"]
    client = mlflow.tracking.MlflowClient(loggers.store_of(folder))
    (experiment,) = client.search_experiments(filter_string="name = 'regularization-bench'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.metrics["val/loss"] == pytest.approx(result.history[-1]["val/loss"], rel=1e-4)
    assert run.data.params["recipe"] == "none"
    assert run.info.status == "FINISHED"
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    assert capfd.readouterr() == ("", "")


class Broken(Logger):
    """Works for so many epochs."""

    name = "broken"
    version = 0

    def __init__(self, good: int) -> None:
        super().__init__()
        self.good = good
        self.seen = 0

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.seen += 1
        if self.seen > self.good:
            raise OSError(28, "No space left on device")

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        pass


def test_a_logger_that_fails_is_told_once_and_costs_no_run(make_config: Make, monkeypatch: Any, capsys: Any) -> None:
    broken = Broken(1)
    monkeypatch.setitem(loggers.MAKERS, "csv", lambda config, folder: broken)
    assert train(make_config(logger="csv", epochs=4, train_size=100)).status == "ok"
    assert broken.seen == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left on device" in line


def test_a_logger_that_cannot_begin_is_told_once(capsys: Any) -> None:
    def refuse() -> Logger:
        raise PermissionError("no")

    guarded = Guarded("csv", refuse)
    guarded.log_hyperparams({})
    guarded.log_metrics({"val/loss": 1.0}, 1)
    guarded.finalize("success")
    assert guarded.experiment is None
    assert capsys.readouterr().err == "warning: logger csv: PermissionError: no; the run goes on without it\n"
