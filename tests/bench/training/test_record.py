"""Records are read as they were written, carry a digest, and are believed only with it."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.training import record
from bench.training.record import Record, content_of, load, load_or_set_aside, path_of, write
from bench.training.typed_json import canonical_json, digest_of

RESULTS = Path(__file__).resolve().parents[3] / "results"
MADE = Record(
    run_id="0123456789abcdef",
    status="ok",
    config={"recipe": "none", "lr": 0.001, "seed": 0},
    recipe="none",
    dataset={"name": "digits", "fingerprint": "f" * 64, "sizes": {"train": 3}, "classes": ["ä", "\udc80"]},
    model={"name": "mlp", "parameters": 7},
    metrics={split: {"loss": 0.125, "accuracy": 0.9275} for split in ("train", "val", "test")},
    history=[{"epoch": 1.0, "val/loss": None, "train_probe/loss": 1e-05}],
    environment={"suite": "0.1.0", "git": None},
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Class names may be halves of surrogate pairs: names of files that are not UTF-8."""
    path = write(MADE, tmp_path)
    assert load(path) == MADE
    content = json.loads(path.read_text())
    assert content["digest"] == digest_of(content)
    assert "cpu_seconds" not in content  # nothing that was not there comes to be
    assert content["error"] is None


@pytest.mark.parametrize("folder", sorted(RESULTS.glob("*/records")), ids=lambda folder: folder.parent.name)
def test_committed_records_are_the_same_byte_for_byte(folder: Path) -> None:
    for path in sorted(folder.glob("*.json"))[::7]:
        assert canonical_json(content_of(load(path))) + "\n" == path.read_text()


def test_one_bit_is_found(tmp_path: Path) -> None:
    """The case of a hard week: 0.9275 became 0.9375, and everybody believed it."""
    path = write(MADE, tmp_path)
    path.write_bytes(path.read_bytes().replace(b"0.9275", b"0.9375", 1))
    with pytest.raises(ValueError, match="its content is not what its digest says"):
        load(path)


def test_any_bit_is_found_or_harmless(tmp_path: Path) -> None:
    whole = write(MADE, tmp_path).read_bytes()
    harmless = 0
    for at in range(len(whole)):
        bit = 1 << random.Random(at).randrange(8)
        try:
            assert record.read(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :]) == MADE
            harmless += 1
        except ValueError:
            pass
    assert harmless < 10  # in the name of the digest


def test_a_digest_in_a_nested_field_is_no_digest_of_the_file(tmp_path: Path) -> None:
    """Nor does one that a text quotes, as a recipe's argument may."""
    made = replace(MADE, config={**MADE.config, "digest": "0" * 16, "text": '"digest":"0000000000000000",'})
    path = write(made, tmp_path)
    assert load(path) == made
    path.write_text(path.read_text().replace("0.9275", "0.9375", 1))
    with pytest.raises(ValueError, match="digest"):
        load(path)
    path.write_text(json.dumps(content_of(made)))  # of an earlier version
    assert load(path) == made


def test_another_layout_of_the_same_content_is_whole(tmp_path: Path) -> None:
    path = write(MADE, tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=2))
    assert load(path) == MADE


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "huge"])
def test_what_is_no_ordinary_file_is_set_aside_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, kind: str
) -> None:
    path = path_of(tmp_path, "0" * 16)
    path.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("w") as file:
            file.truncate(2**40)
    assert load_or_set_aside(path) is None
    assert not path.exists()
    assert capsys.readouterr().err.count("kept as 0000000000000000.json.damaged, the run is done again") == 1


def test_records_respect_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        assert write(MADE, tmp_path).stat().st_mode & 0o777 == 0o600
        os.umask(0o022)
        assert write(MADE, tmp_path).stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)
