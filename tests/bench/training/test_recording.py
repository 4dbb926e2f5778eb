"""Where a record goes when its folder refuses it: nothing that was trained is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback

from bench import RunConfig, train
from bench.training import files, record
from bench.training.errors import LostRecordError
from bench.training.observer import Observer
from bench.training.prepare import Prepared
from bench.training.record import Record

Make = Callable[..., RunConfig]


class Spoil(Observer):
    """Puts a file in the place of the records' folder as soon as training begins."""

    measured_record: Record | None = None

    def starting(self, prepared: Prepared) -> list[Callback]:
        folder = prepared.config.results / "records"
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        folder.touch()
        return []

    def measured(self, record: Record) -> None:
        self.measured_record = record


def test_a_record_that_its_folder_refuses_is_kept_here(
    make_config: Make, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    spoil = Spoil()
    result = train(make_config(train_size=100), observer=spoil)
    assert spoil.measured_record == result
    assert record.load(record.path_of(here, result.run_id)) == result
    (line,) = capsys.readouterr().err.splitlines()
    assert f"it is kept as {record.path_of(here, result.run_id)}" in line


def test_a_record_that_no_folder_takes_is_named(make_config: Make, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "records").touch()
    with pytest.raises(LostRecordError, match="no place for the record"):
        train(make_config(train_size=100), observer=Spoil())


def test_predictions_that_cannot_be_kept_are_told(make_config: Make, monkeypatch: Any, capsys: Any) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_with_digest", full)
    result = train(make_config(train_size=100, resample=0))
    assert result.status == "ok"
    assert "cannot keep the predictions" in capsys.readouterr().err


def test_a_record_holds_every_metric_of_every_split(make_config: Make, tmp_path: Path) -> None:
    from bench.training.metrics import METRICS

    result = train(make_config(train_size=100))
    content = json.loads(record.path_of(tmp_path / "results", result.run_id).read_text())
    for split in ("train", "val", "test"):
        assert content["metrics"][split].keys() == {metric.name for metric in METRICS}
